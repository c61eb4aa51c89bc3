"""Editing a held call: other bytes, a new hash, and every vote that was given before is void.

The editor's own vote does not count for what they wrote. The new arguments pass the tool's schema
and the policy like those of a model, and the model is told what was changed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from openloop.actions.buttons import buttons_of, hash_token, new_token
from openloop.actions.cards import redraw
from openloop.actions.judged import Held
from openloop.actions.opening import open_approval
from openloop.actions.pause import refuse_if_paused
from openloop.actions.voters import voter_of
from openloop.domain.audit import Who
from openloop.domain.errors import AlreadyDecided, Edited, Forbidden, Invalid
from openloop.storage import approvals, audit, conversations

if TYPE_CHECKING:
    from collections.abc import Callable

    from openloop.actions.configuration import Configuration, Governing
    from openloop.domain.approval import Approval
    from openloop.domain.conversation import Conversation
    from openloop.domain.ids import ApprovalId, WorkspaceId
    from openloop.domain.principal import Principal
    from openloop.domain.tool import Arguments
    from openloop.storage.database import Database

    Judge = Callable[[Governing, Conversation, Approval, Arguments], Held | str]
    """The gate: the call with these arguments as it would be held, or why it may not be asked."""


class NotEditable(Forbidden):
    """The rule that holds the call does not let people change it."""

    code = "not_editable"


async def edit(
    database: Database,
    configuration: Configuration,
    workspace: WorkspaceId,
    approval_id: ApprovalId,
    arguments: Arguments,
    *,
    seen: str,
    by: Principal,
    via: str,
    judge: Judge,
    reason: str = "",
) -> Approval:
    """Give a held call other arguments; `seen` is the hash of what the editor has read.

    Raises:
        NotFound, NotAnApprover, OwnRequest, NotEditable, AlreadyDecided, Expired, Edited, Paused
        Invalid: the tool or the policy does not take the arguments
    """
    async with database.transaction(workspace) as tx:
        open_one = await open_approval(tx, configuration, approval_id)
        approval, run, governing = open_one.approval, open_one.run, open_one.governing
        who = Who(kind="principal", name=by.name, principal_id=by.id, via=via)
        voter = await voter_of(tx, governing, run, approval, by, who=who)
        now = await tx.now()
        # Who edited last may edit again: it is their vote that does not count.
        replace(approval, edited_by=None).check_voter(voter, at=now)
        approval.check_open(at=now)
        refuse_if_paused(governing.pause)
        if not approval.may_edit:
            message = f"The rule that holds this does not let people edit it ({approval.rule})"
            raise NotEditable(message)
        if seen != approval.hash:
            message = "Somebody has edited this: read it again, and edit what is there now"
            raise Edited(message)
        conversation = await conversations.get(tx, approval.conversation_id)
        held = judge(governing, conversation, approval, arguments)
        if isinstance(held, str):
            message = f"These arguments are refused: {held}"
            raise Invalid(message, code="arguments_refused")
        if held.hash == approval.hash:
            return approval
        token = new_token()
        edited = _edited(approval, held, by)
        if not await approvals.save_edit(tx, approval, edited, hash_token(token)):
            message = "Somebody else decided this first"
            raise AlreadyDecided(message)
        told = f"Edited by {by.name}: it has to be approved anew"
        buttons = buttons_of(edited, token)
        await redraw(tx, workspace, edited, told, run=run, buttons=buttons)
        await audit.append(
            tx,
            workspace,
            "approval.edited",
            actor=who,
            subject=approval.id,
            run_id=approval.run_id,
            tool=approval.tool,
            before=approval.hash,
            hash=edited.hash,
            round=approval.round + 1,
            reason=reason,
        )
        return await approvals.get(tx, approval.id)


def _edited(approval: Approval, held: Held, by: Principal) -> Approval:
    notes = (*held.card.notes, f"Edited by {by.name}, whose vote does not count")
    return replace(
        approval,
        arguments=held.arguments,
        preconditions=held.preconditions,
        hash=held.hash,
        card=replace(held.card, notes=notes),
        demands=held.demands,
        may_edit=held.may_edit,
        rule=held.rule,
        solo_mode=held.solo_mode,
        edited_by=by.id,
    )
