"""What the policy knows of a run beside its call: who asked, what they typed, who would read it.

`runtime.gate` assembles a `RunFacts` from rows and from what the platforms say. Whatever nobody
could find out is absent, and what is absent grants nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from openloop.domain.audience import PlaceClass, narrowest
from openloop.domain.principal import Right, Role, rights_of
from openloop.domain.step import Step, StepKind, StepState
from openloop.domain.surface import PersonKind
from openloop.domain.tool import Effect

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from openloop.domain.tool import Arguments

Access: TypeAlias = Literal["read", "write"]

LABEL = "label"
"""The key of a step's input (of the context's output) under which a read journals its class."""
RECALLING = "memory__search"
"""The tool whose results carry that key."""
RECALLED = "visible_in"
"""The key of a search's result under which it says how far what was recalled may go."""
SOURCE = "source"
"""The key of a step's input under which a read journals what it read from."""


def access_of(effect: Effect) -> Access:
    """What somebody has to be permitted at the service for a call of this effect."""
    return "write" if effect.leaves_us else "read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requester:
    """Somebody whose words the run works for: who opened it, or who steered it since.

    `name` is for sentences. `kind` is what the platform says of them now. `roles` are those of the
    Workspace manifest; a full member who is not listed has none. `links` are their ids at services,
    by the name of the service. `typed` is what they typed in this run, as their surface decoded it.
    """

    name: str
    kind: PersonKind
    roles: tuple[Role, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict[str, str])
    typed: tuple[str, ...] = ()

    @property
    def may_run(self) -> bool:
        """True for whom standing rules speak: a role that starts runs, not mere membership."""
        return Right.RUN in rights_of(self.roles)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A service has said that somebody may do this to one of its resources."""

    service: str
    person: str
    resource: str
    access: Access


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Something that has entered the run: where it came from, and how far it may go."""

    source: str
    visible_in: PlaceClass


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """The facts of one run at one moment.

    `place` is the class of the place in which the run speaks; None where the platform did not say.
    `audiences` are the classes of written resources by their source name: without an entry where
    the service cannot tell at all, None where it should and did not. `versions` are those of what
    calls would change, by `target_of`; a target that nobody could look at has none. `is_certain` is
    false where somebody could not be asked at the moment: what is denied then may be permitted a
    minute later.

    A run is tainted from its start, since a thread holds words of people who did not ask, and
    nothing makes it clean: no fact lets a write pass but a standing rule and what was typed.
    """

    requesters: tuple[Requester, ...]
    surface: str
    place: PlaceClass | None
    seen: tuple[Seen, ...] = ()
    is_certain: bool = True
    answered: frozenset[Answered] = frozenset()
    audiences: Mapping[str, PlaceClass | None] = field(
        default_factory=dict[str, "PlaceClass | None"]
    )
    versions: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def label(self) -> PlaceClass:
        """How far anything that this run says may go: the narrowest of all it has seen."""
        return narrowest(seen.visible_in for seen in self.seen)

    def label_beyond(self, source: str) -> PlaceClass:
        """The same for what is written back to where it was read."""
        return narrowest(seen.visible_in for seen in self.seen if seen.source != source)


def source_of(service: str, resource: str | None) -> str:
    """What a read is remembered by: the service, and what of it was read."""
    return f"{service}:{(resource or '').lower()}"


def target_of(tool: str, arguments: Arguments) -> str:
    """What the version of a call's target goes by: the call itself, however its JSON is written."""
    return f"{tool} {json.dumps(arguments, sort_keys=True)}"


def seen_in(steps: Sequence[Step], *, before: int | None = None) -> tuple[Seen, ...]:
    """What a journal says has entered the run, up to a step; it only ever grows."""
    earlier = (step for step in steps if before is None or step.seq < before)
    return tuple(found for step in earlier for found in _seen(step))


def _seen(step: Step) -> Iterator[Seen]:
    output = step.output or {}
    if step.state is StepState.HELD or output.get("outcome") == "refused":
        return
    noted = output if step.kind is StepKind.CONTEXT else step.input
    label = noted.get(LABEL)
    if label is not None:
        yield Seen(source=str(noted.get(SOURCE, "")), visible_in=PlaceClass(str(label)))
    if step.name == RECALLING:
        recalled = output.get("content", {}).get(RECALLED, PlaceClass.PUBLIC)
        yield Seen(source=RECALLING, visible_in=PlaceClass(str(recalled)))


AT_BEST = RunFacts(
    requesters=(Requester(name="somebody", kind="member", roles=(Role.OWNER,)),),
    surface="slack",
    place=PlaceClass.PRIVATE,
)
"""The facts under which a manifest lets through the most, for comparing manifests. Never of a run."""
