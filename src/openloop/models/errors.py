"""Why a model gave no reply: provider errors are mapped to these once, in the gateway.

ModelFailure
├── ModelUnavailable   no answer; `sent` says whether the provider may bill it all the same
├── ModelOverloaded    the provider, or our gateway, has too much to do
├── RateLimited        too many calls for this key
├── ModelWarming       the gateway is not ready for real models yet
├── ModelRefused       this call will never be taken as it is: key, credit, settings, content
├── ContextTooLong     the input does not fit
├── UnknownModel       there is no such model
├── UnpricedModel      nobody said what it costs
├── BadScript          the scripted model has no answer, or its file is wrong
└── BadCall            the gateway was asked something that is not a model call

No message ever holds what a provider wrote: such text has been seen to echo the key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, get_args

from openloop.domain.errors import Invalid, OpenLoopError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RefusalReason = Literal["no_key", "key", "credit", "content", "request"]


class ModelFailure(OpenLoopError):
    """Any of the below.

    `retryable`: the same call may work a little later, not before `retry_after_seconds` where
    that is known. `sent`: the provider may have done the work and bill it, so that the call is
    settled at its whole reservation.
    """

    retryable: ClassVar[bool] = False
    http_status: ClassVar[int] = 500
    sent: bool = False
    retry_after_seconds: float | None = None


class _Later(ModelFailure, Unavailable):
    """A failure that passes by itself."""

    retryable = True

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class ModelUnavailable(ModelFailure, Unavailable):
    """No answer came."""

    code = "model_unavailable"
    retryable = True
    http_status = 502

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class ModelOverloaded(_Later):
    """Too much to do at the provider or in the gateway; nothing was billed."""

    code = "model_overloaded"
    http_status = 503


class RateLimited(_Later):
    """The provider takes no more calls under this key for now; nothing was billed."""

    code = "model_rate_limited"
    http_status = 429


class ModelWarming(_Later):
    """The gateway has not finished loading its provider library."""

    code = "model_warming"
    http_status = 503


class ModelRefused(ModelFailure, Invalid):
    """The provider, or the gateway before it, does not take this call; nothing was billed."""

    code = "model_refused"
    http_status = 424

    def __init__(self, message: str, *, reason: RefusalReason) -> None:
        super().__init__(message)
        self.reason: RefusalReason = reason


class ContextTooLong(ModelFailure, Invalid):
    """The input is longer than the model can read."""

    code = "model_context_too_long"
    http_status = 400


class UnknownModel(ModelFailure, Invalid):
    """Neither we nor the provider know a model of that name."""

    code = "model_unknown"
    http_status = 404


class UnpricedModel(ModelFailure, Invalid):
    """The model may exist; without a price no budget holds, so it is not called."""

    code = "model_unpriced"
    http_status = 422


class BadScript(ModelFailure, Invalid):
    """A script that cannot be read, or has no turn for this request; `problems` lists why."""

    code = "model_bad_script"
    http_status = 422


class BadCall(ModelFailure, Invalid):
    """The gateway was asked something that is not a model call it takes."""

    code = "model_bad_call"
    http_status = 400


_LATER = {each.code: each for each in (ModelOverloaded, RateLimited, ModelWarming)}
_PLAIN = {each.code: each for each in (ContextTooLong, UnknownModel, UnpricedModel)}
_LISTING = {each.code: each for each in (BadScript, BadCall)}


def to_wire(failure: ModelFailure) -> dict[str, object]:
    """The `error` object of a gateway answer, as OpenAI clients read it, with our fields."""
    wire: dict[str, object] = {
        "message": str(failure),
        "type": "openloop",
        "code": failure.code,
        "retryable": failure.retryable,
        "sent": failure.sent,
    }
    if failure.retry_after_seconds is not None:
        wire["retry_after_seconds"] = failure.retry_after_seconds
    if isinstance(failure, ModelRefused):
        wire["reason"] = failure.reason
    if isinstance(failure, Invalid) and failure.problems:
        wire["problems"] = list(failure.problems)
    return wire


def from_wire(wire: Mapping[str, object]) -> ModelFailure:
    """The failure that the gateway meant; one that it did not name counts as sent."""
    code, message = str(wire.get("code")), str(wire.get("message"))
    if later := _LATER.get(code):
        wait = wire.get("retry_after_seconds")
        return later(message, retry_after_seconds=wait if isinstance(wait, (int, float)) else None)
    if plain := _PLAIN.get(code):
        return plain(message)
    if listing := _LISTING.get(code):
        return listing(message, problems=_sentences(wire.get("problems")))
    if code == ModelRefused.code:
        reasons: dict[object, RefusalReason] = {each: each for each in get_args(RefusalReason)}
        return ModelRefused(message, reason=reasons.get(wire.get("reason"), "request"))
    if code == ModelUnavailable.code:
        return ModelUnavailable(message, sent=wire.get("sent") is not False)
    return ModelUnavailable("The model gateway failed without saying why", sent=True)


def _sentences(value: object) -> Sequence[str]:
    return [str(each) for each in value] if isinstance(value, list) else ()  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
