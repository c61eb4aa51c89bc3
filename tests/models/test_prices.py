"""The price book: nothing is called whose price nobody gave."""

from __future__ import annotations

import json
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from openloop.domain.pricing import Price, PriceOverride
from openloop.models.errors import BadScript, UnknownModel, UnpricedModel
from openloop.models.prices import PriceBook, shipped_prices

FREE = Price(input_per_million=Decimal(0), output_per_million=Decimal(0))
DEAR = Price(input_per_million=Decimal(7), output_per_million=Decimal(70))


def litellm_prices() -> dict[str, dict[str, Any]]:
    """The table inside litellm's wheel, read as a file: importing it would cost 6 s."""
    litellm = find_spec("litellm")
    assert litellm is not None
    assert litellm.submodule_search_locations
    folder = Path(litellm.submodule_search_locations[0])
    text = (folder / "model_prices_and_context_window_backup.json").read_text()
    return json.loads(text, parse_float=Decimal)


def test_the_models_of_the_public_example_have_prices() -> None:
    book = PriceBook()
    small, code = book.get("openai/gpt-4o-mini"), book.get("anthropic/claude-sonnet-4-6")

    assert small.price.input_per_million == Decimal("0.15")
    assert small.price.output_per_million == Decimal("0.6")
    assert small.max_output_tokens == 16_384
    assert code.provider == "anthropic"
    assert not code.local


def test_every_shipped_price_is_what_litellm_lists_or_dearer() -> None:
    theirs = litellm_prices()
    for model, facts in shipped_prices().models.items():
        row = theirs.get(model) or theirs[model.partition("/")[2]]
        million = Decimal(1_000_000)
        assert facts.price.input_per_million >= row["input_cost_per_token"] * million, model
        assert facts.price.output_per_million == row["output_cost_per_token"] * million, model
        if facts.price.cached_per_million is not None:
            assert facts.price.cached_per_million == (
                row["cache_read_input_token_cost"] * million
            ), model
        assert facts.max_output_tokens == row.get("max_output_tokens", 0), model
        assert facts.context_window <= row["max_input_tokens"], model


def test_no_context_window_reaches_into_a_dearer_tier() -> None:
    theirs = litellm_prices()
    for model, facts in shipped_prices().models.items():
        row = theirs.get(model) or theirs[model.partition("/")[2]]
        for name in row:
            tier = name.removeprefix("input_cost_per_token_above_").removesuffix("k_tokens")
            if tier.isdigit():
                assert facts.context_window <= int(tier) * 1000, model


def test_no_shipped_model_of_a_hosted_provider_is_free() -> None:
    assert not [model for model, facts in shipped_prices().models.items() if facts.price.is_free]


def test_an_unknown_model_of_a_hosted_provider_has_no_price() -> None:
    book = PriceBook()
    assert book.find("openai/gpt-99") is None
    with pytest.raises(UnpricedModel, match="prices"):
        book.get("openai/gpt-99")


def test_a_manifest_may_price_what_we_do_not_know_even_at_nothing() -> None:
    book = PriceBook({"openai/own-model": PriceOverride(price=FREE, context_window=8192)})
    facts = book.get("openai/own-model")

    assert facts.price.is_free
    assert facts.context_window == 8192
    assert facts.max_output_tokens == 4096


def test_a_manifest_price_comes_before_ours_and_keeps_the_rest() -> None:
    facts = PriceBook({"openai/gpt-4o-mini": PriceOverride(price=DEAR)}).get("openai/gpt-4o-mini")

    assert facts.price == DEAR
    assert facts.max_output_tokens == 16_384


@pytest.mark.parametrize("model", ["ollama/llama3.2", "ollama_chat/qwen3", "hosted_vllm/own"])
def test_models_on_ones_own_machine_are_free(model: str) -> None:
    facts = PriceBook().get(model)
    assert facts.local
    assert facts.price.is_free


@pytest.mark.parametrize("model", ["gpt-4o-mini", "openai/", "/x", "nobody/model", ""])
def test_a_model_without_a_known_provider_is_unknown(model: str) -> None:
    assert PriceBook().find(model) is None
    with pytest.raises(UnknownModel):
        PriceBook().get(model)


def test_a_scripted_model_costs_what_its_script_declares(scripts: Path) -> None:
    facts = PriceBook(scripts=scripts).get("scripted/demo")

    assert facts.is_scripted
    assert facts.price.input_per_million == Decimal("0.15")
    assert facts.price.output_per_million == Decimal("0.60")


def test_a_script_that_is_not_there_is_unknown_and_a_broken_one_is_said_to_be(
    scripts: Path,
) -> None:
    (scripts / "broken.yaml").write_text("price: 1\n")
    book = PriceBook(scripts=scripts)

    assert book.find("scripted/missing") is None
    assert PriceBook().find("scripted/demo") is None
    with pytest.raises(BadScript):
        book.find("scripted/broken")
