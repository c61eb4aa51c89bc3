"""From what Slack sends to `Inbound`: pure, no network, tolerant of what it does not know."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import orjson

from openloop.domain.surface import (
    Accepted,
    Actor,
    Choice,
    Departure,
    HttpReply,
    Inbound,
    Place,
    Rejected,
    Thread,
)
from openloop.integrations.slack import mrkdwn
from openloop.integrations.slack.reading import flag_at, items_at, mapping_at, text_at
from openloop.integrations.slack.typed import typed_text

if TYPE_CHECKING:
    from openloop.domain.surface import Addressed, InboundKind
    from openloop.integrations.slack.reading import Json

SURFACE = "slack"

_TIMESTAMP = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,6})?")
_ID = re.compile(r"[A-Z][A-Z0-9]{1,30}")
# What a person can say: everything else under `message` is Slack telling about itself.
_SPOKEN_SUBTYPES = frozenset({"", "thread_broadcast", "file_share", "me_message"})
_PERSON_CHANGED = frozenset({"user_change", "team_join"})
_REPEATED_ACTION = re.compile(r"#[0-9]+\Z")
_MOST_CHALLENGE = 1000
_PRIVATE = frozenset({"im", "mpim", "group"})
"""What the `channel_type` of a message calls places that not every full member can read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What surrounds an event: whose app, whose workspace, which delivery."""

    app_id: str
    team_id: str
    event_id: str
    own_id: str
    attempt: int

    @property
    def delivery_key(self) -> str:
        return f"{self.app_id}:{self.team_id}:{self.event_id}"


def decode(payload: Json, *, own_id: str, attempt: int) -> Accepted:
    """Decode one verified payload; what is not for us becomes an `Accepted` without events.

    `own_id` is our bot user where it is already known; what the payload says of itself wins.

    Raises:
        Rejected: 400 for a `url_verification` without a challenge.
    """
    match text_at(payload, "type"):
        case "url_verification":
            return Accepted(reply=_challenge(payload))
        case "event_callback" if text_at(payload, "event", "type") in _PERSON_CHANGED:
            return Accepted(departures=_departures(payload))
        case "event_callback":
            event = _event(payload, own_id=own_id, attempt=attempt)
        case "block_actions":
            return Accepted(events=_clicks(payload, attempt=attempt))
        case _:
            event = None
    return Accepted(events=() if event is None else (event,))


def permalink(channel: str, ts: str, root: str) -> str:
    """A link to a message that needs no look-up: Slack redirects to the reader's workspace."""
    link = f"https://slack.com/archives/{channel}/p{ts.replace('.', '')}"
    return link if ts == root else f"{link}?thread_ts={root}&cid={channel}"


