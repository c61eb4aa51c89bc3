"""What has to be true of approvals, written a second time: plain sets and hours, no code of ours.

The model is told what people do and what the rules are. It says whose vote counts, and whether an
effect that it is shown may have happened.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

EXPIRES_HOURS = 72
LATER_HOURS = 4
GLASS_HOURS = 1


class Broken(AssertionError):
    """The product did something that must never happen."""


@dataclass(frozen=True)
class Rule:
    """Who decides writes: so many of the maintainers; of security, too, after some hours."""

    quorum: int = 1
    may_edit: bool = True
    escalates: bool = True


@dataclass(frozen=True)
class World:
    """Everything that decides, at one moment."""

    maintainers: frozenset[str] = frozenset({"anna", "priya"})
    security: frozenset[str] = frozenset({"mallory"})
    owners: frozenset[str] = frozenset({"priya", "anna"})
    approvers: frozenset[str] = frozenset({"anna", "ben", "mallory", "priya"})
    rule: Rule = Rule()
    is_granted: bool = True
    solo_mode: bool = False
    hours: float = 0

    def with_hours(self, hours: float) -> World:
        """The same world later."""
        return replace(self, hours=self.hours + hours)


@dataclass
class Ask:
    """One held call as people know it: what was shown to them, and what they said to it.

    `approving` are those who let this very attempt run: a lost answer begins the next.
    """

    title: str
    requester: str
    rules: frozenset[Rule]
    solo_mode: bool
    asked_at: float
    begun: Rule
    editor: str | None = None
    approving: set[str] = field(default_factory=set[str])
    retries: int = 0
    retried_at: float | None = None
    lost: int = 0
    writes: int = 0
    is_over: bool = False
    glass: tuple[str, float] | None = None

    def may_decide(self, who: str, world: World) -> bool:
        """True for a person whose vote counts now, for some rule at least."""
        return any(self._counts(who, rule, world) for rule in self.rules)

    def _counts(self, who: str, rule: Rule, world: World) -> bool:
        later = rule.escalates and world.hours >= self.asked_at + LATER_HOURS
        may = who in world.maintainers or (later and who in world.security)
        own = who == self.requester and not (self.solo_mode and world.solo_mode)
        return may and who in world.approvers and not own and who != self.editor

    def is_carried(self, world: World) -> bool:
        """True where enough different people who may decide now have approved what is shown."""
        if self.glass is not None:
            who, since = self.glass
            if who in world.owners and world.hours < since + GLASS_HOURS:
                return True
        return all(
            len([who for who in self.approving if self._counts(who, rule, world)]) >= rule.quorum
            for rule in self.rules
        )

    def lose(self, times: int) -> None:
        """So often nobody could tell by now whether it happened: what was said before is void."""
        if times > self.lost:
            self.lost, self.approving, self.glass = times, set(), None

    def retry(self, who: str, world: World) -> None:
        """Somebody wants it tried again; it is, once as many do who had to approve it."""
        if not self.is_in_time(world):
            self.approving = set()
        self.approving.add(who)
        self.retried_at = world.hours
        self.retries += self.is_carried(world)

    def has_said(self, who: str, world: World) -> bool:
        """True where somebody lets it run already, and that changes nothing yet."""
        return who in self.approving and self.is_in_time(world) and not self.is_carried(world)

    def is_in_time(self, world: World) -> bool:
        """True while it may run: an hour for a broken glass, and as long again for a retry."""
        if self.retried_at is not None:
            return world.hours < self.retried_at + EXPIRES_HOURS
        until = self.asked_at + EXPIRES_HOURS
        if self.glass is not None:
            until = min(until, self.glass[1] + GLASS_HOURS)
        return world.hours < until

    def is_as_asked(self, world: World) -> bool:
        """True where what decided the hold is what would decide it now."""
        return (
            self.rules == frozenset({self.begun, world.rule}) and self.solo_mode == world.solo_mode
        )

    def why_not(self, world: World, *, title: str) -> str | None:
        """Which promise an effect breaks that happens now with these bytes; None where it may."""
        if not world.is_granted:
            return "I1: no live grant"
        if title != self.title:
            return f"I3: {title!r} ran, and {self.title!r} was shown and approved"
        if self.is_over:
            return "I5: it was rejected, withdrawn or used up before"
        if self.writes > self.retries:
            return "I5: it runs a second time"
        if not self.is_in_time(world):
            return "I4: its time was over"
        if not self.is_as_asked(world):
            return "I4: what decided it has changed"
        if not self.is_carried(world):
            return "I4: too few different people who may decide have approved it"
        return None
