"""Breaking the glass: an owner, a reason, an hour, a second owner who is told, and no token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openloop.actions.breaking import BREAK_GLASS, NoSecondOwner, NotAnOwner, ask_to_break
from openloop.domain.approval import ApprovalState
from openloop.domain.errors import AlreadyDecided, Expired, Forbidden
from openloop.domain.ids import LoginId, new_id
from openloop.domain.surface import Say
from tests.actions.asking import PEOPLE, edit, rule, stage_with
from tests.actions.deciding import decide, whispers

if TYPE_CHECKING:
    from openloop.domain.conversation import ConversationRef
    from openloop.storage.database import Database
    from tests.make import Clock, Stage

WHY = "production is down"


@pytest.fixture
async def stage(database: Database) -> Stage:
    """Writes need somebody of security; Priya and Anna are owners."""
    return await stage_with(database, rule(approvers=["@security"], quorum=1))


async def ask(
    stage: Stage, ref: ConversationRef, *, by: str = "priya", login: LoginId | None = None
) -> None:
    """An owner writes down why."""
    await ask_to_break(
        stage.database,
        stage.configuration,
        stage.workspace,
        (await stage.approval(ref)).id,
        by=await stage.principal(by),
        via="api",
        reason=WHY,
        login_id=login,
    )
    await stage.work(ref)


def button(stage: Stage) -> str:
    """The token of the newest glass."""
    says = [op for op in stage.surface.posted.values() if isinstance(op, Say) and op.buttons]
    return says[-1].buttons[0].token


async def test_an_owner_breaks_the_glass_and_everybody_can_see_it(stage: Stage) -> None:
    ref, _ = await stage.hold()
    await ask(stage, ref)
    assert (await stage.approval(ref)).state is ApprovalState.PENDING

    await stage.press(BREAK_GLASS, by="priya", token=button(stage))
    await stage.work(ref)

    assert len(stage.tracker.writes) == 1
    assert f"<@U0ANNA>: Glass broken by priya: {WHY}" in "\n".join(stage.surface.said)
    assert any(op.outcome == f"Glass broken by priya: {WHY}" for op in stage.surface.settled)
    [broken] = await stage.audit("glass.broken")
    assert (broken.detail["reason"], broken.detail["told"]) == (WHY, ["anna"])
    assert broken.actor.surface == "slack"
    [intended] = await stage.audit("effect.intended")
    assert intended.detail["approved_by"] == ["priya"]


async def test_a_token_alone_breaks_nothing(stage: Stage) -> None:
    """The API writes the reason down; until the click nothing is approved."""
    ref, _ = await stage.hold()
    for _ in range(3):
        await ask(stage, ref)
    await stage.work(ref)
    assert (await stage.approval(ref)).state is ApprovalState.PENDING
    assert stage.tracker.writes == []


@pytest.mark.parametrize("who", ["anna", "mallory", "ben", "stranger"])
async def test_nobody_else_presses_the_button(stage: Stage, who: str) -> None:
    """Anna is an owner, too: the reason was not hers."""
    ref, _ = await stage.hold()
    await ask(stage, ref)
    await stage.press(BREAK_GLASS, by=who, token=button(stage))
    await stage.work(ref)
    assert (await stage.approval(ref)).state is ApprovalState.PENDING
    assert whispers(stage) == ["This button is not valid any more."]


@pytest.mark.parametrize("who", ["mallory", "ben"])
async def test_only_an_owner_asks(stage: Stage, who: str) -> None:
    ref, _ = await stage.hold()
    with pytest.raises(NotAnOwner):
        await ask(stage, ref, by=who)


async def test_an_owner_who_is_none_any_more_breaks_nothing(stage: Stage) -> None:
    ref, _ = await stage.hold()
    await ask(stage, ref)
    roles = {"owner": ["@anna", "@mallory"], "approver": ["@maintainers"]}
    await stage.revise_workspace({**PEOPLE, "roles": roles})
    await stage.press(BREAK_GLASS, by="priya", token=button(stage))
    await stage.work(ref)
    assert (await stage.approval(ref)).state is ApprovalState.PENDING


async def test_nor_between_the_click_and_the_effect(stage: Stage) -> None:
    ref, _ = await stage.hold()
    await ask(stage, ref)
    await stage.press(BREAK_GLASS, by="priya", token=button(stage))
    await stage.revise_workspace({**PEOPLE, "roles": {"owner": ["@anna"]}})
    await stage.work(ref)
    assert stage.tracker.writes == []
    assert (await stage.approval(ref)).state is ApprovalState.PENDING


async def test_without_a_second_owner_nobody_could_be_told(stage: Stage) -> None:
    ref, _ = await stage.hold()
    await stage.revise_workspace({**PEOPLE, "roles": {"owner": ["@priya"]}})
    with pytest.raises(NoSecondOwner):
        await ask(stage, ref)


async def test_the_reason_is_good_for_an_hour(stage: Stage, clock: Clock) -> None:
    ref, _ = await stage.hold()
    await ask(stage, ref)
    await clock.advance(minutes=61)
    await stage.press(BREAK_GLASS, by="priya", token=button(stage))
    assert (await stage.approval(ref)).state is ApprovalState.PENDING


async def test_and_so_is_the_broken_glass(stage: Stage, clock: Clock) -> None:
    ref, _ = await stage.hold()
    await ask(stage, ref)
    await stage.press(BREAK_GLASS, by="priya", token=button(stage))
    await clock.advance(minutes=61)
    await stage.work(ref)
    assert stage.tracker.writes == []
    assert (await stage.approval(ref)).state is ApprovalState.STALE


async def test_it_is_broken_once(stage: Stage) -> None:
    ref, _ = await stage.hold()
    await ask(stage, ref)
    for _ in range(3):
        await stage.press(BREAK_GLASS, by="priya", token=button(stage))
    await stage.work(ref)
    assert len(stage.tracker.writes) == 1
    assert len(await stage.audit("glass.broken")) == 1


async def test_what_was_edited_since_is_another_call(database: Database) -> None:
    stage = await stage_with(database, rule(quorum=2))
    ref, _ = await stage.hold()
    await ask(stage, ref)
    await edit(stage, ref, by="anna", title="Another")
    await stage.press(BREAK_GLASS, by="priya", token=button(stage))
    assert (await stage.approval(ref)).state is ApprovalState.PENDING


async def test_what_is_decided_needs_no_hammer(stage: Stage) -> None:
    ref, _ = await stage.hold()
    await decide(stage, ref, "deny", by="mallory")
    with pytest.raises(AlreadyDecided):
        await ask(stage, ref)


async def test_nor_what_has_expired(stage: Stage, clock: Clock) -> None:
    ref, _ = await stage.hold()
    await clock.advance(hours=73)
    with pytest.raises(Expired):
        await ask(stage, ref)


async def test_where_nobody_can_vouch_for_the_owner_there_is_no_button(stage: Stage) -> None:
    ref, _ = await stage.hold()
    people: dict[str, object] = {**PEOPLE["people"], "priya": {}}
    await stage.revise_workspace({**PEOPLE, "people": people})
    with pytest.raises(Forbidden, match="vouch"):
        await ask(stage, ref)


@pytest.mark.parametrize(("method", "is_enough"), [("oidc", True), ("link", False)])
async def test_a_login_is_enough_where_the_identity_provider_vouched(
    stage: Stage, method: str, *, is_enough: bool
) -> None:
    """A login by link stands for a token, and a token breaks nothing."""
    ref, _ = await stage.hold()
    priya, login = await stage.principal("priya"), LoginId(new_id())
    async with stage.tx() as tx:
        await tx.run(
            """
            INSERT INTO logins (workspace_id, id, secret_sha256, principal_id, method, roles,
                                authed_at)
            VALUES (%(workspace)s, %(id)s, '\\x01', %(person)s, %(method)s, '{owner}', openloop.now())
            """,
            {
                "workspace": stage.workspace,
                "id": login,
                "person": priya.id,
                "method": method,
            },
        )
    await ask(stage, ref, login=login)
    assert len(stage.tracker.writes) == (1 if is_enough else 0)
