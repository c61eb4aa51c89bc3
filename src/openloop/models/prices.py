"""Our price table, and what a manifest says beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from openloop.domain.pricing import ModelFacts, Price, PriceOverride
from openloop.models.errors import UnknownModel, UnpricedModel
from openloop.models.providers import SCRIPTED, provider_of, split_model
from openloop.models.script_folder import ScriptFolder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_FREE: Final = Price(input_per_million=Decimal(0), output_per_million=Decimal(0))
_UNSTATED_MAX_OUTPUT: Final = 4096
_UNSTATED_CONTEXT: Final = 32_768


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTable:
    """The table that is shipped, and the day its figures were taken."""

    as_of: date
    models: Mapping[str, ModelFacts]


@cache
def shipped_prices() -> PriceTable:
    """Read the shipped table, once."""
    table = json.loads(files("openloop.models").joinpath("prices.json").read_text("utf-8"))
    return PriceTable(
        as_of=date.fromisoformat(table["as_of"]),
        models={model: _facts(model, row) for model, row in table["models"].items()},
    )


class PriceBook:
    """What every model costs here.

    A manifest's price comes first, then the shipped table. Nothing is guessed: a model of a
    hosted provider that neither knows has no price, and is not called. Models of local providers
    are free unless a manifest says otherwise; a scripted model costs what its script declares.
    """

    def __init__(
        self, overrides: Mapping[str, PriceOverride] | None = None, *, scripts: Path | None = None
    ) -> None:
        self._overrides = dict(overrides or {})
        self._scripts = ScriptFolder(scripts) if scripts else None

    def find(self, model: str) -> ModelFacts | None:
        """The facts of a model that may be called, else None. Raises BadScript."""
        try:
            return self.get(model)
        except (UnknownModel, UnpricedModel):
            return None

    def get(self, model: str) -> ModelFacts:
        """The facts of a model that may be called.

        Raises:
            UnknownModel, UnpricedModel, BadScript
        """
        provider_name, name = split_model(model)
        if provider_name == SCRIPTED:
            return self._scripted(model, name)
        provider = provider_of(model)
        known = shipped_prices().models.get(model)
        if known is None and provider.local:
            known = _unstated(model, provider.name, _FREE, local=True)
        if override := self._overrides.get(model):
            return _overridden(known or _unstated(model, provider.name, override.price), override)
        if known is None:
            message = (
                f"Nobody said what {model!r} costs: give it a price under `prices` "
                "in the Workspace manifest"
            )
            raise UnpricedModel(message)
        return known

    def _scripted(self, model: str, name: str) -> ModelFacts:
        if self._scripts is None:
            message = f"{model!r} is a scripted model, and no scripts folder is set"
            raise UnknownModel(message)
        script = self._scripts.read(name)
        return ModelFacts(
            model=model,
            provider=SCRIPTED,
            price=script.price,
            max_output_tokens=script.max_output_tokens,
            context_window=script.context_window,
        )


def _facts(model: str, row: Mapping[str, str | int]) -> ModelFacts:
    cached = row.get("cached_per_million")
    return ModelFacts(
        model=model,
        provider=split_model(model)[0],
        price=Price(
            input_per_million=Decimal(row["input_per_million"]),
            output_per_million=Decimal(row["output_per_million"]),
            cached_per_million=None if cached is None else Decimal(cached),
        ),
        max_output_tokens=int(row["max_output_tokens"]),
        context_window=int(row["context_window"]),
    )


def _unstated(model: str, provider: str, price: Price, *, local: bool = False) -> ModelFacts:
    return ModelFacts(
        model=model,
        provider=provider,
        price=price,
        max_output_tokens=_UNSTATED_MAX_OUTPUT,
        context_window=_UNSTATED_CONTEXT,
        local=local,
    )


def _overridden(known: ModelFacts, override: PriceOverride) -> ModelFacts:
    return replace(
        known,
        price=override.price,
        max_output_tokens=override.max_output_tokens or known.max_output_tokens,
        context_window=override.context_window or known.context_window,
    )
