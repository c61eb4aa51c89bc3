"""Names that go into a path, and the mark by which our own writing is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openloop.integrations.github.exchange import in_repo
from openloop.integrations.github.marker import key_of, marked, unmarked
from openloop.integrations.github.names import (
    HIGHEST_ID,
    InvalidName,
    RepoName,
    checked_id,
    checked_path,
    checked_ref,
    checked_sha,
)

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


@pytest.mark.parametrize(
    "ref", ["main", "anna/fix-1", "v1.2.3", "a" * 40, "deps/@types+x", "x", "release_2"]
)
def test_a_branch_tag_or_commit_is_taken(ref: str) -> None:
    assert checked_ref(ref) == ref


@pytest.mark.parametrize(
    "ref",
    [
        *(
            "",
            "-x",
            "/x",
            "x/",
            "x.",
            "a..b",
            "a//b",
            "a@{1}",
            "a b",
            "a\n",
            "a\n\n",
            "$(id)",
            "`id`",
        ),
        *(
            "a:b",
            "a?b",
            "a*b",
            "a[b",
            "a~1",
            "a^",
            "a\\b",
            "a%2Fb",
            "a;b",
            "a&b",
            "a" * 256,
            "\u0430",
        ),
    ],
)
def test_a_ref_that_git_or_a_shell_reads_otherwise_is_refused(ref: str) -> None:
    with pytest.raises(InvalidName):
        checked_ref(ref)


@pytest.mark.parametrize("sha", ["a" * 39, "a" * 41, "A" * 40, "g" * 40, "", "a" * 40 + "\n"])
def test_a_commit_is_named_whole(sha: str) -> None:
    assert checked_sha("0123456789abcdef0123456789abcdef01234567")
    with pytest.raises(InvalidName):
        checked_sha(sha)


@pytest.mark.parametrize("number", [0, -1, True, 5.0, HIGHEST_ID + 1, "1"])
def test_an_id_is_a_number_of_a_size(number: int) -> None:
    assert checked_id(3_400_000_000) == 3_400_000_000
    with pytest.raises(InvalidName):
        checked_id(number)


@given(st.text(alphabet="ab./\\%2e \0?#\u00fc", max_size=12))
def test_a_path_stays_below_its_repository(path: str) -> None:
    try:
        parts = checked_path(path)
    except InvalidName:
        return
    endpoint = in_repo(RepoName("acme", "platform"), "contents", *parts)
    segments = endpoint.path.split("/")
    assert segments[:5] == ["", "repos", "acme", "platform", "contents"]
    assert len(segments) == 5 + len(parts)
    assert not {".", "..", ""} & set(segments[1:])
    assert not set(endpoint.path) & set("?#\\ \0")


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
