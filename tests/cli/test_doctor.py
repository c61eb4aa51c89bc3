"""`openloop doctor` without a server: what is off is no problem, what is wrong is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from openloop.cli.failures import Exit

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import FakeServer, OpenLoop, Ran


def states(ran: Ran) -> dict[str, Any]:
    return {check["part"]: check["state"] for check in ran.json["checks"]}


@pytest.fixture(autouse=True)
def free_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLOOP_PORT", "1")  # nobody answers there


def test_an_installation_that_was_never_started_has_no_problem(openloop: OpenLoop) -> None:
    ran = openloop("doctor", "-o", "json")

    assert ran.status == 0
    assert ran.json["ok"] is True
    found = states(ran)
    assert found["settings"] == "ok"
    assert {found[part] for part in ("database", "server", "models", "slack", "github")} == {"off"}


def test_secrets_that_others_may_read_are_a_problem(openloop: OpenLoop, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    for name in (".env", "home/cli-token"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o644)

    ran = openloop("doctor")

    assert ran.status == Exit.FAILURE
    assert f"chmod 600 {tmp_path}/.env" in ran.out
    assert f"chmod 600 {tmp_path}/home/cli-token" in ran.out


def test_every_wrong_setting_is_listed(openloop: OpenLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLOOP_PORT", "many")
    monkeypatch.setenv("DATABASE_URL", "mysql://x")

    ran = openloop("doctor")

    assert ran.status == Exit.FAILURE
    assert ran.out.count("settings ") == 2


def test_an_integration_that_is_half_configured_is_a_problem(
    openloop: OpenLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLACK_SIGNING_SECRET", "0123456789")

    ran = openloop("doctor", "-o", "json")

    assert ran.status == Exit.FAILURE
    assert states(ran)["slack"] == "problem"


def test_a_database_that_is_not_there_is_a_problem(
    openloop: OpenLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setattr("openloop.cli.checkup.DATABASE_SECONDS", 0.2)

    ran = openloop("doctor", "-o", "json")

    assert states(ran)["database"] == "problem"


def test_a_server_says_itself_why_it_is_not_ready(
    server: FakeServer, openloop: OpenLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLOOP_PORT", server.url.rpartition(":")[2])
    said = {"status": "not_ready", "reasons": {"workers": "no worker"}, "models": "ready"}
    server.answer("GET /readyz", said, status=503)

    assert states(openloop("doctor", "-o", "json"))["server: workers"] == "problem"


def test_another_program_on_the_port_is_a_problem(
    server: FakeServer, openloop: OpenLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLOOP_PORT", server.url.rpartition(":")[2])

    ran = openloop("doctor")

    assert "is no OpenLoop server" in ran.out


def test_slack_check_looks_at_slack_alone(
    server: FakeServer, openloop: OpenLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert openloop("slack", "check").status == 0  # not configured is no problem

    monkeypatch.setenv("SLACK_API_URL", server.url)
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1111-abcd")
    monkeypatch.setenv("SLACK_SIGNING_SECRET", "0123456789")
    server.answer("POST /auth.test", {"ok": False, "error": "invalid_auth"})

    ran = openloop("slack", "check", "-o", "json")

    assert ran.status == Exit.FAILURE
    assert states(ran)["slack: bot token"] == "problem"
    assert set(states(ran)) == {"slack: bot token", "slack: events over HTTP"}
