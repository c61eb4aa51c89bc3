"""The contract suites are shipped, so pytest has to be told to explain their asserts."""

import pytest

pytest.register_assert_rewrite("openloop.testing.contracts.surface")
