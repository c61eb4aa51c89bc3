"""Budgets of people whose ids are linked and unlinked while they spend: nothing is lost, or anew."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from openloop.actions import model_calls
from openloop.domain.login import OIDC
from openloop.domain.surface import Actor
from openloop.storage import principals
from tests import make
from tests.actions.linked import link, unlink
from tests.actions.money import CALL, answer, begin, lapsed, used
from tests.actions.test_limits import limits, wrong_rows

if TYPE_CHECKING:
    from openloop.actions.claims import Work
    from openloop.domain.principal import Principal
    from openloop.domain.run import Run
    from tests.make import Stage

BOUNDED = limits("principal", "month", "2.8")


async def test_a_call_that_is_under_way_is_settled_for_whom_its_id_was_linked_to(
    stage: Stage,
) -> None:
    """Nobody has reserved since, so the row of the person does not know of it yet."""
    ben = await stage.claim(await stage.mention(root="a", by="ben"))
    stranger = await stage.claim(await stage.mention(root="b", by="someone"))
    held = await begin(stage, stranger, BOUNDED)
    await answer(stage, ben, await begin(stage, ben, BOUNDED), used(100, 100))
    await link(stage, "ben", "U0SOMEONE")

    await answer(stage, stranger, held, used(100, 400))

    again = await stage.claim(await stage.mention(root="c", by="ben"))
    assert (await begin(stage, again, BOUNDED)).reserved_usd == CALL
    assert await wrong_rows(stage) == 0
    last = await stage.claim(await stage.mention(root="d", by="someone"))
    assert (await begin(stage, last, BOUNDED)).reserved_usd == Decimal("1.0")


async def test_and_so_is_one_that_nobody_heard_of_again(stage: Stage) -> None:
    ben = await stage.claim(await stage.mention(root="a", by="ben"))
    stranger = await stage.claim(await stage.mention(root="b", by="someone"))
    await begin(stage, stranger, BOUNDED)
    await answer(stage, ben, await begin(stage, ben, BOUNDED), used(100, 100))
    await link(stage, "ben", "U0SOMEONE")

    await lapsed(stage)

    assert await model_calls.settle_lapsed(stage.database, stage.workspace, limit=10) == 1
    again = await stage.claim(await stage.mention(root="c", by="ben"))
    assert (await begin(stage, again, BOUNDED)).reserved_usd == CALL
    assert await wrong_rows(stage) == 0


async def test_whoever_links_and_unlinks_gets_no_budget_anew(stage: Stage) -> None:
    bounded = limits("principal", "month", "1.7")
    someone = await stage.claim(await stage.mention(root="first", by="someone"))
    await answer(stage, someone, await begin(stage, someone, bounded), used(100, 900))
    for number in range(3):
        await link(stage, "ben", "U0SOMEONE")
        await unlink(stage, "ben")

        again = await stage.claim(await stage.mention(root=f"again-{number}", by="someone"))
        begun = await begin(stage, again, bounded)
        assert begun.reserved_usd == Decimal("0.7")
        await model_calls.fail(
            stage.database, again, run_of(again), begun.reservation_id, sent=False, code="down"
        )
    assert await wrong_rows(stage) == 0


async def test_what_was_used_under_an_id_leaves_with_it(stage: Stage) -> None:
    await link(stage, "ben", "U0SOMEONE")
    ben = await stage.claim(await stage.mention(root="a", by="ben"))
    someone = await stage.claim(await stage.mention(root="b", by="someone"))
    await answer(stage, ben, await begin(stage, ben, BOUNDED), used(100, 100))
    held = await begin(stage, someone, BOUNDED)

    await unlink(stage, "ben")
    await answer(stage, someone, held, used(100, 900))

    for who, left in (("ben", Decimal("2.6")), ("someone", Decimal("1.8"))):
        work = await stage.claim(await stage.mention(root=f"later-{who}", by=who))
        begun = await begin(stage, work, BOUNDED, output_limit=100_000)
        assert begun.reserved_usd == left
    assert await wrong_rows(stage) == 0


def run_of(work: Work) -> Run:
    assert work.run is not None
    return work.run


async def person_of_a_login(stage: Stage) -> Principal:
    """Somebody whom no manifest names, known by a login."""
    async with stage.tx() as tx:
        id = await principals.put(tx, stage.workspace, name="login:1", kind="person", roles=())
        return await principals.get(tx, id)


async def test_a_login_that_turns_out_to_be_somebodys_takes_its_usage_along(stage: Stage) -> None:
    login = await person_of_a_login(stage)
    on_console = Actor(surface="console", tenant=str(stage.workspace), id=str(login.id))
    work = await stage.claim(await stage.mention(root="a", by="ben"))
    async with stage.tx() as tx:
        await principals.set_identity(
            tx,
            stage.workspace,
            login.id,
            surface=OIDC,
            tenant="https://issuer.example",
            external_id="subject-1",
            origin="login",
        )
        await tx.run("UPDATE runs SET requested_by = %(who)s", {"who": make.as_json(on_console)})
    assert work.run is not None
    work = replace(work, run=replace(work.run, requested_by=on_console))
    await answer(stage, work, await begin(stage, work, BOUNDED), used(100, 900))
    ben = await stage.principal("ben")

    async with stage.tx() as tx:
        await principals.move_identities(tx, surface=OIDC, before=login.id, after=ben.id)

    again = await stage.claim(await stage.mention(root="b", by="ben"))
    begun = await begin(stage, again, BOUNDED, output_limit=100_000)
    assert begun.reserved_usd == Decimal("1.8")
    assert await wrong_rows(stage) == 0


async def test_an_id_that_the_manifest_gives_to_somebody_else_takes_its_usage_along(
    stage: Stage,
) -> None:
    await link(stage, "anna", "U0SOMEONE")
    someone = await stage.claim(await stage.mention(root="a", by="someone"))
    anna = await stage.claim(await stage.mention(root="b", by="anna"))
    await answer(stage, someone, await begin(stage, someone, BOUNDED), used(100, 900))
    await answer(stage, anna, await begin(stage, anna, BOUNDED), used(100, 100))

    await link(stage, "ben", "U0SOMEONE")

    for who, left in (("ben", Decimal("1.8")), ("anna", Decimal("2.6"))):
        work = await stage.claim(await stage.mention(root=f"later-{who}", by=who))
        assert (await begin(stage, work, BOUNDED, output_limit=100_000)).reserved_usd == left
    assert await wrong_rows(stage) == 0


async def test_an_apply_moves_nothing(stage: Stage) -> None:
    ben = await stage.claim(await stage.mention(root="a", by="ben"))
    await answer(stage, ben, await begin(stage, ben, BOUNDED), used(100, 900))

    await stage.revise_workspace({"budget": {"monthly_usd": 150}})

    async with stage.tx() as tx:
        assert await tx.value("SELECT bool_and(is_counted) FROM budgets")
        assert await wrong_rows(stage) == 0
