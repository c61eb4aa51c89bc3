"""A JSON control over HTTP, so that a bench in another process can play the people.

`POST /control/VERB` with a JSON object; the answer is a JSON object, 400 with `error` for a
request that makes no sense, 408 where what was waited for did not happen in time.
"""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from openloop.testing.rigs.faults import (
    DropAnswer,
    DropRequest,
    Fault,
    Refuse,
    ServerError,
    Slow,
    TooMany,
)
from openloop.testing.rigs.slack.arguments import Refused, json_object
from openloop.testing.rigs.slack.delivery import Delivery
from openloop.testing.rigs.slack.messages import Message
from openloop.testing.rigs.slack.rig import SlackRig
from openloop.testing.rigs.slack.web_api import Call
from openloop.testing.rigs.slack.wire import Json, encode

_FAULTS: dict[str, Callable[..., Fault]] = {
    "too_many": TooMany,
    "server_error": ServerError,
    "drop_request": DropRequest,
    "drop_answer": DropAnswer,
    "slow": Slow,
    "refuse": Refuse,
}


class Control:
    """The verbs of `/control`."""

    def __init__(self, rig: SlackRig) -> None:
        self._rig = rig
        self._verbs: dict[str, Callable[..., Awaitable[Json]]] = {
            "say": self._say,
            "click": self._click,
            "wait": self._wait,
            "settled": self._settled,
            "state": self._state,
            "people": self._people,
            "channels": self._channels,
            "usergroups": self._usergroups,
            "deliver_to": self._deliver_to,
            "fail": self._fail,
            "dials": self._dials,
            "sockets": self._sockets,
        }

    async def serve(self, request: web.BaseRequest) -> web.Response:
        verb = self._verbs.get(request.path.removeprefix("/control/"))
        if verb is None:
            return _answer({"error": "unknown_verb", "verbs": sorted(self._verbs)}, status=404)
        body = await request.read()
        try:
            return _answer(await verb(**(json_object(body) if body else {})))
        except TimeoutError:
            return _answer({"error": "timeout"}, status=408)
        except Refused as refused:
            return _answer(refused.as_json(), status=400)
        except (LookupError, TypeError, ValueError) as wrong:
            return _answer({"error": str(wrong)}, status=400)

    async def _say(self, *, channel: str, by: str, text: str, thread: str | None = None) -> Json:
        return _described(await self._rig.say(channel, by=by, text=text, thread=thread))

    async def _click(
        self, *, channel: str, ts: str, action_id: str, by: str, value: str | None = None
    ) -> Json:
        message = self._message(channel, ts)
        status = await self._rig.click(message, action_id=action_id, by=by, value=value)
        return {"status": status}

    async def _wait(
        self, *, channel: str, thread: str, replies: int = 1, timeout_seconds: float = 30
    ) -> Json:
        """Wait for the bot's `replies`-th message in a thread."""
        root = self._message(channel, thread)
        reply = await self._rig.reply_to(root, count=replies, timeout_seconds=timeout_seconds)
        return _described(reply)

    async def _settled(self, *, timeout_seconds: float = 30) -> Json:
        await self._rig.settled(timeout_seconds=timeout_seconds)
        return {}

    async def _state(self) -> Json:
        rig = self._rig
        return {
            "messages": {
                channel.id: [_described(message) for message in rig.messages(channel)]
                for channel in rig.channels
            },
            "calls": [_decoded(call, response=call.response) for call in rig.calls],
            "deliveries": [
                _decoded(delivery, payload=delivery.payload) for delivery in rig.deliveries
            ],
            "lost": [parcel.id for parcel in rig.lost],
            "ephemerals": [asdict(ephemeral) for ephemeral in rig.ephemerals],
            "statuses": [asdict(status) for status in rig.statuses],
            "reactions": [asdict(reaction) for reaction in rig.reactions],
            "sockets": rig.sockets.count,
        }

    async def _people(self, *, name: str, **fields: Any) -> Json:
        return {"id": self._rig.people.add(name, **fields).id}

    async def _channels(self, *, name: str, **fields: Any) -> Json:
        return {"id": self._rig.channels.add(name, **fields).id}

    async def _usergroups(self, *, handle: str, **fields: Any) -> Json:
        return {"id": self._rig.usergroups.add(handle, **fields).id}

    async def _deliver_to(self, *, url: str | None) -> Json:
        self._rig.deliver_to = url
        return {}

    async def _fail(self, *, method: str, fault: str, times: int | None = 1, **more: Any) -> Json:
        """Dial a fault: `fault` is its name, `more` its fields (`retry_after_seconds`)."""
        if fault not in _FAULTS:
            raise ValueError(f"fault must be one of {sorted(_FAULTS)}, not {fault!r}")
        self._rig.faults.fail(method, with_=_FAULTS[fault](**more), times=times)
        return {}

    async def _dials(
        self,
        *,
        duplicates: int = 1,
        reorder: int = 1,
        delay_seconds: tuple[float, float] = (0.0, 0.0),
        token_error: str | None = None,
    ) -> Json:
        """Set every dial of the deliveries; what is left out goes back to harmless."""
        faults = self._rig.faults
        faults.duplicates, faults.reorder = duplicates, reorder
        faults.delay_seconds = (float(delay_seconds[0]), float(delay_seconds[1]))
        faults.token_error = token_error
        return {}

    async def _sockets(self, *, cut: bool = False) -> Json:
        """Have Slack refresh every socket, or cut them without a word."""
        if cut:
            await self._rig.sockets.cut()
        else:
            await self._rig.sockets.disconnect()
        return {}

    def _message(self, channel: str, ts: str) -> Message:
        message = self._rig.find_message(channel, ts)
        if message is None:
            raise LookupError(f"No message {ts} in {channel}")
        return message


def _described(message: Message) -> Json:
    return message.as_json() | {
        "channel": message.channel,
        "metadata": message.metadata,
        "stored_at": message.stored_at,
        "buttons": [
            {"action_id": button.action_id, "value": button.value, "label": button.label}
            for button in message.buttons
        ],
    }


def _decoded(record: Call | Delivery, **decoded: Json) -> Json:
    """A record with its body readable."""
    fields = asdict(record)
    del fields["body"]
    return fields | decoded


def _answer(value: Json, *, status: int = 200) -> web.Response:
    return web.Response(status=status, body=encode(value), content_type="application/json")
