"""Agents and the revisions of their manifests."""

from dataclasses import dataclass
from datetime import datetime

from openloop.domain.ids import AgentId, ChangeId, PrincipalId, RevisionId


@dataclass(frozen=True, slots=True, kw_only=True)
class Inactive:
    """A part of a manifest that was taken and cannot work yet, with the reason."""

    part: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One applied manifest.

    `source` is the text as it was applied, `origin` what applied it (`cli`, `up`, `sync ...`), and
    `change_id` the change that somebody approved, where it widened rights.
    """

    id: RevisionId
    agent_id: AgentId
    number: int
    source: str
    digest: str
    inactive: tuple[Inactive, ...]
    applied_at: datetime
    applied_by: PrincipalId
    origin: str = ""
    change_id: ChangeId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """An agent by name, with its live revision."""

    id: AgentId
    name: str
    live_revision_id: RevisionId
    created_at: datetime
