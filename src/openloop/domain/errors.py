"""The error tree: every failure that a caller may tell apart has a stable code.

OpenLoopError
├── NotFound          404   the thing is not there, or not in this workspace
├── Conflict          409   somebody else was first, or the state has moved on
│   ├── AlreadyDecided
│   ├── Expired
│   ├── Edited
│   └── LostClaim
├── Forbidden         403   the caller may not
│   ├── NotAnApprover
│   ├── OwnRequest
│   └── OwnEdit
├── Invalid           422   the input is wrong; `problems` lists all of it
│   └── Misconfigured
└── Unavailable       503   a database, provider or platform cannot be reached
    ├── TryLater            nothing was sent: the same call may be made again
    └── AmbiguousEffect     it may have happened: look it up, never repeat it blindly
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


class OpenLoopError(Exception):
    """The root: `code` is stable for ever, the message is a sentence for people."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code  # type: ignore[misc]  # an instance may be more precise than its class


class NotFound(OpenLoopError):
    """Nothing of that name or id is visible to the caller."""

    code = "not_found"


class Conflict(OpenLoopError):
    """The state has moved on since the caller looked."""

    code = "conflict"


class AlreadyDecided(Conflict):
    """Someone else decided this approval first."""

    code = "approval_already_decided"


class Expired(Conflict):
    """The approval was not decided in time."""

    code = "approval_expired"


class Edited(Conflict):
    """What would run is not what the caller has read: somebody has edited it."""

    code = "approval_edited"


class LostClaim(Conflict):
    """Another worker holds this conversation; nothing more may be written under the old claim."""

    code = "lost_claim"


class Forbidden(OpenLoopError):
    """The caller is known and may not do this."""

    code = "forbidden"


class NotAnApprover(Forbidden):
    """The person is not among those who may decide this."""

    code = "not_an_approver"


class OwnRequest(Forbidden):
    """People do not approve what they asked for themselves."""

    code = "own_request"


class OwnEdit(Forbidden):
    """People do not approve what they edited themselves."""

    code = "own_edit"


class Invalid(OpenLoopError):
    """The input is wrong; `problems` holds every one of them, one sentence each."""

    code = "invalid"

    def __init__(
        self, message: str, *, problems: Sequence[str] = (), code: str | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.problems = tuple(problems)


class Misconfigured(Invalid):
    """A setting or manifest cannot be honoured: refuse to start."""

    code = "misconfigured"


class Unavailable(OpenLoopError):
    """Something this depends on cannot be reached at the moment."""

    code = "unavailable"


class TryLater(Unavailable):
    """Nothing was sent; the same call may be made again, not before `retry_at` where that is known."""

    code = "try_later"

    def __init__(self, message: str, *, retry_at: datetime | None = None) -> None:
        super().__init__(message)
        self.retry_at = retry_at


class AmbiguousEffect(Unavailable):
    """A write whose answer was lost: it may have happened."""

    code = "ambiguous_effect"
