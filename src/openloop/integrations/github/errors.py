"""What can become of a request to GitHub.

GitHubError
├── NotFound      404, 410  not there, or not to be seen by our token
├── Forbidden     401, 403  the token is not good, or was not given this permission
├── Refused       422, ...  understood and declined; asking again changes nothing
│   └── TooLarge            the answer is larger than we read
├── RateLimited             nothing was done; not before `retry_at`           (TryLater)
├── Unavailable             nothing was sent, or it was only a question       (TryLater)
└── Ambiguous               a write whose answer was lost: look it up         (AmbiguousEffect)

No message holds the token: what GitHub says is shortened and the token taken out of it before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.domain.errors import AmbiguousEffect, OpenLoopError, TryLater

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class GitHubError(OpenLoopError):
    """The root."""

    code = "github_error"


class NotFound(GitHubError):
    """There is no such thing, or our token may not know of it."""

    code = "github_not_found"


class Forbidden(GitHubError):
    """Our token may not do this."""

    code = "github_forbidden"


class Refused(GitHubError):
    """GitHub declined; `status` is its answer, or None where we declined for it."""

    code = "github_refused"

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class TooLarge(Refused):
    """The answer is larger than we read; `headers` are what came before it.

    Of a list, a smaller page may be asked for.
    """

    def __init__(self, message: str, *, headers: Mapping[str, str]) -> None:
        super().__init__(message)
        self.headers = headers


class RateLimited(GitHubError, TryLater):
    """Our token has asked too much; nothing was done."""

    code = "github_rate_limited"
    retry_at: datetime

    def __init__(self, message: str, *, retry_at: datetime) -> None:
        TryLater.__init__(self, message, retry_at=retry_at)


class Unavailable(GitHubError, TryLater):
    """GitHub cannot be reached and nothing was changed."""

    code = "github_unavailable"


class Ambiguous(GitHubError, AmbiguousEffect):
    """It may have happened."""

    code = "github_ambiguous"
