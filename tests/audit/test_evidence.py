"""The record over the API: exported, explained run by run, and verified from what was exported."""

from __future__ import annotations

import copy
import csv
import io
import json
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from openloop.domain.audit_agreement import disagreements
from openloop.domain.audit_bundle import verify_bundle
from openloop.domain.audit_verify import verify
from openloop.domain.errors import Invalid
from openloop.domain.manifest import digest as manifest_digest
from openloop.domain.manifest import load
from tests import make
from tests.api.conftest import open_api
from tests.audit.record import Record, seal_all
from tests.runtime.fakes import reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from openloop.domain.audit_chain import Entry
    from tests.api.conftest import Api
    from tests.make import Stage


@pytest.fixture
async def record(stage: Stage, superuser: str) -> Record:
    made = Record(stage, superuser)
    stage.models.turns = [reply("Noted.", make.NOTE), reply("All done.")]
    await stage.work(await stage.mention("remember this", root="root-0"))
    await made.held("root-1", "open an issue: we move to Postgres 16")
    return made


@pytest.fixture
async def api(record: Record) -> AsyncIterator[Api]:
    async with open_api(record.stage.database, record.stage.workspace) as api:
        yield api


async def exported(api: Api, **query: Any) -> list[Entry]:
    """The whole record, a small page at a time."""
    after, found = 0, list[Any]()
    while True:
        answer = await api.get("/api/v1/audit/export", params={"limit": 7, "after": after, **query})
        assert answer.status_code == 200, answer.text
        page = [orjson.loads(line) for line in answer.content.splitlines()]
        found += page
        if len(page) < 7 or page[-1]["seq"] is None:
            return found
        after = int(answer.headers["openloop-last-seq"])
        assert after == page[-1]["seq"]


async def test_an_export_is_verified_without_the_database(api: Api, record: Record) -> None:
    await record.sealed()  # the tokens of the API
    entries = await exported(api)

    verified = verify(record.stage.workspace, entries, elsewhere={"outside": record.outside})

    assert verified.findings == ()
    assert verified.events == verified.covered == len(entries) > 10


async def test_an_export_tells_what_was_put_in_behind_the_seals(api: Api, record: Record) -> None:
    record.tamper(
        """
        INSERT INTO audit_events (workspace_id, xid, kind, actor)
        SELECT workspace_id, xid, 'run.done', actor FROM audit_events WHERE kind = 'run.queued' LIMIT 1
        """
    )

    verified = verify(record.stage.workspace, await exported(api))

    assert {finding.kind for finding in verified.findings} == {"inserted"}


async def test_an_export_that_begins_later_is_anchored_by_a_checkpoint(
    api: Api, record: Record
) -> None:
    first = json.loads(record.outside[0])["checkpoint"]["seq"]
    await record.sealed()
    entries = await exported(api)
    later = [entry for entry in entries if (entry["seq"] or 0) > first]

    def codes(after: int, elsewhere: dict[str, list[str]]) -> set[str]:
        some = [entry for entry in entries if (entry["seq"] or 0) > after]
        verified = verify(record.stage.workspace, some, elsewhere=elsewhere, after=after)
        return {finding.kind for finding in verified.findings}

    assert later
    assert codes(first, {"outside": record.outside}) == set()
    assert "not_anchored" in codes(first - 1, {"outside": record.outside})
    assert "not_anchored" in codes(first, {})


async def test_an_export_as_a_table_holds_no_formula(api: Api, record: Record) -> None:
    record.tamper("""UPDATE audit_events SET actor = jsonb_set(actor, '{name}', '"=1+1"')""")

    text = (await api.get("/api/v1/audit/export?format=csv&limit=2000")).text

    rows = list(csv.DictReader(io.StringIO(text)))
    assert {row["actor"] for row in rows} == {"'=1+1"}
    assert [int(row["seq"]) for row in rows] == list(range(1, len(rows) + 1))
    rest = (await api.get("/api/v1/audit/export?format=csv&after=3")).text
    assert rest.startswith("4,")


async def test_the_status_says_how_far_it_is(api: Api, record: Record) -> None:
    status = (await api.get("/api/v1/audit/status")).json()

    assert status["sealed"] == json.loads(record.outside[0])["checkpoint"]["seq"]
    assert status["waiting"] > 0  # the tokens of the API
    assert status["waiting_since"]
    assert status["checkpoint"]["number"] == 1
    assert status["checkpoint"]["document"] == record.outside[0]


async def test_effects_are_checked_a_page_at_a_time(api: Api, record: Record) -> None:
    assert (await api.get("/api/v1/audit/effects")).json()["items"] == []
    record.tamper("DELETE FROM audit_events WHERE kind = 'effect.done'")

    first = (await api.get("/api/v1/audit/effects?limit=1")).json()
    second = (await api.get(f"/api/v1/audit/effects?limit=1&cursor={first['next_cursor']}")).json()

    found = [item["kind"] for item in first["items"] + second["items"]]
    assert set(found) == {"effect_unrecorded"}


