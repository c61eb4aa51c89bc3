"""Who is told of a broken glass alone: over Slack, wherever the call was asked about, or not at all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from openloop.actions.breaking import BREAK_GLASS, NoSecondOwner, ask_to_break
from openloop.actions.configuration import Configuration
from openloop.actions.intake import Intake
from openloop.domain.approval import ApprovalState
from openloop.domain.conversation import ConversationRef
from openloop.domain.ids import ConversationId, LoginId, new_id
from openloop.integrations.slack.settings import SlackSettings
from openloop.integrations.slack.surface import SlackSurface
from openloop.plugin import TellsAlone
from openloop.runtime.courier import Courier
from openloop.runtime.worker import Worker
from openloop.storage import principals
from openloop.testing.rigs.faults import DropAnswer
from openloop.testing.rigs.slack import SlackRig
from tests import make
from tests.actions.asking import PEOPLE, rule, stage_with
from tests.runtime.fakes import reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openloop.domain.approval import Approval
    from openloop.storage.database import Database
    from openloop.testing.rigs.slack.messages import Message
    from tests.make import Stage

WHY = "production is down"
GLASS = rule(approvers=["@security"], quorum=1)


@pytest.fixture
async def rig() -> AsyncIterator[SlackRig]:
    """A workspace of four people; the agent's channel is a private one, and Anna is not in it."""
    async with SlackRig() as rig:
        for name in ("priya", "anna", "ben", "mallory"):
            rig.people.add(name)
        rig.channels.add("dev", id="DEV", is_private=True, members=["priya", "ben", "mallory"])
        yield rig


@pytest.fixture
async def slack(rig: SlackRig) -> AsyncIterator[SlackSurface]:
    surface = SlackSurface(SlackSettings(bot_token=rig.bot_token, api_url=rig.api_url))
    yield surface
    await surface.aclose()


@pytest.fixture
async def stage(database: Database, slack: SlackSurface) -> Stage:
    """Writes need somebody of security; Priya and Anna are owners."""
    return over(slack, await stage_with(database, GLASS))


def over(slack: SlackSurface, stage: Stage) -> Stage:
    """The stage of an installation whose Slack is this one."""
    assert isinstance(slack, TellsAlone)
    configuration = Configuration({"slack": slack})
    intake = Intake(stage.database, configuration)
    return replace(stage, configuration=configuration, intake=intake)


async def work(stage: Stage, slack: SlackSurface) -> None:
    """A worker does all that is due, in every conversation."""
    async with stage.tx() as tx:
        found = await tx.tuples("SELECT id FROM conversations ORDER BY id")
    kit = stage.kit()
    courier = Courier(stage.database, {"slack": slack}, kit.worker)
    worker = Worker(replace(kit, surfaces={"slack": slack}, courier=courier))
    for (id,) in found:
        ref = ConversationRef(workspace=stage.workspace, id=ConversationId(id))
        await stage.lapse(ref)
        await worker.advance(ref)


async def held(stage: Stage, rig: SlackRig, slack: SlackSurface) -> tuple[Message, Approval]:
    """A call that waits in the private channel."""
    said = await rig.say("dev", by="ben", text="<@U0BOT> please open an issue")
    stage.models.turns = [reply("I will open it.", make.CREATE), reply("All done.")]
    await stage.mention(root=said.ts)
    await work(stage, slack)
    return said, await newest(stage)


async def newest(stage: Stage) -> Approval:
    async with stage.tx() as tx:
        id = await tx.value("SELECT conversation_id FROM runs ORDER BY id DESC LIMIT 1")
    return await stage.approval(ConversationRef(workspace=stage.workspace, id=ConversationId(id)))


async def ask(stage: Stage, approval: Approval, *, login_id: LoginId | None = None) -> None:
    await ask_to_break(
        stage.database,
        stage.configuration,
        stage.workspace,
        approval.id,
        by=await stage.principal("priya"),
        via="api",
        reason=WHY,
        login_id=login_id,
    )


