"""Prices: never booked too low, and never more reserved than there is."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openloop.domain.model import Usage
from openloop.domain.pricing import (
    MICRODOLLAR,
    UNBOUNDED_TOKENS,
    Price,
    affordable_output_tokens,
    cost,
    max_tokens,
    reservation,
    settlement,
)

dollars = st.decimals(min_value=0, max_value=1000, places=9)
tokens = st.integers(min_value=0, max_value=10_000_000)


@st.composite
def prices(draw: st.DrawFn) -> Price:
    full = draw(dollars)
    cached = draw(st.none() | st.decimals(min_value=0, max_value=full, places=9))
    return Price(
        input_per_million=full, output_per_million=draw(dollars), cached_per_million=cached
    )


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    read, written = draw(tokens), draw(tokens)
    return Usage(
        input_tokens=read,
        output_tokens=written,
        cached_tokens=draw(st.integers(min_value=0, max_value=read)),
        reasoning_tokens=draw(st.integers(min_value=0, max_value=written)),
    )


@settings(deadline=None)
@given(usages(), prices())
def test_cost_is_the_exact_sum_rounded_up_to_a_microdollar(usage: Usage, price: Price) -> None:
    full = Fraction(price.input_per_million)
    cached = full if price.cached_per_million is None else Fraction(price.cached_per_million)
    exact = (
        (usage.input_tokens - usage.cached_tokens) * full
        + usage.cached_tokens * cached
        + usage.output_tokens * Fraction(price.output_per_million)
    ) / 1_000_000

    booked = cost(usage, price)

    assert exact <= Fraction(booked) < exact + Fraction(MICRODOLLAR)
    assert booked == booked.quantize(MICRODOLLAR)


@settings(deadline=None)
@given(usages(), prices())
def test_a_call_within_its_reservation_never_costs_more_than_it(usage: Usage, price: Price) -> None:
    reserved = reservation(
        input_tokens=usage.input_tokens, max_tokens=usage.output_tokens, price=price
    )
    assert settlement(usage, price, reserved=reserved) <= reserved


@settings(deadline=None)
@given(st.decimals(min_value=-5, max_value=100, places=8), tokens, prices())
def test_what_is_affordable_fits_and_one_token_more_does_not(
    remaining: Decimal, input_tokens: int, price: Price
) -> None:
    most = affordable_output_tokens(remaining, input_tokens=input_tokens, price=price)

    def needs(output_tokens: int) -> Decimal:
        return reservation(input_tokens=input_tokens, max_tokens=output_tokens, price=price)

    if most:
        assert needs(most) <= remaining
    if most < UNBOUNDED_TOKENS:
        assert needs(most + 1) > remaining


def test_cached_input_costs_its_own_price_and_reasoning_is_output() -> None:
    price = Price(
        input_per_million=Decimal(2), output_per_million=Decimal(10), cached_per_million=Decimal(1)
    )
    usage = Usage(
        input_tokens=1_000_000,
        output_tokens=100_000,
        cached_tokens=400_000,
        reasoning_tokens=90_000,
    )
    assert cost(usage, price) == Decimal("2.6")


def test_usage_that_nobody_counted_is_settled_at_the_whole_reservation() -> None:
    price = Price(input_per_million=Decimal(2), output_per_million=Decimal(10))
    unknown = Usage(input_tokens=0, output_tokens=0, assumed=True)

    assert settlement(unknown, price, reserved=Decimal("0.04")) == Decimal("0.04")
    with pytest.raises(ValueError, match="reservation"):
        cost(unknown, price)


def test_an_overrun_is_booked_in_full() -> None:
    price = Price(input_per_million=Decimal(1), output_per_million=Decimal(1))
    usage = Usage(input_tokens=2_000_000, output_tokens=1)
    assert settlement(usage, price, reserved=Decimal(1)) == Decimal("2.000001")


@pytest.mark.parametrize(
    ("model_maximum", "limit", "affordable", "expected"),
    [
        (16_384, 4096, 100_000, 4096),
        (1024, 4096, 100_000, 1024),
        (16_384, 4096, 300, 300),
        (16_384, 4096, 256, 256),
        (16_384, 4096, 255, None),
        (16_384, 4096, 0, None),
        (16_384, 100, 5000, 100),
        (16_384, 4096, None, 4096),
    ],
)
def test_an_answer_is_as_long_as_model_limit_and_budget_allow(
    model_maximum: int, limit: int, affordable: int | None, expected: int | None
) -> None:
    allowed = max_tokens(model_maximum=model_maximum, limit=limit, affordable=affordable)
    assert allowed == expected


@pytest.mark.parametrize("amount", ["-1", "NaN", "Infinity"])
def test_a_price_is_a_finite_number_from_zero(amount: str) -> None:
    with pytest.raises(ValueError, match="price"):
        Price(input_per_million=Decimal(1), output_per_million=Decimal(amount))


def test_cached_input_is_never_dearer_than_input() -> None:
    with pytest.raises(ValueError, match="Cached"):
        Price(
            input_per_million=Decimal(1),
            output_per_million=Decimal(1),
            cached_per_million=Decimal(2),
        )


@pytest.mark.parametrize(
    ("read", "written", "cached", "reasoning"), [(1, 1, 2, 0), (1, 1, 0, 2), (1, 1, -1, 0)]
)
def test_usage_whose_parts_exceed_the_whole_is_refused(
    read: int, written: int, cached: int, reasoning: int
) -> None:
    with pytest.raises(ValueError, match="tokens"):
        Usage(
            input_tokens=read,
            output_tokens=written,
            cached_tokens=cached,
            reasoning_tokens=reasoning,
        )
