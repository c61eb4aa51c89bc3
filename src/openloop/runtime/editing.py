"""Edits of held calls: judged by the same gate and the same facts as what a model asks for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from openloop.actions import editing
from openloop.actions.claims import Work
from openloop.domain.conversation import Claim, ConversationRef
from openloop.domain.errors import Invalid, Unavailable
from openloop.domain.model import ToolCall
from openloop.runtime import gate, inquiry
from openloop.storage import approvals, conversations, runs, steps

if TYPE_CHECKING:
    from openloop.actions.configuration import Governing
    from openloop.actions.judged import Held
    from openloop.domain.approval import Approval
    from openloop.domain.conversation import Conversation
    from openloop.domain.ids import ApprovalId, WorkspaceId
    from openloop.domain.principal import Principal
    from openloop.domain.run import Run
    from openloop.domain.tool import Arguments
    from openloop.runtime.kit import Kit
    from openloop.storage.database import Transaction


async def edit(
    kit: Kit,
    workspace: WorkspaceId,
    approval_id: ApprovalId,
    arguments: Arguments,
    *,
    seen: str,
    by: Principal,
    via: str,
    reason: str = "",
) -> Approval:
    """Give a held call other arguments: what platforms have to be asked is asked beforehand.

    Raises:
        NotFound, NotAnApprover, OwnRequest, NotEditable, AlreadyDecided, Expired, Edited, Paused
        Invalid: the tool or the policy does not take the arguments
        Unavailable: a platform that knows whether this is permitted cannot be asked
    """
    async with kit.database.transaction(workspace) as tx:
        approval = await approvals.get(tx, approval_id)
        run = await runs.get(tx, approval.run_id)
        work = await _view(kit, tx, workspace, run)
    written = _written(arguments)
    call = ToolCall(id="", name=approval.tool, arguments=written.decode())
    problem = gate.problem_with(kit.registry, call)
    if problem is not None:
        raise _refused(problem)
    edited = replace(approval, arguments=written)
    facts = await inquiry.of_held(kit, work, run, edited, with_target=True)
    if not facts.is_certain:
        message = "A platform cannot be asked at the moment whether this may be done"
        raise Unavailable(message)

    def judge(
        governing: Governing, conversation: Conversation, held: Approval, arguments: Arguments
    ) -> Held | str:
        return gate.edited(kit.registry, governing, conversation, held, arguments, facts=facts)

    return await editing.edit(
        kit.database,
        kit.configuration,
        workspace,
        approval_id,
        arguments,
        seen=seen,
        by=by,
        via=via,
        judge=judge,
        reason=reason,
    )


def _written(arguments: Arguments) -> bytes:
    """The arguments as JSON; people can send what it has no way to write."""
    try:
        return orjson.dumps(arguments)
    except orjson.JSONEncodeError as error:
        raise _refused(f"they cannot be written as JSON ({error})") from error


def _refused(problem: str) -> Invalid:
    return Invalid(f"These arguments are refused: {problem}", code="arguments_refused")


async def _view(kit: Kit, tx: Transaction, workspace: WorkspaceId, run: Run) -> Work:
    """A run as a worker would read it, under a claim that nothing can be written with."""
    ref = ConversationRef(workspace=workspace, id=run.conversation_id)
    return Work(
        claim=Claim(ref=ref, worker=kit.worker, epoch=-1, wakes=0),
        conversation=await conversations.get(tx, run.conversation_id),
        run=run,
        governing=await kit.configuration.governing(tx, run.agent_id, run.revision_id),
        steps=await steps.list_of(tx, run.id),
        approvals=[],
        unread=[],
    )
