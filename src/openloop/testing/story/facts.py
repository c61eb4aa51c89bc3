"""What the product says about the story afterwards, asked through its API."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from openloop.testing.stack import Stack

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """API answers as they came, lists oldest first, and the product's processes by role."""

    runs: Sequence[Json]
    journals: Mapping[str, Sequence[Json]]
    approvals: Sequence[Json]
    memories: Sequence[Json]
    audit: Sequence[Json]
    usage: Json
    pids_before: Mapping[str, Sequence[int]]
    pids_after: Mapping[str, Sequence[int]]

    @property
    def cost_usd(self) -> Decimal:
        """What all runs cost together."""
        return sum((Decimal(run["cost_usd"]) for run in self.runs), Decimal(0))

    def recalled(self, run: Json) -> Sequence[str]:
        """The ids of the memories that stood in a run's prompt, as its journal has it."""
        context = next(s for s in self.journals[run["id"]] if s["kind"] == "context")
        return context["output"]["memory_ids"]

    def kinds(self, run: Json) -> Sequence[str]:
        """The kinds of a run's audit events, in order."""
        return [event["kind"] for event in self.audit if event["run_id"] == run["id"]]


def children(stack: Stack) -> dict[str, list[int]]:
    """The processes that `up` keeps running, by role."""
    pids = stack.pids()
    return {role: pids[role] for role in ("serve", "worker", "gateway")}


async def ask(stack: Stack, *, pids_before: Mapping[str, Sequence[int]]) -> Facts:
    """Ask the API for everything there is."""
    runs = await _all(stack, "/api/v1/runs")
    return Facts(
        runs=runs,
        journals={
            run["id"]: (await stack.get(f"/api/v1/runs/{run['id']}/steps"))["items"] for run in runs
        },
        approvals=await _all(stack, "/api/v1/approvals"),
        memories=await _all(stack, "/api/v1/memories"),
        audit=await _all(stack, "/audit"),
        usage=await stack.get("/usage"),
        pids_before=pids_before,
        pids_after=children(stack),
    )


async def _all(stack: Stack, path: str) -> list[Json]:
    return (await stack.get(path, limit="200"))["items"][::-1]
