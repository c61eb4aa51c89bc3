"""Asking people about held calls: a row for each call, cards for as many as people can take in.

The held calls of one model step are a batch. Each has its own row, hash, votes and buttons; five of
them at most stand on cards, the rest waits in the inbox. Nobody is asked about more things at once
than the workspace allows: what is over that is parked, and decided from the inbox.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from openloop.actions.buttons import hash_token, new_token
from openloop.actions.cards import put_card
from openloop.domain.approval import Approval, ApprovalState
from openloop.domain.ids import ApprovalId, new_id
from openloop.storage import approvals, audit, cards
from openloop.storage import room as rooms

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from openloop.actions.claims import Work
    from openloop.actions.configuration import Governing
    from openloop.actions.judged import Held
    from openloop.domain.approval import Parked
    from openloop.domain.ids import PrincipalId
    from openloop.domain.outbox import OutboxRow
    from openloop.domain.run import Run
    from openloop.domain.verdict import Demand
    from openloop.storage.database import Pending, Transaction

ON_CARDS = 5
"""Held calls of one model step that are shown at once."""
TOGETHER_BYTES = 4000
"""Arguments that share a card: a longer call gets a card of its own, so that it is shown whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How many more calls the people of a workspace can be asked about now, and who they are."""

    now: datetime
    people: dict[str, PrincipalId]
    open: dict[PrincipalId, int]
    per_approver: int
    left_in_run: int
    left_on_cards: int = ON_CARDS

    def has_for(self, governing: Governing, demand: Demand) -> bool:
        """True where enough people for a demand are not asked about too much already."""
        members = members_of(governing, self.people, demand.approvers)
        return len(self.with_room(members)) >= min(demand.quorum, len(members))

    def with_room(self, members: Sequence[PrincipalId]) -> list[PrincipalId]:
        """Those of them who may be asked about one more call."""
        return [each for each in members if self.open.get(each, 0) < self.per_approver]

    def after(self, told: Sequence[PrincipalId]) -> Room:
        """The room that is left once these people have been asked."""
        return replace(
            self,
            open={**self.open, **{each: self.open.get(each, 0) + 1 for each in told}},
            left_in_run=self.left_in_run - 1,
            left_on_cards=self.left_on_cards - 1,
        )


async def ask(
    tx: Transaction,
    work: Work,
    run: Run,
    governing: Governing,
    held: Sequence[Held],
    *,
    sender: UUID | None = None,
) -> list[Pending[OutboxRow]]:
    """Write an approval for each of these calls of one step, and put cards into the outbox.

    With `sender` the rows that are returned have to be sent by the caller, after the commit.
    """
    room = await _room(tx, governing, run, held)
    same = await rooms.list_same(tx, [each.hash for each in held], but_of=run.id)
    shown: list[tuple[Approval, str]] = []
    left: list[Approval] = []
    for each in held:
        approval = _approval(work, run, each, same.get(each.hash), now=room.now)
        parked = _parked(room, governing, approval)
        told = () if parked else _told(room, governing, approval)
        if not parked:
            room = room.after(told)
        approval = replace(approval, parked=parked, told=told)
        token = new_token()
        if parked:
            left.append(approval)
        else:
            shown.append((approval, token))
        await approvals.add(
            tx, work.workspace, approval, agent_id=run.agent_id, token_sha256=hash_token(token)
        )
        await _audit_asked(tx, work, run, approval)
    return await _post(tx, work, run, shown, left, sender)


async def show(
    tx: Transaction, work: Work, run: Run, governing: Governing, approval: Approval
) -> OutboxRow | None:
    """Put a parked call on a card, if people have room for it now."""
    room = await _room(tx, governing, run, [approval])
    if _parked(room, governing, approval):
        return None
    told = _told(room, governing, approval)
    await approvals.set_shown(tx, approval.id, parked="", card_id=approval.card_id, told=told)
    return await ask_again(tx, work, run, replace(approval, parked="", told=told))


async def ask_again(
    tx: Transaction, work: Work, run: Run, approval: Approval, *, sender: UUID | None = None
) -> OutboxRow:
    """Post a card of its own for an approval, with a new token: its old buttons are void.

    With `sender` the row that is returned has to be sent by the caller.
    """
    token = new_token()
    await approvals.replace_token(tx, approval.id, hash_token(token))
    posted = await put_card(tx, work, run, [(approval, token)], told=approval.told, sender=sender)
    return await posted.one()


def members_of(
    governing: Governing, people: dict[str, PrincipalId], references: Sequence[str]
) -> list[PrincipalId]:
    """The people whom references of the live manifest mean and who may vote, each once."""
    names = {name for ref in references for name in governing.workspace.voters(ref)}
    return [people[name] for name in sorted(names) if name in people]


async def with_room(
    tx: Transaction, governing: Governing, members: Sequence[PrincipalId]
) -> list[PrincipalId]:
    """Those of these people who may be asked about one more call."""
    await rooms.lock(tx)
    most = governing.workspace.spec.asks.per_approver
    open_asks = await rooms.count_open(tx, members)
    return [each for each in members if open_asks.get(each, 0) < most]


async def _room(
    tx: Transaction, governing: Governing, run: Run, asked: Sequence[Held | Approval]
) -> Room:
    await rooms.lock(tx)
    limits = governing.workspace.spec.asks
    references = {ref for each in asked for demand in each.demands for ref in demand.approvers}
    names = {name for ref in references for name in governing.workspace.voters(ref)}
    asked_before = await rooms.ask_shown(tx, run.id)
    people = await cards.list_people(tx, names)
    shown = await asked_before.one()
    return Room(
        now=shown.at,
        people=people,
        open=await rooms.count_open(tx, list(people.values())),
        per_approver=limits.per_approver,
        left_in_run=limits.per_run - shown.times,
    )


def _parked(room: Room, governing: Governing, approval: Approval) -> Parked:
    if room.left_in_run <= 0:
        return "run"
    if not all(room.has_for(governing, demand) for demand in approval.demands):
        return "approvers"
    return "batch" if room.left_on_cards <= 0 else ""


def _told(room: Room, governing: Governing, approval: Approval) -> tuple[PrincipalId, ...]:
    return tuple(room.with_room(members_of(governing, room.people, approval.approvers)))


def _approval(
    work: Work, run: Run, held: Held, same: tuple[ApprovalId, str] | None, *, now: datetime
) -> Approval:
    card = held.card
    if same is not None:
        where = same[1] or f"approval {same[0]}"
        card = replace(card, notes=(*card.notes, f"The same request is pending: {where}"))
    return Approval(
        id=ApprovalId(new_id()),
        run_id=run.id,
        step_seq=held.seq,
        conversation_id=work.conversation.id,
        tool=held.call.name,
        permission=held.permission,
        arguments=held.arguments,
        preconditions=held.preconditions,
        hash=held.hash,
        card=card,
        requested_by=run.requested_by,
        demands=held.demands,
        may_edit=held.may_edit,
        solo_mode=held.solo_mode,
        rule=held.rule,
        state=ApprovalState.PENDING,
        asked_at=now,
        expires_at=now + timedelta(hours=held.expires_hours),
        edited_by=held.edited_by,
    )


async def _post(
    tx: Transaction,
    work: Work,
    run: Run,
    shown: Sequence[tuple[Approval, str]],
    left: Sequence[Approval],
    sender: UUID | None,
) -> list[Pending[OutboxRow]]:
    groups = _groups(shown)
    rows: list[Pending[OutboxRow]] = []
    for index, group in enumerate(groups):
        more = _more(run, left) if index == len(groups) - 1 else ""
        if len(group) > 1:
            card_id = new_id()
            group = [(replace(each, card_id=card_id), token) for each, token in group]
            for each, _ in group:
                await approvals.set_shown(tx, each.id, parked="", card_id=card_id, told=each.told)
        told = dict.fromkeys(person for each, _ in group for person in each.told)
        rows.append(await put_card(tx, work, run, group, told=list(told), more=more, sender=sender))
    return rows


def _groups(shown: Sequence[tuple[Approval, str]]) -> list[list[tuple[Approval, str]]]:
    """Calls that share a card, as long as all of them can be read on it."""
    groups: list[list[tuple[Approval, str]]] = []
    room = 0
    for each in shown:
        size = len(each[0].arguments)
        if not groups or size > room:
            groups.append([])
            room = TOGETHER_BYTES
        groups[-1].append(each)
        room -= size
    return groups


def _more(run: Run, left: Sequence[Approval]) -> str:
    if not left:
        return ""
    calls = "1 more call" if len(left) == 1 else f"{len(left)} more calls"
    return f"{calls} of this step: in the inbox, `openloop approvals get --run {run.id}`"


async def _audit_asked(tx: Transaction, work: Work, run: Run, approval: Approval) -> None:
    await audit.append(
        tx,
        work.workspace,
        "approval.asked",
        actor=work.agent,
        subject=approval.id,
        run_id=run.id,
        tool=approval.tool,
        hash=approval.hash,
        rule=approval.rule,
        approvers=list(approval.approvers),
        quorums=[demand.quorum for demand in approval.demands],
        solo_mode=approval.solo_mode,
        parked=approval.parked,
    )
