"""`openloop chat` over a pipe: one line after the other, each with its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from openloop.cli.failures import Exit
from tests.cli import answers

if TYPE_CHECKING:
    from tests.cli.conftest import FakeServer, OpenLoop

MESSAGES = f"GET /api/v1/conversations/{answers.CONVERSATION_ID}/messages"
VOTE = f"POST /api/v1/approvals/{answers.APPROVAL_ID}/vote"


def sent(kind: str, **op: object) -> dict[str, Any]:
    approval = answers.APPROVAL_ID if kind in ("Ask", "Settle") else None
    return {"approval_id": approval, "op": {"op": kind, **op}}


def transcript(state: str, last_seq: int, *messages: object) -> dict[str, Any]:
    run = {"id": answers.RUN_ID, "state": state}
    return {"messages": messages, "last_seq": last_seq, "run": run}


@pytest.fixture
def talking(connected: FakeServer) -> FakeServer:
    heard = {"conversation_id": answers.CONVERSATION_ID, "thread": "T1", "run_id": answers.RUN_ID}
    connected.answer("POST /api/v1/conversations", heard, status=202)
    return connected


def test_each_line_waits_for_its_answer(talking: FakeServer, openloop: OpenLoop) -> None:
    talking.answer(MESSAGES, transcript("queued", 0))
    talking.answer(MESSAGES, transcript("working", 1, sent("SetStatus", text="is thinking")))
    talking.answer(MESSAGES, transcript("done", 2, sent("Say", markdown="Hello \x1b[2J*you*.")))
    talking.answer(MESSAGES, transcript("done", 3, sent("Say", markdown="Bye.", footer="Cost")))

    ran = openloop("chat", "assistant", stdin="hello\n\nbye\n")

    assert (ran.status, ran.out) == (0, "Hello *you*.\nBye.\n")
    assert ran.err == "... is thinking\nCost\n"
    said = [asked.json for asked in talking.asked if asked.method == "POST"]
    assert said == [
        {"agent": "assistant", "text": "hello", "thread": None, "priority": "interactive"},
        {"agent": "assistant", "text": "bye", "thread": "T1", "priority": "interactive"},
    ]
    assert [asked.path.partition("?")[2] for asked in talking.asked if asked.method == "GET"] == [
        "",
        "",
        "after=1",
        "after=2",
    ]


def test_what_is_not_utf_8_is_replaced(talking: FakeServer, openloop: OpenLoop) -> None:
    talking.answer(MESSAGES, transcript("done", 1))

    openloop("chat", "assistant", stdin="caf\udce9\n")

    assert talking.asked[0].json["text"] == "caf\ufffd"


@pytest.mark.parametrize("wanted", ["", answers.APPROVAL_ID, answers.APPROVAL_ID[-4:]])
def test_a_held_call_is_shown_and_decided(
    talking: FakeServer, openloop: OpenLoop, wanted: str
) -> None:
    talking.answer(MESSAGES, transcript("waiting", 1, sent("Ask", card=answers.card())))
    # Decided, but no worker has taken the run up yet: there is more to come.
    talking.answer(MESSAGES, transcript("waiting", 1))
    settled = sent("Settle", card=answers.card(), outcome="Approved by priya")
    talking.answer(MESSAGES, transcript("done", 3, settled, sent("Say", markdown="Done.")))
    talking.answer(VOTE, answers.approval(state="approved"))

    ran = openloop("chat", "assistant", stdin=f"open an issue\n/approve {wanted}\n")

    assert "Asks: Open an issue in acme/platform\n  Title: Use Postgres 16\n" in ran.out
    assert f"/approve {answers.APPROVAL_ID}" in ran.out
    end = "[Open an issue in acme/platform: Approved by priya]\nDone.\n"
    assert ran.out.endswith(end)
    assert [each.json for each in talking.asked if "vote" in each.path] == [
        {"decision": "approve", "reason": ""}
    ]


def test_with_nothing_held_there_is_nothing_to_decide(
    talking: FakeServer, openloop: OpenLoop
) -> None:
    ran = openloop("chat", "assistant", stdin="/reject\n/stop\n/what\n/quit\nnever sent\n")

    assert ran.status == 0
    assert "Nothing is waiting for a decision" in ran.err
    assert "Nothing is running." in ran.err
    assert "/approve [ID]" in ran.err
    assert talking.asked == []


def test_a_run_is_stopped(talking: FakeServer, openloop: OpenLoop) -> None:
    talking.answer(MESSAGES, transcript("waiting", 1, sent("Ask", card=answers.card())))
    talking.answer(MESSAGES, transcript("cancelled", 2, sent("Say", markdown="Stopped.")))
    talking.answer(f"POST /api/v1/runs/{answers.RUN_ID}/cancel", answers.run(state="waiting"))

    ran = openloop("chat", "assistant", stdin="open an issue\n/stop\n")

    assert ran.out.endswith("Stopped.\n")


@pytest.mark.parametrize(("state", "status"), [("failed", Exit.FAILURE), ("declined", Exit.OK)])
def test_a_run_that_failed_is_the_exit_status_of_a_pipe(
    talking: FakeServer, openloop: OpenLoop, state: str, status: Exit
) -> None:
    talking.answer(MESSAGES, transcript(state, 1, sent("Say", markdown="I could not.")))

    assert openloop("chat", "assistant", stdin="hello\n").status == status


def test_an_unknown_agent_ends_it(connected: FakeServer, openloop: OpenLoop) -> None:
    connected.refuse("POST /api/v1/conversations", 404, "not_found", "No agent 'nobody'")

    ran = openloop("chat", "nobody", stdin="hello\n")

    assert (ran.status, ran.err) == (Exit.NOT_FOUND, "openloop: No agent 'nobody'\n")
