"""The reference page says what the code does."""

from __future__ import annotations

from pathlib import Path

import pytest

from openloop.models import errors
from openloop.models.providers import PROVIDERS, variable_names
from openloop.models.wire import PASSED_ON

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "models.md").read_text()


@pytest.mark.parametrize("name", [*PROVIDERS, *sorted(variable_names()), *sorted(PASSED_ON)])
def test_every_provider_variable_and_parameter_is_documented(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_every_error_code_is_documented() -> None:
    kinds = [each for each in vars(errors).values() if isinstance(each, type)]
    codes = {each.code for each in kinds if issubclass(each, errors.ModelFailure)}
    assert [code for code in codes if code.startswith("model_") and f"`{code}`" not in PAGE] == []