def moment(ts: str) -> datetime | None:
    """The time in a Slack `ts`, to the microsecond; None where it is no ts."""
    if not _TIMESTAMP.fullmatch(ts):
        return None
    seconds, _, fraction = ts.partition(".")
    try:
        whole = datetime.fromtimestamp(int(seconds), UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return whole.replace(microsecond=int(fraction.ljust(6, "0")) if fraction else 0)


def words_of(message: Json) -> str:
    """The markup of a message with the names of its files, which are part of what was said."""
    names = [text_at(file, "name") or text_at(file, "title") for file in items_at(message, "files")]
    listed = [f"[file: {mrkdwn.escape(name)}]" for name in names[:20] if name]
    return "\n".join(filter(None, [text_at(message, "text"), *listed]))


def _departures(payload: Json) -> tuple[Departure, ...]:
    """The person whom an event says to be deactivated; nobody where it says something else."""
    user = mapping_at(payload, "event", "user")
    installation, user_id = text_at(payload, "team_id"), text_at(user, "id")
    tenant = text_at(user, "team_id") or installation
    ids = (installation, tenant, user_id)
    if not flag_at(user, "deleted") or not all(_ID.fullmatch(each) for each in ids):
        return ()
    gone = Departure(surface=SURFACE, installation=installation, tenant=tenant, external_id=user_id)
    return (gone,)


def _challenge(payload: Json) -> HttpReply:
    challenge = text_at(payload, "challenge")
    if not challenge or len(challenge) > _MOST_CHALLENGE:
        raise Rejected(400, "challenge_missing", "A url_verification must carry a challenge")
    return HttpReply(body=orjson.dumps({"challenge": challenge}))


# --- events ----------------------------------------------------------------------------------


def _event(payload: Json, *, own_id: str, attempt: int) -> Inbound | None:
    authorization = mapping_at(next(iter(items_at(payload, "authorizations")), None))
    bot = text_at(authorization, "user_id") if flag_at(authorization, "is_bot") else ""
    envelope = Envelope(
        app_id=text_at(payload, "api_app_id"),
        team_id=text_at(authorization, "team_id") or text_at(payload, "team_id"),
        event_id=text_at(payload, "event_id"),
        own_id=bot or own_id,
        attempt=attempt,
    )
    event = mapping_at(payload, "event")
    if not envelope.event_id or not _ID.fullmatch(envelope.team_id):
        return None
    match text_at(event, "type"), text_at(event, "subtype"):
        case (("message" | "app_mention"), subtype) if subtype in _SPOKEN_SUBTYPES:
            return _message(event, envelope)
        case "message", "message_changed":
            return _changed(event, envelope)
        case "message", "message_deleted":
            gone = mapping_at(event, "previous_message")
            return _deleted(event, gone, ts=text_at(event, "deleted_ts"), envelope=envelope)
        case "agent_session_stopped", _:
            return _stopped(event, envelope)
        case _:
            return None


def _message(event: Json, envelope: Envelope) -> Inbound | None:
    ts, user = text_at(event, "ts"), text_at(event, "user")
    if _is_machine(event, user, envelope) or flag_at(event, "hidden"):
        return None
    return _inbound(
        "message",
        envelope,
        channel=text_at(event, "channel"),
        ts=ts,
        root=text_at(event, "thread_ts") or ts,
        author=event,
        subject="message:{place}:{ts}",
        raw=words_of(event),
        typed=typed_text(event),
        addressed=_addressed(event, envelope),
        is_private=text_at(event, "channel_type") in _PRIVATE,
    )


def _changed(event: Json, envelope: Envelope) -> Inbound | None:
    message, before = mapping_at(event, "message"), mapping_at(event, "previous_message")
    if text_at(message, "subtype") == "tombstone":
        return _deleted(event, before, ts=text_at(message, "ts"), envelope=envelope)
    edited = text_at(message, "edited", "ts")
    is_ours = _is_machine(message, text_at(message, "user"), envelope)
    # Unfurls and reply counts arrive as changes too: only a new text is an edit by a person.
    if is_ours or not edited or text_at(message, "text") == text_at(before, "text"):
        return None
    ts = text_at(message, "ts")
    return _inbound(
        "edited",
        envelope,
        channel=text_at(event, "channel"),
        ts=ts,
        root=text_at(message, "thread_ts") or ts,
        author=message,
        subject=f"edited:{{place}}:{{ts}}:{edited}",
        raw=words_of(message),
        addressed=_addressed({**message, "channel_type": event.get("channel_type")}, envelope),
        at=edited,
    )


def _deleted(event: Json, gone: Json, *, ts: str, envelope: Envelope) -> Inbound | None:
    if _is_machine(gone, text_at(gone, "user"), envelope):
        return None
    return _inbound(
        "deleted",
        envelope,
        channel=text_at(event, "channel"),
        ts=ts,
        root=text_at(gone, "thread_ts") or ts,
        author=gone,
        subject="deleted:{place}:{ts}",
        at=text_at(event, "event_ts"),
    )


def _stopped(event: Json, envelope: Envelope) -> Inbound | None:
    ts = text_at(event, "event_ts")
    return _inbound(
        "stopped",
        envelope,
        channel=text_at(event, "channel"),
        ts=ts,
        root=text_at(event, "thread_ts"),
        author=event,
        subject="stopped:{place}:{ts}",
        addressed="mention",
    )


def _inbound(
    kind: InboundKind,
    envelope: Envelope,
    *,
    channel: str,
    ts: str,
    root: str,
    author: Json,
    subject: str,
    raw: str = "",
    typed: str = "",
    addressed: Addressed = "followup",
    at: str = "",
    is_private: bool = False,
) -> Inbound | None:
    """The event, or None where Slack left out what an address is made of."""
    occurred_at = moment(at or ts)
    user = text_at(author, "user")
    if occurred_at is None or moment(ts) is None or moment(root) is None:
        return None
    if not _ID.fullmatch(channel) or not _ID.fullmatch(user):
        return None
    place = Place(surface=SURFACE, tenant=envelope.team_id, container=channel)
    return Inbound(
        delivery_key=envelope.delivery_key,
        subject_key=subject.format(place=f"{envelope.team_id}:{channel}", ts=ts),
        kind=kind,
        thread=Thread(place=place, root=root),
        actor=_actor(author, user, envelope),
        message_id=ts,
        occurred_at=occurred_at,
        text=mrkdwn.to_plain(raw, own_id=envelope.own_id),
        typed=typed,
        addressed=addressed,
        attempt=envelope.attempt,
        link=permalink(channel, ts, root),
        is_private=is_private,
    )


def _actor(author: Json, user: str, envelope: Envelope) -> Actor:
    """Who spoke; somebody from another organisation keeps the id of that one as tenant."""
    tenant = text_at(author, "user_team") or text_at(author, "source_team") or envelope.team_id
    profile = mapping_at(author, "user_profile")
    name = text_at(profile, "display_name") or text_at(profile, "real_name")
    return Actor(surface=SURFACE, tenant=tenant, id=user, name=name)


def _is_machine(message: Json, user: str, envelope: Envelope) -> bool:
    """Whether a bot speaks, we ourselves included: two agents must never answer each other."""
    return (
        bool(text_at(message, "bot_id"))
        or text_at(message, "subtype") == "bot_message"
        or user in {"", "USLACKBOT", envelope.own_id}
    )


def _addressed(event: Json, envelope: Envelope) -> Addressed:
    if text_at(event, "channel_type") == "im" or text_at(event, "channel").startswith("D"):
        return "dm"
    if envelope.own_id:
        mentioned = mrkdwn.is_mentioned(text_at(event, "text")[: mrkdwn.MOST_TEXT], envelope.own_id)
    else:
        mentioned = text_at(event, "type") == "app_mention"
    return "mention" if mentioned else "followup"


# --- clicks ----------------------------------------------------------------------------------


def _clicks(payload: Json, *, attempt: int) -> tuple[Inbound, ...]:
    clicks = (_click(payload, action, attempt) for action in items_at(payload, "actions"))
    return tuple(click for click in clicks if click is not None)


def _click(payload: Json, action: Json, attempt: int) -> Inbound | None:
    user = mapping_at(payload, "user")
    user_id = text_at(user, "id")
    channel = text_at(payload, "channel", "id") or text_at(payload, "container", "channel_id")
    message_id = text_at(payload, "message", "ts") or text_at(payload, "container", "message_ts")
    team = text_at(payload, "team", "id") or text_at(user, "team_id")
    occurred_at = moment(text_at(action, "action_ts"))
    action_id, token = text_at(action, "action_id"), text_at(action, "value")
    if occurred_at is None or moment(message_id) is None or not action_id or not token:
        return None
    if not all(_ID.fullmatch(found) for found in (user_id, channel, team)):
        return None
    root = (
        text_at(payload, "message", "thread_ts")
        or text_at(payload, "container", "thread_ts")
        or message_id
    )
    digest = _digest(payload, action, channel=channel, message_id=message_id, user_id=user_id)
    place = Place(surface=SURFACE, tenant=team, container=channel)
    return Inbound(
        delivery_key=f"{text_at(payload, 'api_app_id')}:{team}:click:{digest}",
        subject_key=f"choice:{team}:{channel}:{digest}",
        kind="choice",
        thread=Thread(place=place, root=root if moment(root) else message_id),
        actor=Actor(
            surface=SURFACE,
            tenant=text_at(user, "team_id") or team,
            id=user_id,
            name=text_at(user, "name") or text_at(user, "username"),
        ),
        message_id=message_id,
        occurred_at=occurred_at,
        addressed="mention",
        choice=Choice(
            action=_REPEATED_ACTION.sub("", action_id),
            token=token,
            message_id=message_id,
            response_url=_response_url(text_at(payload, "response_url")),
        ),
        attempt=attempt,
        link=permalink(channel, message_id, root),
    )


def _digest(payload: Json, action: Json, *, channel: str, message_id: str, user_id: str) -> str:
    """One click, one digest: a redelivery repeats its trigger, a second click has another."""
    parts = [
        text_at(payload, "trigger_id"),
        text_at(action, "action_ts"),
        text_at(action, "action_id"),
        text_at(action, "value"),
        channel,
        message_id,
        user_id,
    ]
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()[:32]


def _response_url(url: str) -> str | None:
    """The address Slack gives for an answer, if it is Slack's; nothing of ours calls it."""
    try:
        parts = urlsplit(url)
        is_slacks = parts.scheme == "https" and parts.netloc == "hooks.slack.com"
    except ValueError:
        return None
    return url if is_slacks else None
