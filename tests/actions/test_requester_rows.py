"""Whose words and whose reasons count: the rows of requesters, of owners, and of glasses they would break."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from openloop.actions.buttons import hash_token
from openloop.domain.ids import LoginId, MessageId, PrincipalId, RunId, new_id
from openloop.domain.surface import Actor
from openloop.storage import glasses, principals, requesters
from tests.make import NOON, as_json

if TYPE_CHECKING:
    from openloop.domain.approval import Approval
    from openloop.storage.database import Transaction
    from openloop.storage.requesters import Asked
    from tests.make import Clock, Stage

TEAM = "T0ACME"


def on_slack(id: str, *, tenant: str = TEAM) -> Actor:
    return Actor(surface="slack", tenant=tenant, id=id)


@pytest.fixture
async def held(stage: Stage) -> Approval:
    """A call that Ben's only message came to."""
    _, approval = await stage.hold_quietly()
    return approval


async def add_messages(
    tx: Transaction, held: Approval, actor: Actor, *, run: RunId | None, count: int = 1
) -> None:
    """Messages after all others, read if they are of a run."""
    await tx.run(
        """
        INSERT INTO messages (workspace_id, id, conversation_id, run_id, external_id, actor, text, typed,
            sent_at, read_at)
        SELECT c.workspace_id, given.id, c.id, %(run)s, given.id::text, %(actor)s, 'x', 'x',
            openloop.now(), CASE WHEN %(run)s::uuid IS NULL THEN NULL ELSE openloop.now() END
        FROM conversations c, unnest(%(ids)s::uuid[]) AS given (id) WHERE c.id = %(conversation)s
        """,
        {
            "run": run,
            "ids": [new_id() for _ in range(count)],
            "actor": as_json(actor),
            "conversation": held.conversation_id,
        },
    )


async def asked(stage: Stage, held: Approval) -> list[Asked]:
    async with stage.tx() as tx:
        return await (await requesters.ask_asked(tx, held.run_id)).all()


async def behind(stage: Stage, held: Approval, actor: Actor) -> str | None:
    """The name of the principal behind whoever speaks last."""
    async with stage.tx() as tx:
        await add_messages(tx, held, actor, run=held.run_id)
    found = (await asked(stage, held))[-1]
    assert found.actor == actor
    return found.principal


async def identify(
    stage: Stage, name: str, id: str, *, surface: str = "slack", tenant: str, origin: Any = "link"
) -> None:
    person = await stage.principal(name)
    async with stage.tx() as tx:
        await principals.set_identity(
            tx,
            stage.workspace,
            person.id,
            surface=surface,
            tenant=tenant,
            external_id=id,
            origin=origin,
        )


# --- whose words ---------------------------------------------------------------------------------


async def test_whoever_spoke_is_the_person_of_that_id_there(stage: Stage, held: Approval) -> None:
    await identify(stage, "ben", "U0TWO", tenant="", origin="manifest")
    await identify(stage, "priya", "U0TWO", tenant=TEAM)
    assert await behind(stage, held, on_slack("U0TWO")) == "ben"  # the manifest comes first

    await identify(stage, "anna", "U0PHONE", tenant="")
    assert await behind(stage, held, on_slack("U0PHONE")) == "anna"
    await identify(stage, "priya", "U0PHONE", tenant=TEAM)
    assert await behind(stage, held, on_slack("U0PHONE")) == "priya"  # and the nearer tenant

    await identify(stage, "anna", "U0MAC", tenant="T0OTHER")
    await identify(stage, "anna", "U0MAC", surface="github", tenant=TEAM)
    assert await behind(stage, held, on_slack("U0MAC")) is None
    assert await behind(stage, held, on_slack("U0MAC", tenant="T0OTHER")) == "anna"


