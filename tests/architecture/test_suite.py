"""How this suite is run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.scheduling import STACK, group_of

if TYPE_CHECKING:
    import pytest


def test_tests_of_the_whole_product_follow_each_other_on_one_worker(
    request: pytest.FixtureRequest,
) -> None:
    marked = [each for each in request.session.items if each.get_closest_marker("stack")]

    assert {group_of(each.nodeid) for each in marked} <= {STACK}
    assert group_of("tests/cli/test_up.py::test_everything") == STACK


def test_tests_of_a_module_that_starts_something_once_follow_each_other() -> None:
    one, other = (f"tests/models/test_real_models.py::test_{name}" for name in ("one", "other"))

    assert group_of(one) == group_of(other)


def test_any_other_test_may_run_beside_any_other() -> None:
    one, other = (f"tests/architecture/test_suite.py::test_{name}" for name in ("one", "other"))

    assert group_of(one) != group_of(other)
