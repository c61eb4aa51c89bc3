"""What a model call costs, and how many tokens to reserve for its input."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal, localcontext
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from openloop.domain.model import ModelMessage, ToolSpec, Usage

FEWEST_OUTPUT_TOKENS: Final = 256
"""A budget that affords fewer ends the run: no useful answer fits."""

MICRODOLLAR: Final = Decimal("0.000001")

_MILLION: Final = Decimal(1_000_000)
# Exact for any token count and price that fit in memory: no rounding before the last step.
_EXACT: Final = Context(prec=80, rounding=ROUND_CEILING)

_LOWERCASE: Final = bytes(range(ord("a"), ord("z") + 1))
_TOKENS_PER_CALL: Final = 32
_TOKENS_PER_MESSAGE: Final = 8
# Anthropic puts a system prompt of up to 530 tokens before the tools of a call.
_TOKENS_WITH_TOOLS: Final = 600
_TOKENS_PER_TOOL: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars per million tokens; cached input costs `cached_per_million` where it is given."""

    input_per_million: Decimal
    output_per_million: Decimal
    cached_per_million: Decimal | None = None

    def __post_init__(self) -> None:
        for amount in (self.input_per_million, self.output_per_million):
            if not amount.is_finite() or amount < 0:
                message = f"A price is a number of dollars from 0, not {amount}"
                raise ValueError(message)
        cached = self.cached_per_million
        if cached is not None and not (
            cached.is_finite() and 0 <= cached <= self.input_per_million
        ):
            message = f"Cached input costs from 0 to the price of input, not {cached}"
            raise ValueError(message)

    @property
    def is_free(self) -> bool:
        """True where nothing that the model reads or writes costs anything."""
        return self.input_per_million == 0 and self.output_per_million == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceOverride:
    """What a manifest says of a model; None leaves what our table says."""

    price: Price
    max_output_tokens: int | None = None
    context_window: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What must be known of a model before it is called.

    `context_window` counts input tokens at this price: where a provider charges more beyond a
    length, it ends there.
    """

    model: str
    provider: str
    price: Price
    max_output_tokens: int
    context_window: int
    local: bool = False

    @property
    def is_scripted(self) -> bool:
        """True where no AI is used; whoever shows a reply says so."""
        return self.provider == "scripted"


def cost(usage: Usage, price: Price) -> Decimal:
    """Dollars for a counted call, rounded up to six places.

    Raises ValueError for assumed usage, which has no counts: see `settlement`.
    """
    if usage.assumed:
        message = "Usage that the provider did not count has no cost: settle the reservation"
        raise ValueError(message)
    cached_price = price.cached_per_million
    if cached_price is None:
        cached_price = price.input_per_million
    with localcontext(_EXACT):
        dollars = (
            (usage.input_tokens - usage.cached_tokens) * price.input_per_million
            + usage.cached_tokens * cached_price
            + usage.output_tokens * price.output_per_million
        ) / _MILLION
        return dollars.quantize(MICRODOLLAR, rounding=ROUND_CEILING)


def estimate_tokens(text: str) -> int:
    """Tokens to reserve for a text: half a lowercase ASCII letter, two line breaks, else its bytes.

    A byte-level tokenizer never needs more tokens than bytes; lowercase letters it joins in pairs
    at least, in any text that people or programs write. Prose is estimated at two to three times
    its count. What exceeds it (long random lowercase) is booked as overrun.
    """
    encoded = text.encode("utf-8", "surrogatepass")
    size, others = len(encoded), len(encoded.translate(None, _LOWERCASE))
    return min(size, others + encoded.count(b"\n") + (size - others + 1) // 2)


def estimate_input_tokens(messages: Iterable[ModelMessage], tools: Iterable[ToolSpec] = ()) -> int:
    """Tokens to reserve for the input of a call, with what providers add around it."""
    tokens = _TOKENS_PER_CALL
    for message in messages:
        tokens += _TOKENS_PER_MESSAGE + estimate_tokens(message.content)
        for call in message.tool_calls:
            tokens += _TOKENS_PER_MESSAGE + estimate_tokens(call.id + call.name + call.arguments)
    tokens_of_tools = [
        _TOKENS_PER_TOOL
        + estimate_tokens(tool.name + tool.description)
        + estimate_tokens(json.dumps(tool.parameters, ensure_ascii=False, default=dict))
        for tool in tools
    ]
    return tokens + sum(tokens_of_tools) + (_TOKENS_WITH_TOOLS if tokens_of_tools else 0)
