"""What takes a parser of CommonMark long is seen before it is parsed, and what people write is not."""

from __future__ import annotations

import time

import pytest
from markdown_it import MarkdownIt

from openloop.domain.markdown_effort import effort, takes_long

LONGEST = 16_384
MOST_CPU_SECONDS = 0.4  # 0.1 s on an idle machine


def spent(text: str, *, nesting: int) -> float:
    parser = MarkdownIt("commonmark", {"maxNesting": nesting}).enable(["table", "strikethrough"])
    began = time.thread_time()
    parser.parse(text)
    return time.thread_time() - began


@pytest.mark.parametrize("nesting", [20, 50])
@pytest.mark.parametrize(
    ("first", "again"),
    [
        ("", "_ "), ("[ ", "_ "), ("[ " * 10, "_ "), ("[ " * 60, "<<: "), ("", "[ "), ("", "["),
        ("", "a\n"), ("", "_\n\n"), ("", "1. ~\n"), (">" * 300, "\n|-|-|"), ("", "[a](<*a*"),
        ("", "[a]: b\n>- \n"), ("", "[a]: b\n- \n"), ("", "- - "), ("", "> - "), ("", "[a]("),
        ("", "**a"), ("", "{"), ("", "`"), ("", "<a "), ("", "![["), ("``` a`b\n", "_ "),
        ("````\n```\n````\n", "_ "), ("", "a\r"), ("[9", "[a]("), ("[a](" * 32, "x"), ("", '[a](b "'), ("", "[a](<"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_what_is_not_said_to_take_long_does_not(
    first: str, again: str, share: float, nesting: int
) -> None:
    text = (first + again * LONGEST)[: int(LONGEST * share)]
    if not takes_long(text, nesting=nesting):
        # A busy machine may have done something else meanwhile: what is slow is slow again.
        assert min(spent(text, nesting=nesting) for _ in range(2)) < MOST_CPU_SECONDS


PROSE = (
    "We moved to **Postgres 16**, see [the plan](https://acme.example/plan_1) and `pg_upgrade`.\n"
)
ROW = "| `orders_2026` | 1,204 | yes | [#12](https://acme.example/12) |\n"
CODE = "    rows[i][j] = cells[i] * weights[j] + {'a_b': *args, **kwargs}[key] & ~mask  # [0]\n"
LOG = "[2026-11-23T10:00:00Z] \x1b[31mERROR\x1b[0m worker-3: [orders] failed: {code: 42}\n"


@pytest.mark.parametrize(
    "text",
    [
        PROSE * 170,
        (PROSE * 5 + "\n") * 34,
        "| a | b | c | d |\n|---|---|---|---|\n" + ROW * 240,
        "- one\n  - two\n    - three\n" * 200,
        "> " + PROSE * 3 + "\n" + PROSE * 150,
        f"@bot why?\n\n```\n{LOG * 180}```\n",
        f"@bot why?\r\n\r\n```\r\n{LOG * 180}```\r\n".replace("\n", "\r\n"),
        f"```python\n{CODE * 180}```\n",
        "".join(f"[{n}]: https://acme.example/{n}\n" for n in range(60)) + PROSE * 100,
    ],
)
def test_what_people_write_is_parsed(text: str) -> None:
    assert not takes_long(text, nesting=20), effort(text, nesting=20)
    assert not takes_long(text, nesting=50), effort(text, nesting=50)
    assert not takes_long(text + PROSE * 1_000, nesting=50)


def test_what_is_behind_something_like_a_fence_counts() -> None:
    inside = "```\n" + "_" * 16_000 + "\n```\n"
    assert effort(inside, nesting=20) < 100
    for opening in ("``` a`b\n", "````\n```\n````\n", "a ```\n"):
        assert takes_long(opening + "_" * 16_000, nesting=20)
