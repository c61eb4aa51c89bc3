"""What `github check` looks at beyond what every integration says of itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from openloop import settings as reading
from openloop.cli.checkup import Check, of_finding
from openloop.integrations.github.check import repository_findings
from openloop.integrations.github.clients import client_of
from openloop.integrations.github.settings import GitHubSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.surface import Finding


def check_repositories(names: Sequence[str]) -> list[Check]:
    """Whether these can be read, and what we may do in each."""
    if not names:
        return []
    settings = GitHubSettings.read(reading.load().environ)
    if settings is None:
        return []
    return [of_finding("github", each) for each in asyncio.run(_look(settings, names))]


async def _look(settings: GitHubSettings, names: Sequence[str]) -> list[Finding]:
    async with client_of(settings) as client:
        return await repository_findings(client, names)