async def test_a_run_that_was_taken_away_with_all_its_rows_is_missed(
    api: Api, record: Record
) -> None:
    gone = (await record.stage.runs())[-1]
    with record.restored():
        record.tamper("DELETE FROM approvals WHERE run_id = %s", gone.id)
        record.tamper("DELETE FROM outbox WHERE run_id = %s", gone.id)
        record.tamper("DELETE FROM steps WHERE run_id = %s", gone.id)
        record.tamper("DELETE FROM runs WHERE id = %s", gone.id)
        pages, cursor = list[dict[str, Any]](), ""
        while cursor is not None:
            page = (
                await api.get(f"/api/v1/audit/effects?limit=1{cursor and f'&cursor={cursor}'}")
            ).json()
            pages += page["items"]
            cursor = page["next_cursor"]

    assert [(each["kind"], each["where"]) for each in pages] == [
        ("effect_missing", f"run {gone.id}")
    ]


# --- explain -------------------------------------------------------------------------------------


async def explained(api: Api, record: Record) -> dict[str, Any]:
    """The explanation of the newest run."""
    run = (await record.stage.runs())[0]
    answer = await api.get(f"/api/v1/runs/{run.id}/explain")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_explanation_is_verified_by_itself(api: Api, record: Record) -> None:
    bundle = await explained(api, record)

    proved = verify_bundle(bundle, pins=[record.key.id])

    assert proved.findings == ()
    assert proved.unproved == 0
    assert proved.proved == len(bundle["events"]) + 2
    assert proved.root_keys == (record.key.id,)
    assert bundle["requests"][0]["actor"]["id"] == "U0BEN"
    assert "apiVersion" in bundle["revision"]["source"]
    assert [m["kind"] for m in bundle["memories"]] == ["decision"]
    assert [d["verdict"] for d in bundle["decisions"]] == ["held"]
    assert bundle["decisions"][0]["rule"]
    assert [v["name"] for v in bundle["approvals"][0]["votes"]] == ["anna"]
    assert bundle["spent"]
    assert "token" not in str(bundle["messages"])
    (governing,) = bundle["governing"]
    assert (governing["manifest"]["kind"], governing["manifest"]["number"]) == ("Workspace", 1)
    assert governing["applied"]["event"]["kind"] == "workspace.applied"
    assert {sent["op"]["op"] for sent in bundle["messages"]} >= {"Ask", "Say"}


async def test_manifests_that_were_applied_while_a_run_lasted_are_in_its_explanation(
    api: Api, record: Record
) -> None:
    stage = record.stage
    ref, _ = await stage.hold(await stage.mention(root="root-6"))
    await stage.revise_workspace({"retention": {"messages_days": 5}})
    await stage.revise({"limits": {"steps": 9}})
    await stage.press("approve", by="anna")
    await stage.work(ref)
    await seal_all(stage.database, stage.workspace)
    await record.checkpoint()

    bundle = await explained(api, record)

    named = [(each["manifest"]["kind"], each["manifest"]["number"]) for each in bundle["governing"]]
    assert named == [("Agent", 2), ("Workspace", 1), ("Workspace", 2)]
    proved = verify_bundle(bundle, pins=[record.key.id])
    assert (proved.findings, proved.unproved) == ((), 0)


async def test_what_no_checkpoint_covers_yet_is_said_to_be_unproved(
    api: Api, record: Record
) -> None:
    await record.stage.work(await record.stage.mention(root="root-5"))

    proved = verify_bundle(await explained(api, record))

    assert proved.findings == ()
    assert proved.unproved > 0


