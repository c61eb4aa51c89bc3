"""Prices: exact, and never booked too low."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openloop.domain.model import Usage
from openloop.domain.pricing import (
    MICRODOLLAR,
    Price,
    cost,
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
def test_what_is_read_from_a_cache_never_makes_a_call_dearer(usage: Usage, price: Price) -> None:
    uncached = replace(usage, cached_tokens=0)
    assert cost(usage, price) <= cost(uncached, price)


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


def test_usage_that_nobody_counted_has_no_cost() -> None:
    price = Price(input_per_million=Decimal(2), output_per_million=Decimal(10))
    unknown = Usage(input_tokens=0, output_tokens=0, assumed=True)

    with pytest.raises(ValueError, match="settle the reservation"):
        cost(unknown, price)


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