async def offered(stage: Stage, rig: SlackRig, slack: SlackSurface) -> tuple[str, str]:
    """Priya has asked for the glass: the thread where it is offered, and the token of its button."""
    said, approval = await held(stage, rig, slack)
    await ask(stage, approval)
    await work(stage, slack)
    token = rig.replies_to(said)[-1].buttons[0].value
    assert token is not None
    return said.ts, token


async def break_by_click(stage: Stage, rig: SlackRig, slack: SlackSurface) -> Approval:
    """Priya breaks the glass in the thread."""
    thread, token = await offered(stage, rig, slack)
    await stage.press(BREAK_GLASS, by="priya", token=token, root=thread)
    return await newest(stage)


async def broken_under_a_login(stage: Stage, approval: Approval) -> None:
    login_id = LoginId(new_id())
    async with stage.tx() as tx:
        await tx.run(
            """
            INSERT INTO logins (workspace_id, id, secret_sha256, principal_id, method, roles,
                                authed_at)
            VALUES (%(workspace)s, %(id)s, '\\x01', %(person)s, 'oidc', '{owner}', openloop.now())
            """,
            {
                "workspace": stage.workspace,
                "id": login_id,
                "person": (await stage.principal("priya")).id,
            },
        )
    await ask(stage, approval, login_id=login_id)


def said_to(rig: SlackRig, name: str) -> list[str]:
    """What is in our direct message with somebody."""
    return [each.words for each in rig.messages(rig.channels.direct(rig.people.get(name)))]


async def test_an_owner_outside_of_the_private_channel_is_told_alone(
    stage: Stage, rig: SlackRig, slack: SlackSurface
) -> None:
    approval = await break_by_click(stage, rig, slack)
    await work(stage, slack)

    [told] = said_to(rig, "anna")
    assert f"Glass broken by priya: {WHY} ({approval.card.title})" in told
    assert str(approval.id) in told
    assert said_to(rig, "priya") == said_to(rig, "mallory") == []
    [posted] = [
        call for call in rig.calls_of("chat.postMessage") if call.args["channel"] == "U0ANNA"
    ]
    assert "thread_ts" not in posted.args
    [thread] = [each for each in rig.messages("dev") if not each.is_reply]
    assert any(f"<@U0ANNA>: Glass broken by priya: {WHY}" in m.text for m in rig.replies_to(thread))
    [broken] = await stage.audit("glass.broken")
    assert (broken.detail["told"], broken.detail["not_reached"]) == (["anna"], [])


async def test_and_of_a_run_on_the_console(
    stage: Stage, rig: SlackRig, slack: SlackSurface
) -> None:
    _, approval = await held(stage, rig, slack)
    async with stage.tx() as tx:
        await tx.run("UPDATE conversations SET surface = 'console'")
    await broken_under_a_login(stage, approval)
    await work(stage, slack)
    [told] = said_to(rig, "anna")
    assert WHY in told


async def test_what_is_said_later_is_another_message_of_the_same_conversation(
    stage: Stage, rig: SlackRig, slack: SlackSurface
) -> None:
    for _ in range(2):
        await break_by_click(stage, rig, slack)
        await work(stage, slack)
    assert len(said_to(rig, "anna")) == 2
    async with stage.tx() as tx:
        direct = "SELECT count(*) FROM conversations WHERE container = 'U0ANNA'"
        assert await tx.value(direct) == 1


async def test_each_linked_id_is_told(stage: Stage, rig: SlackRig, slack: SlackSurface) -> None:
    rig.people.add("anna", id="U0ANNATWO")
    await linked(stage, "slack", "T0ACME", "U0ANNATWO")
    await break_by_click(stage, rig, slack)
    await work(stage, slack)
    for id in ("U0ANNA", "U0ANNATWO"):
        [_] = said_to(rig, id)


