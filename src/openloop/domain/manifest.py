"""Manifests: reading them strictly, checking them, and the bytes that stand for them.

    file -> strict YAML -> typed values -> rules over several values -> references to the workspace

All problems of a stage are listed at once; a later stage only looks at what the earlier ones took.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import rfc8785
from pydantic import TypeAdapter, ValidationError

from openloop.domain import (
    budget_rules,
    manifest_agent,
    manifest_rules,
    manifest_workspace,
    strict_yaml,
)
from openloop.domain.errors import Invalid
from openloop.domain.manifest_agent import AgentManifest, ChannelBinding
from openloop.domain.manifest_parts import plain, shorten
from openloop.domain.manifest_problems import LATER_KINDS, Locator, unlocated
from openloop.domain.manifest_workspace import WorkspaceManifest
from openloop.domain.strict_yaml import Document, Path, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

T = TypeVar("T")

API_VERSION: Final = "openloop.ai/v1alpha1"

Manifest: TypeAlias = AgentManifest | WorkspaceManifest

_KINDS: Final[dict[str, type[Manifest]]] = {"Agent": AgentManifest, "Workspace": WorkspaceManifest}
_TOP_LEVEL: Final = ("apiVersion", "kind", "metadata", "spec")


class InvalidManifest(Invalid):
    """A manifest is refused as a whole; `found` holds every problem, in the order of the file."""

    code = "manifest_invalid"

    def __init__(self, found: tuple[Problem, ...]) -> None:
        problems = tuple(str(problem) for problem in found)
        more = f" (and {len(problems) - 1} more)" if problems[1:] else ""
        super().__init__(f"{problems[0]}{more}", problems=problems)
        self.found = found


@dataclass(frozen=True, slots=True)
class Loaded:
    """A manifest together with the text it came from, for problems that are found later."""

    manifest: Manifest
    document: Document


def load(text: bytes | str, *, name: str) -> Loaded:
    """Read a manifest of any kind; `name` is what messages call the file.

    Raises:
        InvalidManifest
    """
    manifest, locator = read(text, _KINDS, name=name)
    refuse(tuple(locator.problem(*finding) for finding in _findings(manifest)))
    return Loaded(manifest, locator.document)


def read(text: bytes | str, kinds: Mapping[str, type[T]], *, name: str) -> tuple[T, Locator]:
    """Read a file of one of these kinds, as strictly as all of them; rules come afterwards.

    Raises:
        InvalidManifest
    """
    try:
        document = strict_yaml.load(text, name=name)
    except strict_yaml.Malformed as malformed:
        raise InvalidManifest(malformed.found) from None
    kind, body = _kind(document, kinds)
    locator = Locator(document, kind)
    nulls = tuple(locator.nulls())
    try:
        value: T = _adapter(kind).validate_python(body)
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False, include_input=True)
        refuse(_merged(nulls, locator.translated(errors)))
        raise
    refuse(nulls)
    return value, locator


def refuse(found: tuple[Problem, ...]) -> None:
    """Refuse a file where something was found, in the order of the file.

    Raises:
        InvalidManifest
    """
    if found:
        ordered = sorted(found, key=lambda problem: (problem.line, problem.column))
        raise InvalidManifest(tuple(ordered[: strict_yaml.MAX_PROBLEMS]))


def parse(text: bytes | str, *, name: str) -> Manifest:
    """Read a manifest of any kind.

    Raises:
        InvalidManifest
    """
    return load(text, name=name).manifest


def parse_agent(text: bytes | str, *, name: str) -> AgentManifest:
    """Read an Agent manifest.

    Raises:
        InvalidManifest: also where the file is a manifest of another kind (`manifest_wrong_kind`)
    """
    loaded = load(text, name=name)
    if not isinstance(loaded.manifest, AgentManifest):
        raise _wrong_kind(loaded, "Agent")
    return loaded.manifest


def parse_workspace(text: bytes | str, *, name: str) -> WorkspaceManifest:
    """Read a Workspace manifest.

    Raises:
        InvalidManifest: also where the file is a manifest of another kind (`manifest_wrong_kind`)
    """
    loaded = load(text, name=name)
    if not isinstance(loaded.manifest, WorkspaceManifest):
        raise _wrong_kind(loaded, "Workspace")
    return loaded.manifest


def check_references(
    agent: AgentManifest, workspace: WorkspaceManifest, *, document: Document | None = None
) -> tuple[Problem, ...]:
    """What an agent names that its workspace does not have; empty where all is well.

    `document` (of `load`) gives the problems their lines.
    """
    found = _reference_findings(agent, workspace)
    if document is None:
        file = agent.metadata.name
        return tuple(unlocated(file, *finding) for finding in found)
    locator = Locator(document)
    return tuple(locator.problem(*finding) for finding in found)


def to_plain(manifest: Manifest) -> dict[str, Any]:
    """A manifest as JSON values, defaults written out and money as text; `parse` takes it back."""
    kind = "Agent" if isinstance(manifest, AgentManifest) else "Workspace"
    return {"apiVersion": API_VERSION, "kind": kind, **plain(manifest)}


def canonical(manifest: Manifest) -> bytes:
    """RFC 8785 JSON: equal for manifests that mean the same, however they were written."""
    return rfc8785.dumps(to_plain(manifest))


def digest(manifest: Manifest) -> str:
    """`sha256:` and the hash of the canonical bytes."""
    return f"sha256:{hashlib.sha256(canonical(manifest)).hexdigest()}"


# --- how -----------------------------------------------------------------------------------------


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _kind(document: Document, kinds: Mapping[str, type[T]]) -> tuple[type[T], dict[str, object]]:
    """Which manifest it claims to be, and what the type of that kind reads."""
    top = document.value
    locator = Locator(document)
    if not isinstance(top, dict):
        message = "A manifest is a mapping with apiVersion, kind, metadata and spec"
        raise InvalidManifest((locator.problem("manifest_wrong_type", (), message),))
    found = [locator.unknown_key((key,), _TOP_LEVEL) for key in top if key not in _TOP_LEVEL]
    version, name = top.get("apiVersion"), top.get("kind")
    if version != API_VERSION:
        message = f"Expected {API_VERSION}, found {shorten(version)}"
        found.append(_top_level(locator, top, "apiVersion", message))
    kind = kinds.get(name) if isinstance(name, str) else None
    if kind is None:
        if isinstance(name, str) and name in LATER_KINDS:
            message = f"A manifest of kind {name!r} is not supported yet in this version"
            found.append(locator.problem("manifest_not_supported_yet", ("kind",), message))
        elif name == "AgentTest":
            message = "A test is not applied: run it with `openloop agents test -f FILE`"
            found.append(locator.problem("manifest_wrong_kind", ("kind",), message))
        else:
            message = f"Expected one of {', '.join(kinds)}, found {shorten(name)}"
            found.append(_top_level(locator, top, "kind", message))
    refuse(tuple(found))
    if kind is None:  # pragma: no cover  # a problem was found above
        raise AssertionError(name)
    return kind, {key: top[key] for key in ("metadata", "spec") if key in top}


def _top_level(locator: Locator, top: dict[str, Any], key: str, message: str) -> Problem:
    if key not in top:
        return locator.problem("manifest_missing_key", (key,), f"{key!r} is missing")
    return locator.problem("manifest_invalid_value", (key,), message)


def _merged(nulls: tuple[Problem, ...], others: Iterator[Problem]) -> tuple[Problem, ...]:
    """A key without a value is one problem, not also one of the wrong type."""
    empty = {problem.path for problem in nulls}
    return (*nulls, *(problem for problem in others if problem.path not in empty))


def _wrong_kind(loaded: Loaded, expected: str) -> InvalidManifest:
    message = f"Expected a manifest of kind {expected}"
    locator = Locator(loaded.document)
    return InvalidManifest((locator.problem("manifest_wrong_kind", ("kind",), message),))


def _findings(manifest: Manifest) -> Iterator[tuple[str, Path, str]]:
    if isinstance(manifest, AgentManifest):
        yield from manifest_agent.findings(manifest)
        yield from manifest_rules.findings(manifest.spec)
        yield from budget_rules.agent_findings(manifest)
        return
    yield from manifest_workspace.findings(manifest)
    yield from budget_rules.workspace_findings(manifest)
    rules, path = manifest.spec.policy.rules, ("spec", "policy", "rules")
    yield from manifest_rules.rule_findings(path, rules)
    yield from manifest_rules.quorum_findings(path, rules, manifest)


def _reference_findings(
    agent: AgentManifest, workspace: WorkspaceManifest
) -> Iterator[tuple[str, Path, str]]:
    wanted, given = agent.metadata.workspace, workspace.metadata.name
    if wanted != given:
        message = f"The agent belongs to the workspace {wanted!r}, not to {given!r}"
        yield "workspace_mismatch", ("metadata", "workspace"), message
        return
    on_slack = any(
        isinstance(surface, ChannelBinding) and surface.type == "slack"
        for surface in agent.spec.surfaces
    )
    for index, reference in enumerate(agent.spec.approvals.approvers):
        path: Path = ("spec", "approvals", "approvers", index)
        people = workspace.members(reference)
        if not people:
            message = f"{reference!r} is neither a person nor a group of the workspace {given!r}"
            yield "name_unresolved", path, message
        yield from manifest_rules.role_findings(path, reference, workspace)
        if people and on_slack and not any(workspace.spec.people[name].slack for name in people):
            message = f"{reference!r} stands for nobody with a Slack id: add people.NAME.slack"
            yield "approver_unreachable", path, message
    rules = ("spec", "approvals", "rules")
    yield from manifest_rules.quorum_findings(rules, agent.spec.approvals.rules, workspace)
    yield from budget_rules.reference_findings(agent.spec.budget.extension, workspace)
