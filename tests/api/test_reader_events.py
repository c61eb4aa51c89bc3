"""The event stream of people who may not read everything: what they may not is left out of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from openloop.domain.audience import PlaceClass
from openloop.domain.audit import SYSTEM, Who
from openloop.domain.principal import Role
from openloop.domain.readers import Standing
from openloop.storage import audit, places
from tests.api.conftest import Api, open_api, person_token
from tests.api.server import served
from tests.api.test_events import PACE, Stream, stream
from tests.reading import MALLORY, tell
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from openloop.storage.database import Database
    from tests.make import Stage
    from tests.reading import Told

PRIVATE = Standing(place=PlaceClass.PRIVATE)
OPEN = Standing(place=PlaceClass.INTERNAL)
Live = tuple[Api, "httpx.AsyncClient"]


@pytest.fixture
async def live(database: Database, stage: Stage) -> AsyncIterator[Live]:
    async with open_api(database, stage.workspace, pace=PACE) as api, served(api) as http:
        for name, role in (
            ("ben", Role.OPERATOR),
            ("anna", Role.APPROVER),
            ("priya", Role.OWNER),
        ):
            api.tokens[name] = await person_token(database, stage.workspace, name, role)
        yield api, http


async def happens(
    stage: Stage, kind: str, told: Told | None = None, *, by: Who = SYSTEM, **detail: object
) -> None:
    run = told.run if told else None
    async with stage.tx() as tx:
        await audit.append(tx, stage.workspace, kind, actor=by, subject=run, run_id=run, **detail)


async def heard(found: Stream, stage: Stage) -> list[dict[str, Any]]:
    """The events that have come since it was asked last."""
    await happens(stage, "agent.marked")
    await until(lambda: any(event["kind"] == "agent.marked" for event in found.events))
    events = [event for event in found.events if event["kind"] != "agent.marked"]
    found.blocks = [block for block in found.blocks if "data: " not in block]
    return events


async def seen(found: Stream, stage: Stage) -> list[tuple[str, bool]]:
    """Their kinds, and whether they say by whom."""
    return [(event["kind"], "actor" in event) for event in await heard(found, stage)]


async def test_a_viewer_hears_of_what_everybody_may_read(live: Live, stage: Stage) -> None:
    hidden, shown = await tell(stage, PRIVATE), await tell(stage, OPEN)
    unknown = await tell(stage, Standing(place=None))
    async with stream(*live, by="viewer") as found:
        for told in (hidden, shown, unknown):
            await happens(stage, "run.started", told)
        await happens(stage, "token.created")
        await happens(stage, "message.received", conversation=str(hidden.conversation))
        await happens(stage, "message.received", conversation=str(shown.conversation))

        events = await heard(found, stage)

    assert [(event["kind"], event["run_id"]) for event in events] == [
        ("run.started", str(shown.run)),
        ("token.created", None),
        ("message.received", None),
    ]
    assert all(set(event) == {"id", "at", "kind", "subject", "run_id"} for event in events)


async def test_whoever_comes_back_is_not_told_more_than_was_left_out(
    live: Live, stage: Stage
) -> None:
    hidden, shown = await tell(stage, PRIVATE), await tell(stage, OPEN)
    async with stream(*live, by="viewer") as first:
        pass
    for told in (hidden, shown, hidden):
        await happens(stage, "run.started", told)

    async with stream(*live, by="viewer", last=first.ids[0]) as second:
        assert await seen(second, stage) == [("run.started", False)]


@pytest.mark.parametrize(
    ("who", "standing", "hears"),
    [
        ("ben", replace(PRIVATE, has_asked=True), [("run.started", False)]),
        ("ben", PRIVATE, []),
        ("anna", PRIVATE, [("run.started", True)]),
        ("anna", replace(PRIVATE, is_asked=True), []),  # of ben, and not of her
        ("priya", PRIVATE, [("run.started", True)]),
        ("approver", OPEN, [("run.started", True)]),
        ("approver", PRIVATE, []),
        ("admin", PRIVATE, [("run.started", True)]),
    ],
)
async def test_who_hears_of_a_run_in_a_private_place(
    live: Live, stage: Stage, who: str, standing: Standing, hears: list[Any]
) -> None:
    told = await tell(stage, standing)
    async with stream(*live, by=who) as found:
        await happens(stage, "run.started", told)

        assert await seen(found, stage) == hears


async def test_of_the_workspace_s_own_record_an_approver_hears_that_it_happened(
    live: Live, stage: Stage
) -> None:
    anna = Who(kind="principal", name="anna", principal_id=(await stage.principal("anna")).id)
    async with stream(*live, by="anna") as found:
        await happens(stage, "change.proposed", of="somebody else")
        await happens(stage, "change.rejected", by=anna)

        assert await seen(found, stage) == [("change.proposed", False), ("change.rejected", True)]


async def test_whoever_is_asked_hears_of_it_from_then_on(live: Live, stage: Stage) -> None:
    """What was not theirs a moment ago is not remembered as such."""
    told = await tell(stage, replace(PRIVATE, is_asked=True))
    async with stream(*live, by="anna") as found:
        await happens(stage, "run.started", told)
        assert await seen(found, stage) == []
        async with stage.tx() as tx:
            await tx.run("""UPDATE approvals SET demands = '[{"approvers": ["@maintainers"]}]'""")
        await happens(stage, "approval.asked", told)

        assert await seen(found, stage) == [("approval.asked", True)]


async def test_a_place_that_turns_private_is_heard_of_no_more(live: Live, stage: Stage) -> None:
    told = await tell(stage, OPEN, by=MALLORY)
    async with stream(*live, by="viewer") as found:
        await happens(stage, "run.started", told)
        assert await seen(found, stage) == [("run.started", False)]
        async with stage.tx() as tx:
            await places.note(tx, stage.workspace, told.place, PlaceClass.PRIVATE)
        await happens(stage, "run.done", told)

        assert await seen(found, stage) == []


async def test_the_stream_of_a_run_that_is_not_theirs_is_empty(live: Live, stage: Stage) -> None:
    told = await tell(stage, PRIVATE)
    path = f"/api/v1/events?run={told.run}"
    async with stream(*live, by="viewer", path=path) as found, stream(*live, path=path) as owner:
        await happens(stage, "run.started", told)
        await until(lambda: len(owner.events) == 1)
        quiet = found.pings + 3
        await until(lambda: found.pings >= quiet)

        assert found.events == []
