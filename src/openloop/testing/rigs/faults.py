"""Faults a rig commits in place of an ordinary answer, and the plan that says when."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

EVERY_OPERATION = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class TooMany:
    """429 with Retry-After; nothing is committed."""

    retry_after_seconds: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerError:
    """A 5xx answer, before the change was made or (`after_commit`) although it was made."""

    status: int = 500
    after_commit: bool = False


@dataclass(frozen=True, slots=True)
class DropRequest:
    """The connection closes without an answer and nothing is committed."""


@dataclass(frozen=True, slots=True)
class DropAnswer:
    """The change is committed, then the connection closes without an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow:
    """The change is committed at once; its answer comes late."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Refuse:
    """The service's own way to say no, with this error code; nothing is committed."""

    error: str


Fault = TooMany | ServerError | DropRequest | DropAnswer | Slow | Refuse
Matches = Callable[[Mapping[str, Any]], bool]


@dataclass(slots=True, kw_only=True)
class _Dial:
    operation: str
    fault: Fault
    times: int | None
    skip: int
    probability: float
    when: Matches | None

    def concerns(self, operation: str, arguments: Mapping[str, Any]) -> bool:
        if self.times == 0 or self.operation not in (operation, EVERY_OPERATION):
            return False
        return self.when is None or self.when(arguments)


class FaultPlan:
    """Which of the coming requests go wrong; the same seed makes the same choices."""

    def __init__(self, *, seed: int = 0) -> None:
        self.random = random.Random(seed)  # noqa: S311 - repeatable, opens nothing
        self._dials: list[_Dial] = []

    def fail(
        self,
        operation: str = EVERY_OPERATION,
        *,
        with_: Fault,
        times: int | None = 1,
        skip: int = 0,
        probability: float = 1.0,
        when: Matches | None = None,
    ) -> None:
        """Commit this fault on the next `times` requests of an operation, after `skip` good ones.

        `times=None` goes on until `clear`. `when` sees the request's arguments. Of two dials that
        concern one request the older counts.
        """
        self._dials.append(
            _Dial(
                operation=operation,
                fault=with_,
                times=times,
                skip=skip,
                probability=probability,
                when=when,
            )
        )

    def draw(self, operation: str, arguments: Mapping[str, Any]) -> Fault | None:
        """The fault this request meets, if any; counts it."""
        for dial in self._dials:
            if not dial.concerns(operation, arguments):
                continue
            if dial.skip > 0:
                dial.skip -= 1
                continue
            if dial.probability < 1 and self.random.random() >= dial.probability:
                continue
            if dial.times is not None:
                dial.times -= 1
            return dial.fault
        return None

    def clear(self) -> None:
        """From here on nothing goes wrong."""
        self._dials.clear()