async def test_on_the_console_people_are_known_by_their_principal(
    stage: Stage, held: Approval
) -> None:
    id = str((await stage.principal("anna")).id)
    assert await behind(stage, held, Actor(surface="console", tenant="", id=id)) == "anna"
    assert await behind(stage, held, on_slack(id)) is None
    unknown = Actor(surface="console", tenant="", id=str(new_id()))
    assert await behind(stage, held, unknown) is None


async def test_rights_are_those_of_now(stage: Stage, held: Approval) -> None:
    [ben] = await asked(stage, held)
    assert (ben.principal, ben.roles, ben.active) == ("ben", ("operator",), True)
    assert ben.typed == "please open an issue"
    async with stage.tx() as tx:
        await tx.run("UPDATE principals SET active = false WHERE name = 'ben'")
        await add_messages(tx, held, on_slack("U0NOBODY"), run=held.run_id)
    ben, nobody = await asked(stage, held)
    assert (ben.roles, ben.active) == (("operator",), False)
    assert (nobody.principal, nobody.roles, nobody.active) == (None, (), True)


async def test_only_what_the_run_has_read_was_asked_of_it_and_more_than_enough_is_told(
    stage: Stage, held: Approval
) -> None:
    _, other = await stage.hold_quietly(root="root-2", by="anna")
    async with stage.tx() as tx:
        await add_messages(tx, held, on_slack("U0UNREAD"), run=held.run_id)
        await tx.run("UPDATE messages SET read_at = NULL WHERE actor->>'id' = 'U0UNREAD'")
        await add_messages(tx, held, on_slack("U0PRIYA"), run=held.run_id)
    assert [each.principal for each in await asked(stage, held)] == ["ben", "priya"]
    assert [each.principal for each in await asked(stage, other)] == ["anna"]
    async with stage.tx() as tx:
        await add_messages(tx, held, on_slack("U0ANNA"), run=held.run_id, count=101)
    found = await asked(stage, held)
    assert [each.principal for each in found] == ["ben", "priya", *["anna"] * 99]


async def test_whoever_left_an_id_since_then_asked_by_it(stage: Stage) -> None:
    anna, ben = [(await stage.principal(name)).id for name in ("anna", "ben")]
    async with stage.tx() as tx:
        for id, tenant in (("U0PHONE", TEAM), ("U0ANY", "")):
            await tx.run(
                """
                INSERT INTO former_identities VALUES
                    (%(workspace)s, 'slack', %(tenant)s, %(id)s, %(anna)s, %(at)s)
                """,
                {
                    "workspace": stage.workspace,
                    "tenant": tenant,
                    "id": id,
                    "anna": anna,
                    "at": NOON,
                },
            )

        async def was(actor: Actor, person: PrincipalId = anna, *, minutes: int = 0) -> bool:
            since = NOON + timedelta(minutes=minutes)
            return await requesters.was_asked_by(tx, actor, person, since=since)

        assert await was(on_slack("U0PHONE"))
        assert await was(on_slack("U0ANY"))
        assert await was(on_slack("U0PHONE"), minutes=-1)
        assert await was(on_slack("U0PHONE"), minutes=1), "nobody has it since"
        assert not await was(on_slack("U0PHONE"), ben)
        assert not await was(on_slack("U0MAC"))
        assert not await was(on_slack("U0PHONE", tenant="T0OTHER"))
        assert not await was(Actor(surface="github", tenant=TEAM, id="U0PHONE"))
        for surface, tenant in (("github", TEAM), ("slack", "T0OTHER")):
            await principals.set_identity(
                tx, stage.workspace, ben, surface=surface, tenant=tenant, external_id="U0PHONE"
            )
            assert await was(on_slack("U0PHONE"), minutes=1), "it is another id elsewhere"
        await principals.set_identity(
            tx, stage.workspace, ben, surface="slack", tenant=TEAM, external_id="U0PHONE"
        )
        assert await was(on_slack("U0PHONE"))
        assert not await was(on_slack("U0PHONE"), minutes=1)


