"""Rules over several values of what an agent holds and allows, and of who decides it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.domain.manifest_agent import AgentSpec, NativeTool
from openloop.domain.manifest_approvals import names_resources, patterns_of
from openloop.domain.policy import BUILTIN
from openloop.domain.resources import KEYS, is_within

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from openloop.domain.manifest_agent import Finding, McpTool
    from openloop.domain.manifest_approvals import HoldRule, StandingRule
    from openloop.domain.manifest_workspace import WorkspaceManifest
    from openloop.domain.strict_yaml import Path

OF_REPOSITORIES = frozenset({"github", "coding_worker"})
"""Toolsets whose every tool touches a repository: a rule that names none would never apply."""
_APPROVALS: Path = ("spec", "approvals")


def findings(spec: AgentSpec) -> Iterator[Finding]:
    """What is wrong with the approvals of an agent although every single value is well-formed."""
    yield from _names(spec)
    yield from _approvers(spec)
    yield from _gated_names(spec)
    yield from _standing_rules(spec)
    yield from rule_findings((*_APPROVALS, "rules"), spec.approvals.rules)


def _names(spec: AgentSpec) -> Iterator[Finding]:
    for index, tool in enumerate(spec.tools):
        if tool.name == BUILTIN:
            message = f"{BUILTIN!r} is the name of what is built in, which `spec.{BUILTIN}` grants"
            yield "manifest_invalid_value", ("spec", "tools", index, "name"), message


def rule_findings(path: Path, rules: Sequence[HoldRule]) -> Iterator[Finding]:
    """Steps of an escalation that could never be reached, or not in this order."""
    for index, rule in enumerate(rules):
        hours = [step.after_hours for step in rule.escalation]
        if hours != sorted(set(hours)):
            message = "Each step of an escalation comes later than the one before"
            yield "manifest_invalid_value", (*path, index, "escalation"), message
        for at, step in enumerate(rule.escalation):
            if rule.expires_hours is not None and step.after_hours >= rule.expires_hours:
                message = f"The approval has expired after {rule.expires_hours} h"
                where = (*path, index, "escalation", at, "after_hours")
                yield "manifest_invalid_value", where, message


def role_findings(path: Path, reference: str, workspace: WorkspaceManifest) -> Iterator[Finding]:
    """People who are named to decide, none of whom has the role for it."""
    if workspace.members(reference) and not workspace.voters(reference):
        message = (
            f"{reference!r} stands for nobody with the role 'approver': "
            "add them to spec.roles.approver of the Workspace"
        )
        yield "approver_without_role", path, message


def quorum_findings(
    path: Path, rules: Sequence[HoldRule], workspace: WorkspaceManifest
) -> Iterator[Finding]:
    """Rules that name somebody who is not there, or ask for more votes than there are people."""
    for index, rule in enumerate(rules):
        where = (*path, index)
        named = [(("approvers", at), name) for at, name in enumerate(rule.approvers)]
        for step, each in enumerate(rule.escalation):
            named += [
                (("escalation", step, "approvers", at), name)
                for at, name in enumerate(each.approvers)
            ]
        for at, reference in named:
            if not workspace.members(reference):
                message = f"{reference!r} is neither a person nor a group of this workspace"
                yield "name_unresolved", (*where, *at), message
            else:
                yield from role_findings((*where, *at), reference, workspace)
        people = {name for _, reference in named for name in workspace.voters(reference)}
        if people and rule.quorum > len(people):
            message = f"{rule.quorum} have to agree, and only {len(people)} may vote"
            yield "quorum_unreachable", (*where, "quorum"), message


def _approvers(spec: AgentSpec) -> Iterator[Finding]:
    if spec.approvals.approvers:
        return
    if spec.approvals.require_for:
        held, path = spec.approvals.require_for[0], (*_APPROVALS, "require_for")
    else:
        writing = [(index, tool.writes[0]) for index, tool in enumerate(spec.tools) if tool.writes]
        if not writing:
            return
        index, held = writing[0]
        path = ("spec", "tools", index, "permissions")
    message = f"{held!r} is held for a person and nobody may decide: name spec.approvals.approvers"
    yield "approvers_missing", path, message


def _gated_names(spec: AgentSpec) -> Iterator[Finding]:
    """MCP tools have names, native toolsets have `resource:verb`; a mix-up would gate nothing."""
    approvals = spec.approvals
    named: list[tuple[Path, str]] = [
        (("require_for", index), name) for index, name in enumerate(approvals.require_for)
    ]
    named += [
        (("rules", index, "match", "permission"), rule.match.permission)
        for index, rule in enumerate(approvals.rules)
    ]
    kinds = {tool.name: tool.type for tool in spec.tools}
    for where, name in named:
        toolset, _, rest = name.partition(".")
        if kinds.get(toolset) == "mcp":
            if ":" in rest:
                message = f"{toolset!r} is an MCP server: write {toolset}.TOOL"
                yield "manifest_invalid_value", (*_APPROVALS, *where), message
        elif ":" not in rest:
            message = f"{name!r} names no verb: write {name}:write"
            yield "manifest_invalid_value", (*_APPROVALS, *where), message


def _standing_rules(spec: AgentSpec) -> Iterator[Finding]:
    tools = {name: tool for tool in spec.tools for name in tool.gated}
    seen: set[str] = set()
    for index, rule in enumerate(spec.approvals.allow):
        path: Path = (*_APPROVALS, "allow", index)
        tool = tools.get(rule.permission)
        if rule.permission in seen:
            message = f"{rule.permission!r} has a rule already: put the repositories together"
            yield "manifest_duplicate", (*path, "permission"), message
        seen.add(rule.permission)
        if tool is None:
            message = f"{rule.permission!r} is allowed here and granted by no tool"
            yield "standing_rule_not_granted", (*path, "permission"), message
        elif rule.permission in spec.approvals.require_for:
            message = f"{rule.permission!r} is in require_for too: it cannot be held and not held"
            yield "standing_rule_contradicted", (*path, "permission"), message
        if tool is not None:
            yield from _rule_resources(path, rule, tool)


def _rule_resources(
    path: Path, rule: StandingRule, tool: NativeTool | McpTool
) -> Iterator[Finding]:
    if not isinstance(tool, NativeTool):
        if names_resources(rule):
            key = next(key for kind, key in KEYS.items() if patterns_of(rule, kind) is not None)
            message = "An MCP tool has no repositories, channels or hosts"
            yield "manifest_invalid_value", (*path, key), message
        return
    if not names_resources(rule) and tool.name in OF_REPOSITORIES:
        message = "A standing rule names the repositories it is for: add repos"
        yield "manifest_missing_key", path, message
    for kind, key in KEYS.items():
        granted = tool.patterns(kind)
        for index, name in enumerate(patterns_of(rule, kind) or ()):
            if granted is not None and not any(is_within(kind, name, each) for each in granted):
                message = f"{name!r} is not among the {key} of {tool.name!r}"
                yield "manifest_invalid_value", (*path, key, index), message
