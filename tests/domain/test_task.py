"""The kind of a request: said, or plain from what it asks."""

from __future__ import annotations

import time

import pytest

from openloop.domain.task import task_of


@pytest.mark.parametrize(
    ("request_text", "task"),
    [
        ("code: add a test", "code"),
        ("  Investigate: the build of main", "investigate"),
        ("why is main red?", "investigate"),
        ("Why did the checks fail on my branch", "investigate"),
        ("can you find out what broke CI? the pipeline is failing", "investigate"),
        ("what failed in the last build?", "investigate"),
        ("why is the door red?", None),
        ("the build is green, thanks", None),
        ("please note: we failed the audit", None),
        ("", None),
    ],
)
def test_the_kind_of_a_request(request_text: str, task: str | None) -> None:
    assert task_of(request_text) == task


def test_a_long_request_takes_no_time() -> None:
    began = time.process_time()
    assert task_of("why " * 50_000) is None
    assert time.process_time() - began < 0.5
