"""Reading Slack's markup, and writing text that is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openloop.integrations.slack import mrkdwn


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("a &amp; b &lt;c&gt; &amp;lt;", "a & b <c> &lt;"),
        ("<https://x.example/a?b=1&amp;c=2>", "https://x.example/a?b=1&c=2"),
        ("<https://x.example|the page>", "the page (https://x.example)"),
        ("<https://x.example|https://x.example>", "https://x.example"),
        ("<mailto:a@x.example|a@x.example>", "a@x.example"),
        ("<@U1ABC> and <@U2ABC|ben>", "@U1ABC and @ben"),
        ("<#C1ABC|general> <#C1ABC>", "#general #C1ABC"),
        ("<!here> <!channel|channel>", "@here @channel"),
        ("<!subteam^S1ABC|@team> <!subteam^S1ABC>", "@team @S1ABC"),
        ("<!date^1795435200^{date}|Nov 23> <!date^1^x>", "Nov 23 1"),
        ("<!date>", ""),
        ("a < b > c", "a < b > c"),
    ],
)
def test_markup_reads_as_plain_text(raw: str, plain: str) -> None:
    assert mrkdwn.to_plain(raw) == plain


def test_our_own_name_at_the_start_is_no_part_of_the_request() -> None:
    raw = "<@U0BOT>: <@U0BOT|openloop>, please ask <@U0BOT>"
    assert mrkdwn.to_plain(raw, own_id="U0BOT") == "please ask @U0BOT"


def test_known_names_are_used() -> None:
    assert mrkdwn.to_plain("<@U1ABC|x> <@U2ABC>", names={"U1ABC": "Anna"}) == "@Anna @U2ABC"


@given(st.text())
def test_escaping_can_be_undone_and_leaves_no_markup(text: str) -> None:
    escaped = mrkdwn.escape(text)
    assert "<" not in escaped
    assert ">" not in escaped
    assert mrkdwn.unescape(escaped) == text


@given(st.text(alphabet="<>!@#|&^;ampltgUS01chanel\n "))
def test_any_markup_can_be_read(raw: str) -> None:
    assert isinstance(mrkdwn.to_plain(raw, own_id="U0"), str)
    mrkdwn.is_mentioned(raw, "U0")


def test_direction_overrides_and_controls_do_not_survive() -> None:
    assert mrkdwn.printable("a\u202eb\x00c\x1b[31m\r\nd\te\ud800") == "abc[31m\nd\te\ufffd"
