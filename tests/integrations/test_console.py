"""The console surface: only the API speaks through it, and what is said waits in rows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
import pytest

from openloop.domain.surface import Delivery, Place, Rejected, Say, Thread
from openloop.integrations.console import integration
from openloop.integrations.console.surface import ConsoleSurface
from openloop.plugin import discover

if TYPE_CHECKING:
    from openloop.domain.surface import Inbound, Transport

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
BEN = "01a20700-0000-7000-8000-000000000001"
HELLO: dict[str, Any] = {"agent": "dev-platform", "text": "hello"}


def delivery(
    content: object = HELLO, *, transport: Transport = "console", **headers: str
) -> Delivery:
    given = {
        "x-openloop-principal": BEN,
        "x-openloop-name": "ben",
        "x-openloop-workspace": "acme",
        **{f"x-openloop-{name}": value for name, value in headers.items()},
    }
    body = content if isinstance(content, bytes) else orjson.dumps(content)
    return Delivery(headers=given, body=body, received_at=NOON, transport=transport)


def accept(given: Delivery) -> Inbound:
    (inbound,) = ConsoleSurface().accept(given).events
    return inbound


def test_it_is_installed_and_needs_no_settings() -> None:
    assert discover()["console"] is integration
    assert integration.surface is not None
    found = integration.surface({})
    assert found is not None
    assert found.name == "console"


def test_a_message_is_from_the_principal_in_the_place_of_the_agent() -> None:
    said = accept(delivery())

    assert said.thread.place == Place(surface="console", tenant="acme", container="dev-platform")
    assert (said.actor.id, said.actor.name, said.actor.tenant) == (BEN, "ben", "acme")
    assert (said.text, said.addressed, said.occurred_at) == ("hello", "dm", NOON)
    assert said.thread.root == said.message_id
    assert UUID(said.message_id)


def test_a_message_in_a_thread_stays_in_it() -> None:
    said = accept(delivery({**HELLO, "thread": "the-root"}))

    assert said.thread.root == "the-root"
    assert said.message_id != "the-root"


def test_two_messages_are_two_and_a_named_one_is_the_same() -> None:
    first, second = accept(delivery()), accept(delivery())
    named, again = accept(delivery(delivery="once")), accept(delivery(delivery="once"))

    assert first.delivery_key != second.delivery_key
    assert (named.delivery_key, named.subject_key) == (again.delivery_key, again.subject_key)


@pytest.mark.parametrize("transport", ["http", "socket"])
def test_nobody_else_may_speak_through_it(transport: Transport) -> None:
    with pytest.raises(Rejected) as refused:
        ConsoleSurface().accept(delivery(transport=transport))

    assert (refused.value.status, refused.value.code) == (401, "not_authenticated")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"{", "json_syntax"),
        (b"[]", "json_not_an_object"),
        (b'{"agent": "a", "agent": "b", "text": "c"}', "json_duplicate_key"),
        ({"agent": "dev-platform"}, "console_malformed"),
        ({"agent": "dev-platform", "text": ""}, "console_malformed"),
        ({"agent": "dev-platform", "text": " \n"}, "console_malformed"),
        ({"agent": "", "text": "hello"}, "console_malformed"),
        ({"agent": 7, "text": "hello"}, "console_malformed"),
        ({**HELLO, "text": "a\0b"}, "console_malformed"),
        ({**HELLO, "text": "x" * 100_001}, "console_malformed"),
        ({**HELLO, "thread": ""}, "console_malformed"),
        ({**HELLO, "thread": 7}, "console_malformed"),
        ({**HELLO, "kind": "choice"}, "console_malformed"),
    ],
)
def test_what_cannot_be_read_is_refused(content: object, code: str) -> None:
    with pytest.raises(Rejected) as refused:
        ConsoleSurface().accept(delivery(content))

    assert (refused.value.status, refused.value.code) == (400, code)


def test_a_principal_that_is_no_id_is_a_fault_of_ours() -> None:
    with pytest.raises(ValueError, match="badly formed"):
        ConsoleSurface().accept(delivery(principal="priya"))


async def test_an_op_has_arrived_when_it_is_in_the_outbox() -> None:
    console = ConsoleSurface()
    thread = Thread(
        place=Place(surface="console", tenant="acme", container="dev-platform"), root="r"
    )
    op = Say(markdown="hello")

    sent = await console.perform(op, thread, key="one")
    found = await console.look_up(op, thread, key="one")

    assert sent == found
    assert (sent.outcome, sent.message_ids) == ("done", ("one",))


async def test_whoever_is_there_is_a_member_and_places_are_made_by_apply() -> None:
    console = ConsoleSurface()

    assert (await console.person("acme", BEN)).kind == "member"
    assert await console.find_place("console") is None
    assert await console.history(_thread(), limit=10) == ()
    assert all(finding.ok for finding in await console.check())


def _thread() -> Thread:
    return Thread(place=Place(surface="console", tenant="acme", container="a"), root="r")
