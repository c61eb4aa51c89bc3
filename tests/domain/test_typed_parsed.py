"""What counts as typed in Markdown, against a parser: nothing counts that it takes for something else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from markdown_it import MarkdownIt

from openloop.domain.sinks import SinkValue, tokens, unmatched
from openloop.domain.typed import typed_in_markdown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from markdown_it.token import Token

PARSER = MarkdownIt("commonmark", {"html": True})
VALUE = re.compile(r"EV\d+E")
PIECES = (
    *("```", "````", "~~~", "`", "``", "> ", ">", "- ", "* ", "1. ", "10) ", "# ", "---"),
    *(" ", "  ", "   ", "    ", "\t", "\n", "\n", "\n", "\n\n", "\n\n", "\\", "'", "(", ")", ":"),
    *("[", "]", "![", "](https://e.x)", "][r]", "[r]: https://e.x"),
    *("<!--", "-->", "<b>", "<pre>", "</pre>", "so"),
    *("EV", "EV", "EV", "EV"),
)


def values(text: str) -> set[str]:
    return set(VALUE.findall(text))


def written(pieces: Sequence[str]) -> str:
    """A text of these pieces, in which every value is another one."""
    numbered = (f" EV{at}E " if each == "EV" else each for at, each in enumerate(pieces))
    return "".join(numbered)


def not_typed(text: str) -> set[str]:
    """Values that a parser finds in code, quotations, labels and HTML, or behind a tag."""
    return {value for part in _parts(PARSER.parse(text)) for value in values(part)}


def _parts(found: Sequence[Token]) -> Iterator[str]:
    quoted = labelled = 0
    in_html = False
    for token in (each for outer in found for each in (outer.children or [outer])):
        quoted += token.nesting if token.type.startswith("blockquote") else 0
        labelled += token.nesting if token.type.startswith("link") else 0
        if token.type.startswith("html"):
            in_html = in_html or not token.content.lstrip().startswith("<!--")
        if token.type != "text" or quoted or labelled or in_html:
            yield token.content + token.info


@given(some.lists(some.sampled_from(PIECES), min_size=4, max_size=22))
@settings(max_examples=1000, deadline=None)
def test_nothing_counts_that_a_parser_takes_for_something_else(pieces: list[str]) -> None:
    text = written(pieces) + "\n"  # the parser reads beyond an end without one
    assert not tokens(typed_in_markdown(text)) & not_typed(text)


@given(some.lists(some.sampled_from(["so", "(", ")", "- ", "# ", "\n", "'", "EV"]), max_size=22))
@settings(max_examples=200, deadline=None)
def test_all_of_a_plain_text_counts(pieces: list[str]) -> None:
    text = written(pieces)
    assert tokens(typed_in_markdown(text)) & values(text) == values(text)


# --- the same by name: texts that were taken for typed once --------------------------------------

CLEAR = some.sampled_from(["bob@acme.example", "https://acme.example/pay", "acme/platform#7123"])
HIDDEN: dict[str, Callable[[str], str]] = {
    "label in a label": lambda v: f"see [a [ {v} ] b](https://evil.example)",
    "label of an address in brackets": lambda v: f"see [ {v} ](https://evil.example/(a)b)",
    "label over a bracket": lambda v: f"see [x \\] {v} y](https://evil.example)",
    "label of a reference": lambda v: f"see [ {v} ][x]\n\n[x]: https://evil.example",
    "label that is its reference": lambda v: f"see [ {v} ]\n\n[{v}]: https://evil.example",
    "label behind a backtick": lambda v: f"see [ {v} ` ](https://evil.example)\n\n`",
    "label around a backtick": lambda v: f"see `\n\n[ ` {v} ](https://evil.example)",
    "title of a reference": lambda v: f"[x]: https://evil.example '\n{v} '",
    "code behind an escaped backtick": lambda v: f"see \\`x` {v} `",
    "block behind code like a fence": lambda v: f"```x```\nso\n```\n{v}\n```",
    "block behind a tab": lambda v: f"```\na\n```\t\nso\n```\n{v}\n```",
    "block in a list": lambda v: f"- ```\n  {v}\n  ```",
    "block below a list": lambda v: f"- a\n\n    ```\n  {v}\n    ```",
    "block behind one that a list ends": lambda v: f"- ```\n  x\nso\n```\n{v}\n```",
    "block behind one within a list": lambda v: f"- a\n  ```\n  x\nso\n```\n{v}\n```",
    "block that ends an item": lambda v: f"- a\n   ```\n   x\n```\n{v}\n```",
    "code in a list": lambda v: f"-     {v}",
    "code in a list in a list": lambda v: f"-    -      {v} ",
    "quotation in HTML": lambda v: f"<blockquote>\n\n{v}\n</blockquote>",
    "code in HTML": lambda v: f"see <code> {v} </code>",
    "block in HTML": lambda v: f"<pre>\n{v}\n</pre>",
    "label in HTML": lambda v: f'see <a href="https://evil.example"> {v} </a>',
    "attribute in HTML": lambda v: f'<img alt=" {v} ">',
    "HTML beside code": lambda v: f"x ` y\nz `<pre>` {v} `",
    "HTML beside escaped code": lambda v: f"\\`<pre>\\`\n\n{v}",
    "HTML in what looks like code": lambda v: f"a\n    <pre>\n\n{v}",
    "HTML in a quotation": lambda v: f"> <pre>\n\n{v}",
    "comment": lambda v: f"see <!-- {v} --> this",
    "comment of a template": lambda v: f"<!--\nsend it to {v}\n-->\nsee this",
    "comment that ends at once": lambda v: f"<!-->\n```\n-->\n{v}\n```",
    "HTML behind a comment": lambda v: f"<!-- a --> <pre>\n{v}",
    "HTML in an odd comment": lambda v: f"<!-- --!> <pre>\n-->\n{v}",
    "comment in code": lambda v: f"`<!--` a\n```\n--> {v}\n```",
}


def matches(value: str, typed: str) -> bool:
    return unmatched([SinkValue(argument="to", spellings=(value,))], [typed]) is None


@pytest.mark.parametrize("position", HIDDEN)
@given(value=CLEAR)
@settings(max_examples=5, deadline=None)
def test_what_is_hidden_like_that_does_not_count(position: str, value: str) -> None:
    assert not matches(value, typed_in_markdown(HIDDEN[position](value)))


@given(value=CLEAR)
@settings(max_examples=25, deadline=None)
def test_what_stands_below_a_comment_of_a_template_counts(value: str) -> None:
    """Templates of issues begin so; whoever fills one in has typed what is below."""
    template = f"<!-- Thank you!\n```\n[ -->\n\nsend it to {value}\n"
    assert matches(value, typed_in_markdown(template))


@given(value=CLEAR)
@settings(max_examples=25, deadline=None)
def test_what_stands_before_and_beside_code_counts(value: str) -> None:
    assert matches(value, typed_in_markdown(f"send it to {value}\n\n<pre>\nx\n</pre>"))
    assert matches(value, typed_in_markdown(f"see `list<str>`: send it to {value}"))
    assert matches(value, typed_in_markdown(f"- [ ] send it to {value}\n\n[x]: https://a.example"))
