"""What `doctor` says of Slack: each thing that must hold, and what to do where it does not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from openloop.domain.errors import TryLater
from openloop.domain.surface import Finding
from openloop.integrations.slack.client import SlackRefused, now
from openloop.integrations.slack.manifest import APP_SCOPE, needed_scopes
from openloop.integrations.slack.methods import AUTH_TEST, LIST_CHANNELS, OPEN_SOCKET
from openloop.integrations.slack.reading import flag_at, items_at, text_at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openloop.integrations.slack.client import Answer, SlackClient
    from openloop.integrations.slack.methods import Method
    from openloop.integrations.slack.reading import Json
    from openloop.integrations.slack.settings import SlackSettings

# Slack's signatures are refused beyond 300 s; warn long before.
_MOST_SKEW_SECONDS = 60
_REINSTALL = "Compare with `openloop slack manifest`, then reinstall the app to the workspace."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failed:
    reason: str


async def findings(client: SlackClient, settings: SlackSettings) -> Sequence[Finding]:
    """Look at everything that can be looked at without posting."""
    tested = await _call(client, AUTH_TEST, {})
    if isinstance(tested, _Failed):
        return (
            _bad("bot token", tested.reason, "Set SLACK_BOT_TOKEN to the token of your app."),
            *await _receiving(client, settings),
        )
    return (
        _who(tested.payload),
        _scopes(tested.headers),
        _clock(tested.headers),
        *await _receiving(client, settings),
        await _channels(client),
    )


async def _call(client: SlackClient, method: Method, arguments: Json) -> Answer | _Failed:
    try:
        return await client.call(method, arguments)
    except (TryLater, SlackRefused) as error:
        return _Failed(reason=str(error))


def _who(payload: Json) -> Finding:
    user, team = text_at(payload, "user"), text_at(payload, "team")
    team_id, bot_id = text_at(payload, "team_id"), text_at(payload, "bot_id")
    if not bot_id:
        return _bad("bot token", f"It belongs to the user {user!r}", "Use the bot token (xoxb-).")
    return _good("bot token", f"{user} in {team} ({team_id})")


def _scopes(headers: Mapping[str, str]) -> Finding:
    listed = headers.get("x-oauth-scopes")
    if listed is None:
        return _good("scopes", "Slack did not list them; nothing was compared")
    given = {scope.strip() for scope in listed.split(",") if scope.strip()}
    missing = needed_scopes(agent_view=False) - given
    if missing:
        return _bad("scopes", f"missing: {', '.join(sorted(missing))}", _REINSTALL)
    more = given - needed_scopes(agent_view=True)
    if more:
        detail = f"all that are needed, and more: {', '.join(sorted(more))}"
        return Finding(
            subject="scopes", ok=True, detail=detail, remedy=f"Take them away. {_REINSTALL}"
        )
    return _good("scopes", "exactly those that are needed")


def _clock(headers: Mapping[str, str]) -> Finding:
    try:
        theirs = parsedate_to_datetime(headers.get("date", ""))
    except ValueError:
        return _good("clock", "Slack did not say what time it is; nothing was compared")
    if theirs.tzinfo is None:
        theirs = theirs.replace(tzinfo=UTC)
    skew = (now() - theirs).total_seconds()
    if abs(skew) > _MOST_SKEW_SECONDS:
        detail = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} Slack's"
        remedy = "Set this machine's clock (NTP): events more than 300 s away are refused."
        return _bad("clock", detail, remedy)
    return _good("clock", "agrees with Slack's")


async def _receiving(client: SlackClient, settings: SlackSettings) -> list[Finding]:
    found: list[Finding] = []
    if settings.signing_secret is not None:
        detail = "a signing secret is set; only a delivery by Slack proves that it is the right one"
        found.append(_good("events over HTTP", detail))
    if settings.app_token is not None:
        opened = await _call(client, OPEN_SOCKET, {})
        if isinstance(opened, _Failed):
            remedy = f"Make an app-level token with {APP_SCOPE} and switch Socket Mode on."
            found.append(_bad("Socket Mode", opened.reason, remedy))
        else:
            found.append(_good("Socket Mode", "the app token opens connections"))
    return found


async def _channels(client: SlackClient) -> Finding:
    arguments = {"types": "public_channel,private_channel", "exclude_archived": True, "limit": 200}
    listed = await _call(client, LIST_CHANNELS, arguments)
    if isinstance(listed, _Failed):
        return _bad("channels", listed.reason, _REINSTALL)
    joined = [
        channel for channel in items_at(listed.payload, "channels") if flag_at(channel, "is_member")
    ]
    shared = [text_at(channel, "name") for channel in joined if _is_shared(channel)]
    if shared:
        names = ", ".join(f"#{name}" for name in shared)
        detail = f"shared with other organisations: {names}"
        remedy = "People of other organisations read there what an agent answers."
        return Finding(subject="channels", ok=True, detail=detail, remedy=remedy)
    if joined:
        names = ", ".join(f"#{text_at(channel, 'name')}" for channel in joined[:10])
        return _good("channels", f"a member of {names}")
    return _bad("channels", "a member of none (of the first 200)", "Invite it: /invite @NAME")


def _is_shared(channel: Json) -> bool:
    return flag_at(channel, "is_ext_shared") or flag_at(channel, "is_pending_ext_shared")


def _good(subject: str, detail: str) -> Finding:
    return Finding(subject=subject, ok=True, detail=detail)


def _bad(subject: str, detail: str, remedy: str) -> Finding:
    return Finding(subject=subject, ok=False, detail=detail, remedy=remedy)
