"""The commands of the configuration's life: plan, changes, diff, history, rollback, sync, view."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from openloop.cli import sync
from openloop.cli.failures import Exit
from openloop.domain.errors import Forbidden, Unavailable
from tests.cli import answers
from tests.cli.test_git import Repository

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import FakeServer, OpenLoop

CHANGE_ID = "01a20718-7a4e-76b1-8b91-9e7697ed17c3"
PLAN = "POST /api/v1/manifests/plan"
DRY_RUN = "POST /api/v1/manifests/dry_run"
APPLY = "POST /api/v1/manifests/apply"
SYNC = "POST /api/v1/manifests/sync"


def document(*widenings: dict[str, str], **changes: Any) -> dict[str, Any]:
    return {
        "file": "agent.yaml",
        "kind": "Agent",
        "name": "assistant",
        "verb": "change",
        "revision": 3,
        "live": "sha256:1",
        "digest": "sha256:2",
        "differences": [{"path": "spec.budget.monthly_usd", "before": "50", "after": "60"}],
        "widenings": list(widenings),
        "inactive": [],
        **changes,
    }


WIDENING = {"path": "spec.budget.monthly_usd", "sentence": "50 becomes 60"}


def planned(*widenings: dict[str, str], **changes: Any) -> dict[str, Any]:
    return {"digest": "c0ffee" * 10, "documents": [document(*widenings, **changes)]}


def page(*calls: dict[str, Any], cursor: str | None = None, undecided: int = 0) -> dict[str, Any]:
    return {
        "runs": 1,
        "calls": 5,
        "undecided": undecided,
        "assumed": 0,
        "differing": list(calls),
        "next_cursor": cursor,
    }


def decided(planned: str, step: int = 2) -> dict[str, Any]:
    return {
        "run_id": answers.RUN_ID,
        "step": step,
        "agent": "assistant",
        "tool": "github__create_issue",
        "resource": "acme/platform",
        "recorded": "held",
        "live": "held",
        "planned": planned,
        "rule": "spec.approvals.allow[0]",
        "assumed": False,
    }


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    file = tmp_path / "agent.yaml"
    file.write_text("kind: Agent\n")
    return file


# --- plan ----------------------------------------------------------------------------------------


def test_a_plan_that_widens_nothing_ends_well(
    openloop: OpenLoop, connected: FakeServer, manifest: Path
) -> None:
    connected.answer(PLAN, planned())

    ran = openloop("plan", "-f", str(manifest))

    assert ran.status == Exit.OK
    assert ran.out.splitlines() == [
        "Agent assistant: changed, revision 3",
        "  ~ spec.budget.monthly_usd: 50 -> 60",
    ]


def test_a_widening_ends_with_5_until_this_very_one_is_acknowledged(
    openloop: OpenLoop, connected: FakeServer, manifest: Path
) -> None:
    connected.answer(PLAN, planned(WIDENING))

    ran = openloop("plan", "-f", str(manifest))
    mark = ran.err.split()[-1]
    again = openloop("plan", "-f", str(manifest), "--acknowledge", mark)
    other = openloop("plan", "-f", str(manifest), "--acknowledge", "000000000000")

    assert (ran.status, again.status, other.status) == (Exit.DENIED, Exit.OK, Exit.DENIED)
    assert "! widens spec.budget.monthly_usd: 50 becomes 60" in ran.out


def test_a_dry_run_lists_every_call_of_every_page_with_its_run(
    openloop: OpenLoop, connected: FakeServer, manifest: Path
) -> None:
    connected.answer(PLAN, planned())
    connected.answer(DRY_RUN, page(decided("allowed", 2), cursor=answers.RUN_ID))
    connected.answer(DRY_RUN, page(decided("denied", 4), decided("held", 6), undecided=1))

    ran = openloop("plan", "-f", str(manifest), "--against", "last:30d")

    assert ran.status == Exit.DENIED
    assert "Of 10 recorded calls: 1 newly allowed, 1 newly held, 1 newly denied" in ran.out
    assert "1 could not be decided" in ran.out
    for kind, step in (("allowed", 2), ("denied", 4), ("held", 6)):
        assert f"newly {kind}: github__create_issue in acme/platform" in ran.out
        assert f"run {answers.RUN_ID} step {step}" in ran.out
    asked = [each.json for each in connected.asked if each.path.endswith("dry_run")]
    assert [(each["hours"], each["cursor"]) for each in asked] == [
        (720, None),
        (720, answers.RUN_ID),
    ]


def test_what_is_newly_denied_or_held_needs_no_acknowledgement(
    openloop: OpenLoop, connected: FakeServer, manifest: Path
) -> None:
    connected.answer(PLAN, planned())
    connected.answer(DRY_RUN, page(decided("denied"), decided("held")))

    ran = openloop("plan", "-f", str(manifest), "--against", "last:12h", "-o", "json")

    assert ran.status == Exit.OK
    assert len(ran.json["dry_run"]["newly"]["denied"]) == 1


@pytest.mark.parametrize("text", ["30d", "last:0d", "last:30", "last:30y", "last:99999d"])
def test_other_times_are_refused(
    openloop: OpenLoop, connected: FakeServer, manifest: Path, text: str
) -> None:
    assert openloop("plan", "-f", str(manifest), "--against", text).status == Exit.USAGE
    assert connected.asked == []


def test_a_report_for_a_pull_request_holds_what_manifests_say_in_code_blocks_only(
    openloop: OpenLoop, connected: FakeServer, manifest: Path
) -> None:
    """A manifest of a fork must not put links or mentions into the review."""
    evil = "```\n@everybody [approve](https://evil.example) <img src=x>\n"
    connected.answer(PLAN, planned({"path": "spec.instructions", "sentence": evil}))

    ran = openloop("plan", "-f", str(manifest), "--markdown")

    outside: list[str] = []
    fence = ""
    for line in ran.out.splitlines():
        if line.startswith("```") and (not fence or line == fence):
            fence = "" if fence else line.removesuffix("text")
        elif not fence:
            outside.append(line)
    assert ran.status == Exit.DENIED
    assert "widens rights" in "\n".join(outside)
    assert "evil" not in "\n".join(outside)
    assert "evil" in ran.out


# --- applying and deciding -----------------------------------------------------------------------


def test_an_apply_that_waits_says_for_what_and_ends_with_5(
    openloop: OpenLoop, connected: FakeServer, manifest: Path
) -> None:
    result = {
        "kind": "Agent",
        "name": "assistant",
        "revision": 2,
        "changed": False,
        "inactive": [],
        "widenings": [WIDENING],
        "change_id": CHANGE_ID,
    }
    connected.answer(APPLY, {"results": [result]})

    ran = openloop("agents", "apply", "-f", str(manifest))

    assert ran.status == Exit.DENIED
    assert "pending" in ran.out
    assert "assistant: spec.budget.monthly_usd widens: 50 becomes 60" in ran.err
    assert f"openloop changes approve {CHANGE_ID}" in ran.err


def change(**more: Any) -> dict[str, Any]:
    return {
        "id": CHANGE_ID,
        "state": "pending",
        "origin": "cli",
        "version": "",
        "digest": "c0ffee",
        "documents": [document(WIDENING)],
        "files": [],
        "proposed_by": "ben",
        "proposed_at": "2026-11-23T06:29:34Z",
        "expires_at": "2026-11-30T06:29:34Z",
        "decided_by": "",
        "decided_at": None,
        "reason": "",
        **more,
    }


def test_changes_are_listed_and_shown(openloop: OpenLoop, connected: FakeServer) -> None:
    connected.answer("GET /api/v1/changes", answers.page(change()))
    connected.answer(f"GET /api/v1/changes/{CHANGE_ID}", change())

    listed = openloop("changes", "get", "--state", "pending")
    named = openloop("changes", "get", "-o", "name")
    shown = openloop("changes", "get", named.out.strip())

    assert "Agent assistant" in listed.out
    assert named.out.strip() == f"change/{CHANGE_ID}"
    assert "! widens spec.budget.monthly_usd: 50 becomes 60" in shown.out


def test_a_change_is_approved_and_rejected(openloop: OpenLoop, connected: FakeServer) -> None:
    vote = f"POST /api/v1/changes/{CHANGE_ID}/vote"
    connected.answer(vote, {"change": change(state="rejected"), "results": []})

    ran = openloop("changes", "reject", CHANGE_ID, "--reason", "too much")

    assert ran.status == Exit.OK
    assert connected.asked[-1].json == {"decision": "reject", "reason": "too much"}


def test_whoever_proposed_it_is_told_who_can_approve(
    openloop: OpenLoop, connected: FakeServer
) -> None:
    connected.refuse(f"POST /api/v1/changes/{CHANGE_ID}/vote", 403, "own_proposal", "Somebody else")

    ran = openloop("changes", "approve", CHANGE_ID)

    assert ran.status == Exit.DENIED
    assert "--role admin --principal NAME" in ran.err


# --- what was, is and could be -------------------------------------------------------------------


def compared(**changes: Any) -> dict[str, Any]:
    value = {
        "path": "spec.instructions",
        "last": "a",
        "live": "b",
        "wanted": "a",
        "changed": "elsewhere",
    }
    return {
        "documents": [
            {
                "file": "agent.yaml",
                "kind": "Agent",
                "name": "assistant",
                "live_revision": 2,
                "last_revision": 1,
                "same": False,
                "values": [value],
                **changes,
            }
        ]
    }


def test_a_diff_ends_with_1_where_something_differs_and_with_0_where_nothing_does(
    openloop: OpenLoop, connected: FakeServer, manifest: Path
) -> None:
    connected.answer("POST /api/v1/manifests/diff", compared())
    connected.answer("POST /api/v1/manifests/diff", compared(same=True, values=[]))

    differs = openloop("agents", "diff", "-f", str(manifest), "--origin", "git")
    same = openloop("agents", "diff", "-f", str(manifest))

    assert (differs.status, same.status) == (Exit.FAILURE, Exit.OK)
    assert differs.out.splitlines()[1].split() == [
        "<",
        "Agent",
        "assistant",
        "spec.instructions",
        "b",
        "a",
        "a",
    ]
    assert connected.asked[0].json["origin"] == "git"


def test_a_diff_that_failed_is_not_a_difference(
    openloop: OpenLoop, connected: FakeServer, manifest: Path
) -> None:
    connected.refuse("POST /api/v1/manifests/diff", 500, "internal_error", "a fault of ours")

    assert openloop("agents", "diff", "-f", str(manifest)).status == Exit.NOT_COMPARED


def test_revisions_are_listed_for_an_agent_and_for_the_workspace(
    openloop: OpenLoop, connected: FakeServer
) -> None:
    revision = {
        "number": 2,
        "applied_at": "2026-11-23T06:29:34Z",
        "applied_by": "ben",
        "origin": "git",
        "digest": "sha256:1",
        "change_id": None,
    }
    connected.answer("GET /api/v1/agents/assistant/revisions", answers.page(revision))
    connected.answer("GET /api/v1/workspace/revisions", answers.page(revision))

    assert "ben" in openloop("agents", "history", "assistant").out
    assert openloop("agents", "history", "-o", "name").out == "revision/2\n"


def test_a_rollback_names_an_agent_or_the_workspace(
    openloop: OpenLoop, connected: FakeServer
) -> None:
    applied: dict[str, Any] = {"results": []}
    connected.answer("POST /api/v1/agents/assistant/rollback", applied)
    connected.answer("POST /api/v1/workspace/rollback", applied)

    assert openloop("agents", "rollback", "assistant", "--to", "3").status == Exit.OK
    assert openloop("agents", "rollback", "--workspace").status == Exit.OK
    assert openloop("agents", "rollback").status == Exit.USAGE
    assert openloop("agents", "rollback", "assistant", "--workspace").status == Exit.USAGE
    assert [each.json for each in connected.asked] == [{"number": 3}, {}]


def test_values_are_shown_with_where_they_come_from(
    openloop: OpenLoop, connected: FakeServer
) -> None:
    values = [
        {"path": "spec.limits.steps", "value": 20, "origin": "default", "line": 0},
        {"path": "spec.wake", "value": ["mention"], "origin": "manifest", "line": 7},
        {"path": "solo_mode", "value": False, "origin": "workspace", "line": 0},
    ]
    connected.answer("GET /api/v1/agents/assistant/effective", {"revision": 4, "values": values})

    ran = openloop("config", "view", "assistant")

    assert [line.split(maxsplit=2)[2] for line in ran.out.splitlines()[1:]] == [
        "default",
        "revision 4, line 7",
        "the Workspace manifest",
    ]


# --- syncing -------------------------------------------------------------------------------------


def test_a_folder_is_synced_as_a_whole(
    openloop: OpenLoop, connected: FakeServer, manifest: Path
) -> None:
    connected.answer(SYNC, {"results": []})

    assert openloop("agents", "sync", str(manifest.parent)).status == Exit.OK

    sent = connected.asked[-1].json
    assert sent["origin"] == f"sync {manifest.parent}"
    assert [file["name"] for file in sent["files"]] == [str(manifest)]
    assert "every_seconds" not in sent


def test_of_a_commit_its_hash_is_sent_and_nothing_of_its_author(
    openloop: OpenLoop, connected: FakeServer, tmp_path: Path
) -> None:
    repository = Repository(tmp_path)
    commit = repository.commit({"config/a.yaml": "kind: Agent\n"}, author="priya")
    connected.answer(SYNC, {"results": []})

    ran = openloop("agents", "sync", repository.url, "--path", "config")

    sent = connected.asked[-1]
    assert ran.status == Exit.OK
    assert sent.json["version"] == commit
    assert b"priya" not in sent.body


def test_a_place_that_is_neither_folder_nor_address_is_a_wrong_call(
    openloop: OpenLoop, connected: FakeServer
) -> None:
    assert openloop("agents", "sync", "nowhere").status == Exit.USAGE
    assert connected.asked == []


def test_a_loop_goes_on_where_something_went_wrong_and_ends_where_the_token_is_refused() -> None:
    stopped, happened = threading.Event(), list[str]()
    troubles = [Unavailable("gone"), None, Forbidden("no right")]

    def once() -> int:
        trouble = troubles.pop(0)
        happened.append(type(trouble).__name__)
        if trouble is not None:
            raise trouble
        return Exit.OK

    assert sync.repeat(once, 0.001, stopped) == Exit.DENIED
    assert happened == ["Unavailable", "NoneType", "Forbidden"]


def test_a_loop_ends_when_it_is_stopped() -> None:
    stopped = threading.Event()

    def once() -> int:
        stopped.set()
        return Exit.OK

    assert sync.repeat(once, 3600, stopped) == Exit.OK
