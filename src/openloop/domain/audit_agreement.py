"""Whether what a database said of a run agrees with the events of the run, and with itself."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from openloop.domain.audit_chain import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

VOTES = {
    "approval.voted": {"approve", "retry"},
    "approval.approved": {"approve", "retry"},
    "approval.denied": {"deny"},
    "approval.confirmed": {"happened"},
    "glass.broken": {"break_glass"},
}
"""The events that say that somebody decided, and what they may have said."""


def disagreements(bundle: Json) -> Iterator[Finding]:
    """Who asked, the decisions and their rules, the votes and the cost, held against the events."""
    events: list[Json] = [entry["event"] for entry in bundle["events"] if entry["event"]]
    yield from _requester(bundle["run"], events)
    yield from _decisions(bundle, events)
    yield from _votes(bundle["approvals"], events)
    yield from _cost(bundle)


def _requester(run: Json, events: list[Json]) -> Iterator[Finding]:
    asked = run["requested_by"]
    for event in events:
        # An erased actor has no id any more: the principal is all that the record still knows.
        external_id = event["actor"].get("external_id")
        if event["kind"] != "run.queued" or not external_id:
            continue
        if (event["actor"]["surface"], external_id) != (asked["surface"], asked["id"]):
            yield _wrong("request", f"The audit says that {external_id} asked for it")


def _decisions(bundle: Json, events: list[Json]) -> Iterator[Finding]:
    journal: list[Json] = bundle["steps"]
    if [step["seq"] for step in journal] != list(range(len(journal))):
        yield _wrong("steps", "A step of its journal is missing")
    asked_for = {approval["id"]: approval["step_seq"] for approval in bundle["approvals"]}
    decided = {decision["step"]: decision for decision in bundle["decisions"]}
    called = {step["seq"]: step for step in journal if step["kind"] == "tool"}
    if decided.keys() != called.keys():
        yield _wrong("decisions", "They are not those of the calls in its journal")
    denied = {event["detail"].get("step") for event in events if event["kind"] == "call.denied"}
    for seq in sorted(decided.keys() & called.keys()):
        said, step = decided[seq], called[seq]
        held = "held" if seq in asked_for.values() else "allowed"
        wanted = (step["name"], step["rule"], "denied" if seq in denied else held)
        if (said["tool"], said["rule"], said["verdict"]) != wanted:
            yield _wrong(f"step {seq}", "The decision is not the one in its journal")
        rules = {
            event["detail"]["rule"]
            for event in events
            if "rule" in event["detail"]
            and seq in (event["detail"].get("step"), asked_for.get(event["subject"]))
        }
        if rules and said["rule"] not in rules:
            yield _wrong(f"step {seq}", f"The audit says that {sorted(rules)} decided it")


def _votes(approvals: list[Json], events: list[Json]) -> Iterator[Finding]:
    heard = {
        (event["subject"], event["actor"].get("principal_id"), decision, attempt)
        for event in events
        for decision in VOTES.get(event["kind"], ())
        for attempt in (event["detail"].get("attempt"),)
    }
    for approval in approvals:
        for vote in approval["votes"]:
            said = (approval["id"], vote["principal_id"], vote["decision"])
            # Events of earlier versions do not say which attempt they are about.
            if heard.isdisjoint({(*said, vote.get("attempt", 1)), (*said, None)}):
                yield _wrong(
                    f"approval {approval['id']}", "The audit does not know of a vote on it"
                )


def _cost(bundle: Json) -> Iterator[Finding]:
    charged = sum((Decimal(each["cost_usd"] or 0) for each in bundle["spent"]), Decimal(0))
    if not charged == Decimal(bundle["cost_usd"]) == Decimal(bundle["run"]["cost_usd"]):
        yield _wrong("cost", "It is not the sum of what its model calls cost")


def _wrong(where: str, message: str) -> Finding:
    return Finding(kind="changed", where=where, message=message)
