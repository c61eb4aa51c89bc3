"""What of a text in Markdown somebody typed themselves, position by position."""

from __future__ import annotations

import pytest

from openloop.domain.sinks import GLUE
from openloop.domain.typed import typed_in_markdown, without_code


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("send it", "send it"),
        ("send `x` now", f"send {GLUE} now"),
        ("send ``x`y`` now", f"send {GLUE} now"),
        ("send `x` and `y`", f"send {GLUE} and {GLUE}"),
        ("send `x now", "send `x now"),
        ("send ``x` now", "send ``x` now"),
        ("`x`", GLUE),
        ("a`x`b", f"a{GLUE}b"),
        ("``` `x` y", f"``` {GLUE} y"),
        ("`a ``b` c``", f"{GLUE} c``"),
        ("", ""),
    ],
)
def test_inline_code_ends_at_the_next_run_of_as_many_backticks(text: str, counts: str) -> None:
    assert without_code(text) == counts


def lines(*each: str) -> str:
    return "\n".join(each)


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        (lines("a", "```", "b", "```", "c"), lines("a", "", "c")),
        (lines("a", "~~~", "b", "~~~", "c"), lines("a", "", "c")),
        (lines("a", "```", "b", "~~~", "c"), lines("a", "")),
        (lines("a", "````", "b", "```", "c"), lines("a", "")),
        (lines("a", "````", "b", "`````", "c"), lines("a", "", "c")),
        (lines("a", "```", "b", "``` x", "c"), lines("a", "")),
        (lines("a", "```python", "b", "```  ", "c"), lines("a", "", "c")),
        (lines("a", "   ```", "b", "   ```", "c"), lines("a", "", "c")),
        (lines("a", "``", "b"), ""),
        (lines("a", "    b", "c"), lines("a", "c")),
        (lines("a", "\tb", "   \tc", "d"), lines("a", "d")),
        (lines("a", "   b"), lines("a", "   b")),
    ],
)
def test_what_stands_in_a_block_of_code_does_not_count(text: str, counts: str) -> None:
    assert typed_in_markdown(text) == counts


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        (lines("a", "> b", "c", "", "d"), lines("a", "", "d")),
        (lines("a", ">b", "", "c"), lines("a", "", "c")),
        (lines("- > b", "", "c"), lines("", "c")),
        (lines("1. > b", "", "c"), lines("", "c")),
        (lines("1) > b", " ", "c"), lines(" ", "c")),
        (lines("a > b", "c"), lines("a > b", "c")),
        (lines("> b", "```", "c", "```", "d"), lines("", "d")),
    ],
)
def test_a_quotation_goes_on_until_a_line_is_empty(text: str, counts: str) -> None:
    assert typed_in_markdown(text) == counts


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("see [x](https://a.example)", f"see {GLUE} https://a.example {GLUE}"),
        ("see ![x](https://a.example)", f"see {GLUE} https://a.example {GLUE}"),
        ("see [x](<https://a.example>)", f"see {GLUE} https://a.example {GLUE}"),
        ('see [x]( https://a.example "title")', f"see {GLUE} https://a.example {GLUE}"),
        ("see [x]", f"see {GLUE}"),
    ],
)
def test_of_a_link_its_address_counts_and_no_label(text: str, counts: str) -> None:
    assert typed_in_markdown(text) == counts


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"])
def test_lines_end_as_they_do_anywhere(end: str) -> None:
    assert typed_in_markdown(f"a{end}> b{end}{end}c") == "a\n\nc"


def test_what_marks_parts_that_do_not_count_cannot_be_typed() -> None:
    assert typed_in_markdown(f"U0{GLUE}BEN") == "U0BEN"
