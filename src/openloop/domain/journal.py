"""The agent loop as a pure function: what the journal says has happened decides what is next.

A run is replayed by folding its rows, so a worker that resumes it makes the same moves as the one
that died. The messages of a model call are a fold too, and only ever grow at the end: providers
can cache the prefix.
"""

from dataclasses import dataclass

import orjson

from openloop.domain.model import ModelMessage, ToolCall
from openloop.domain.step import Step, StepKind, StepState


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A call the model asked for, and the journal entry it belongs to (None: not yet written)."""

    seq: int
    call: ToolCall
    step: Step | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gather:
    """Nothing is known yet: read the thread and recall."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskModel:
    """The next move is a model call, journaled as `seq`."""

    seq: int
    messages: tuple[ModelMessage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTools:
    """Calls of the last model step that are not finished; held ones are among them."""

    calls: tuple[Planned, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The model has said what it wanted to say."""

    text: str


Move = Gather | AskModel | CallTools | Answer


def next_move(steps: list[Step]) -> Move:
    """What a journal asks for next."""
    if not steps or steps[0].state is not StepState.FINISHED:
        return Gather()
    models = [step for step in steps if step.kind is StepKind.MODEL]
    if not models:
        return AskModel(seq=1, messages=messages_of(steps))
    last = models[-1]
    if last.state is not StepState.FINISHED:
        return AskModel(seq=last.seq, messages=messages_of(steps))
    calls = calls_of(last)
    if not calls:
        return Answer(text=text_of(last))
    by_seq = {step.seq: step for step in steps}
    planned = [
        Planned(seq=last.seq + 1 + index, call=call, step=by_seq.get(last.seq + 1 + index))
        for index, call in enumerate(calls)
    ]
    missing = [p for p in planned if p.step is None or p.step.state is not StepState.FINISHED]
    if missing:
        return CallTools(calls=tuple(missing))
    return AskModel(seq=last.seq + 1 + len(calls), messages=messages_of(steps))


def messages_of(steps: list[Step]) -> tuple[ModelMessage, ...]:
    """The conversation with the model so far, from the journal alone."""
    context = steps[0].output or {}
    messages = [
        ModelMessage("system", str(context["system"])),
        ModelMessage("user", str(context["request"])),
    ]
    results = {step.seq: step for step in steps if step.kind is StepKind.TOOL}
    for step in steps:
        if step.kind is not StepKind.MODEL:
            continue
        messages.extend(ModelMessage("user", text) for text in steering_of(step))
        if step.state is not StepState.FINISHED:
            continue
        calls = calls_of(step)
        messages.append(ModelMessage("assistant", text_of(step), calls))
        for index, call in enumerate(calls):
            result = results.get(step.seq + 1 + index)
            if result is not None and result.state is StepState.FINISHED:
                text = orjson.dumps(result.output or {}).decode()
                messages.append(ModelMessage("tool", text, tool_call_id=call.id))
    return tuple(messages)


def calls_of(step: Step) -> tuple[ToolCall, ...]:
    """The calls a finished model step asked for."""
    calls: list[dict[str, str]] = (step.output or {}).get("tool_calls", [])
    return tuple(ToolCall(**call) for call in calls)


def text_of(step: Step) -> str:
    """What a finished model step said."""
    return str((step.output or {}).get("text", ""))


def steering_of(step: Step) -> list[str]:
    """The messages that were read before a model step, as the model saw them."""
    steering: list[str] = step.input.get("steering", [])
    return steering


def model_steps(steps: list[Step]) -> int:
    """How many model calls of a run were answered: one that is made again is the same step."""
    return sum(step.kind is StepKind.MODEL and step.state is StepState.FINISHED for step in steps)


def working_seconds(steps: list[Step]) -> float:
    """How long a run has worked: model and tool steps from start to end, without waiting for people."""
    return sum(
        (step.finished_at - step.started_at).total_seconds()
        for step in steps
        if step.finished_at is not None and not (step.effect and step.effect.leaves_us)
    )


def partial_work(steps: list[Step]) -> str:
    """What a run that has to stop had said and done so far."""
    said = [text_of(s) for s in steps if s.kind is StepKind.MODEL and text_of(s).strip()]
    return "\n\n".join(said)
