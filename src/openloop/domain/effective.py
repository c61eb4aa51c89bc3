"""What is in force, value by value, and where each value comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from openloop.domain.differences import entry_name, format_keys
from openloop.domain.manifest import to_plain
from openloop.domain.manifest_agent import AgentManifest, NativeTool
from openloop.domain.policy import repositories

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openloop.domain.differences import KeyPath
    from openloop.domain.manifest import Loaded
    from openloop.domain.manifest_workspace import WorkspaceManifest
    from openloop.domain.strict_yaml import Document, Path

From: TypeAlias = Literal["manifest", "default", "workspace"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveValue:
    """A value in force. `line` is that of the manifest; 0 for what no line of it says."""

    path: str
    value: Any
    origin: From
    line: int = 0


def effective(
    loaded: Loaded, governed_by: WorkspaceManifest | None = None
) -> tuple[EffectiveValue, ...]:
    """Every value of a manifest; of an agent's also those that its Workspace gives."""
    plain = to_plain(loaded.manifest)
    found = [*_values(plain["spec"], ("spec",), ("spec",), loaded.document)]
    if isinstance(loaded.manifest, AgentManifest) and governed_by is not None:
        found += _given(loaded.manifest, governed_by)
    return tuple(found)


def _values(value: Any, path: Path, shown: KeyPath, document: Document) -> Iterator[EffectiveValue]:
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[str, Any]", value).items():
            yield from _values(item, (*path, key), (*shown, key), document)
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        for index, item in enumerate(cast("list[Mapping[str, Any]]", value)):
            yield from _values(item, (*path, index), (*shown, entry_name(item)), document)
    else:
        at = document.values.get(path)
        yield EffectiveValue(
            path=format_keys(shown),
            value=value,
            origin="default" if at is None else "manifest",
            line=0 if at is None else at.line,
        )


def _given(agent: AgentManifest, governed_by: WorkspaceManifest) -> Iterator[EffectiveValue]:
    for tool in agent.spec.tools:
        if isinstance(tool, NativeTool) and tool.repos is None:
            yield EffectiveValue(
                path=format_keys(("spec", "tools", tool.name, "repos")),
                value=list(repositories(tool, governed_by)),
                origin="workspace",
            )
    for reference in agent.spec.approvals.approvers:
        yield EffectiveValue(
            path=format_keys(("spec", "approvals", "approvers", reference)),
            value=sorted(governed_by.voters(reference)),
            origin="workspace",
        )
    yield EffectiveValue(path="solo_mode", value=governed_by.spec.solo_mode, origin="workspace")