async def test_nothing_is_told_that_did_not_happen(
    stage: Stage, rig: SlackRig, slack: SlackSurface
) -> None:
    """The row for Anna is of the same transaction as the glass: a refused click leaves none."""
    thread, token = await offered(stage, rig, slack)
    async with stage.tx() as tx:
        await tx.run("UPDATE approvals SET state = 'denied'")
    await stage.press(BREAK_GLASS, by="priya", token=token, root=thread)
    await work(stage, slack)
    assert said_to(rig, "anna") == []


async def test_a_lost_answer_loses_nothing(
    stage: Stage, rig: SlackRig, slack: SlackSurface
) -> None:
    """Slack reads no conversation by a person's id: rather twice to the same person than never."""
    await break_by_click(stage, rig, slack)
    rig.faults.fail(
        "chat.postMessage", with_=DropAnswer(), when=lambda args: args["channel"] == "U0ANNA"
    )
    await work(stage, slack)
    await work(stage, slack)
    assert len(said_to(rig, "anna")) == 2
    async with stage.tx() as tx:
        open_ops = "SELECT count(*) FROM outbox WHERE state IN ('queued', 'sending')"
        assert await tx.value(open_ops) == 0


# --- nobody to reach -----------------------------------------------------------------------------


async def linked(stage: Stage, surface: str, tenant: str, id: str) -> None:
    anna = await stage.principal("anna")
    async with stage.tx() as tx:
        await principals.set_identity(
            tx, stage.workspace, anna.id, surface=surface, tenant=tenant, external_id=id
        )


async def without_slack(stage: Stage) -> None:
    """Anna is an owner whom nothing connects with Slack."""
    people: dict[str, Any] = {**PEOPLE["people"], "anna": {"github": 4242}}
    await stage.revise_workspace({**PEOPLE, "people": people})


async def refused(stage: Stage, approval: Approval) -> str:
    with pytest.raises(NoSecondOwner) as error:
        await ask(stage, approval)
    assert error.value.code == "no_second_owner"
    assert await stage.count("broken_glasses") == 0
    return str(error.value)


async def test_nobody_to_reach_is_nobody(stage: Stage, rig: SlackRig, slack: SlackSurface) -> None:
    """An id on GitHub is none: whatever is written there is read by others."""
    _, approval = await held(stage, rig, slack)
    await without_slack(stage)
    said = await refused(stage, approval)
    assert "anna could not be told of it alone" in said
    assert "openloop link begin" in said


async def test_an_id_in_a_foreign_team_reaches_nobody(
    stage: Stage, rig: SlackRig, slack: SlackSurface
) -> None:
    _, approval = await held(stage, rig, slack)
    await without_slack(stage)
    await linked(stage, "slack", "T0ELSEWHERE", "U0ANNA")
    await refused(stage, approval)


async def test_nor_does_a_platform_that_is_not_configured(
    stage: Stage, rig: SlackRig, slack: SlackSurface
) -> None:
    _, approval = await held(stage, rig, slack)
    said = await refused(replace(stage, configuration=Configuration()), approval)
    assert "configure Slack" in said


async def test_whoever_has_gone_between_the_offer_and_the_click_reads_nothing(
    stage: Stage, rig: SlackRig, slack: SlackSurface
) -> None:
    thread, token = await offered(stage, rig, slack)
    await without_slack(stage)
    await stage.press(BREAK_GLASS, by="priya", token=token, root=thread)
    assert (await newest(stage)).state is ApprovalState.PENDING


async def test_one_who_is_reached_is_enough_and_the_record_names_both(
    database: Database, rig: SlackRig, slack: SlackSurface
) -> None:
    roles = {**PEOPLE["roles"], "owner": ["@priya", "@anna", "@mallory"]}
    people: dict[str, Any] = {**PEOPLE["people"], "anna": {}}
    stage = over(slack, await stage_with(database, GLASS, people=people, roles=roles))
    await break_by_click(stage, rig, slack)
    await work(stage, slack)
    [_] = said_to(rig, "mallory")
    [broken] = await stage.audit("glass.broken")
    assert (broken.detail["told"], broken.detail["not_reached"]) == (["mallory"], ["anna"])
