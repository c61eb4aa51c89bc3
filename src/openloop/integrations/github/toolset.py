"""All the tools an agent has on GitHub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.integrations.github.investigation_tool import investigation_tools
from openloop.integrations.github.people import Rights
from openloop.integrations.github.tools.builds import build_tools
from openloop.integrations.github.tools.code import code_tools
from openloop.integrations.github.tools.issues import issue_tools
from openloop.integrations.github.tools.labels import label_tools
from openloop.integrations.github.tools.pulls import pull_tools
from openloop.integrations.github.versions import Versions
from openloop.plugin import Toolset

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from openloop.domain.surface import Finding
    from openloop.integrations.github.client import GitHubClient

    Check = Callable[[], Awaitable[Sequence[Finding]]]

NAME = "github"

_GROUPS = (
    issue_tools,
    label_tools,
    pull_tools,
    build_tools,
    code_tools,
    investigation_tools,
)


def github_toolset(client: GitHubClient, *, check: Check) -> Toolset:
    """The tools, all through one client; `check` is what `doctor` asks."""
    rights, versions = Rights(client), Versions(client)
    return Toolset(
        name=NAME,
        tools=tuple(tool for group in _GROUPS for tool in group(client, versions)),
        check=check,
        aclose=client.aclose,
        may=rights.may,
        audience=rights.audience,
    )
