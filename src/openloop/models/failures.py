"""What a provider's error means, decided once; its text is looked at and never shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from openloop.models.errors import (
    ContextTooLong,
    ModelOverloaded,
    ModelRefused,
    ModelUnavailable,
    RateLimited,
    UnknownModel,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openloop.models.errors import ModelFailure

_OVERLOADED: Final = frozenset({503, 529})
_TOO_LONG: Final = ("context_length_exceeded", "maximum context length", "prompt is too long")
_NO_CREDIT: Final = (
    "insufficient_quota",
    "exceeded your current quota",
    "credit balance is too low",
)
_FORBIDDEN_CONTENT: Final = ("content_policy_violation", "content_filter")
# By name, since litellm reaches some providers with httpx and others with aiohttp.
_NEVER_SENT: Final = frozenset({"ConnectError", "ConnectTimeout", "ClientConnectorError"})
_NO_ANSWER: Final = frozenset({"APIConnectionError", "TransportError", "ServerDisconnectedError"})
_LONGEST_WAIT_SECONDS: Final = 3600.0


def failure_of(error: Exception, *, provider: str, litellm: Any) -> ModelFailure:
    """The failure to answer with. Nothing of the error's text is in it."""
    if isinstance(error, TimeoutError | litellm.Timeout):
        return ModelUnavailable(f"{provider} did not answer in time", sent=True)
    if _is_any(error, _NEVER_SENT):
        return ModelUnavailable(f"{provider} cannot be reached", sent=False)
    status = _status(error)
    if status is None:
        return ModelUnavailable(f"{provider} gave no answer", sent=True)
    what = f"{provider} answered {status}"
    said = _said(error)
    if isinstance(error, litellm.ContextWindowExceededError) or _has(_TOO_LONG, said):
        return ContextTooLong(f"{what}: the input is longer than the model can read")
    if status == 402 or _has(_NO_CREDIT, said):
        return ModelRefused(f"{what}: the account has no credit left", reason="credit")
    if isinstance(error, litellm.ContentPolicyViolationError) or _has(_FORBIDDEN_CONTENT, said):
        return ModelRefused(f"{what}: its content rules forbid this", reason="content")
    return _by_status(error, status, what)


def _by_status(error: Exception, status: int, what: str) -> ModelFailure:
    if status == 429:
        return RateLimited(f"{what}: too many calls", retry_after_seconds=_retry_after(error))
    if status in _OVERLOADED:
        return ModelOverloaded(f"{what}: overloaded", retry_after_seconds=_retry_after(error))
    if status in (401, 403):
        return ModelRefused(f"{what}: the key is not valid for this model", reason="key")
    if status == 404:
        return UnknownModel(f"{what}: it has no such model")
    if 400 <= status < 500 and status != 408:
        return ModelRefused(f"{what}: it does not take this request", reason="request")
    return ModelUnavailable(what, sent=True)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what led to it."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _is_any(error: BaseException, names: frozenset[str]) -> bool:
    return any(kind.__name__ in names for each in _chain(error) for kind in type(each).__mro__)


def _status(error: Exception) -> int | None:
    """What the provider answered; litellm puts a status also where there was no answer."""
    for each in _chain(error):
        if type(each).__name__ == "HTTPStatusError":
            return each.response.status_code  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
    if _is_any(error, _NO_ANSWER):
        return None
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else None


def _said(error: Exception) -> str:
    """All that the provider wrote, to look for codes in; it may hold the key."""
    return " ".join(f"{each} {getattr(each, 'code', '')}" for each in _chain(error)).lower()


def _has(words: tuple[str, ...], text: str) -> bool:
    return any(word in text for word in words)


def _retry_after(error: Exception) -> float | None:
    """The seconds that the provider asks to wait; dates, which none of them sends, are not read."""
    for each in _chain(error):
        headers = getattr(getattr(each, "response", None), "headers", {})
        try:
            seconds = float(headers["retry-after"])
        except (KeyError, ValueError):
            continue
        if 0 <= seconds < float("inf"):
            return min(seconds, _LONGEST_WAIT_SECONDS)
    return None
