"""The journal's fold: the same rows are the same moves, and the conversation only grows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import orjson
from hypothesis import given
from hypothesis import strategies as some

from openloop.domain.ids import RunId, new_id
from openloop.domain.journal import (
    Answer,
    AskModel,
    CallTools,
    Gather,
    messages_of,
    model_steps,
    next_move,
    partial_work,
    working_seconds,
)
from openloop.domain.step import Step, StepKind, StepState
from openloop.domain.tool import Effect
from tests.make import NOON

RUN = RunId(new_id())


def step(seq: int, kind: StepKind, state: StepState = StepState.FINISHED, **parts: object) -> Step:
    """A step of one run; each takes a second."""
    started = NOON + timedelta(seconds=10 * seq)
    finished = started + timedelta(seconds=1) if state is StepState.FINISHED else None
    return Step(
        run_id=RUN,
        seq=seq,
        kind=kind,
        state=state,
        epoch=1,
        started_at=started,
        finished_at=finished,
        **parts,  # pyright: ignore[reportArgumentType]
    )


def context() -> Step:
    return step(0, StepKind.CONTEXT, output={"system": "You are an agent.", "request": "Do it."})


def asked(seq: int, *calls: str, text: str = "", steering: tuple[str, ...] = ()) -> Step:
    """An answered model step that asked for these tools."""
    return step(
        seq,
        StepKind.MODEL,
        input={"steering": list(steering)},
        output={
            "text": text,
            "tool_calls": [
                {"id": f"{seq}-{index}", "name": name, "arguments": "{}"}
                for index, name in enumerate(calls)
            ],
        },
    )


def called(seq: int, state: StepState = StepState.FINISHED, effect: Effect = Effect.READ) -> Step:
    """A tool step."""
    output = {"outcome": "done", "content": seq} if state is StepState.FINISHED else None
    return step(seq, StepKind.TOOL, state, output=output, effect=effect)


def test_a_run_begins_by_reading_the_thread() -> None:
    assert next_move([]) == Gather()


def test_then_it_asks_the_model() -> None:
    move = next_move([context()])
    assert isinstance(move, AskModel)
    assert move.seq == 1
    assert [message.role for message in move.messages] == ["system", "user"]


def test_a_model_call_that_was_begun_is_made_again_as_the_same_step() -> None:
    begun = step(1, StepKind.MODEL, StepState.STARTED, input={"steering": ["New message."]})
    move = next_move([context(), begun])
    assert isinstance(move, AskModel)
    assert move.seq == 1
    assert move.messages[-1].content == "New message."


def test_an_answer_without_calls_ends_it() -> None:
    assert next_move([context(), asked(1, text="Done.")]) == Answer(text="Done.")


def test_calls_that_are_not_finished_are_made() -> None:
    move = next_move(
        [
            context(),
            asked(1, "a", "b", "c"),
            called(2),
            called(3, StepState.STARTED),
            called(4, StepState.HELD),
        ]
    )
    assert isinstance(move, CallTools)
    assert [(planned.seq, planned.call.name) for planned in move.calls] == [(3, "b"), (4, "c")]


def test_when_all_are_finished_the_model_is_asked_again() -> None:
    move = next_move([context(), asked(1, "a", "b"), called(2), called(3)])
    assert isinstance(move, AskModel)
    assert move.seq == 4
    assert [message.role for message in move.messages] == [
        "system",
        "user",
        "assistant",
        "tool",
        "tool",
    ]
    assert [message.tool_call_id for message in move.messages[3:]] == ["1-0", "1-1"]


def test_a_step_that_is_begun_is_not_yet_one_of_the_limit() -> None:
    begun = step(2, StepKind.MODEL, StepState.STARTED)
    assert model_steps([context(), asked(1), begun]) == 1


def test_waiting_for_people_is_no_work() -> None:
    held = replace(called(3, effect=Effect.WRITE), finished_at=NOON + timedelta(days=2))
    assert working_seconds([context(), asked(1, "a", "b"), called(2), held]) == 3


def test_partial_work_is_what_was_said() -> None:
    steps = [context(), asked(1, "a", text="First."), called(2), asked(3, text=" "), asked(4)]
    assert partial_work(steps) == "First."


# --- properties ----------------------------------------------------------------------------------


@some.composite
def journals(draw: some.DrawFn) -> list[Step]:
    """Whole journals: model steps with some calls each, all finished."""
    steps = [context()]
    seq = 1
    for turn in range(draw(some.integers(0, 4))):
        calls = draw(some.integers(1, 3))
        steering = tuple(draw(some.lists(some.text(max_size=5), max_size=2)))
        steps.append(asked(seq, *["tool"] * calls, text=f"turn {turn}", steering=steering))
        steps += [called(seq + 1 + index) for index in range(calls)]
        seq += 1 + calls
    return steps


@given(journals())
def test_replaying_the_rows_makes_the_same_moves(steps: list[Step]) -> None:
    """A worker that resumes reads the rows as they come back from JSON."""
    stored = [
        replace(
            each,
            input=orjson.loads(orjson.dumps(each.input)),
            output=orjson.loads(orjson.dumps(each.output)),
        )
        for each in steps
    ]
    for length in range(len(steps) + 1):
        assert next_move(stored[:length]) == next_move(steps[:length])


@given(journals())
def test_the_conversation_only_grows_at_its_end(steps: list[Step]) -> None:
    """A provider can cache the prefix."""
    seen = messages_of(steps[:1])
    for length in range(1, len(steps) + 1):
        longer = messages_of(steps[:length])
        assert longer[: len(seen)] == seen
        seen = longer


@given(journals())
def test_each_call_is_answered_once_and_right_behind_it(steps: list[Step]) -> None:
    messages = messages_of(steps)
    asked_for = [call.id for message in messages for call in message.tool_calls]
    answered = [message.tool_call_id for message in messages if message.role == "tool"]
    assert answered == asked_for


@given(journals(), some.data())
def test_every_crash_point_asks_for_what_is_missing_and_nothing_else(
    steps: list[Step], data: some.DataObject
) -> None:
    """Cut the journal anywhere, with the last step begun or finished: no finished step is moved."""
    cut = data.draw(some.integers(1, len(steps)))
    kept = steps[:cut]
    if kept[-1].kind is not StepKind.CONTEXT and data.draw(some.booleans()):
        kept = [*kept[:-1], replace(kept[-1], state=StepState.STARTED, output=None)]
    finished = {each.seq for each in kept if each.state is StepState.FINISHED}

    match next_move(kept):
        case AskModel(seq=seq):
            assert seq not in finished
        case CallTools(calls=calls):
            assert not finished & {planned.seq for planned in calls}
            assert calls
        case Gather() | Answer() as move:
            raise AssertionError(move)
