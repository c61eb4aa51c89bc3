"""The Slack surface: `accept` decodes, `perform` posts; no policy."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from openloop.domain import strict_json
from openloop.domain.errors import AmbiguousEffect, TryLater
from openloop.domain.groups import GroupMembers
from openloop.domain.surface import (
    Amend,
    Ask,
    Receipt,
    Rejected,
    Say,
    SetStatus,
    Settle,
    Whisper,
)
from openloop.integrations.slack import check, socket, threads
from openloop.integrations.slack.audience import Audiences
from openloop.integrations.slack.client import SlackClient, SlackRefused, SlackTimedOut, now
from openloop.integrations.slack.decode import decode
from openloop.integrations.slack.directory import Directory
from openloop.integrations.slack.methods import (
    LIST_GROUP,
    POST_EPHEMERAL,
    POST_MESSAGE,
    SET_STATUS,
    UPDATE_MESSAGE,
)
from openloop.integrations.slack.reading import mapping_at, text_at, texts_at
from openloop.integrations.slack.render import (
    render_amend,
    render_ask,
    render_say,
    render_settle,
    render_whisper,
)
from openloop.integrations.slack.signature import verify

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from openloop.domain.audience import PlaceClass
    from openloop.domain.surface import (
        Accepted,
        Delivery,
        Finding,
        Op,
        Person,
        Place,
        Thread,
        ThreadMessage,
    )
    from openloop.integrations.slack.methods import Method
    from openloop.integrations.slack.reading import Json
    from openloop.integrations.slack.render import Part
    from openloop.integrations.slack.settings import SlackSettings
    from openloop.plugin import Sink

MOST_BODY = 1024 * 1024
_MOST_DEPTH = 64
_MOST_STATUS = 250
# What timed out may still be carried out: a look-up before that would find nothing.
_SETTLING_SECONDS = 5

# Slack's word for "these blocks are too much": certain that nothing was posted.
_BLOCK_ERRORS = frozenset({"msg_blocks_too_long", "invalid_blocks", "invalid_blocks_format"})


class SlackSurface:
    """One Slack app in one workspace. Safe to share between tasks of one event loop."""

    name = "slack"

    def __init__(self, settings: SlackSettings) -> None:
        self._settings = settings
        self._client = SlackClient(settings)
        self._directory = Directory(self._client)
        self._audiences = Audiences(self._client, self._directory)

    # --- in ----------------------------------------------------------------------------------

    def accept(self, delivery: Delivery) -> Accepted:
        """Verify and decode one delivery; over Socket Mode the connection is the proof.

        Raises:
            Rejected: 413 too large, 401 not provably Slack's and fresh, 400 not readable.
        """
        if len(delivery.body) > MOST_BODY:
            raise Rejected(413, "body_too_large", "The body is larger than 1 MiB")
        if delivery.transport != "socket":
            self._verify(delivery)
        payload = _payload(delivery)
        return decode(payload, own_id=self._directory.own_id, attempt=_attempt(delivery))

    def _verify(self, delivery: Delivery) -> None:
        secret = self._settings.signing_secret
        if secret is None:
            raise Rejected(
                401, "signature_not_configured", "Slack events over HTTP need SLACK_SIGNING_SECRET"
            )
        verify(
            secret,
            headers=delivery.headers,
            body=delivery.body,
            received_at=delivery.received_at,
        )

    async def listen(self, sink: Sink) -> None:
        """Receive over Socket Mode until cancelled; returns at once without an app token."""
        if self._settings.app_token is not None:
            await socket.listen(self._client, self._settings, accept=self.accept, sink=sink)

    # --- out ---------------------------------------------------------------------------------

    async def perform(self, op: Op, thread: Thread, *, key: str) -> Receipt:
        """Carry out one op. `key` is in the metadata of every message that a post makes.

        An `unknown` receipt with a `retry_at` is one that should not be looked up sooner.
        """
        match op:
            case Say():
                return await self._say(op, thread, key=key)
            case Ask():
                return await self._ask(op, thread, key=key)
            case SetStatus():
                return await self._set_status(op, thread)
            case Settle():
                marked = threads.op_metadata(key, part=0, kind="card")
                return await self._replace(op.message_id, render_settle(op), thread, marked)
            case Amend():
                marked = threads.op_metadata(key, part=0, kind="say")
                return await self._replace(op.message_id, render_amend(op), thread, marked)
            case Whisper():
                return await self._whisper(op, thread)

    async def look_up(self, op: Op, thread: Thread, *, key: str) -> Receipt:
        """What became of an op whose answer was lost.

        Statuses and replacements may simply be made again. An ephemeral message cannot be found
        by anyone, and what is said to one person alone not by their id: it is sent again, since a
        second copy reaches the same person only.
        """
        match op:
            case Say():
                wanted = len(render_say(op))
            case Ask():
                wanted = 1
            case SetStatus() | Settle() | Amend() | Whisper():
                return Receipt(outcome="retry", retry_at=now(), detail="harmless to repeat")
        if not thread.root:  # `alone_with`
            detail = "cannot be looked up, and would reach the same person twice"
            return Receipt(outcome="retry", retry_at=now(), detail=detail)
        try:
            identity = await self._directory.identity()
            found = await threads.find_parts(self._client, thread, key=key, identity=identity)
        except (TryLater, SlackRefused) as error:
            return Receipt(outcome="unknown", retry_at=_later(error), detail=str(error))
        ids = tuple(found.ids[part] for part in sorted(found.ids))
        if len(ids) >= wanted:
            return Receipt(outcome="done", message_ids=ids)
        if not found.is_certain:
            detail = "The thread is too long to be read to its end"
            return Receipt(outcome="unknown", message_ids=ids, detail=detail)
        detail = f"{len(ids)} of {wanted} messages are in the thread"
        return Receipt(outcome="retry", message_ids=ids, retry_at=now(), detail=detail)

    async def _say(self, op: Say, thread: Thread, *, key: str) -> Receipt:
        parts = render_say(op)
        sent: dict[int, str] = {}
        if len(parts) > 1 and thread.root:
            # An earlier attempt may have ended half way, here or in another process.
            try:
                identity = await self._directory.identity()
                found = await threads.find_parts(self._client, thread, key=key, identity=identity)
            except (TryLater, SlackRefused) as error:
                return _receipt(error, ())
            sent = dict(found.ids)
        for number, part in enumerate(parts):
            if number in sent:
                continue
            marked = threads.op_metadata(key, part=number, kind="say")
            try:
                sent[number] = await self._post(part, thread, marked)
            except (TryLater, AmbiguousEffect, SlackRefused) as error:
                ids = tuple(sent[at] for at in sorted(sent))
                return _receipt(error, ids, of=len(parts))
        return Receipt(outcome="done", message_ids=tuple(sent[at] for at in sorted(sent)))

    async def _ask(self, op: Ask, thread: Thread, *, key: str) -> Receipt:
        marked = threads.op_metadata(key, part=0, kind="card")
        try:
            ts = await self._send(_message(render_ask(op), thread, marked))
        except (TryLater, AmbiguousEffect, SlackRefused) as error:
            return _receipt(error, ())
        return Receipt(outcome="done", message_ids=(ts,))

    async def _post(self, part: Part, thread: Thread, marked: Json) -> str:
        arguments = _message(part, thread, marked)
        try:
            return await self._send(arguments)
        except SlackRefused as refused:
            if refused.error not in _BLOCK_ERRORS:
                raise
        # Slack's ceiling on blocks is undocumented: rather plain words than no answer.
        plain = {name: value for name, value in arguments.items() if name != "blocks"}
        return await self._send(plain)

    async def _send(self, arguments: Json) -> str:
        answer = await self._client.call(POST_MESSAGE, arguments)
        return text_at(answer.payload, "ts")

    async def _replace(self, message_id: str, part: Part, thread: Thread, marked: Json) -> Receipt:
        arguments: dict[str, object] = {
            "channel": thread.place.container,
            "ts": message_id,
            "text": part.text,
            "blocks": part.blocks,
            "metadata": marked,
        }
        return await self._set(UPDATE_MESSAGE, arguments, (message_id,))

    async def _whisper(self, op: Whisper, thread: Thread) -> Receipt:
        part = render_whisper(op)
        arguments: dict[str, object] = {
            "channel": thread.place.container,
            "user": op.to_id,
            "thread_ts": thread.root,
            "text": part.text,
            "blocks": part.blocks,
        }
        return await self._set(POST_EPHEMERAL, arguments, ())

    async def _set_status(self, op: SetStatus, thread: Thread) -> Receipt:
        """Show or clear the status line; a failure is not repeated, the next status comes."""
        status = "" if op.state == "idle" else " ".join(op.text.split())[:_MOST_STATUS]
        arguments: dict[str, object] = {
            "channel_id": thread.place.container,
            "thread_ts": thread.root,
            "status": status,
        }
        if status:
            arguments["loading_messages"] = [status]
        receipt = await self._set(SET_STATUS, arguments, ())
        if receipt.outcome == "done":
            return receipt
        return Receipt(outcome="refused", detail=receipt.detail)

    async def _set(self, method: Method, arguments: Json, ids: tuple[str, ...]) -> Receipt:
        try:
            await self._client.call(method, arguments)
        except (TryLater, AmbiguousEffect, SlackRefused) as error:
            return _receipt(error, ())
        return Receipt(outcome="done", message_ids=ids)

    # --- around ------------------------------------------------------------------------------

    async def history(self, thread: Thread, *, limit: int) -> Sequence[ThreadMessage]:
        """The newest `limit` messages (200 at most), oldest first.

        Raises:
            TryLater, SlackRefused
        """
        return await threads.read_history(self._client, self._directory, thread, limit=limit)

    async def person(self, tenant: str, user_id: str) -> Person:
        """What Slack says of a user, remembered for a minute."""
        return await self._directory.person(user_id, tenant=tenant)

    async def audience(self, place: Place) -> PlaceClass:
        """Who can read in a channel, remembered for a minute.

        Raises:
            TryLater, SlackRefused
        """
        return await self._audiences.of(place.container)

    async def is_open(self, place: Place) -> bool:
        """Whether every full member can read in a channel, whoever else does."""
        return await self._audiences.is_open(place.container)

    def alone_with(self, tenant: str, user_id: str) -> Thread:
        """Our direct message with somebody."""
        return threads.alone_with(tenant, user_id)

    async def group_members(self, group_id: str) -> GroupMembers:
        """Who is in a user group now, by id.

        Raises:
            Unavailable, SlackRefused: there is no such group, it is disabled, or a scope is missing
        """
        answer = await self._client.call(LIST_GROUP, {"usergroup": group_id})
        identity = await self._directory.identity()
        return GroupMembers(tenant=identity.team_id, ids=texts_at(answer.payload, "users"))

    async def find_place(self, name: str) -> Place | None:
        """The channel called `name`, or with that id.

        Raises:
            TryLater, SlackRefused
        """
        return await self._directory.find_place(name)

    async def check(self) -> Sequence[Finding]:
        """Token, scopes, Socket Mode, clock and channels, each with a remedy."""
        return await check.findings(self._client, self._settings)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _payload(delivery: Delivery) -> Json:
    """The JSON of a delivery: the body itself, or the `payload` field of a click's form.

    Raises:
        Rejected: always 400, with the code of what is malformed.
    """
    raw = delivery.body
    is_form = "application/x-www-form-urlencoded" in delivery.headers.get("content-type", "")
    try:
        if is_form and delivery.transport != "socket":
            raw = _form_payload(raw)
        found = strict_json.loads(raw, max_bytes=MOST_BODY, max_depth=_MOST_DEPTH)
    except strict_json.Malformed as malformed:
        raise Rejected(400, malformed.code, str(malformed)) from None
    if not isinstance(found, dict):
        raise Rejected(400, "json_not_an_object", "The payload is not a JSON object")
    return mapping_at(found)


def _form_payload(body: bytes) -> bytes:
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=10,
        )
    except ValueError:
        raise Rejected(400, "form_malformed", "The form could not be read") from None
    payloads = [value for name, value in pairs if name == "payload"]
    if len(payloads) != 1:
        raise Rejected(400, "form_malformed", "The form must hold exactly one payload")
    return payloads[0].encode()


def _attempt(delivery: Delivery) -> int:
    number = delivery.headers.get("x-slack-retry-num", "")
    return int(number) if number.isascii() and number.isdigit() and len(number) <= 3 else 0


def _message(part: Part, thread: Thread, marked: Json) -> dict[str, object]:
    return {
        "channel": thread.place.container,
        **({"thread_ts": thread.root} if thread.root else {}),
        "text": part.text,
        "blocks": part.blocks,
        "metadata": marked,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _receipt(
    error: TryLater | AmbiguousEffect | SlackRefused, ids: tuple[str, ...], *, of: int = 1
) -> Receipt:
    detail = f"{error} ({len(ids)} of {of} messages are sent)" if of > 1 else str(error)
    match error:
        case TryLater():
            outcome = "retry"
        case AmbiguousEffect():
            outcome = "unknown"
        case SlackRefused():
            outcome = "refused"
    return Receipt(outcome=outcome, message_ids=ids, retry_at=_later(error), detail=detail)


def _later(error: Exception) -> datetime | None:
    """When Slack wants to hear from us again; None leaves the pace to the caller."""
    match error:
        case TryLater():
            return error.retry_at
        case SlackTimedOut():
            return now() + timedelta(seconds=_SETTLING_SECONDS)
        case _:
            return None
