"""Names that go into a path, and the mark by which our own writing is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openloop.integrations.github.marker import key_of, marked, unmarked
from openloop.integrations.github.names import InvalidName, RepoName

KEY = "0197f4a2-6c1e-7d3a-9f10-3b5c7d9e1f20:7"


@pytest.mark.parametrize(
    "text",
    [
        "acme/../../user",
        "acme/..",
        "acme/.",
        "../user",
        "acme",
        "acme/",
        "/platform",
        "acme/platform/issues",
        "acme/platform\n",
        "acme/%2e%2e",
        "acme/platform?page=2",
        "acme/platform#",
        "-acme/platform",
        "acme-/platform",
        "a--b/platform",
        "ac me/platform",
        "аcme/platform",  # noqa: RUF001 - a Cyrillic letter is the point
        "a" * 40 + "/platform",
        "a-" * 19 + "ab/platform",
        "acme/" + "p" * 101,
        "",
    ],
)
def test_a_name_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidName):
        RepoName.parse(text)


@given(st.text(alphabet="ab.-_/%2e\n?#", max_size=12))
def test_a_name_that_is_accepted_stays_one_owner_and_one_name(text: str) -> None:
    try:
        repo = RepoName.parse(text)
    except InvalidName:
        return
    assert str(repo) == text
    assert not set(text) & set("%?#\n")
    assert text.count("/") == 1
    assert repo.name not in {".", ".."}


def test_only_a_mark_in_the_last_line_is_one() -> None:
    assert key_of(marked("text", KEY)) == KEY
    assert key_of(marked("", KEY)) == KEY
    assert key_of(marked("text", KEY).replace("\n", "\r\n") + "\r\n") == KEY
    assert marked("text \n", KEY).startswith("text \n")
    assert unmarked(marked("text", KEY)) == "text"
    assert unmarked("text") == "text"
    for text in (
        None,
        "",
        KEY,
        marked("text", KEY) + "\nmore",
        f"text <!-- openloop:{KEY} -->",
        f"<!-- openloop:{KEY} -- >",
        f"<!-- openloop: {KEY} -->",
        f"<!-- openloop:{KEY} --> <!-- -->",
    ):
        assert key_of(text) is None
    with pytest.raises(ValueError, match="idempotency key"):
        marked("text", "a -->\n<!-- openloop:b")
