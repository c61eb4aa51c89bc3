"""What holds for every answer, however it was written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st

from openloop.domain.surface import Button, Say
from openloop.integrations.slack.markdown import pieces_of
from openloop.integrations.slack.render import render_say
from openloop.integrations.slack.richtext import Link, Mention, Piece, Text
from openloop.integrations.slack.split import parts_of
from openloop.testing.rigs.slack.blocks import problems_of
from tests.integrations.slack.reading import letters, live, objects, words

if TYPE_CHECKING:
    from openloop.integrations.slack.richtext import Shape

MARKS = st.sampled_from(
    [
        "\n", "\n\n", " ", "- ", "1. ", "> ", "# ", "```\n", "`", "*", "**", "_", "~~", "|",
        "|-|-|", "[", "](https://x.example)", "![", "<!channel>", "<@U0ANNA>", "@here", "<",
        ">", "&", "\\", "    ", "\t", "---\n", "https://x.example/a", "&lt;!here&gt;",
        "\u202e", "\x00", "word", "0. ", "99999999999. ",
    ]
)  # fmt: skip
MARKDOWN = st.lists(st.one_of(MARKS, st.text(max_size=20)), max_size=60).map("".join)
LONG = st.tuples(MARKDOWN, st.integers(1, 400)).map(lambda given: given[0] * given[1])


@settings(max_examples=200, deadline=None)
@given(markdown=st.one_of(MARKDOWN, LONG), footer=st.text(max_size=50))
@example(markdown="<@U0ANNA>" * 3000, footer="")
@example(markdown="> " * 3000, footer="")
@example(markdown="```\n" + "x\n" * 20_000, footer="")
@example(markdown="- a\n" * 8_000, footer="x")
@example(markdown="\n\n\n1. " * 500, footer="")
@example(markdown="[" * 5_000, footer="")
@example(markdown="| a |\n|---|\n" + "| b |\n" * 5_000, footer="")
@example(markdown="[x](https://x.example) " * 3_000, footer="")
def test_every_part_is_within_slacks_limits_and_rings_nobody(markdown: str, footer: str) -> None:
    buttons = (Button(action="undo", label="Undo", token="t"),)
    for part in render_say(Say(markdown=markdown, footer=footer, buttons=buttons)):
        blocks = orjson.loads(orjson.dumps(part.blocks))
        assert len(orjson.dumps(part.blocks)) <= 12_000
        assert len(blocks) <= 50
        assert 0 < len(part.text) <= 40_000
        assert problems_of(blocks) == []
        assert live(blocks, part.text) == set()
        assert part.text.count("```") % 2 == 0
        assert all(found["text"] for found in objects(blocks) if found.get("type") == "text")


RUNS = st.one_of(
    st.builds(Text, st.text(min_size=1, max_size=3000)),
    st.builds(Text, st.text(alphabet='"\\\n\u4e2d ', min_size=1, max_size=30_000)),
    st.builds(Link, st.just("https://x.example/" + "a" * 500), st.just("label")),
    st.builds(Mention, st.just("U0ANNA")),
)
SHAPES: st.SearchStrategy[Shape] = st.sampled_from(
    ["section", "bullet", "ordered", "quote", "preformatted"]
)
PIECES = st.lists(
    st.tuples(SHAPES, st.lists(RUNS, min_size=1, max_size=6)).map(
        lambda given: Piece(shape=given[0], runs=tuple(given[1]))
    ),
    max_size=6,
)


@settings(max_examples=100, deadline=None)
@given(PIECES)
def test_cutting_loses_no_text_and_cuts_no_link(pieces: list[Piece]) -> None:
    parts = parts_of(pieces)
    before = [run for piece in pieces for run in piece.runs]
    after = [run for part in parts for piece in part for run in piece.runs]
    assert "".join(r.text for r in before if isinstance(r, Text)) == "".join(
        r.text for r in after if isinstance(r, Text)
    )
    assert [r for r in before if not isinstance(r, Text)] == [
        r for r in after if not isinstance(r, Text)
    ]


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet="abc \n", min_size=1, max_size=200), st.integers(1, 500))
def test_a_long_answer_arrives_whole(text: str, times: int) -> None:
    markdown = f"x{text}y " * times
    parts = render_say(Say(markdown=markdown))
    shown = "".join(words(part.blocks) for part in parts)
    assert letters(shown) == letters(markdown)


def test_lines_are_cut_where_they_end() -> None:
    lines = "".join(f"line {number} of the log\n" for number in range(2000))
    parts = render_say(Say(markdown=f"```\n{lines}```"))
    assert len(parts) > 2
    for part in parts[:-1]:
        assert words(part.blocks).endswith("log\n")


def test_a_numbered_list_counts_on_in_the_next_part() -> None:
    markdown = "\n".join(f"{number}. {'word ' * 20}" for number in range(1, 301))
    parts = render_say(Say(markdown=markdown))
    lists = [
        found
        for part in parts
        for found in objects(part.blocks)
        if found.get("type") == "rich_text_list"
    ]
    starts = [found.get("offset", 0) for found in lists]
    lengths = [len(found["elements"]) for found in lists]
    assert len(lists) > 2
    assert starts == [sum(lengths[:at]) for at in range(len(lengths))]


def test_an_answer_of_megabytes_takes_bounded_time() -> None:
    pieces = pieces_of("*_[`" * 1_000_000)
    assert sum(len(run.text) for p in pieces for run in p.runs if isinstance(run, Text)) < 200_100