async def test_what_is_left_out_is_read_and_of_no_run(stage: Stage, held: Approval) -> None:
    async with stage.tx() as tx:
        for who in ("U0PRIYA", "U0ANNA"):
            await add_messages(tx, held, on_slack(who), run=None)
        await tx.run("UPDATE messages SET read_at = NULL")
        ids = dict(await tx.tuples("SELECT actor->>'id', id FROM messages"))  # pyright: ignore
        await requesters.leave_out(tx, [MessageId(ids["U0PRIYA"]), MessageId(ids["U0BEN"])])
        read = await tx.tuples("SELECT actor->>'id' FROM messages WHERE read_at IS NOT NULL")
    assert read == [("U0PRIYA",)]


# --- whose reasons -------------------------------------------------------------------------------


async def test_a_glass_is_its_owners_once_and_for_its_time(
    stage: Stage, held: Approval, clock: Clock
) -> None:
    priya, anna = [(await stage.principal(name)).id for name in ("priya", "anna")]
    one, other = hash_token("one"), hash_token("other")
    await clock.stop(NOON)
    async with stage.tx() as tx:
        for token in (one, other):
            await glasses.add(
                tx,
                stage.workspace,
                held,
                by=priya,
                reason="production is down",
                token_sha256=token,
                minutes=5,
            )
        found = await glasses.find(tx, one, by=priya)
        assert found is not None
        assert (found.approval_id, found.round, found.asked_by) == (held.id, 1, priya)
        assert found.reason == "production is down"
        assert await glasses.find(tx, one, by=anna) is None
        assert await glasses.find(tx, hash_token("third"), by=priya) is None
        await glasses.use_up(tx, found.id)
        assert await glasses.find(tx, one, by=priya) is None
        assert await glasses.find(tx, other, by=priya) is not None
    await clock.stop(NOON + timedelta(minutes=5))
    async with stage.tx() as tx:
        assert await glasses.find(tx, other, by=priya) is None


async def test_a_login_vouches_for_its_own_person_until_it_ends(stage: Stage) -> None:
    priya, anna = [(await stage.principal(name)).id for name in ("priya", "anna")]
    logins = {method: LoginId(new_id()) for method in ("oidc", "link")}
    async with stage.tx() as tx:
        for method, id in logins.items():
            await tx.run(
                """
                INSERT INTO logins (workspace_id, id, secret_sha256, principal_id, method, roles)
                VALUES (%(workspace)s, %(id)s, %(secret)s, %(person)s, %(method)s, '{owner}')
                """,
                {
                    "workspace": stage.workspace,
                    "id": id,
                    "secret": hash_token(method),
                    "person": priya,
                    "method": method,
                },
            )
        assert await glasses.is_vouched_for(tx, logins["oidc"], by=priya) is True
        assert await glasses.is_vouched_for(tx, logins["link"], by=priya) is False
        assert await glasses.is_vouched_for(tx, logins["oidc"], by=anna) is False
        assert await glasses.is_vouched_for(tx, LoginId(new_id()), by=priya) is False
        await tx.run("UPDATE logins SET ended_at = openloop.now()")
        assert await glasses.is_vouched_for(tx, logins["oidc"], by=priya) is False


async def test_every_other_owner_is_told_who_is_a_person_and_here(stage: Stage) -> None:
    people = {name: (await stage.principal(name)).id for name in ("priya", "anna", "ben")}
    async with stage.tx() as tx:

        async def others(but: str) -> list[str]:
            return [each.name for each in await glasses.list_owners(tx, but=people[but])]

        assert await others("anna") == ["priya"]
        assert await others("priya") == []
        await tx.run("UPDATE principals SET roles = '{operator,owner}'")
        assert await others("priya") == ["anna", "ben"]
        assert await others("anna") == ["ben", "priya"]
        await tx.run("UPDATE principals SET active = false WHERE name = 'anna'")
        await tx.run("UPDATE principals SET kind = 'service' WHERE name = 'ben'")
        assert await others("priya") == []
