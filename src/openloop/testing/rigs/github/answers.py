"""What the fake GitHub answers when it says no, in GitHub's words and headers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openloop.testing.rigs.github.shapes import Json

DOCS = "https://docs.github.com/rest"


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; `content` None is an empty body."""

    status: int
    content: Json | list[Json] | bytes | None
    headers: dict[str, str] = field(default_factory=dict[str, str])


class Refusal(Exception):
    """The request ends here, with this answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def failure(status: int, message: str, **headers: str) -> Answer:
    """`basic-error`; header names are written with underscores."""
    content: Json = {"message": message, "documentation_url": DOCS, "status": str(status)}
    return Answer(status, content, {name.replace("_", "-"): text for name, text in headers.items()})


def bad_credentials() -> Refusal:
    return Refusal(failure(401, "Bad credentials"))


def login_required() -> Refusal:
    return Refusal(failure(401, "Requires authentication"))


def not_found() -> Refusal:
    """Also for what is there and may not be seen: existence is not confirmed."""
    return Refusal(failure(404, "Not Found"))


def gone() -> Refusal:
    return Refusal(failure(410, "Issues has been disabled in this repository."))


def not_accessible() -> Refusal:
    return Refusal(failure(403, "Resource not accessible by personal access token"))


def forbidden(message: str) -> Refusal:
    return Refusal(failure(403, message))


def bad_request(message: str) -> Refusal:
    return Refusal(failure(400, message))


def invalid(resource: str, field_name: str, code: str, message: str | None = None) -> Refusal:
    """`validation-error` with one entry; only code `custom` carries a sentence."""
    entry: Json = {"resource": resource, "field": field_name, "code": code}
    if message is not None:
        entry["message"] = message
    content: Json = {
        "message": "Validation Failed",
        "documentation_url": DOCS,
        "errors": [entry],
    }
    return Refusal(Answer(422, content))


def moved(location: str, *, keeps_method: bool) -> Refusal:
    """301 for reads; 307 for the rest, since a 301 would turn a POST into a GET."""
    status = 307 if keeps_method else 301
    content: Json = {"message": "Moved Permanently", "url": location, "documentation_url": DOCS}
    return Refusal(Answer(status, content, {"Location": location}))


def primary_limit(status: int, user_id: int, reset_at: int, limit: int) -> Answer:
    """The hour is used up: `x-ratelimit-reset` says when it ends."""
    return failure(
        status,
        f"API rate limit exceeded for user ID {user_id}.",
        X_RateLimit_Limit=str(limit),
        X_RateLimit_Remaining="0",
        X_RateLimit_Used=str(limit),
        X_RateLimit_Reset=str(reset_at),
        X_RateLimit_Resource="core",
    )


def secondary_limit(status: int, retry_after_seconds: int | None) -> Answer:
    """Too much at once; the header is missing at times, then a minute is the rule."""
    message = (
        "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
    )
    if retry_after_seconds is None:
        return failure(status, message)
    return failure(status, message, Retry_After=str(retry_after_seconds))