def _event(bundle: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(e for e in bundle["events"] if e["event"]["kind"] == kind)


def somebody_else_approved(bundle: dict[str, Any]) -> None:
    _event(bundle, "approval.approved")["event"]["actor"]["name"] = "mallory"


def another_record(bundle: dict[str, Any]) -> None:
    entry = _event(bundle, "approval.approved")
    entry["record"] = entry["record"].replace("approved", "denied")
    entry["event"]["kind"] = "approval.denied"


def another_digest(bundle: dict[str, Any]) -> None:
    bundle["proofs"][0]["digests"][2] = "00" * 32


def a_later_number(bundle: dict[str, Any]) -> None:
    bundle["checkpoints"] = [c.replace('"seq":', '"seq":1') for c in bundle["checkpoints"]]


def another_manifest(bundle: dict[str, Any]) -> None:
    bundle["revision"]["source"] = bundle["revision"]["source"].replace("github", "gitlab", 1)


def another_revision(bundle: dict[str, Any]) -> None:
    bundle["revision"]["id"] = "01999999-0000-7000-8000-000000000000"


def another_workspace(bundle: dict[str, Any]) -> None:
    made = bundle["governing"][0]["manifest"]
    made["source"] = made["source"].replace("U0ANNA", "U0MALLORY", 1)


def a_workspace_nobody_applied(bundle: dict[str, Any]) -> None:
    another_workspace(bundle)
    made = bundle["governing"][0]["manifest"]
    made["digest"] = manifest_digest(load(made["source"], name="w").manifest)


def other_bytes(bundle: dict[str, Any]) -> None:
    approval = bundle["approvals"][0]
    approval["arguments"] = approval["arguments"].replace("Postgres", "Oracle")


def no_intent(bundle: dict[str, Any]) -> None:
    bundle["events"].remove(_event(bundle, "effect.intended"))


def no_effect(bundle: dict[str, Any]) -> None:
    bundle["steps"] = [step for step in bundle["steps"] if step["effect"] != "write"]


def somebody_else_asked(bundle: dict[str, Any]) -> None:
    bundle["run"]["requested_by"]["id"] = "U0MALLORY"


def another_rule(bundle: dict[str, Any]) -> None:
    for decided in (bundle["decisions"][0], bundle["steps"][2]):
        decided["rule"] = "spec.approvals.allow[0]"


def another_rule_than_the_journal(bundle: dict[str, Any]) -> None:
    bundle["decisions"][0]["rule"] = "spec.approvals.allow[0]"


def let_through(bundle: dict[str, Any]) -> None:
    bundle["decisions"][0]["verdict"] = "allowed"


def no_decision(bundle: dict[str, Any]) -> None:
    bundle["decisions"] = []


def a_step_less(bundle: dict[str, Any]) -> None:
    del bundle["steps"][1]


def somebody_else_voted(bundle: dict[str, Any]) -> None:
    bundle["approvals"][0]["votes"][0]["principal_id"] = "01999999-0000-7000-8000-000000000000"


def a_rejection(bundle: dict[str, Any]) -> None:
    bundle["approvals"][0]["votes"][0]["decision"] = "deny"


def a_call_less_to_pay(bundle: dict[str, Any]) -> None:
    del bundle["spent"][0]


def no_start(bundle: dict[str, Any]) -> None:
    bundle["events"].remove(_event(bundle, "run.started"))


CHANGES = (
    somebody_else_asked,
    another_rule,
    another_rule_than_the_journal,
    let_through,
    no_decision,
    a_step_less,
    somebody_else_voted,
    a_rejection,
    a_call_less_to_pay,
    no_start,
    somebody_else_approved,
    another_record,
    another_digest,
    a_later_number,
    another_manifest,
    another_revision,
    another_workspace,
    a_workspace_nobody_applied,
    other_bytes,
    no_intent,
    no_effect,
)


async def test_an_explanation_that_was_changed_is_not_believed(api: Api, record: Record) -> None:
    bundle = await explained(api, record)
    assert verify_bundle(bundle).is_well

    believed: list[str] = []
    for change in CHANGES:
        changed = copy.deepcopy(bundle)
        change(changed)
        if verify_bundle(changed).is_well:
            believed.append(change.__name__)

    assert believed == []


async def test_of_an_erased_requester_nothing_is_compared(api: Api, record: Record) -> None:
    erased = await api.post("/api/v1/audit/erase", {"external_ids": ["U0BEN"]})
    assert erased.json()["events"], erased.text
    await seal_all(record.stage.database, record.stage.workspace)
    await record.checkpoint()

    bundle = await explained(api, record)

    assert not _event(bundle, "run.queued")["event"]["actor"].get("external_id")
    assert verify_bundle(bundle, pins=[record.key.id]).findings == ()


async def test_who_broke_the_glass_has_voted(api: Api, record: Record) -> None:
    bundle = await explained(api, record)
    bundle["approvals"][0]["votes"][0]["decision"] = "break_glass"
    assert [finding.kind for finding in disagreements(bundle)] == ["changed"]

    _event(bundle, "approval.approved")["event"]["kind"] = "glass.broken"

    assert list(disagreements(bundle)) == []


async def test_what_was_said_of_one_attempt_is_no_vote_on_another(api: Api, record: Record) -> None:
    bundle = await explained(api, record)
    assert list(disagreements(bundle)) == []
    bundle["approvals"][0]["votes"][0]["attempt"] = 2
    assert [finding.kind for finding in disagreements(bundle)] == ["changed"]

    # An event of an earlier version does not say which one it is about.
    del _event(bundle, "approval.approved")["event"]["detail"]["attempt"]

    assert list(disagreements(bundle)) == []


async def test_an_explanation_signed_by_a_stranger_is_not_believed(
    api: Api, record: Record
) -> None:
    bundle = await explained(api, record)

    assert not verify_bundle(bundle, pins=["ab" * 16]).is_well


DAMAGES: dict[str, object] = {
    "format": "other",
    "events": None,
    "checkpoints": ["{}"],
    "proofs": [{"first": "x"}],
    "workspace": "x",
    "cost_usd": "x",
}


async def test_a_damaged_explanation_is_refused(api: Api, record: Record) -> None:
    bundle = await explained(api, record)
    for part, damage in DAMAGES.items():
        with pytest.raises(Invalid):
            verify_bundle({**bundle, part: damage})
