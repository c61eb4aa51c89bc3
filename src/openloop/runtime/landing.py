"""Landing: a run that may not go on keeps what it has and says what is missing.

The words are a template and cost no model call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.actions import endings
from openloop.domain.journal import partial_work
from openloop.domain.run import RunState
from openloop.runtime import disclosing
from openloop.runtime.answers import answer_text, send

if TYPE_CHECKING:
    from openloop.actions.claims import Work
    from openloop.domain.run import Run
    from openloop.runtime.kit import Kit


async def land(kit: Kit, work: Work, run: Run, *, reason: str, code: str) -> bool:
    """End a run at a limit, with its partial work."""
    partial = partial_work(work.steps)
    if partial:
        told = await disclosing.told(kit, work, partial)
        partial = told.text if told is not None else ""
    text = f"{partial}\n\n**I have to stop here.** {reason}" if partial else reason
    return await _end(kit, work, run, RunState.DONE, text=text, outcome="landed", code=code)


async def fail(kit: Kit, work: Work, run: Run, *, reason: str, code: str) -> bool:
    """End a run that cannot work, and say why in its thread."""
    text = f"**I could not finish this.** {reason}"
    return await _end(kit, work, run, RunState.FAILED, text=text, outcome="failed", code=code)


async def _end(
    kit: Kit, work: Work, run: Run, state: RunState, *, text: str, outcome: str, code: str
) -> bool:
    told = await disclosing.told(kit, work, text)
    ended = await endings.end(
        kit.database,
        work,
        run,
        state,
        outcome=outcome,
        by=work.agent,
        say=answer_text(told.steps if told is not None else [], text, run.model),
        error_code=code,
        read=[message.id for message in work.unread if message.run_id == run.id],
    )
    return await send(kit, work, ended)
