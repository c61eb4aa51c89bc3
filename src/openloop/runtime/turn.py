"""One move of a run: what the journal asks for next is done, and journaled.

The worker calls `advance` again and again under one claim; between two moves everything is read
anew from rows, so a run that is resumed after a crash takes the same path as one that was not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from openloop.actions import claims, endings, hearing
from openloop.actions.receive import is_stop
from openloop.domain.audit import SYSTEM, Who, actor_as_who
from openloop.domain.journal import (
    Answer,
    AskModel,
    CallTools,
    Gather,
    model_steps,
    next_move,
    working_seconds,
)
from openloop.domain.run import RunState
from openloop.plugin import PlaceRights
from openloop.runtime import disclosing, elsewhere, pausing, people
from openloop.runtime.answers import answer_text, plain_name, send
from openloop.runtime.calling import call_tools, finish_begun
from openloop.runtime.landing import land
from openloop.runtime.thinking import ask_model, plan_later

if TYPE_CHECKING:
    from openloop.actions.claims import Work
    from openloop.domain.run import Run
    from openloop.plugin import Surface
    from openloop.runtime.kit import Kit
    from openloop.runtime.people import Ignored
    from openloop.storage.messages import Message

NOT_CONFIGURED_SECONDS = 60
"""How long a run waits for a surface that this installation does not have at the moment."""


async def advance(kit: Kit, work: Work) -> bool:
    """Do the next thing; True once the conversation was let go.

    Raises:
        LostClaim, Unavailable
    """
    run = work.run
    if run is None:
        return await _idle(kit, work)
    surface = kit.surfaces.get(work.conversation.surface)
    # Where everybody can speak, nothing is said before it is known whether the requester may ask.
    is_unknown = run.state is RunState.QUEUED and isinstance(surface, PlaceRights)
    if run.cancel_asked_by is not None and not is_unknown:
        return await cancel(kit, work, run, by=run.cancel_asked_by)
    if surface is None:
        seconds = NOT_CONFIGURED_SECONDS
        await claims.release_failed(kit.database, work.claim, after_seconds=seconds)
        return True
    fresh, ignored = await people.sort_messages(surface, work, work.unread)
    # What is unread and belongs to the run is what opened it: its author was not looked at yet.
    opening = next((each for each in ignored if each.message.run_id == run.id), None)
    if opening is not None:
        return await _decline(kit, work, run, opening, ignored)
    if run.cancel_asked_by is not None:
        return await cancel(kit, work, run, by=run.cancel_asked_by)
    if ignored:  # words that ask for nothing: nobody of those becomes a requester by them
        await hearing.leave_out(kit.database, work, [each.message for each in ignored])
        return False
    fresh = _since_it_was_asked(run, fresh)
    stop = next((m for m in fresh if m.run_id != run.id and is_stop(m.text)), None)
    if stop is not None:
        return await _stop(kit, work, run, stop)
    return await _move(kit, work, _named(run, fresh), surface, fresh)


async def _move(kit: Kit, work: Work, run: Run, surface: Surface, fresh: list[Message]) -> bool:
    assert work.governing is not None  # noqa: S101  # read together with the run
    limits = work.governing.live.spec.limits
    next_one = next_move(work.steps)
    if work.governing.pause is not None and not isinstance(next_one, Answer):
        return await pausing.wait(kit, work, run, work.governing.pause)
    match next_one:
        case (Gather() | AskModel()) as move:
            if model_steps(work.steps) >= limits.steps:
                reason = f"I have taken {limits.steps} steps, which is my limit."
                return await land(kit, work, run, reason=reason, code="limit_steps")
            if working_seconds(work.steps) >= limits.wall_minutes * 60:
                reason = f"I have worked for {limits.wall_minutes} minutes, which is my limit."
                return await land(kit, work, run, reason=reason, code="limit_wall_time")
            return await ask_model(kit, work, run, surface, move, fresh)
        case CallTools(calls=calls) if any(call.step is None for call in calls):
            return await plan_later(kit, work, run)
        case CallTools(calls=calls):
            return await call_tools(kit, work, run, calls)
        case Answer(text=text):
            told = await disclosing.told_or_later(kit, work, text)
            say = answer_text(told.steps, told.text, run.model)
            return await send(
                kit,
                work,
                await endings.end(
                    kit.database,
                    work,
                    run,
                    RunState.DONE,
                    outcome=endings.outcome_of(say),
                    by=work.agent,
                    say=say,
                    elsewhere=await elsewhere.lines(kit, work),
                ),
            )


async def _idle(kit: Kit, work: Work) -> bool:
    """No run is active: what came in too late for the last one opens the next.

    A stop that came too late voids what was said before it.
    """
    stop = await _last_stop(kit, work)
    if stop is not None:
        await claims.discard(kit.database, work, stop)
        return False
    if work.unread:
        await claims.open_next(kit.database, work, work.unread[0])
        return False
    return await claims.release(kit.database, work.claim)


async def _last_stop(kit: Kit, work: Work) -> Message | None:
    """The last stop that somebody said who may; anybody else's voids nothing."""
    stops = [message for message in work.unread if is_stop(message.text)]
    surface = kit.surfaces.get(work.conversation.surface)
    if not stops or surface is None:
        return None
    said, _ = await people.sort_messages(surface, work, stops)
    return said[-1] if said else None


def _since_it_was_asked(run: Run, fresh: list[Message]) -> list[Message]:
    """Without words that were said to the run before: a late stop of that one is none of this."""
    opening = next((index for index, m in enumerate(fresh) if m.run_id == run.id), 0)
    return fresh[opening:]


async def _decline(
    kit: Kit, work: Work, run: Run, opening: Ignored, ignored: list[Ignored]
) -> bool:
    """Somebody who may not ask: no answer, no reaction, no model call; on record."""
    ended = await endings.end(
        kit.database,
        work,
        run,
        RunState.DECLINED,
        outcome=opening.why,
        by=SYSTEM,
        error_code=opening.code,
        read=[each.message.id for each in ignored],
    )
    return await send(kit, work, ended)


async def _stop(kit: Kit, work: Work, run: Run, stop: Message) -> bool:
    """Somebody said stop; what was said after that is a request of its own."""
    index = next(index for index, message in enumerate(work.unread) if message.id == stop.id)
    work = replace(work, unread=work.unread[: index + 1])
    return await cancel(kit, work, run, by=actor_as_who(stop.actor))


async def cancel(kit: Kit, work: Work, run: Run, *, by: Who) -> bool:
    """Stop a run at this boundary and say who wanted that.

    A write that a dead worker had begun is looked up first: it may have happened.
    """
    await finish_begun(kit, work, run)
    stopped = f"Stopped, as {plain_name(by.name)} asked."
    told = await disclosing.told(kit, work, stopped)
    ended = await endings.end(
        kit.database,
        work,
        run,
        RunState.CANCELLED,
        outcome=f"stopped by {by.name}",
        by=by,
        say=answer_text(told.steps if told else [], stopped, run.model),
        read_until=work.unread[-1].id if work.unread else None,
    )
    return await send(kit, work, ended)


def _named(run: Run, fresh: list[Message]) -> Run:
    """The run with the name of its requester, which the platform told only now."""
    opening = next((m for m in fresh if m.run_id == run.id), None)
    if opening is None or run.requested_by.name:
        return run
    return replace(run, requested_by=opening.actor)
