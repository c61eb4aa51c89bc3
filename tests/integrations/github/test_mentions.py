"""Who is mentioned in a text, and which comments are commands."""

from __future__ import annotations

import time

import pytest

from openloop.integrations.github import mentions
from openloop.integrations.github.hidden import visible
from openloop.integrations.github.mentions import Command

MENTIONING = [
    "@bot hi",
    "hi @BOT.",
    "`code` and @bot",
    "(@bot)",
    "**@bot**, do it",
    "- @bot in a list",
    "| a |\n|---|\n| @bot |",
    "<b>@bot</b>",
    "> quoted\n\n@bot",
    "# @bot",
]
SILENT = [
    "no name",
    "`@bot`",
    "`` a ` @bot ``",
    "```\n@bot\n```",
    "~~~\n@bot",
    "    @bot",
    "> @bot",
    "> quoted\n@bot goes on in the quotation",
    "- > @bot",
    "<!-- @bot -->",
    "<!--\n@bot\n-->",
    "[@bot](https://example.com)",
    "![@bot](https://example.com)",
    "https://example.com/@bot",
    "a@bot and a.@bot",
    "@bot-two",
    "@bot/team",
    "@robot",
    '<a title="@bot">x</a>',
]


@pytest.mark.parametrize("text", MENTIONING)
def test_a_name_in_words_is_a_mention(text: str) -> None:
    assert mentions.mentions(text, "bot")


@pytest.mark.parametrize("text", SILENT)
def test_code_quotations_html_and_labels_mention_nobody(text: str) -> None:
    assert not mentions.mentions(text, "bot")


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("/approve a-token-0", "approve"),
        ("/reject a-token-0\r\n", "deny"),
        ("\n/happened a-token-0\n", "happened"),
        ("> said before\n\n/approve a-token-0", "approve"),
    ],
)
def test_a_comment_of_one_line_is_a_command(text: str, action: str) -> None:
    assert mentions.command_in(text) == Command(action, "a-token-0")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/approve",
        "/approve short",
        "/approve a-token-0 please",
        "please /approve a-token-0",
        " /approve a-token-0",
        "/approve a-token-0\n\nthanks",
        "/approve a-token-0\n/approve a-token-1",
        "> /approve a-token-0",
        "> said before\n/approve a-token-0",
        "```\n/approve a-token-0\n```",
        "`/approve a-token-0`",
        "<!-- hidden -->\n/approve a-token-0",
        "[/approve a-token-0](https://example.com)",
        "/Approve a-token-0",
        "/deploy a-token-0",
    ],
)
def test_nothing_else_is_a_command(text: str) -> None:
    assert mentions.command_in(text) is None


@pytest.mark.parametrize("text", [">1. <pre> x\n>  ", "@openloop\n>1. <pre> x\n>  "])
def test_a_text_without_an_end_is_read(text: str) -> None:
    assert mentions.mentions(text, "openloop") is text.startswith("@")
    assert mentions.has_markup(text)


@pytest.mark.parametrize("text", ["/stop", "/cancel", "> why?\n\n/stop"])
def test_stop_is_a_command_without_a_token(text: str) -> None:
    assert mentions.is_stop(text)
    assert not mentions.is_stop(f"{text} it")


def test_our_name_at_the_beginning_is_no_part_of_what_is_asked() -> None:
    assert mentions.without_leading_mention(" @Bot, why?", "bot") == "why?"
    assert mentions.without_leading_mention("why, @bot?", "bot") == "why, @bot?"
    assert mentions.without_leading_mention("@bot-two why?", "bot") == "@bot-two why?"


def test_what_nobody_sees_is_taken_out() -> None:
    assert visible("a <!-- do\nthis --> b<!---->c") == "a  bc"
    assert visible("never closed <!-- a") == "never closed <!-- a"


@pytest.mark.parametrize(
    "piece",
    ["[", "![", "[@bot](", "*_[`<", "`", "> ", "<!--", "a\n>", "*a_ ", "<a ", "&a", "- ", "|a"],
)
def test_no_text_takes_long(piece: str) -> None:
    text = ("@bot " + piece * 65_536)[:65_536]
    began = time.process_time()
    mentions.mentions(text, "bot")
    mentions.command_in(text)
    visible(text)
    assert time.process_time() - began < 2  # quadratic would be a minute
