"""What the tests of approvals share: decisions, and runs that wait for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.actions.vote import vote
from openloop.domain.approval import ApprovalState
from openloop.domain.surface import Whisper
from tests import make

if TYPE_CHECKING:
    from openloop.domain.approval import Approval, Decision
    from openloop.domain.conversation import ConversationRef
    from tests.make import Stage


def whispers(stage: Stage) -> list[str]:
    """What people were told in private."""
    return [op.markdown for op in stage.surface.posted.values() if isinstance(op, Whisper)]


async def decide(stage: Stage, ref: ConversationRef, decision: Decision, *, by: str) -> Approval:
    """A decision through the API."""
    approval = await stage.approval(ref)
    return await vote(
        stage.database,
        stage.configuration,
        stage.workspace,
        approval.id,
        decision,
        by=await stage.principal(by),
        via="api",
    )


async def approved(stage: Stage) -> ConversationRef:
    """A call that Anna has approved and that no worker has made yet."""
    ref, _ = await stage.hold()
    await decide(stage, ref, "approve", by="anna")
    return ref


async def unknown(stage: Stage) -> ConversationRef:
    """A call whose answer was lost, and that cannot be looked up."""
    ref = await approved(stage)
    stage.tracker.next, stage.tracker.knows = ["lost"], False
    await stage.work(ref)
    assert (await stage.approval(ref)).state is ApprovalState.UNKNOWN
    return ref


async def without_anna(stage: Stage) -> None:
    """Anna leaves the workspace."""
    people = {name: who for name, who in make.WORKSPACE["people"].items() if name != "anna"}
    await stage.revise_workspace(
        {
            "people": people,
            "groups": {"maintainers": ["@priya"]},
            "roles": {"owner": ["@priya"], "approver": ["@maintainers"]},
        }
    )
