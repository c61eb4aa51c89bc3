"""What a run says in its thread: the answer, what was noted, and what is honest about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.domain.step import StepState
from openloop.domain.surface import Button, Say
from openloop.runtime.builtin.memory import NOTE

if TYPE_CHECKING:
    from openloop.actions.claims import Work
    from openloop.actions.endings import Ended
    from openloop.domain.step import Step
    from openloop.runtime.kit import Kit

SCRIPTED = "Scripted model, no AI was used."
LABEL = 60


def answer_text(steps: list[Step], text: str, model: str) -> Say | None:
    """The message that ends a run; None where the model had nothing to say and nothing was noted."""
    notes = [_note(step) for step in steps if _is_note(step)]
    parts = [text.strip()]
    parts += [f"_Noted ({kind}): {noted}_" for kind, noted, _ in notes]
    markdown = "\n\n".join(part for part in parts if part)
    if not markdown:
        return None
    return Say(
        markdown=markdown,
        buttons=tuple(
            Button(action="undo", label=_shorten(f"Undo: {noted}"), token=token)
            for _, noted, token in notes[:5]
        ),
        footer=SCRIPTED if model.startswith("scripted/") else "",
    )


def _is_note(step: Step) -> bool:
    return (
        step.name == NOTE
        and step.state is StepState.FINISHED
        and (step.output or {}).get("outcome") == "done"
    )


def _note(step: Step) -> tuple[str, str, str]:
    arguments: dict[str, str] = step.input["arguments"]
    return str(arguments["kind"]), str(arguments["text"]), str(step.input.get("undo_token", ""))


def _shorten(text: str) -> str:
    return text if len(text) <= LABEL else f"{text[: LABEL - 1]}…"


async def send(kit: Kit, work: Work, ended: Ended) -> bool:
    """Send what a closed run says, right after the commit."""
    await kit.courier.forward(work.claim.ref, ended.rows, work.conversation.thread)
    return ended.released
