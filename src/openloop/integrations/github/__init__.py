"""GitHub: a toolset for issues and pull requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.integrations.github.settings import VARIABLES, GitHubSettings
from openloop.plugin import Integration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openloop.plugin import Toolset


def _toolset(environment: Mapping[str, str]) -> Toolset | None:
    settings = GitHubSettings.read(environment)
    if settings is None:
        return None
    # Only a process that calls GitHub pays for aiohttp.
    from openloop.integrations.github.client import GitHubClient  # noqa: PLC0415
    from openloop.integrations.github.toolset import github_toolset  # noqa: PLC0415

    client = GitHubClient(settings.api_url, lambda: settings.token)
    return github_toolset(client, api_url=settings.api_url)


integration = Integration(name="github", variables=VARIABLES, toolset=_toolset)
