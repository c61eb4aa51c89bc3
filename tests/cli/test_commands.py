"""The commands that call the API: what they ask for, and what they show."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from openloop.cli.failures import Exit
from tests.cli import answers

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import FakeServer, OpenLoop

WORKSPACE = """\
apiVersion: openloop.ai/v1alpha1
kind: Workspace
metadata: { name: acme }
spec:
  people: { priya: { slack: U0PRIYA } }
  roles: { approver: ["@priya"] }
  budget: { monthly_usd: 20 }
"""
AGENT = """\
apiVersion: openloop.ai/v1alpha1
kind: Agent
metadata: { name: assistant, workspace: acme }
spec:
  model_policy: { default: scripted/assistant }
  approvals: { approvers: ["@priya"] }
  budget: { monthly_usd: 10, per_task_usd: 0.5 }
"""
APPLIED = {
    "results": [
        {
            "kind": "Agent",
            "name": "assistant",
            "revision": 2,
            "changed": True,
            "inactive": [{"part": "spec.surfaces[0] discord", "reason": "not configured"}],
        }
    ]
}


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    folder = tmp_path / "openloop"
    folder.mkdir()
    (folder / "workspace.yaml").write_text(WORKSPACE)
    (folder / "agent.yml").write_text(AGENT)
    (folder / "notes.txt").write_text("no manifest")
    return folder


def test_lists_pass_on_what_is_asked_for(connected: FakeServer, openloop: OpenLoop) -> None:
    connected.answer("GET /api/v1/runs", answers.page())
    connected.answer("GET /api/v1/approvals", answers.page())
    connected.answer("GET /api/v1/audit", answers.page())
    connected.answer("GET /api/v1/memories", answers.page())

    openloop("runs", "get", "--state", "waiting", "--agent", "assistant", "--limit", "5")
    openloop("approvals", "get", "--state", "pending", "--run", answers.RUN_ID, "--cursor", "C")
    openloop("audit", "get", "--run", f"run/{answers.RUN_ID}", "--kind", "approval.")
    openloop("memory", "search", "which", "database?")

    queries = [parse_qs(urlsplit(asked.path).query) for asked in connected.asked]
    assert queries == [
        {"state": ["waiting"], "agent": ["assistant"], "limit": ["5"]},
        {"state": ["pending"], "run": [answers.RUN_ID], "cursor": ["C"], "limit": ["50"]},
        {"run": [answers.RUN_ID], "kind": ["approval."], "limit": ["50"]},
        {"q": ["which database?"], "limit": ["50"]},
    ]


@pytest.mark.parametrize("command", ["audit", "approvals"])
def test_an_id_that_no_run_can_have_is_not_sent(
    connected: FakeServer, openloop: OpenLoop, command: str
) -> None:
    ran = openloop(command, "get", "--run", "the-last-one")

    assert (ran.status, connected.asked) == (Exit.NOT_FOUND, [])
    assert "No run 'the-last-one'" in ran.err


def test_a_list_that_goes_on_says_how(connected: FakeServer, openloop: OpenLoop) -> None:
    connected.answer("GET /api/v1/runs", answers.page(answers.run()) | {"next_cursor": "C"})
    connected.answer("GET /api/v1/runs", answers.page(answers.run()))

    assert openloop("runs", "get").err == "There is more: --cursor C\n"
    assert openloop("runs", "get").err == ""


def test_a_run_is_described_with_its_steps(connected: FakeServer, openloop: OpenLoop) -> None:
    asked = {"id": answers.APPROVAL_ID, "state": "executed", "title": "Open an issue"}
    connected.answer(f"GET /api/v1/runs/{answers.RUN_ID}", answers.run(approvals=[asked]))
    connected.answer(
        f"GET /api/v1/runs/{answers.RUN_ID}/steps", answers.page(answers.step(0), answers.step(1))
    )

    ran = openloop("runs", "describe", answers.RUN_ID)

    assert "Asked by:   priya, 2026-11-23 06:29:34Z" in ran.out
    assert "Cost:       $0.000192" in ran.out
    assert "thought 1" in ran.out
    assert f"executed: Open an issue ({answers.APPROVAL_ID})" in ran.out
    whole = openloop("runs", "get", answers.RUN_ID, "-o", "json").json
    assert [step["seq"] for step in whole["steps"]] == [0, 1]


def test_followed_logs_go_on_until_the_run_is_over(
    connected: FakeServer, openloop: OpenLoop
) -> None:
    run, steps = f"GET /api/v1/runs/{answers.RUN_ID}", f"GET /api/v1/runs/{answers.RUN_ID}/steps"
    connected.answer(run, answers.run(state="working"))
    connected.answer(run, answers.run(state="failed", outcome="failed", error_code="model_refused"))
    connected.answer(steps, answers.page(answers.step(0), answers.step(1, "started")))
    connected.answer(steps, answers.page(answers.step(0), answers.step(1), answers.step(2)))

    ran = openloop("runs", "logs", "-f", answers.RUN_ID)

    shown = [(line.split()[2], line.split()[3]) for line in ran.out.splitlines()]
    assert shown == [("0", "finished"), ("1", "started"), ("1", "finished"), ("2", "finished")]
    assert ran.err == "failed, $0.000192: model_refused\n"


def test_an_approval_is_shown_with_exactly_what_will_run(
    connected: FakeServer, openloop: OpenLoop
) -> None:
    connected.answer(f"GET /api/v1/approvals/{answers.APPROVAL_ID}", answers.approval())

    out = openloop("approvals", "get", answers.APPROVAL_ID).out

    assert "Title:       Use Postgres 16" in out
    assert "Model says:  I was asked to." in out
    assert 'github__create_issue {"repo": "acme/platform", "title": "Use Postgres 16"}' in out


@pytest.mark.parametrize(
    ("word", "decision"),
    [("approve", "approve"), ("reject", "deny"), ("retry", "retry"), ("happened", "happened")],
)
def test_votes_are_sent_with_their_reason(
    connected: FakeServer, openloop: OpenLoop, word: str, decision: str
) -> None:
    decided = answers.approval(state="approved", decided_by_name="priya")
    connected.answer(f"POST /api/v1/approvals/{answers.APPROVAL_ID}/vote", decided)

    ran = openloop("approvals", word, answers.APPROVAL_ID, "--reason", "looks right")

    assert connected.asked[0].json == {"decision": decision, "reason": "looks right"}
    assert ran.out.splitlines()[1].endswith("priya")


def test_an_edit_sends_all_arguments_and_the_hash_of_what_was_read(
    connected: FakeServer, openloop: OpenLoop
) -> None:
    path = f"/api/v1/approvals/{answers.APPROVAL_ID}"
    connected.answer(f"GET {path}", answers.approval())
    connected.answer(f"POST {path}/edit", answers.approval(edited_by_name="anna", round=2))

    openloop(
        *("approvals", "edit", answers.APPROVAL_ID, "--set", "title=Use Postgres 18"),
        *("--set", 'labels=["db"]', "--remove", "repo", "--reason", "newer"),
    )

    assert connected.asked[1].json == {
        "arguments": {"title": "Use Postgres 18", "labels": ["db"]},
        "hash": "0" * 64,
        "reason": "newer",
    }


def test_what_was_edited_is_decided_with_its_hash(
    connected: FakeServer, openloop: OpenLoop
) -> None:
    vote = f"POST /api/v1/approvals/{answers.APPROVAL_ID}/vote"
    connected.refuse(vote, 409, "approval_edited", "Somebody has edited this")

    ran = openloop("approvals", "approve", answers.APPROVAL_ID, "--hash", "1" * 64)

    assert connected.asked[0].json["hash"] == "1" * 64
    assert ran.status == Exit.CONFLICT
    assert f"openloop approvals get {answers.APPROVAL_ID}" in ran.err


@pytest.mark.parametrize("word", ["withdraw", "break-glass"])
def test_a_reason_is_needed(connected: FakeServer, openloop: OpenLoop, word: str) -> None:
    path = f"/api/v1/approvals/{answers.APPROVAL_ID}/{word}"
    connected.answer(f"POST {path}", answers.approval())

    assert openloop("approvals", word, answers.APPROVAL_ID).status == Exit.USAGE
    openloop("approvals", word, answers.APPROVAL_ID, "--reason", "it burns")
    assert [asked.json for asked in connected.asked] == [{"reason": "it burns"}]


def test_a_token_that_may_not_vote_is_told_what_is_needed(
    connected: FakeServer, openloop: OpenLoop
) -> None:
    vote = f"POST /api/v1/approvals/{answers.APPROVAL_ID}/vote"
    connected.refuse(vote, 403, "forbidden", "This needs the right 'vote'")

    ran = openloop("approvals", "approve", answers.APPROVAL_ID)

    assert ran.status == Exit.DENIED
    assert "openloop tokens create --local --keep" in ran.err


def test_manifests_are_applied_together(
    connected: FakeServer, openloop: OpenLoop, manifests: Path
) -> None:
    connected.answer("POST /api/v1/manifests/apply", APPLIED)

    ran = openloop("agents", "apply", "-f", str(manifests))

    sent = connected.asked[0].json["files"]
    assert [file_name(file["name"]) for file in sent] == ["agent.yml", "workspace.yaml"]
    assert ran.out.splitlines()[1].split() == ["Agent", "assistant", "2", "applied"]
    assert ran.err == "assistant: spec.surfaces[0] discord inactive: not configured\n"


def file_name(text: str) -> str:
    return text.rpartition("/")[2]


def test_manifests_are_validated_without_a_server(openloop: OpenLoop, manifests: Path) -> None:
    ran = openloop("agents", "validate", "-f", str(manifests), "-o", "name")

    assert (ran.status, ran.out) == (0, "agent/assistant\nworkspace/acme\n")


def test_every_problem_of_every_manifest_is_told(openloop: OpenLoop, manifests: Path) -> None:
    (manifests / "agent.yml").write_text(AGENT.replace("@priya", "@nobody"))
    (manifests / "typo.yaml").write_text(AGENT.replace("budget", "bugdet"))

    ran = openloop("agents", "validate", "-f", str(manifests))

    assert ran.status == Exit.INVALID
    assert "agent.yml:6" in ran.err
    assert "'@nobody' is neither a person nor a group" in ran.err
    assert "typo.yaml:7" in ran.err


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"\xff\xfe", "is not UTF-8 text"), (b"#" * 262_145, "is larger than 256 KiB")],
)
def test_a_file_that_is_no_manifest_is_refused(
    openloop: OpenLoop, tmp_path: Path, content: bytes, reason: str
) -> None:
    (tmp_path / "odd.yaml").write_bytes(content)

    ran = openloop("agents", "validate", "-f", "odd.yaml")

    assert (ran.status, ran.err) == (Exit.INVALID, f"openloop: odd.yaml {reason}\n")


def test_a_folder_without_manifests_is_refused(openloop: OpenLoop, tmp_path: Path) -> None:
    assert openloop("agents", "validate", "-f", str(tmp_path)).status == Exit.INVALID


def test_agents_show_what_of_them_is_inactive(connected: FakeServer, openloop: OpenLoop) -> None:
    place = {"surface": "slack", "name": "#dev-platform"}
    agent = {
        "name": "assistant",
        "revision": 2,
        "digest": "sha256:0",
        "applied_at": "2026-11-23T06:29:34Z",
        "bindings": [place, {"surface": "console", "name": "console"}],
        "inactive": APPLIED["results"][0]["inactive"],
        "source": AGENT,
    }
    connected.answer("GET /api/v1/agents", answers.page(agent))
    connected.answer("GET /api/v1/agents/assistant", agent)

    assert "slack #dev-platform, console" in openloop("agents", "get").out
    assert "discord: not configured" in openloop("agents", "get").out
    assert "kind: Agent" in openloop("agents", "describe", "agent/assistant").out


def test_what_o_name_prints_is_taken_as_a_name(connected: FakeServer, openloop: OpenLoop) -> None:
    left = {"logins": 1, "tokens": 2, "runs": 0, "approvals": 0}
    connected.answer("POST /api/v1/principals/ben/offboard", left)
    connected.answer("POST /api/v1/principals/ben/restore")
    connected.answer("POST /api/v1/pauses", {})

    assert openloop("people", "offboard", "principal/ben").status == Exit.OK
    assert openloop("people", "restore", "principal/ben").status == Exit.OK
    assert openloop("pause", "agent", "agent/assistant", "--reason", "x").status == Exit.OK
    assert connected.asked[-1].json["agent"] == "assistant"


def test_a_surface_cannot_lead_to_another_address(
    connected: FakeServer, openloop: OpenLoop
) -> None:
    openloop("link", "remove", "../tokens/T")

    assert connected.asked[0].path == "/api/v1/links/..%2Ftokens%2FT"


def test_usage_shows_what_is_left(connected: FakeServer, openloop: OpenLoop) -> None:
    line = {
        "axis": "agent",
        "span": "month",
        "name": "assistant",
        "on_exceeded": "block",
        "limit_usd": "10.000000",
        "extra_usd": "0",
        "settled_usd": "1.250000",
        "reserved_usd": "0.750000",
        "overrun_usd": "0",
        "remaining_usd": "8.000000",
        "projected_usd": "2.50",
        "limit_tokens": 5000,
        "extra_tokens": 0,
        "settled_tokens": 2300,
        "reserved_tokens": 0,
        "told_percent": 50,
    }
    model = {
        "agent": "assistant",
        "model": "scripted/assistant",
        "calls": 5,
        "input_tokens": 2000,
        "output_tokens": 300,
        "cost_usd": "1.25",
        "assumed_calls": 1,
    }
    free = {
        **line,
        "axis": "workspace",
        "name": "",
        "limit_usd": None,
        "remaining_usd": None,
        "limit_tokens": None,
        "told_percent": 0,
    }
    day = {**line, "axis": "principal", "span": "day", "name": "ben", "projected_usd": None}
    answer = {
        "month": "2026-11-01",
        "budgets": [free, line, day],
        "models": [model],
        "assumed_calls": 1,
        "assumed_usd": "0.40",
    }
    connected.answer("GET /api/v1/usage", answer)

    ran = openloop("usage")
    lines = ran.out.splitlines()

    spent = ["$1.25", "$0.75"]
    assert lines[1].split() == ["workspace", "month", *spent, "none", "$2.50", "2,300"]
    left = ["$10.00", "$8.00"]
    told = ["50", "%", "2,300", "of", "5,000"]
    assert lines[2].split() == ["agent", "assistant", "month", *spent, *left, "$2.50", *told]
    assert lines[3].split() == ["person", "ben", "today", *spent, *left, *told]
    assert lines[6].split() == ["assistant", "scripted/assistant", "5", "2000", "300", "$1.25", "1"]
    assert "Usage assumed: nobody counted 1 calls" in ran.err


def test_a_new_token_is_the_only_thing_on_standard_output(
    connected: FakeServer, openloop: OpenLoop
) -> None:
    connected.answer("POST /api/v1/tokens", {"id": "a", "token": "ol_viewer_x"}, status=201)

    ran = openloop("tokens", "create", "--role", "approver", "--name", "ci")

    assert ran.out == "ol_viewer_x\n"
    wanted = {"role": "approver", "name": "ci", "principal": "ci", "days": 90}
    assert connected.asked[0].json == wanted


def test_tokens_are_revoked_and_memories_forgotten(
    connected: FakeServer, openloop: OpenLoop
) -> None:
    connected.answer("DELETE /api/v1/tokens/a", status=204)
    connected.answer(f"DELETE /api/v1/memories/{answers.MEMORY_ID}", status=204)

    assert openloop("tokens", "revoke", "token/a").status == 0
    assert openloop("memory", "forget", f"memory/{answers.MEMORY_ID}").status == 0


def test_the_schema_of_a_manifest_is_printed(openloop: OpenLoop) -> None:
    assert openloop("config", "schema", "agent").json["title"] == "OpenLoop Agent manifest"


def test_the_slack_app_is_printed(openloop: OpenLoop) -> None:
    socket = openloop("slack", "manifest", "--socket").json
    http = openloop("slack", "manifest", "--url", "https://openloop.example.com").json

    assert socket["settings"]["socket_mode_enabled"] is True
    address = "https://openloop.example.com/surfaces/slack/events"
    assert http["settings"]["event_subscriptions"]["request_url"] == address


def test_the_slack_app_needs_to_know_how_it_is_reached(openloop: OpenLoop) -> None:
    assert openloop("slack", "manifest").status == Exit.USAGE
    assert openloop("slack", "manifest", "--url", "http://plain.example.com").status == Exit.INVALID
