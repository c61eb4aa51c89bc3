"""GitHub, both faces: tools for issues, pull requests and builds, and people who talk to agents there."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from openloop.integrations.github.settings import VARIABLES, GitHubSettings
from openloop.plugin import Integration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openloop.plugin import Surface, Toolset


def _toolset(environment: Mapping[str, str]) -> Toolset | None:
    settings = GitHubSettings.read(environment)
    if settings is None:
        return None
    # Only a process that calls GitHub pays for aiohttp.
    from openloop.integrations.github.check import findings  # noqa: PLC0415
    from openloop.integrations.github.clients import client_of  # noqa: PLC0415
    from openloop.integrations.github.toolset import github_toolset  # noqa: PLC0415

    client = client_of(settings)
    return github_toolset(client, check=partial(findings, settings, client))


def _surface(environment: Mapping[str, str]) -> Surface | None:
    settings = GitHubSettings.read(environment)
    if settings is None:
        return None
    from openloop.integrations.github.clients import client_of  # noqa: PLC0415
    from openloop.integrations.github.surface import GitHubSurface  # noqa: PLC0415

    return GitHubSurface(settings, client_of(settings))


integration = Integration(name="github", variables=VARIABLES, surface=_surface, toolset=_toolset)
