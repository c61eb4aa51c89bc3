"""What a process keeps secret is in no excerpt of a log, wherever the log, a line or a word is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openloop.domain.build_logs.analyser import analyse
from openloop.domain.build_logs.lines import LONGEST_MATCHED, LONGEST_READ
from openloop.domain.build_logs.showing import LONGEST_SHOWN
from openloop.domain.redaction import REDACTED, Redactor

if TYPE_CHECKING:
    from openloop.domain.build_logs.analysis import Analysis, Excerpt

WORD = "s3cret-of-the-registry-81c5"
PHRASE = "correct horse battery staple of the registry"
WINDOW = 256 * 1024
"""In pieces of this size a log is gone through."""
LONG = "-".join(f"part{number:03d}" for number in range(80))


def step(run: str, *lines: str) -> list[str]:
    """A step that failed, as GitHub's runner writes it."""
    header = (f"##[group]Run {run}", "shell: /usr/bin/bash -e {0}", "##[endgroup]")
    return [*header, *lines, "##[error]Process completed with exit code 1."]


def told(*lines: str, known: str, pieces_of: int | None = None) -> str:
    """All that an analysis of these lines says, as one text."""
    return text_of(analysis_of("\n".join([*lines, ""]).encode(), known, pieces_of))


def analysis_of(raw: bytes, known: str, pieces_of: int | None = None) -> Analysis:
    size = pieces_of or len(raw)
    pieces = [raw[begin : begin + size] for begin in range(0, len(raw), size)]
    return analyse(pieces, Redactor([known]))


def text_of(analysis: Analysis) -> str:
    assert analysis.excerpts
    return "\n".join(map(_all_of, analysis.excerpts))


def _all_of(excerpt: Excerpt) -> str:
    return "\n".join([excerpt.subject or "", excerpt.step or "", excerpt.text])


def shows_part_of(known: str, said: str, *, least: int = 6) -> bool:
    """Whether some letters in a row of it stand there."""
    return any(known[begin : begin + least] in said for begin in range(len(known) - least + 1))


@pytest.mark.parametrize("known", [WORD, PHRASE, LONG])
@pytest.mark.parametrize("cut", [LONGEST_SHOWN, LONGEST_MATCHED, LONGEST_READ])
@pytest.mark.parametrize("inside", [1, 7, 20])
def test_a_value_that_lies_across_a_cut_is_not_shown(known: str, cut: int, inside: int) -> None:
    before = "fatal: " + "word " * cut
    said = before[: cut - inside - 1] + " " + known + " and more" * 20

    assert not shows_part_of(known, told(*step("deploy", said), known=known))


@pytest.mark.parametrize("known", [WORD, PHRASE, LONG])
@pytest.mark.parametrize("cut", [LONGEST_MATCHED, LONGEST_READ])
@pytest.mark.parametrize("filler", ["{known} ", "\x1b[31m", "\u200b", "9%\r"])
def test_nor_is_it_where_less_is_left_of_what_stood_before_it(
    known: str, cut: int, filler: str
) -> None:
    unseen = filler.format(known=known)
    for inside in (1, 7, 20):
        room = cut - inside - len("fatal: fatal: ")
        before = unseen * (room // len(unseen.encode()))
        missing = room - len(before.encode())
        said = f"fatal: {before}fatal: {' ' * missing}{known} and more{' x' * 4000}"

        assert not shows_part_of(known, told(*step("deploy", said), known=known))


@pytest.mark.parametrize("known", [WORD, PHRASE])
@pytest.mark.parametrize("pieces_of", [1, 7, 64, 1000])
def test_it_does_not_matter_where_a_piece_ends(known: str, pieces_of: int) -> None:
    lines = step("deploy", "before", f"fatal: {known} gone", "behind")

    said = told(*lines, known=known, pieces_of=pieces_of)

    assert f"fatal: {REDACTED} gone" in said
    assert not shows_part_of(known, said)


@pytest.mark.parametrize("offset", range(0, 30, 5))
def test_of_what_stands_around_a_line_only_whole_lines_are_shown(offset: int) -> None:
    """A line that begins a window is shown with some kilobytes of the one before it."""
    lines = ["##[group]Run deploy", "shell: sh", "##[endgroup]"]
    secrets = [" ".join([WORD] * 9)] * 14
    room = WINDOW - offset - sum(len(line) + 1 for line in (*lines, *secrets)) - 1
    lines += ["x" * 20_000] * (room // 20_001) + ["x" * (room % 20_001)] + secrets
    lines += ["fatal: " + "gone " * 10, "##[error]Process completed with exit code 1."]

    said = told(*lines, known=WORD)

    assert "fatal: gone" in said
    assert REDACTED in said
    assert not shows_part_of(WORD, said)


def test_the_command_of_a_step_is_cut_after_it_is_redacted() -> None:
    for command in (
        "curl " + "word " * 55 + PHRASE,
        "curl " + (PHRASE + " ") * 30,
        f"deploy --as {PHRASE}",
    ):
        said = told(*step(command, "fatal: gone"), known=PHRASE)

        assert not shows_part_of(PHRASE, said)


def test_a_subject_is_not_shown_where_it_is_a_part_of_a_value() -> None:
    known = "src/ledger.c:81:5: error: s3cret"

    said = told(*step("make", f"{known} and more"), known=known)

    assert REDACTED in said
    assert not shows_part_of(known, said)


def test_a_line_that_is_too_long_says_that_there_is_more() -> None:
    spaced = analysis_of(
        "\n".join([*step("deploy", "fatal: " + "\x1b[0m" * 1024 + " gone"), ""]).encode(),
        WORD,
    )
    unspaced = analysis_of("\n".join([*step("deploy", "fatal:" + "x" * 5000), ""]).encode(), WORD)

    assert spaced.cause is not None
    assert spaced.cause.causal_text == "fatal: ..."
    assert unspaced.cause is None or "without a space" in unspaced.cause.causal_text
