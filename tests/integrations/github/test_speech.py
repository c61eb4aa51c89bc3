"""What agents say on GitHub calls nobody, shows no HTML and no pictures, and fits."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openloop.integrations.github import speech
from openloop.integrations.github.mentions import called_in, has_markup, mentioned_in

PIECES = [
    "@anna", "@acme/maintainers", "`", "```", "~~~", "\n", "\n\n", "    ", "> ", "- ", "<b>", "</b>",
    "<!-- openloop:x -->", "<img src=http://a>", "![a](http://b)", "[a](http://b)", "&#64;anna",
    "&commat;anna", "\\", "*", "_", "@", "<", "!", "[", "]", "(", ")", "|", "word", " ", "#", "@@anna",
    "<https://example.com/@anna>", "\r", "\u202e", "<a\n", "@an-na", "``",
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40))
def test_nothing_that_is_said_is_live(pieces: list[str]) -> None:
    for part in speech.say("".join(pieces)):
        assert [*called_in(part)] == []
        assert not has_markup(part)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([*PIECES, "x" * 50]), max_size=60), st.integers(400, 900))
def test_no_part_is_too_long_and_no_word_is_lost(pieces: list[str], most: int) -> None:
    text = "".join(pieces)
    parts = speech.split(text, most=most)
    assert all(len(part) <= most for part in parts)
    assert sum(part.count("word") for part in parts) == text.count("word")


@pytest.mark.parametrize(
    "text",
    [
        "> a ```\n>\n> @mallory ```",
        "| h | i |\n|---|---|\n| a ` | @acme/everyone ` |",
        "1. a `\n2. @acme/everyone `",
        "# a `\n@mallory_ `",
        "a ` [^1]\n[^1]: @mallory `",
        "> a ` [^1]\n> [^note]: @acme/everyone `",
    ],
)
def test_nobody_is_called_by_what_only_looks_like_code(text: str) -> None:
    assert not re.search(r"@\w", "".join(speech.say(text)))


def test_no_line_is_a_command_to_another_program() -> None:
    (said,) = speech.say("/lgtm\n  /merge now\n```\n/hold\n```\nin /tmp\n/usr/bin/env\n/9")
    assert not re.search(r"^\s*/(lgtm|merge|hold)", said, re.MULTILINE)
    assert (
        said.replace("\u200b", "")
        == "/lgtm\n  /merge now\n```\n/hold\n```\nin /tmp\n/usr/bin/env\n/9"
    )
    assert "\n/usr/bin/env\n/9" in said


def test_code_stays_as_it_is_and_the_listed_may_be_called() -> None:
    (said,) = speech.say("Ask @ben, not @anna.\n\n```py\n@dataclass\n```\n`@x`", live=["Ben"])
    assert said == "Ask @ben, not @\u200banna.\n\n```py\n@dataclass\n```\n`@x`"
    assert [*mentioned_in(said)] == ["ben"]


def test_a_block_of_code_that_is_cut_is_closed_and_opened_again() -> None:
    parts = speech.split("```py\n" + "a = 1\n" * 200 + "```\nend", most=500)
    assert len(parts) > 2
    assert all(part.startswith("```py\n") for part in parts[:-1])
    assert all(part.endswith("\n```") for part in parts[:-1])
    assert parts[-1].endswith("end")


@pytest.mark.parametrize("text", ["a ``` b", "```\n", "`x`", "````\n@anna\n````"])
def test_what_is_shown_exactly_stands_in_a_longer_fence(text: str) -> None:
    shown = speech.code(text)
    assert text in shown
    assert [*mentioned_in(shown)] == []
    assert not has_markup(shown)
