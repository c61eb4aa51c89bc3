"""The manifest of the Slack app a self-hoster creates: exactly the scopes and events in use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from openloop.domain.errors import Misconfigured

if TYPE_CHECKING:
    from openloop.integrations.slack.reading import Json

EVENTS_PATH = "/surfaces/slack/events"
_MOST_NAME = 35
_DESCRIPTION = "An AI colleague that asks before it acts, and keeps everything on record."


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """A bot scope, and what would not work without it."""

    name: str
    needed_for: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A bot event and the scope without which Slack does not deliver it."""

    name: str
    scope: str


EVENTS = (
    Event(name="app_mention", scope="app_mentions:read"),
    Event(name="message.channels", scope="channels:history"),
    Event(name="message.groups", scope="groups:history"),
    Event(name="message.im", scope="im:history"),
    Event(name="message.mpim", scope="mpim:history"),
    Event(name="team_join", scope="users:read"),
    Event(name="user_change", scope="users:read"),
)
# Only an app that is declared an agent is told of its stop button.
AGENT_EVENTS = (Event(name="agent_session_stopped", scope="assistant:write"),)

_REPLIES = "conversations.replies"
_CHAT = ("chat.postMessage", "chat.update", "chat.postEphemeral", "assistant.threads.setStatus")

_CHANNELS = ("conversations.info", "conversations.list", "conversations.members")
SCOPES = (
    Scope(name="app_mentions:read", needed_for=("app_mention",)),
    Scope(name="channels:history", needed_for=("message.channels", _REPLIES)),
    Scope(name="channels:read", needed_for=_CHANNELS),
    Scope(name="chat:write", needed_for=_CHAT),
    Scope(name="groups:history", needed_for=("message.groups", _REPLIES)),
    Scope(name="groups:read", needed_for=_CHANNELS),
    Scope(name="im:history", needed_for=("message.im", _REPLIES)),
    Scope(name="mpim:history", needed_for=("message.mpim", _REPLIES)),
    Scope(name="usergroups:read", needed_for=("usergroups.users.list",)),
    Scope(
        name="users:read",
        needed_for=(
            "team_join",
            "user_change",
            "users.info",
            "users.list",
        ),
    ),
    Scope(name="users:read.email", needed_for=("users.lookupByEmail",)),
)
AGENT_SCOPES = (Scope(name="assistant:write", needed_for=("agent_view", "agent_session_stopped")),)
APP_SCOPE = "connections:write"


def app_manifest(
    *, socket: bool, request_url: str | None, name: str = "OpenLoop", agent_view: bool = True
) -> Json:
    """A manifest to paste into https://api.slack.com/apps ("From a manifest").

    `request_url` is where Slack reaches `openloop serve` (not used with `socket`); without a path
    it gets the path of Slack's events. `agent_view` makes the app an agent in Slack's sense (an
    entry in the top bar, a split view, a stop button), for which Slack asks a paid plan.

    Raises:
        Misconfigured: no https address for HTTP, or a name Slack does not take.
    """
    address = None if socket else _request_url(request_url)
    if not 0 < len(name.strip()) <= _MOST_NAME:
        message = f"The name of a Slack app has 1 to {_MOST_NAME} characters"
        raise Misconfigured(message, problems=(message,))
    events = (*EVENTS, *(AGENT_EVENTS if agent_view else ()))
    scopes = (*SCOPES, *(AGENT_SCOPES if agent_view else ()))
    return {
        "display_information": {"name": name.strip(), "description": _DESCRIPTION},
        "features": _features(name.strip(), agent_view=agent_view),
        "oauth_config": {"scopes": {"bot": sorted(scope.name for scope in scopes)}},
        "settings": {
            "event_subscriptions": {
                **({} if address is None else {"request_url": address}),
                "bot_events": sorted(event.name for event in events),
            },
            "interactivity": {
                "is_enabled": True,
                **({} if address is None else {"request_url": address}),
            },
            "org_deploy_enabled": False,
            "socket_mode_enabled": socket,
            "token_rotation_enabled": False,
        },
    }


def needed_scopes(*, agent_view: bool) -> frozenset[str]:
    """The bot scopes that a token must have."""
    scopes = (*SCOPES, *(AGENT_SCOPES if agent_view else ()))
    return frozenset(scope.name for scope in scopes)


def _features(name: str, *, agent_view: bool) -> Json:
    features: dict[str, object] = {
        "bot_user": {"display_name": name, "always_online": True},
        "app_home": {
            "home_tab_enabled": False,
            "messages_tab_enabled": True,
            "messages_tab_read_only_enabled": False,
        },
    }
    if agent_view:
        features["agent_view"] = {"agent_description": _DESCRIPTION}
    return features


def _request_url(request_url: str | None) -> str:
    parts = urlsplit(request_url or "")
    if parts.scheme != "https" or not parts.hostname:
        message = "Events over HTTP need the public https address of this server (or Socket Mode)"
        raise Misconfigured(message, problems=(message,))
    if parts.path in {"", "/"}:
        return parts._replace(path=EVENTS_PATH).geturl()
    return parts.geturl()
