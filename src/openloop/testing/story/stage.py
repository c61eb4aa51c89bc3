"""The stage of the story: rigs of Slack and GitHub, people, and the whole product between them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.testing.rigs.github import GitHubRig
from openloop.testing.rigs.slack import SlackRig
from openloop.testing.stack import Stack

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

CHANNEL = "#dev-platform"
REPOSITORY = "acme/platform"
GITHUB_TOKEN = "ghp_rigrigrigrigrigrigrigrigrigrigrig"
BOT_TOKEN = "xoxb-1000000000-2000000000-rigrigrigrigrigrigrigrig"
SIGNING_SECRET = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
PEOPLE = {"priya": "U0PRIYA", "anna": "U0ANNA", "ben": "U0BEN", "mallory": "U0MALLORY"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Everything that plays; `stack` is the product, the others are the world around it."""

    slack: SlackRig
    github: GitHubRig
    stack: Stack


@asynccontextmanager
async def open_rigs(*, time_scale: float = 1.0) -> AsyncGenerator[tuple[SlackRig, GitHubRig]]:
    """A Slack workspace with four people in a channel, and a GitHub with one repository."""
    async with (
        SlackRig(
            bot_token=BOT_TOKEN, signing_secret=SIGNING_SECRET, time_scale=time_scale
        ) as slack,
        GitHubRig(token=GITHUB_TOKEN) as github,
    ):
        for name, id in PEOPLE.items():
            slack.people.add(name, id=id)
        slack.channels.add(CHANNEL.removeprefix("#"), id="C0DEV")
        github.state.add_repository(REPOSITORY)
        yield slack, github


def environ_for(
    slack: SlackRig, github: GitHubRig, *, scripts: Path | None = None
) -> dict[str, str]:
    """What points the product at the rigs: the same settings that point it at the real services."""
    chosen = {} if scripts is None else {"OPENLOOP_SCRIPTS": str(scripts)}
    return chosen | {
        "SLACK_BOT_TOKEN": slack.bot_token,
        "SLACK_SIGNING_SECRET": slack.signing_secret,
        "SLACK_API_URL": slack.api_url,
        "GITHUB_TOKEN": github.token,
        "GITHUB_API_URL": github.api_url,
        "GITHUB_LOG_HOSTS": github.log_host.host,
    }


@asynccontextmanager
async def open_stage(
    *,
    home: Path,
    manifests: Path,
    scripts: Path,
    environ: Mapping[str, str] | None = None,
    time_scale: float = 1.0,
) -> AsyncGenerator[Stage]:
    """Rigs, and the product connected to them and ready."""
    async with open_rigs(time_scale=time_scale) as (slack, github):
        settings = environ_for(slack, github, scripts=scripts) | dict(environ or {})
        async with Stack(home=home, manifests=manifests, environ=settings) as stack:
            slack.deliver_to = stack.events_url
            yield Stage(slack=slack, github=github, stack=stack)
