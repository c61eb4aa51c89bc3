"""Exit statuses, and how failures are told."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from openloop.cli.failures import Exit
from tests.cli import answers

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import FakeServer, OpenLoop

RUNS = "GET /api/v1/runs"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, Exit.INVALID),
        (401, Exit.DENIED),
        (403, Exit.DENIED),
        (404, Exit.NOT_FOUND),
        (409, Exit.CONFLICT),
        (413, Exit.INVALID),
        (422, Exit.INVALID),
        (500, Exit.FAILURE),
        (503, Exit.UNREACHABLE),
    ],
)
def test_each_kind_of_refusal_has_its_exit_status(
    connected: FakeServer, openloop: OpenLoop, status: int, expected: Exit
) -> None:
    connected.refuse(RUNS, status, "some_code", "This is why")

    ran = openloop("runs", "get")

    assert ran.status == expected
    assert ran.out == ""
    assert "openloop: This is why" in ran.err


@pytest.mark.parametrize(
    ("typed", "meant"), [(("runs", "list"), "get"), (("tokens", "get"), "list")]
)
def test_the_word_that_lists_is_named_where_the_other_one_was_typed(
    openloop: OpenLoop, typed: tuple[str, ...], meant: str
) -> None:
    ran = openloop(*typed)

    assert ran.status == Exit.USAGE
    assert f"No such command {typed[-1]!r}. Did you mean {meant!r}?" in ran.err


def test_every_problem_is_listed(connected: FakeServer, openloop: OpenLoop) -> None:
    connected.refuse(RUNS, 422, "invalid", "one (and 1 more)", "one", "two")

    assert openloop("runs", "get").err == "openloop: one (and 1 more)\n  - one\n  - two\n"


def test_with_json_output_errors_are_json_too(connected: FakeServer, openloop: OpenLoop) -> None:
    connected.refuse(RUNS, 409, "approval_already_decided", "Too late", "Too late")

    ran = openloop("runs", "get", "-o", "json")

    assert ran.out == ""
    assert json.loads(ran.err) == {
        "error": {
            "code": "approval_already_decided",
            "message": "Too late",
            "problems": [],
            "exit": 6,
        }
    }


def test_an_error_cannot_move_the_cursor(connected: FakeServer, openloop: OpenLoop) -> None:
    connected.refuse(RUNS, 422, "invalid", "no \x1b[2J\x9b2K\u202eway", "a \x1b]0;title\x07problem")

    assert openloop("runs", "get").err == "openloop: no way\n  - a problem\n"


def test_nobody_there_is_told_as_such(openloop: OpenLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OPENLOOP_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")

        ran = openloop("agents", "get")

    assert ran.status == Exit.UNREACHABLE
    assert "Connection refused" in ran.err
    assert "`openloop up` starts one" in ran.err


def test_something_else_than_openloop_is_told_as_such(
    connected: FakeServer, openloop: OpenLoop
) -> None:
    connected.answer(RUNS, b"<html>")

    ran = openloop("runs", "get")

    assert ran.status == Exit.FAILURE
    assert "is it an OpenLoop server?" in ran.err


@pytest.mark.parametrize(
    "arguments",
    [["runs", "gett"], ["runs", "get", "--nope"], ["runs", "get", "-o", "xml"], ["runs", "cancel"]],
)
def test_a_wrong_call_is_a_usage_error(openloop: OpenLoop, arguments: list[str]) -> None:
    assert openloop(*arguments).status == Exit.USAGE


def test_a_misspelt_command_is_answered_with_the_nearest(openloop: OpenLoop) -> None:
    ran = openloop("approval")

    assert ran.status == Exit.USAGE
    assert "approvals" in ran.err


@pytest.mark.parametrize("wrong", ["nonsense", "../tokens", "run/1", ""])
def test_what_is_no_id_is_not_found_without_asking(
    connected: FakeServer, openloop: OpenLoop, wrong: str
) -> None:
    assert openloop("runs", "describe", wrong).status == Exit.NOT_FOUND
    assert connected.asked == []


def test_a_wrong_setting_is_invalid(openloop: OpenLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLOOP_PORT", "many")
    monkeypatch.setenv("OPENLOOP_LOG_LEVEL", "loud")

    ran = openloop("runs", "get")

    assert ran.status == Exit.INVALID
    assert "OPENLOOP_PORT" in ran.err
    assert "OPENLOOP_LOG_LEVEL" in ran.err


def test_ctrl_c_ends_a_command_with_130(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = subprocess.Popen(
            [sys.executable, "-m", "openloop", "runs", "get"],
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={
                **os.environ,
                "OPENLOOP_URL": f"http://127.0.0.1:{silent.getsockname()[1]}",
                "OPENLOOP_TOKEN": "t",
            },
            # Whoever runs the tests in the background has made us ignore the signal.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        silent.settimeout(20)
        waiting, _ = silent.accept()
        with waiting:
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)

    assert process.returncode == Exit.INTERRUPTED
    assert err.endswith("openloop: interrupted\n")
    assert "Traceback" not in err


def test_a_server_that_goes_away_in_the_middle_is_unreachable(
    openloop: OpenLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer_half(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("OPENLOOP_URL", f"http://127.0.0.1:{listener.getsockname()[1]}")
        monkeypatch.setenv("OPENLOOP_TOKEN", "t")
        thread = threading.Thread(target=answer_half, args=(listener,))
        thread.start()

        ran = openloop("runs", "describe", answers.RUN_ID)
        thread.join()

    assert ran.status == Exit.UNREACHABLE
