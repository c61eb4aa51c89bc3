"""Approvals that an earlier version asked for: still decided, and never run as what they are not."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
import rfc8785

from openloop.domain.approval import ApprovalState
from openloop.domain.errors import Conflict, Forbidden
from openloop.domain.run import RunState
from openloop.runtime import binding
from tests import make
from tests.actions.asking import edit
from tests.actions.deciding import decide

if TYPE_CHECKING:
    from openloop.domain.conversation import ConversationRef
    from tests.make import Stage


async def as_the_first_version_had_it(stage: Stage, ref: ConversationRef) -> None:
    """A row as the kernel wrote it and migration 0004 left it: other conditions, bare demands."""
    approval = await stage.approval(ref)
    conditions: dict[str, Any] = {
        "permission": "github.issues:write",
        "effect": "write",
        "resource": "acme/platform",
        "tool_digest": "0" * 64,
        "rule": approval.rule,
        "approvers": ["@maintainers"],
        "destination": f"slack:T0ACME:{make.CHANNEL}",
    }
    bound = {
        "tool": approval.tool,
        "arguments": approval.arguments.decode(),
        "preconditions": conditions,
    }
    async with stage.tx() as tx:
        await tx.run(
            """
            UPDATE approvals SET preconditions = %(conditions)s, hash = %(hash)s, may_edit = false,
                demands = jsonb_build_array(jsonb_build_object(
                    'rule', rule, 'approvers', jsonb_build_array('@maintainers'))),
                card = card - 'notes' - 'fields' - 'body'
            """,
            {
                "conditions": make.as_json(conditions),
                "hash": hashlib.sha256(rfc8785.dumps(bound)).hexdigest(),  # pyright: ignore[reportArgumentType]
            },
        )


async def test_what_was_approved_then_is_asked_anew_and_the_card_says_why(stage: Stage) -> None:
    ref, _ = await stage.hold()
    await as_the_first_version_had_it(stage, ref)
    await decide(stage, ref, "approve", by="anna")

    await stage.work(ref)

    stale, anew = await stage.approvals(ref)
    assert stage.tracker.writes == []
    assert (stale.state, stale.reason) == (ApprovalState.STALE, binding.EARLIER)
    assert binding.EARLIER in stage.surface.settled[-1].outcome
    assert anew.preconditions.keys() == binding.WORDS.keys()

    await stage.press("approve", by="priya")
    await stage.work(ref)
    assert len(stage.tracker.writes) == 1
    assert (await stage.run_of(ref)).state is RunState.DONE


async def test_what_nobody_has_decided_yet_is_asked_anew_at_the_next_look(stage: Stage) -> None:
    ref, _ = await stage.hold()
    await as_the_first_version_had_it(stage, ref)

    await stage.say("any news?", by="ben")
    await stage.work(ref)

    assert [each.state for each in await stage.approvals(ref)] == ["stale", "pending"]


@pytest.mark.parametrize("decision", ["approve", "deny"])
async def test_its_old_buttons_still_decide(stage: Stage, decision: str) -> None:
    ref, token = await stage.hold()
    await as_the_first_version_had_it(stage, ref)

    await stage.press(decision, by="anna", token=token)

    wanted = "approved" if decision == "approve" else "denied"
    assert (await stage.approval(ref)).state == wanted


async def test_it_is_not_edited_and_whoever_asked_does_not_decide_it(stage: Stage) -> None:
    ref, _ = await stage.hold(await stage.mention(by="anna"))
    await as_the_first_version_had_it(stage, ref)
    with pytest.raises(Forbidden):
        await decide(stage, ref, "approve", by="anna")
    with pytest.raises((Forbidden, Conflict)):
        await edit(stage, ref, by="priya", title="Another")


async def test_bytes_that_an_earlier_version_did_not_bind_do_not_run(
    stage: Stage,
) -> None:
    ref, _ = await stage.hold()
    await as_the_first_version_had_it(stage, ref)
    await decide(stage, ref, "approve", by="anna")
    async with stage.tx() as tx:
        await tx.run('UPDATE approvals SET arguments = \'{"repo":"acme/platform","title":"x"}\'')

    await stage.work(ref)

    [approval] = await stage.approvals(ref)
    assert approval.state is ApprovalState.STALE
    assert "bytes" in approval.reason
    assert stage.tracker.writes == []
