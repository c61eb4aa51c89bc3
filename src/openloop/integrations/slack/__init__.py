"""Slack as a surface: Events over HTTP or Socket Mode, threads, status, approval cards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.plugin import Integration, Variable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openloop.plugin import Surface

__all__ = ["integration"]


def _surface(environment: Mapping[str, str]) -> Surface | None:
    """The Slack surface, or None where no Slack variable is set."""
    # Late, so that discovering the integrations does not pay for aiohttp and markdown-it.
    from openloop.integrations.slack.settings import SlackSettings  # noqa: PLC0415

    settings = SlackSettings.read(environment)
    if settings is None:
        return None
    from openloop.integrations.slack.surface import SlackSurface  # noqa: PLC0415

    return SlackSurface(settings)


integration = Integration(
    name="slack",
    variables=(
        Variable(
            name="SLACK_BOT_TOKEN",
            meaning="The bot token of your Slack app (xoxb-...).",
            secret=True,
        ),
        Variable(
            name="SLACK_SIGNING_SECRET",
            meaning="The signing secret of your Slack app; set it to receive events over HTTP.",
            secret=True,
        ),
        Variable(
            name="SLACK_APP_TOKEN",
            meaning="An app-level token (xapp-...) with connections:write; set it for Socket Mode.",
            secret=True,
        ),
        Variable(
            name="SLACK_API_URL",
            meaning="Where the Web API is; https://slack.com/api/ unless set.",
        ),
    ),
    surface=_surface,
)
