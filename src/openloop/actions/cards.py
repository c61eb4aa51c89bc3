"""Drawing approvals: a card is posted once, and redrawn wherever it is shown when something changes.

A card shows up to five held calls of one model step; each has its own buttons and its own outcome.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from openloop.actions.buttons import buttons_of
from openloop.domain.approval import ApprovalState
from openloop.domain.ids import ApprovalId
from openloop.domain.surface import Ask, Asked, Settle
from openloop.storage import cards, outbox

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from openloop.actions.claims import Work
    from openloop.domain.approval import Approval
    from openloop.domain.ids import PrincipalId, WorkspaceId
    from openloop.domain.outbox import OutboxRow
    from openloop.domain.run import Run
    from openloop.domain.surface import Button
    from openloop.storage.database import Pending, Transaction


async def put_card(
    tx: Transaction,
    work: Work,
    run: Run,
    asks: Sequence[tuple[Approval, str]],
    *,
    told: Sequence[PrincipalId],
    more: str = "",
    sender: UUID | None = None,
) -> Pending[OutboxRow]:
    """Ask people about these approvals, each with the token of its buttons, on one card.

    With `sender` the row that is returned has to be sent by the caller, after the commit.
    """
    first, *others = [
        Asked(approval=str(each.id), card=each.card, buttons=buttons_of(each, token))
        for each, token in asks
    ]
    ids = await cards.list_addresses(tx, told, surface=work.conversation.surface)
    approval, _ = asks[0]
    return await outbox.add(
        tx,
        work.workspace,
        work.conversation.id,
        Ask(
            approval=first.approval,
            card=first.card,
            buttons=first.buttons,
            others=tuple(others),
            more=more,
            mention_ids=tuple(ids),
        ),
        run_id=run.id,
        approval_id=_key(approval, is_shared=bool(others)),
        sender=sender,
    )


def in_doubt(approval: Approval) -> Approval:
    """The approval of a call that may have happened, as people are asked what is true."""
    again = [
        f"{demand.quorum} of {', '.join(demand.approvers)}"
        for demand in approval.demands
        if demand.quorum > 1
    ]
    notes = (
        "The answer of the other side was lost and could not be found again. "
        "Please look, and say what is true.",
        *([f"To try it again takes {', and '.join(again)}"] if again else []),
    )
    title = f"Did this happen? {approval.card.title}"
    card = replace(approval.card, title=title, notes=notes)
    return replace(approval, state=ApprovalState.UNKNOWN, card=card)


async def redraw(
    tx: Transaction,
    workspace: WorkspaceId,
    approval: Approval,
    outcome: str,
    *,
    run: Run,
    buttons: tuple[Button, ...] | None = (),
    sender: UUID | None = None,
) -> OutboxRow | None:
    """Show what has become of an approval on every copy of every card that it is on.

    `buttons` are those that it has from now on; None leaves them as they are. The courier fills in
    where the copies are. With `sender` the row that is returned has to be sent by the caller. The
    caller holds the conversation's row, so a card is redrawn from what was drawn last.
    """
    row = None
    for card_id in dict.fromkeys((approval.card_id or approval.id, approval.id)):
        drawn = await cards.find_drawn(tx, card_id)
        if drawn is None:
            continue
        first, *others = [
            _changed(each, approval, outcome, buttons)
            if each.approval == str(approval.id)
            else each
            for each in drawn.asked
        ]
        row = await outbox.put(
            tx,
            workspace,
            approval.conversation_id,
            Settle(
                message_id="",
                approval=first.approval,
                card=first.card,
                outcome=first.outcome,
                buttons=first.buttons,
                others=tuple(others),
                more=drawn.more,
            ),
            run_id=run.id,
            approval_id=ApprovalId(card_id),
            sender=sender,
        )
    return row


def _changed(
    asked: Asked, approval: Approval, outcome: str, buttons: tuple[Button, ...] | None
) -> Asked:
    return replace(
        asked,
        card=approval.card,
        outcome=outcome,
        buttons=asked.buttons if buttons is None else buttons,
    )


def _key(approval: Approval, *, is_shared: bool) -> ApprovalId:
    """A card of one approval goes by its id; one that several share has an id of its own."""
    if not is_shared:
        return approval.id
    assert approval.card_id is not None  # noqa: S101  # given to all of them when they were asked
    return ApprovalId(approval.card_id)
