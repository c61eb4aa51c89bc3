"""Rules over several values of a budget: limits that are never reached, extensions nobody decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.domain.manifest_budget import Allowance
from openloop.domain.manifest_rules import role_findings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openloop.domain.manifest_agent import AgentManifest, Finding
    from openloop.domain.manifest_budget import AgentBudget, Extension, WorkspaceBudget
    from openloop.domain.manifest_workspace import WorkspaceManifest
    from openloop.domain.strict_yaml import Path

_BUDGET: Path = ("spec", "budget")


def agent_findings(agent: AgentManifest) -> Iterator[Finding]:
    """What is wrong with an agent's budget although every single value is well-formed."""
    budget = agent.spec.budget
    yield from _unreachable(_BUDGET, budget)
    for unit in ("usd", "tokens"):
        run = getattr(budget, f"per_task_{unit}")
        for span in ("daily", "monthly"):
            limit = getattr(budget, f"{span}_{unit}")
            if run is not None and limit is not None and run > limit:
                message = f"It is above {span}_{unit}, so it is never reached"
                yield "manifest_invalid_value", (*_BUDGET, f"per_task_{unit}"), message
                break
    approvers = bool(agent.spec.approvals.approvers)
    yield from _extension(budget, has_approvers=approvers)


def workspace_findings(workspace: WorkspaceManifest) -> Iterator[Finding]:
    """The same for the budget of a workspace, which names the approvers of its extension itself."""
    budget = workspace.spec.budget
    yield from _unreachable(_BUDGET, budget)
    for key, allowance in (("per_place", budget.per_place), ("per_person", budget.per_person)):
        if allowance == Allowance():
            message = (
                "Name at least one limit: daily_usd, monthly_usd, daily_tokens, monthly_tokens"
            )
            yield "manifest_invalid_value", (*_BUDGET, key), message
        elif allowance is not None:
            yield from _unreachable((*_BUDGET, key), allowance)
    yield from _extension(budget, has_approvers=False)
    yield from reference_findings(budget.extension, workspace)


def reference_findings(
    extension: Extension | None, workspace: WorkspaceManifest
) -> Iterator[Finding]:
    """Approvers of an extension who are nobody."""
    for index, reference in enumerate(extension.approvers if extension else ()):
        if not workspace.members(reference):
            message = f"{reference!r} is neither a person nor a group of this workspace"
            yield "name_unresolved", (*_BUDGET, "extension", "approvers", index), message
        else:
            path = (*_BUDGET, "extension", "approvers", index)
            yield from role_findings(path, reference, workspace)


def _unreachable(
    path: Path, budget: AgentBudget | WorkspaceBudget | Allowance
) -> Iterator[Finding]:
    pairs = (
        ("daily_usd", budget.daily_usd, budget.monthly_usd),
        ("daily_tokens", budget.daily_tokens, budget.monthly_tokens),
    )
    for key, daily, monthly in pairs:
        if daily is not None and monthly is not None and daily > monthly:
            message = f"It is above {key.replace('daily', 'monthly')}, so it is never reached"
            yield "manifest_invalid_value", (*path, key), message


def _extension(budget: AgentBudget | WorkspaceBudget, *, has_approvers: bool) -> Iterator[Finding]:
    path, extension = (*_BUDGET, "extension"), budget.extension
    if extension is None:
        if budget.on_exceeded == "ask":
            message = "`ask` needs an `extension`: what an approval adds, and how often in a month"
            yield "manifest_missing_key", (*_BUDGET, "on_exceeded"), message
        return
    if budget.on_exceeded != "ask":
        message = "An extension is asked for with `on_exceeded: ask` only"
        yield "manifest_invalid_value", path, message
    if extension.usd is None and extension.tokens is None:
        yield "manifest_missing_key", path, "Name what an approval adds: usd, tokens, or both"
    if not extension.approvers and not has_approvers:
        yield "manifest_missing_key", path, "Name the approvers who decide an extension"
