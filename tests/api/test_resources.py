"""What the API tells of runs, approvals, memories, audit, usage, agents, surfaces and tokens."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from openloop.domain.errors import Unavailable
from openloop.domain.surface import Finding
from openloop.storage.database import Database
from tests import make
from tests.api.conftest import open_api, person_token
from tests.api.fakes import HelloSurface
from tests.runtime.fakes import reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

    from tests.api.conftest import Api
    from tests.make import Stage


async def done(stage: Stage, text: str, root: str) -> str:
    """A run that has answered; its id."""
    ref = await stage.mention(text, root=root)
    await stage.work(ref)
    return str((await stage.run_of(ref)).id)


# --- runs ----------------------------------------------------------------------------------------


async def test_runs_are_listed_newest_first_a_page_at_a_time(api: Api, stage: Stage) -> None:
    ids = [await done(stage, f"request {n}", f"root-{n}") for n in range(5)]

    first = (await api.get("/api/v1/runs?limit=2")).json()
    second = (await api.get(f"/api/v1/runs?limit=2&cursor={first['next_cursor']}")).json()
    third = (await api.get(f"/api/v1/runs?limit=2&cursor={second['next_cursor']}")).json()

    pages = [[run["id"] for run in page["items"]] for page in (first, second, third)]
    assert pages == [ids[4:2:-1], ids[2:0:-1], ids[:1]]
    assert third["next_cursor"] is None
    assert first["items"][0]["agent"] == "dev-platform"
    assert Decimal(first["items"][0]["cost_usd"]) > 0


async def test_runs_are_filtered_by_state_and_agent(api: Api, stage: Stage) -> None:
    finished = await done(stage, "one", "root-1")
    ref, _ = await stage.hold(await stage.mention("two", root="root-2"))
    waiting = str((await stage.run_of(ref)).id)

    async def listed(query: str) -> list[str]:
        return [run["id"] for run in (await api.get(f"/api/v1/runs?{query}")).json()["items"]]

    assert await listed("state=waiting") == [waiting]
    assert await listed("state=done&agent=dev-platform") == [finished]
    assert await listed("agent=dev-platform") == [waiting, finished]


async def test_a_run_tells_what_it_asked_and_what_it_sent_but_no_token(
    api: Api, stage: Stage
) -> None:
    ref, token = await stage.hold()
    run, approval = await stage.run_of(ref), await stage.approval(ref)

    shown = (await api.get(f"/api/v1/runs/{run.id}")).json()

    assert shown["agent"] == "dev-platform"
    assert shown["thread"]["place"]["container"] == make.CHANNEL
    assert [(a["id"], a["state"]) for a in shown["approvals"]] == [(str(approval.id), "pending")]
    assert "Ask" in [message["op"]["op"] for message in shown["messages"]]
    assert token not in (await api.get(f"/api/v1/runs/{run.id}")).text


async def test_the_journal_is_shown_in_order_and_without_what_undoes_a_note(
    api: Api, stage: Stage
) -> None:
    stage.models.turns = [reply("Noted.", make.NOTE), reply("All done.")]
    run = await done(stage, "remember this", "root-1")

    answer = await api.get(f"/api/v1/runs/{run}/steps")

    steps = answer.json()["items"]
    assert [step["seq"] for step in steps] == list(range(len(steps)))
    assert {"context", "model", "tool"} == {step["kind"] for step in steps}
    assert "undo_token" not in answer.text


async def test_a_run_is_cancelled_once_asked_and_not_after_its_end(api: Api, stage: Stage) -> None:
    ref = await stage.mention()
    run = await stage.run_of(ref)

    asked = await api.post(f"/api/v1/runs/{run.id}/cancel")
    await stage.work(ref)
    again = await api.post(f"/api/v1/runs/{run.id}/cancel")

    assert (asked.status_code, asked.json()["cancel_asked_by"]["name"]) == (202, "owner-robot")
    assert (await stage.run_of(ref)).state == "cancelled"
    assert (again.status_code, again.json()["code"]) == (409, "run_is_over")


# --- approvals -----------------------------------------------------------------------------------


async def test_an_approval_shows_the_bytes_that_will_run(api: Api, stage: Stage) -> None:
    ref, token = await stage.hold()
    approval = await stage.approval(ref)

    listed = (await api.get("/api/v1/approvals?state=pending")).json()["items"]
    shown = (await api.get(f"/api/v1/approvals/{approval.id}")).json()

    assert listed == [shown]
    assert shown["arguments"] == {"repo": "acme/platform", "title": "Move to Postgres 16"}
    assert shown["hash"] == approval.hash
    assert shown["card"]["title"] == "Open an issue"
    assert token not in str(shown)
    run = await stage.run_of(ref)
    of_run = (await api.get(f"/api/v1/approvals?run={run.id}&state=denied")).json()["items"]
    assert of_run == []


async def test_a_vote_decides_and_the_second_one_is_too_late(
    api: Api, stage: Stage, database: Database
) -> None:
    ref, _ = await stage.hold()
    path = f"/api/v1/approvals/{(await stage.approval(ref)).id}/vote"
    anna = await person_token(database, stage.workspace, "anna")
    priya = await person_token(database, stage.workspace, "priya")

    no = await api.post(path, {"decision": "deny", "reason": "not now"}, by=anna)
    late = await api.post(path, {"decision": "approve"}, by=priya)
    await stage.work(ref)

    assert (no.status_code, no.json()["state"], no.json()["decided_by_name"]) == (
        200,
        "denied",
        "anna",
    )
    assert (late.status_code, late.json()["code"]) == (409, "approval_already_decided")
    assert stage.tracker.issues == {}
    (event,) = await stage.audit("approval.denied")
    assert (event.actor.name, event.actor.via, event.detail["reason"]) == ("anna", "api", "not now")


async def test_who_is_no_approver_of_the_agent_does_not_vote(
    api: Api, stage: Stage, database: Database
) -> None:
    ref, _ = await stage.hold()
    path = f"/api/v1/approvals/{(await stage.approval(ref)).id}/vote"
    ben = await person_token(database, stage.workspace, "ben")

    stranger = await api.post(path, {"decision": "approve"}, by="approver")
    operator = await api.post(path, {"decision": "approve"}, by=ben)

    assert (stranger.status_code, stranger.json()["code"]) == (403, "not_an_approver")
    assert (operator.status_code, operator.json()["code"]) == (403, "forbidden")
    assert (await stage.approval(ref)).state == "pending"


async def test_whoever_asked_on_slack_does_not_approve_over_the_api(
    api: Api, stage: Stage, database: Database
) -> None:
    ref, _ = await stage.hold(await stage.mention(by="anna"))
    path = f"/api/v1/approvals/{(await stage.approval(ref)).id}/vote"

    own = await api.post(
        path,
        {"decision": "approve"},
        by=await person_token(database, stage.workspace, "anna"),
    )

    assert (own.status_code, own.json()["code"]) == (403, "own_request")


# --- memories ------------------------------------------------------------------------------------


async def test_memories_are_listed_searched_and_taken_back(api: Api, stage: Stage) -> None:
    stage.models.turns = [reply("Noted.", make.NOTE), reply("All done.")]
    await done(stage, "remember this", "root-1")

    (memory,) = (await api.get("/api/v1/memories")).json()["items"]
    assert memory["text"] == "We move to Postgres 16."
    assert memory["author"]["external_id"] == "U0BEN"
    assert (await api.get("/api/v1/memories?q=postgres")).json()["items"] == [memory]
    assert (await api.get("/api/v1/memories?q=kafka")).json()["items"] == []

    path = f"/api/v1/memories/{memory['id']}"
    assert (await api.delete(path, by="admin")).status_code == 204
    assert (await api.get("/api/v1/memories")).json()["items"] == []
    assert (await api.delete(path)).status_code == 404
    (event,) = await stage.audit("memory.retracted")
    assert event.actor.name == "admin-robot"


# --- audit and usage -----------------------------------------------------------------------------


async def test_the_audit_is_filtered_by_run_and_kind_and_paged(api: Api, stage: Stage) -> None:
    run = await done(stage, "one", "root-1")
    other = await done(stage, "two", "root-2")

    of_run = (await api.get(f"/api/v1/audit?run={run}")).json()["items"]
    kinds = (await api.get("/audit?kind=run.")).json()["items"]
    first = (await api.get("/audit?limit=3")).json()
    second = (await api.get(f"/audit?limit=3&cursor={first['next_cursor']}")).json()

    assert {event["run_id"] for event in of_run} == {run}
    assert {event["kind"].split(".")[0] for event in kinds} == {"run"}
    assert {event["run_id"] for event in kinds} >= {run, other}
    ids = [event["id"] for event in (*first["items"], *second["items"])]
    assert ids == sorted(ids, reverse=True)
    assert len(set(ids)) == 6


async def test_usage_is_this_months_spend_against_its_limits(api: Api, stage: Stage) -> None:
    await done(stage, "one", "root-1")

    usage = (await api.get("/usage")).json()

    spent = Decimal(100 * 10 + 20 * 20) / 1_000_000
    lines = {line["axis"]: line for line in usage["budgets"]}
    assert set(lines) == {"workspace", "agent"}
    assert lines["agent"]["name"] == "dev-platform"
    assert Decimal(lines["agent"]["limit_usd"]) == 50
    for line in lines.values():
        assert (Decimal(line["settled_usd"]), Decimal(line["reserved_usd"])) == (spent, 0)
        assert (line["settled_tokens"], line["reserved_tokens"], line["told_percent"]) == (
            120,
            0,
            0,
        )
        assert Decimal(line["remaining_usd"]) == Decimal(line["limit_usd"]) - spent
        assert spent <= Decimal(line["projected_usd"]) <= 31 * spent + Decimal("0.01")
    (model,) = usage["models"]
    assert (model["model"], model["calls"], model["input_tokens"]) == (make.MODEL, 1, 100)
    assert Decimal(model["cost_usd"]) == spent
    assert usage["month"] == f"{datetime.now(UTC):%Y-%m}-01"
    assert (await api.get("/api/v1/usage")).json()["models"] == usage["models"]


async def test_usage_shows_every_axis_and_what_was_assumed(api: Api, stage: Stage) -> None:
    person = {"daily_usd": 5, "daily_tokens": 100_000}
    budget = {"monthly_usd": 200, "per_place": {"monthly_usd": 40}, "per_person": person}
    await stage.revise_workspace({"budget": budget})
    stage.models.turns = [make.reply("All done.", usage=None)]
    await done(stage, "one", "root-1")
    stage.models.turns = [make.reply("I will.", make.CREATE), make.reply("All done.")]
    ref = await stage.mention(root="root-2")
    await stage.work(ref)

    usage = (await api.get("/usage")).json()

    lines = {(line["axis"], line["span"]): line for line in usage["budgets"]}
    assert set(lines) == {
        ("workspace", "month"),
        ("agent", "month"),
        ("place", "month"),
        ("principal", "day"),
        ("run", "run"),
    }
    assert lines["place", "month"]["name"] == "slack #DEV"
    assert lines["principal", "day"]["name"] == "ben"
    assert lines["principal", "day"]["projected_usd"] is None
    assert lines["run", "run"]["subject"] == str((await stage.run_of(ref)).id)
    assert usage["assumed_calls"] == 1
    assert Decimal(usage["assumed_usd"]) > Decimal("0.05")


# --- agents --------------------------------------------------------------------------------------


async def test_an_agent_is_shown_with_its_manifest_and_where_it_listens(
    api: Api, stage: Stage
) -> None:
    await stage.revise({"instructions": "Be brief."})

    (listed,) = (await api.get("/api/v1/agents")).json()["items"]
    shown = (await api.get("/api/v1/agents/dev-platform")).json()
    revisions = (await api.get("/api/v1/agents/dev-platform/revisions")).json()["items"]

    assert listed == {key: value for key, value in shown.items() if key != "source"}
    assert (shown["revision"], "Be brief." in shown["source"]) == (2, True)
    assert {(b["surface"], b["name"]) for b in shown["bindings"]} == {
        ("console", "console"),
        ("slack", f"#{make.CHANNEL}"),
    }
    assert [revision["number"] for revision in revisions] == [2, 1]


# --- surfaces and health -------------------------------------------------------------------------


class Ill(HelloSurface):
    """A surface whose platform has a complaint, or does not answer."""

    def __init__(self, name: str, *, silent: bool = False) -> None:
        self.name, self._silent = name, silent

    async def check(self) -> Sequence[Finding]:
        if self._silent:
            message = "the platform is away, and here is xoxb-secret"
            raise Unavailable(message)
        return (Finding(subject="scopes", ok=False, detail="chat:write is missing"),)


async def test_surfaces_say_how_they_are(database: Database, stage: Stage) -> None:
    surfaces = {"hello": HelloSurface(), "ill": Ill("ill"), "away": Ill("away", silent=True)}
    async with open_api(database, stage.workspace, surfaces=surfaces) as api:
        answer = await api.get("/api/v1/surfaces")

    found = {each["name"]: each for each in answer.json()["items"]}
    assert {name: each["ok"] for name, each in found.items()} == {
        "hello": True,
        "ill": False,
        "away": False,
    }
    assert found["ill"]["findings"][0]["detail"] == "chat:write is missing"
    assert "secret" not in answer.text


async def test_ready_does_not_wait_for_models(api: Api) -> None:
    answer = await api.get("/readyz", by=None)

    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "reasons": {}, "models": "unreachable"}


async def test_not_ready_says_why(
    database: Database, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken() -> dict[str, str | None]:
        return {"worker": "its listener is down", "gateway": None}

    async def pending(_: object) -> list[str]:
        return ["0002_more.sql"]

    monkeypatch.setattr("openloop.storage.migrations.pending", pending)
    async with open_api(database, stage.workspace, ready_checks=broken) as api:
        answer = await api.get("/readyz", by=None)

    assert (answer.status_code, answer.json()["status"]) == (503, "not_ready")
    assert answer.json()["reasons"] == {
        "migrations": "not applied: 0002_more.sql",
        "worker": "its listener is down",
    }


async def test_not_ready_while_the_database_is_busy(stage: Stage, conninfo: str) -> None:

    single = Database(conninfo, size=1)
    await single.open()

    async def look() -> dict[str, str | None]:
        async with single.directory() as tx:
            await tx.now()
        return {}

    async with open_api(single, stage.workspace, ready_checks=look) as api:
        async with single.directory():
            answer = await api.get("/readyz", by=None)
        alive = await api.get("/healthz", by=None)
    await single.close()

    assert answer.json()["reasons"] == {"database": "it does not answer"}
    assert answer.status_code == 503
    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})


# --- tokens --------------------------------------------------------------------------------------


async def test_a_token_is_shown_once_and_works(api: Api, stage: Stage) -> None:
    new: dict[str, Any] = {"principal": "ci", "role": "operator", "name": "pipeline", "days": 7}

    minted = (await api.post("/api/v1/tokens", new)).json()
    listed = await api.get("/api/v1/tokens")

    assert (await api.get("/api/v1/runs", by=minted["token"])).status_code == 200
    assert minted["token"] not in listed.text
    assert "sha256" not in listed.text
    shown = next(each for each in listed.json()["items"] if each["id"] == minted["id"])
    assert (shown["principal"], shown["role"], shown["name"]) == ("ci", "operator", "pipeline")
    expires = datetime.fromisoformat(shown["expires_at"]) - datetime.now(UTC)
    assert expires.days in (6, 7)
    created = await stage.audit("token.created")
    assert created[-1].actor.name == "owner-robot"


async def test_a_token_that_cannot_be_made_is_refused(api: Api) -> None:
    good: dict[str, Any] = {"principal": "ci", "role": "viewer", "name": "ci"}
    wrongs: list[dict[str, Any]] = [
        {"role": "root"},
        {"days": 0},
        {"days": 91},
        {"days": "7"},
        {"principal": ""},
        {"name": "\0"},
        {"scopes": []},
    ]
    for wrong in wrongs:
        answer = await api.post("/api/v1/tokens", good | wrong)
        assert (wrong, answer.status_code) == (wrong, 422)
