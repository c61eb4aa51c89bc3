"""What can go wrong with GitHub beyond the faults that every rig knows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from openloop.testing.rigs import faults

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Hold:
    """Take the request and go on with it when the test sets `released`."""

    released: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class CutAnswer:
    """The change is committed, half of the answer is sent, then the connection closes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrimaryLimit:
    """The hour's requests are used up; nothing is committed. GitHub answers 403 or 429."""

    status: int = 403
    reset_seconds: int = 1800


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondaryLimit:
    """Too much at once; nothing is committed. `retry_after_seconds` None leaves the header out."""

    status: int = 403
    retry_after_seconds: int | None = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """The caller is sent elsewhere; nothing is committed."""

    location: str
    status: int = 301


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """These bytes are the answer, which GitHub would never give; nothing is committed."""

    body: bytes
    status: int = 200


GitHubFault = faults.Fault | Hold | CutAnswer | PrimaryLimit | SecondaryLimit | Redirect | Raw


class GitHubFaults(faults.FaultPlan):
    """The dials of the fake GitHub; an operation is named `POST /repos/{owner}/{repo}/issues`."""

    def fail(
        self,
        operation: str = faults.EVERY_OPERATION,
        *,
        with_: GitHubFault,
        times: int | None = 1,
        skip: int = 0,
        probability: float = 1.0,
        when: faults.Matches | None = None,
    ) -> None:
        """Commit this fault on the next `times` requests of an operation, after `skip` good ones.

        `when` sees the parts of the path, the query and the fields of the body in one mapping.
        """
        super().fail(
            operation,
            with_=cast("faults.Fault", with_),
            times=times,
            skip=skip,
            probability=probability,
            when=when,
        )

    def take(self, operation: str, arguments: Mapping[str, object]) -> GitHubFault | None:
        """The fault this request meets, if any; counts it."""
        return self.draw(operation, arguments)
