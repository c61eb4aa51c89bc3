"""Plans and changes of the configuration: what manifests would do, and who has to agree to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, TypeAlias

from openloop.domain.agent import Inactive
from openloop.domain.differences import Difference
from openloop.domain.errors import Conflict, Forbidden
from openloop.domain.ids import ChangeId, PrincipalId
from openloop.domain.probes import Widening

_OF_OWNERS = ("spec.roles", "spec.access", "spec.people", "spec.solo_mode", "spec.retention")

Verb: TypeAlias = Literal["create", "change", "unchanged"]


class ChangeState(StrEnum):
    """pending -> approved | rejected | superseded | expired | stale."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    STALE = "stale"


class ChangeDecision(StrEnum):
    """What a person says to a change."""

    APPROVE = "approve"
    REJECT = "reject"


class ChangeDecided(Conflict):
    """Somebody else decided this change first, or it is over."""

    code = "change_already_decided"


class ChangeExpired(Conflict):
    """Nobody decided the change in time."""

    code = "change_expired"


class ChangeStale(Conflict):
    """What was proposed would come to something else by now."""

    code = "change_stale"


class OwnProposal(Forbidden):
    """People do not approve what they proposed themselves."""

    code = "own_proposal"


class NeedsOwner(Forbidden):
    """Who has which role here, and who they are, no two admins decide between themselves."""

    code = "change_needs_owner"


class NotAPerson(Forbidden):
    """A service does not approve a change of rights."""

    code = "not_a_person"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedDocument:
    """What one manifest would come to.

    `live` and `digest` are the digests of what is in force (empty where nothing is) and of what
    would be; `begins` says that it would be the first of its name.
    """

    file: str
    kind: Literal["Agent", "Workspace"]
    name: str
    verb: Verb
    revision: int
    live: str
    digest: str
    differences: tuple[Difference, ...] = ()
    widenings: tuple[Widening, ...] = ()
    inactive: tuple[Inactive, ...] = ()

    @property
    def begins(self) -> bool:
        """There is nothing yet that it could widen."""
        return not self.live


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a set of manifests would come to; `digest` stands for all of it."""

    documents: tuple[PlannedDocument, ...]
    digest: str

    @property
    def widens(self) -> bool:
        """True where somebody else has to agree."""
        return any(document.widenings for document in self.documents)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFile:
    """A manifest as it was written."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Manifests that wait until somebody else agrees; until then what was in force stays so."""

    id: ChangeId
    origin: str
    version: str
    files: tuple[ManifestFile, ...]
    digest: str
    documents: tuple[PlannedDocument, ...]
    proposed_by: PrincipalId
    proposed_at: datetime
    expires_at: datetime
    state: ChangeState
    decided_by: PrincipalId | None = None
    decided_at: datetime | None = None
    reason: str = ""

    @property
    def is_owners_matter(self) -> bool:
        """True where it says who people are, what roles they have, or how long a record is kept."""
        return any(
            document.kind == "Workspace" and each.path.startswith(_OF_OWNERS)
            for document in self.documents
            for each in document.widenings
        )

    def refuse_voter(
        self, voter: PrincipalId, *, is_person: bool, has_owner: bool, solo_mode: bool
    ) -> None:
        """Who may not approve: a service, and, but in solo mode, whoever proposed it.

        `has_owner`: one of both is an owner, which an owners' matter needs in any mode, or there is none.

        Raises:
            OwnProposal, NotAPerson, NeedsOwner
        """
        if self.is_owners_matter and not has_owner:
            message = "This changes roles or people: an owner has to propose or to approve it"
            raise NeedsOwner(message)
        if not is_person:
            raise NotAPerson("A person has to approve this, with a token of their own")
        if voter == self.proposed_by and not solo_mode:
            message = "Somebody else has to approve what you proposed (this is not in solo mode)"
            raise OwnProposal(message)
