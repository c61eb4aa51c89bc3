"""What a run says in its thread: the answer, what was noted, and what is honest about it."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from openloop.domain.step import StepState
from openloop.domain.surface import Button, Say, SetStatus
from openloop.runtime.builtin.memory import NOTE

if TYPE_CHECKING:
    from openloop.actions.claims import Work
    from openloop.actions.endings import Ended
    from openloop.domain.step import Step
    from openloop.runtime.kit import Kit

SCRIPTED = "Scripted model, no AI was used."
LABEL = 60
BUTTONS = 25
_IN_NAMES = "'.-\u2019"


QUIET = SetStatus(text="", state="idle")
"""How a run ends that has nothing to say: the thread does not go on reading that it works."""


def answer_text(steps: list[Step], text: str, model: str) -> Say | SetStatus:
    """What ends a run; `QUIET` where the model had nothing to say and nothing was noted."""
    notes = [_note(step) for step in steps if _is_note(step)]
    parts = [text.strip()]
    parts += [f"_Noted ({kind}): {noted}_" for kind, noted, _ in notes]
    markdown = "\n\n".join(part for part in parts if part)
    if not markdown:
        return QUIET
    return Say(
        markdown=markdown,
        buttons=tuple(
            Button(action="undo", label=_shorten(f"Undo: {noted}"), token=token)
            for _, noted, token in notes[:BUTTONS]
        ),
        footer=SCRIPTED if model.startswith("scripted/") else "",
    )


def plain_name(name: str) -> str:
    """A name that people chose for themselves, as words of a sentence: no markup, no address."""
    shown = "".join(c if _is_in_names(c) else " " for c in name)
    return " ".join(shown.split())[:80] or "somebody"


def _is_in_names(character: str) -> bool:
    return character in _IN_NAMES or unicodedata.category(character)[0] in "LMN"


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
