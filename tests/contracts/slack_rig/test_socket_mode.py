"""Socket Mode, with Slack's own client at the other end."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from openloop.testing.rigs.slack import SlackRig
from tests.contracts.slack_rig.app import a_card, a_rig


@dataclass
class Listener:
    """A real Socket Mode client that acks all it gets, or nothing."""

    client: SocketModeClient
    acks: bool = True
    got: list[Any] = field(default_factory=lambda: list[Any]())

    async def take(self, client: Any, request: SocketModeRequest) -> None:
        self.got.append(request)
        if self.acks:
            answer = {"text": "ok"} if request.accepts_response_payload else None
            response = SocketModeResponse(envelope_id=request.envelope_id, payload=answer)
            await client.send_socket_mode_response(response)


@pytest.fixture
async def connect() -> AsyncIterator[Callable[[SlackRig], Awaitable[Listener]]]:
    listeners: list[Listener] = []

    async def connect(rig: SlackRig) -> Listener:
        web_client: Any = AsyncWebClient(base_url=rig.api_url)
        listener = Listener(
            SocketModeClient(app_token=rig.app_token, web_client=web_client, ping_interval=0.2)
        )
        listener.client.socket_mode_request_listeners.append(listener.take)  # type: ignore[arg-type]
        listeners.append(listener)
        open_before = rig.sockets.count
        await listener.client.connect()
        await rig.until(lambda: rig.sockets.count > open_before)
        return listener

    yield connect
    for listener in listeners:
        await listener.client.close()


Connect = Callable[[SlackRig], Awaitable[Listener]]


async def test_events_and_clicks_travel_over_sockets(connect: Connect) -> None:
    async with a_rig() as rig:
        listener = await connect(rig)
        card = await a_card(rig)
        assert await rig.click(card, action_id="approve", by="anna") == 200

        kinds = [request.type for request in listener.got]
        assert kinds == ["events_api"] * 3 + ["interactive"]
        assert rig.deliveries[-1].answer == '{"text": "ok"}'
        assert rig.lost == []


async def test_each_payload_goes_to_one_of_several_sockets(connect: Connect) -> None:
    async with a_rig() as rig:
        first, second = await connect(rig), await connect(rig)
        for number in range(10):
            await rig.say("#dev-platform", by="priya", text=str(number))
        await rig.settled()

        ids = [request.payload["event_id"] for request in first.got + second.got]
        assert len(ids) == len(set(ids)) == 10
        assert first.got
        assert second.got


async def test_what_a_socket_does_not_ack_comes_again(connect: Connect) -> None:
    async with a_rig(ack_deadline_seconds=0.1, time_scale=0.001) as rig:
        listener = await connect(rig)
        listener.acks = False
        await rig.say("#dev-platform", by="priya", text="hello?")
        await rig.until(lambda: len(rig.deliveries) == 1)
        listener.acks = True
        await rig.settled()

        first, *again = listener.got
        assert {request.payload["event_id"] for request in again} == {first.payload["event_id"]}
        assert first.envelope_id not in {request.envelope_id for request in again}
        assert (again[0].retry_attempt, again[0].retry_reason) == (1, "timeout")
        assert rig.lost == []


async def test_a_client_reconnects_after_a_refresh_and_after_a_cut(connect: Connect) -> None:
    async with a_rig(time_scale=0.01) as rig:
        listener = await connect(rig)
        await rig.sockets.disconnect("refresh_requested")
        assert rig.sockets.count == 0
        await rig.say("#dev-platform", by="priya", text="while you were away")
        await rig.until(lambda: rig.sockets.count == 1)
        await rig.settled()
        assert [request.type for request in listener.got] == ["events_api"]

        await rig.sockets.cut()
        await rig.say("#dev-platform", by="priya", text="and again")
        await rig.settled()
        assert len(listener.got) == 2
        assert rig.lost == []


async def test_an_eleventh_socket_is_turned_away() -> None:
    async with a_rig() as rig, aiohttp.ClientSession() as http:
        client: Any = AsyncWebClient(base_url=rig.api_url)
        urls = [
            (await client.apps_connections_open(app_token=rig.app_token))["url"] for _ in range(11)
        ]
        sockets = [await http.ws_connect(url) for url in urls]
        first = [await socket.receive_json() for socket in sockets]

        assert [frame["type"] for frame in first] == ["hello"] * 10 + ["disconnect"]
        assert first[10]["reason"] == "too_many_websockets"
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect(urls[0])
        for socket in sockets:
            await socket.close()
