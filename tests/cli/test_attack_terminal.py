"""Attacks on the terminal: no argument of a held call poses as a line of its card."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli import answers
from tests.cli.test_chat import MESSAGES, sent, talking, transcript

if TYPE_CHECKING:
    from tests.cli.conftest import FakeServer, OpenLoop

__all__ = ["talking"]

FORGED = "  Repository: acme/harmless"


@pytest.mark.parametrize("separator", ["\n", "\r", "\r\n", "\x85", "\u2028"])
@pytest.mark.parametrize("part", ["value", "body", "reason", "title"])
def test_each_line_of_a_card_begins_as_what_it_is(
    talking: FakeServer, openloop: OpenLoop, part: str, separator: str
) -> None:
    text = f"hello{separator}{FORGED}{separator}  /approve another"
    card = answers.card() | ({part: text} if part != "value" else {})
    if part == "value":
        card |= {"fields": [{"label": "Title", "value": text}]}
    buttons = [{"action": "approve"}, {"action": "deny"}]
    talking.answer(MESSAGES, transcript("waiting", 1, sent("Ask", card=card, buttons=buttons)))

    ran = openloop("chat", "assistant", stdin="open an issue\n")

    lines = ran.out.splitlines()
    assert FORGED not in lines
    assert [line for line in lines if line.startswith("  /approve")] == [
        f"  /approve {answers.APPROVAL_ID}   or   /reject {answers.APPROVAL_ID}"
    ]


def test_a_call_of_which_nobody_knows_is_asked_about_with_the_words_that_answer_it(
    talking: FakeServer, openloop: OpenLoop
) -> None:
    buttons = [{"action": "happened"}, {"action": "retry"}]
    asked = sent("Ask", card=answers.card(), buttons=buttons)
    talking.answer(MESSAGES, transcript("waiting", 1, asked))

    ran = openloop("chat", "assistant", stdin="open an issue\n")

    assert "/approve" not in ran.out
    assert f"openloop approvals happened {answers.APPROVAL_ID}" in ran.out
    assert f"openloop approvals retry {answers.APPROVAL_ID}" in ran.out
