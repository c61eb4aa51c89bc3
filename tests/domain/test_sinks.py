"""Sink arguments: only what a requester typed themselves, whole and exactly, lets a call pass."""

from __future__ import annotations

import time
import unicodedata
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as some

from openloop.domain.sinks import (
    GLUE,
    SinkValue,
    arguments_named,
    every_argument,
    reaching_out,
    unmatched,
)
from openloop.domain.typed import typed_in_markdown
from openloop.integrations.slack.typed import typed_text

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, object]

VALUES = {
    "e-mail": "bob@acme.example",
    "user id": "U0BEN123",
    "channel id": "C0DEVPLAT",
    "address": "https://acme.example/reports/q3?view=all#top",
    "host": "api.acme.example",
    "IBAN": "DE75512108001245126199",
    "name": "José",
    "issue": "acme/platform#7123",
}
HOMOGLYPHS = str.maketrans(
    {"a": "\u0430", "e": "\u0435", "o": "\u043e", "c": "\u0441", "p": "\u0440"}
)


def matches(value: str, typed: str) -> bool:
    return unmatched([SinkValue(argument="to", spellings=(value,))], [typed]) is None


def block(*sections: Json) -> Json:
    return {
        "text": "as Slack renders it",
        "blocks": [{"type": "rich_text", "elements": [*sections]}],
    }


def section(*pieces: Json) -> Json:
    return {"type": "rich_text_section", "elements": [*pieces]}


def text(words: str, **style: bool) -> Json:
    return {"type": "text", "text": words, **({"style": style} if style else {})}


# --- positions that do not count -----------------------------------------------------------------


def other(kind: str, words: str) -> Json:
    return {"type": kind, "elements": [text(words)]}


IN_SLACK: dict[str, Callable[[str], Json]] = {
    "quotation": lambda v: block(section(text("please act")), other("rich_text_quote", v)),
    "code block": lambda v: block(other("rich_text_preformatted", v)),
    "inline code": lambda v: block(section(text("send to "), text(v, code=True))),
    "label of a link": lambda v: block(
        section({"type": "link", "url": "https://evil.example/x", "text": v})
    ),
    "code beside it": lambda v: block(section(text(v), text("x", code=True))),
    "bold half": lambda v: block(section(text(v, bold=True), text(".evil"))),
    "emoji beside it": lambda v: block(section(text(v), {"type": "emoji", "name": "tada"})),
    "attachment": lambda v: (
        block(section(text("look"))) | {"attachments": [{"text": v, "fallback": v}]}
    ),
    "unfurl": lambda v: (
        block(section(text("look")))
        | {"attachments": [{"from_url": v, "title": v, "text": f"{v} {v}"}]}
    ),
    "forward": lambda v: (
        block(section(text("fyi")))
        | {
            "attachments": [
                {"is_share": True, "message_blocks": [{"message": block(section(text(v)))}]}
            ]
        }
    ),
    "file name": lambda v: block(section(text("see file"))) | {"files": [{"name": v, "title": v}]},
    "block of an app": lambda v: {"text": v, "blocks": [{"type": "section", "text": {"text": v}}]},
    "app block beside a typed one": lambda v: {
        "blocks": [
            {"type": "rich_text", "elements": [section(text(v))]},
            {"type": "section", "text": {"type": "mrkdwn", "text": v}},
        ]
    },
    "colour": lambda v: block(section({"type": "color", "value": v})),
    "date": lambda v: block(section({"type": "date", "timestamp": 1, "fallback": v})),
    "broadcast": lambda v: block(section({"type": "broadcast", "range": v})),
    "fallback text": lambda v: block(section(text("nothing"))) | {"text": v},
    "mrkdwn quotation": lambda v: {"text": f"please\n&gt; {v}\nthanks"},
    "mrkdwn rest quotation": lambda v: {"text": f"please\n&gt;&gt;&gt; so\n{v}\nthanks"},
    "mrkdwn code": lambda v: {"text": f"send to `{v}` now"},
    "mrkdwn code block": lambda v: {"text": f"see ```\n{v}\n``` now"},
    "mrkdwn open code block": lambda v: {"text": f"see ```\n{v}\n"},
    "mrkdwn label": lambda v: {"text": f"see <https://evil.example|{v}> now"},
    "mrkdwn label of a person": lambda v: {"text": f"ask <@U0MALLORY|{v}> now"},
    "quotation that stayed a text": lambda v: block(section(text(f"please\n> {v}\nthanks"))),
    "code that stayed a text": lambda v: block(section(text(f"send to `{v}` now"))),
}
IN_MARKDOWN: dict[str, Callable[[str], str]] = {
    "quotation": lambda v: f"please\n> {v}\n\nthanks",
    "quotation that goes on": lambda v: f"> somebody wrote\n{v}\n\nthanks",
    "quotation in a list": lambda v: f"- > {v}\n\nthanks",
    "code block": lambda v: f"see\n```sh\n{v}\n```\nthanks",
    "code block of tildes": lambda v: f"see\n~~~\n{v}\n~~~",
    "open code block": lambda v: f"see\n```\n{v}",
    "block closed by a shorter fence": lambda v: f"````\n```\n{v}\n````",
    "indented code": lambda v: f"see\n\n    {v}\n",
    "inline code": lambda v: f"send to `{v}`",
    "longer inline code": lambda v: f"send to ``x ` {v} ``",
    "code over two lines": lambda v: f"send to `x\n{v}` now",
    "label of a link": lambda v: f"see [{v}](https://evil.example)",
    "label of an image": lambda v: f"see ![{v}](https://evil.example/x.png)",
    "title of a link": lambda v: f'see [x](https://evil.example "{v}")',
}
CHANGED: dict[str, Callable[[str], str]] = {
    "longer": lambda v: f"{v}x",
    "prefixed": lambda v: f"x{v}",
    "a part of an address": lambda v: f"https://evil.example/{v}",
    "another host below": lambda v: f"{v}.evil.example",
    "cut": lambda v: v[:-1],
    "upper case": lambda v: v.swapcase(),
    "homoglyphs": lambda v: v.translate(HOMOGLYPHS),
    "full width": lambda v: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in v),
    "zero width space inside": lambda v: f"{v[:2]}\u200b{v[2:]}",
    "soft hyphen inside": lambda v: f"{v[:2]}\u00ad{v[2:]}",
    "split by a space": lambda v: f"{v[:3]} {v[3:]}",
    "joined by a comma": lambda v: f"{v},mallory@evil.example",
    "right to left": lambda v: f"\u202e{v[::-1]}",
    "empty": lambda v: "",
}

values = some.sampled_from(sorted(VALUES.values())) | some.from_regex(
    r"[a-z]{3,8}@[a-z]{2,8}\.example", fullmatch=True
)


@pytest.mark.parametrize("position", IN_SLACK)
@given(value=values)
@settings(max_examples=25, deadline=None)
def test_in_slack_nothing_counts_but_what_was_typed(position: str, value: str) -> None:
    assert not matches(value, typed_text(IN_SLACK[position](value)))


@pytest.mark.parametrize("position", IN_MARKDOWN)
@given(value=values)
@settings(max_examples=25, deadline=None)
def test_in_a_terminal_nothing_counts_but_what_was_typed(position: str, value: str) -> None:
    assert not matches(value, typed_in_markdown(IN_MARKDOWN[position](value)))


@pytest.mark.parametrize("change", CHANGED)
@given(value=values)
@settings(max_examples=25, deadline=None)
def test_a_value_is_one_whole_token_and_nothing_like_it(change: str, value: str) -> None:
    typed = CHANGED[change](value)
    assume(unicodedata.normalize("NFC", typed) != unicodedata.normalize("NFC", value))
    assert not matches(value, f"please send it to {typed} today")


@pytest.mark.parametrize("change", CHANGED)
@given(value=values)
@settings(max_examples=25, deadline=None)
def test_a_value_that_only_looks_like_what_was_typed_is_another(change: str, value: str) -> None:
    changed = CHANGED[change](value)
    assume(unicodedata.normalize("NFC", changed) != unicodedata.normalize("NFC", value))
    assert not matches(changed, f"please send it to {value} today")


@pytest.mark.parametrize("value", [f"bob{GLUE}", GLUE * 3, f"https://acme.example/{GLUE}"])
def test_what_stands_for_what_does_not_count_is_no_value(value: str) -> None:
    typed = typed_text(block(section(text("see bob"), text("x", code=True), text(f" {value}"))))
    assert not matches(value, typed)
    assert not matches(value, typed_in_markdown(f"see bob`x` ``` {value}"))
    assert not matches(value, f"see {value}")


@given(value=values)
def test_what_somebody_else_typed_does_not_count(value: str) -> None:
    """Only the texts of requesters are handed over at all; no text at all matches nothing."""
    assert unmatched([SinkValue(argument="to", spellings=(value,))], []) is not None


@given(value=values, missing=values)
def test_a_list_needs_every_element(value: str, missing: str) -> None:
    assume(value != missing)
    sinks = arguments_named("to")({"to": [value, missing]})
    assert unmatched(sinks, [f"send it to {value}"]) == sinks[1]
    assert unmatched(sinks, [f"send it to {value}", f"and to {missing}"]) is None


@given(some.text(max_size=2))
@example("ab")
@example("é")
def test_values_of_one_or_two_characters_never_match(value: str) -> None:
    assert not matches(value, f"{value} {value}, ({value})")


# --- positions that count ------------------------------------------------------------------------


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize(
    "around", ["{}", "to {} now", "({})", "to {}.", '"{}", please', "{}!", "\n{}\n", "*{}*", "<{}>"]
)
def test_what_was_typed_counts(name: str, around: str) -> None:
    value = VALUES[name]
    if around == "<{}>" and "@" not in value and "://" not in value:
        around = "{}"  # in these brackets it might be HTML
    assert matches(value, typed_in_markdown(f"please send it\n\n{around.format(value)}"))
    assert matches(value, typed_text(block(section(text(around.format(value))))))


@pytest.mark.parametrize(
    ("piece", "value"),
    [
        ({"type": "user", "user_id": "U0BEN123"}, "U0BEN123"),
        ({"type": "channel", "channel_id": "C0DEVPLAT"}, "C0DEVPLAT"),
        ({"type": "usergroup", "usergroup_id": "S0TEAM"}, "S0TEAM"),
        ({"type": "link", "url": "https://acme.example/a"}, "https://acme.example/a"),
        (
            {"type": "link", "url": "https://acme.example/a", "text": "here"},
            "https://acme.example/a",
        ),
        ({"type": "link", "url": "mailto:bob@acme.example", "text": "x"}, "bob@acme.example"),
    ],
)
def test_typed_entities_count_as_ids_and_addresses(piece: Json, value: str) -> None:
    assert matches(value, typed_text(block(section(text("ask "), piece, text(", please")))))
    assert not matches(value, typed_text(block(section(text("ask x"), piece))))


@pytest.mark.parametrize(
    ("markup", "value"),
    [
        ("<@U0BEN123>", "U0BEN123"),
        ("<@U0BEN123|ben>", "U0BEN123"),
        ("<#C0DEVPLAT|dev>", "C0DEVPLAT"),
        ("<!subteam^S0TEAM|@team>", "S0TEAM"),
        ("<https://acme.example/a?b=1&amp;c=2|here>", "https://acme.example/a?b=1&c=2"),
        ("<mailto:bob@acme.example|bob>", "bob@acme.example"),
    ],
)
def test_typed_entities_of_a_message_without_blocks_count(markup: str, value: str) -> None:
    assert matches(value, typed_text({"text": f"ask {markup}, please"}))


def test_items_of_a_list_count() -> None:
    listed: Json = {"type": "rich_text_list", "elements": [section(text("bob@acme.example"))]}
    assert matches("bob@acme.example", typed_text(block(listed)))


@given(value=values)
def test_both_normal_forms_of_a_text_are_the_same_text(value: str) -> None:
    for form in ("NFC", "NFD"):
        assert matches(value, unicodedata.normalize(form, value))
        assert matches(unicodedata.normalize(form, value), value)


def test_the_address_of_a_typed_link_counts_and_stands_alone() -> None:
    typed = typed_in_markdown("see [the report](https://acme.example/q3)")
    assert matches("https://acme.example/q3", typed)
    assert not matches("report", typed_in_markdown("see [the report](https://x.example)"))


# --- addresses -----------------------------------------------------------------------------------

TYPED = "https://acme.example/reports/q3?view=all"


@pytest.mark.parametrize(
    "same",
    [
        TYPED,
        "HTTPS://ACME.example/reports/q3?view=all",
        "https://acme.example:443/reports/q3?view=all",
    ],
)
def test_scheme_and_host_of_an_address_have_no_case(same: str) -> None:
    assert matches(same, f"see {TYPED} please")


@pytest.mark.parametrize(
    "different",
    [
        "http://acme.example/reports/q3?view=all",
        "https://acme.example/reports/q3",
        "https://acme.example/reports/q3?view=all&data=secret",
        "https://acme.example/reports/q3?view=all#secret",
        "https://acme.example/reports/Q3?view=all",
        "https://acme.example/reports/q3/?view=all",
        "https://acme.example/reports/q3/../q4?view=all",
        "https://acme.example/reports/q3/secret?view=all",
        "https://acme.example.evil.example/reports/q3?view=all",
        "https://evil.example/reports/q3?view=all",
        "https://acme.example:8443/reports/q3?view=all",
        "https://acme.example@evil.example/reports/q3?view=all",
        "https://user:word@acme.example/reports/q3?view=all",
        "https://acme.example\\@evil.example/reports/q3?view=all",
        "https://acm\u0435.example/reports/q3?view=all",
        "//acme.example/reports/q3?view=all",
        "acme.example/reports/q3?view=all",
        "https:///reports/q3?view=all",
        "https://[acme.example/reports/q3?view=all",
    ],
)
def test_another_scheme_host_path_or_query_is_another_address(different: str) -> None:
    assert not matches(different, f"see {TYPED} please")


# --- what a tool does not say --------------------------------------------------------------------


def test_of_a_tool_that_declares_no_sinks_every_argument_is_one() -> None:
    arguments = {"title": "Quarter", "to": ["bob@acme.example"], "deep": {"host": "evil.example"}}
    named = {sink.spellings[0] for sink in every_argument(arguments)}
    assert named == {"Quarter", "bob@acme.example", "host", "evil.example"}


@pytest.mark.parametrize("left_out", [{}, {"to": None}, {"to": []}, {"to": {}}, {"to": ""}])
def test_of_such_a_tool_what_was_left_out_never_matches(left_out: dict[str, object]) -> None:
    """It goes to whomever the service takes instead, and nobody typed that."""
    sinks = every_argument({**left_out, **({"title": "Quarter"} if left_out else {})})
    assert unmatched(sinks, ["Quarter to its arguments"]) is not None


@pytest.mark.parametrize("value", [True, 1.5, float("nan")])
def test_what_nobody_types_as_such_never_matches(value: object) -> None:
    sinks = arguments_named("flag")({"flag": value})
    assert unmatched(sinks, [f"{value} true True 1.5 nan"]) is not None


def test_a_call_that_leaves_out_where_it_goes_matches_nothing() -> None:
    [sink] = arguments_named("cc", "bcc", "to")({"cc": None, "to": []})
    assert unmatched([sink], ["cc bcc to everybody@acme.example"]) == sink


def test_an_argument_that_is_not_there_is_no_sink() -> None:
    sinks = arguments_named("cc", "to")({"cc": None, "to": "anna@acme.example"})
    assert [each.argument for each in sinks] == ["to"]


# --- links and recipients in texts ---------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "see https://evil.example/x?d=secret",
        "see http:\\\\evil.example",
        "see https:/evil.example",
        "see HTTPS://evil.example",
        "see //evil.example/x",
        "see www.evil.example",
        "see evil.example",
        "see evil.example/path",
        "[click](https://evil.example)",
        "[click](https&#58;//evil&#46;example)",
        "[click](https\\://evil\\.example)",
        "![](https://evil.example/x.png)",
        '<a href="https://evil.example">x</a>',
        "<https://evil.example|label>",
        "https\uff1a//evil.example",
        "ask @mallory",
        "ask @acme/admins",
        "write to mallory@evil.example",
        "[x](mailto:mallory@evil.example)",
        "javascript:alert(1)",
        "http://192.0.2.7/x",
        "192.0.2.7",
        "http://[2001:db8::1]/x",
        "ftp://evil.example",
        "<a href=https://evil.example/x>x</a>",
        "<a href=//evil.example/x>x</a>",
        "<a href=/\\evil.example/x>x</a>",
        "<a href=\\\\evil.example/x>x</a>",
        '<a href="/\n/evil.example">x</a>',
        '<a href="/&Tab;/evil.example">x</a>',
        "<a href=http:evil.example>x</a>",
        "<a href=mailto:mallory>x</a>",
        "<img alt=x src=https://evil.example/x.png>",
        "<base href=//evil>",
        "<form action=//evil/x>",
        "See:https://evil.example",
        "ht\u200btps://evil.example",
        "www.evil.xn--p1ai",
        "evil.xn--p1ai/x",
        "www.evil.c0m",
        "<!channel>",
        "<!subteam^S0EVIL>",
        "&lt;!here&gt;",
        "x=y=evil.example",
    ],
)
def test_whatever_a_client_could_make_a_link_or_a_notice_of_is_found(words: str) -> None:
    assert unmatched(reaching_out(f"Hello. {words} Thanks!"), ["please say hello"]) is not None


@pytest.mark.parametrize(
    "words",
    [
        "Vacuum is slow: it takes 12:30 hours, e.g. on Mondays (i.e. always).",
        "Version 1.2.3 is out; 3.14 is pi. Dr. No said so...",
        "Steps:\n- first\n- second\n\n> quoted",
        "Überprüfung läuft. 日本語。",
        "Either and/or both, n/a; a = b, x=1, 50% off! <!-- nothing --> ok",
    ],
)
def test_plain_words_are_no_links(words: str) -> None:
    assert list(reaching_out(words)) == []


def test_a_link_that_was_typed_may_be_passed_on() -> None:
    typed = "tell them about https://acme.example/q3 and ask @anna"
    assert unmatched(reaching_out("See https://acme.example/q3, @anna!"), [typed]) is None


# --- cost ----------------------------------------------------------------------------------------

HOSTILE = {
    "backticks": "`" * 64_000,
    "runs of backticks": " ".join("`" * n for n in range(1, 350)),
    "open labels": "[a](" * 16_000,
    "half a link": "[a](x" + " y" * 32_000,
    "brackets": "[" * 64_000,
    "list markers": "- " * 32_000,
    "dots": "a." * 32_000,
    "equal signs": "a=" * 32_000,
    "slashes": "a/" * 32_000,
    "colons": "a:" * 32_000,
    "calls": "<!" * 32_000,
    "at signs": "@" * 64_000,
    "one word": "a" * 64_000,
    "entities": "&amp;" * 12_000,
    "open references": "<a|" * 20_000,
    "glue": GLUE * 20_000,
    "labels": "[a] " * 16_000,
    "closing brackets": "a] " * 20_000,
    "items": "-    " * 12_000,
    "numbers": "1)" * 32_000,
    "tags": "<a:" * 20_000,
    "lines of tags": "`<a\n" * 16_000,
    "comments": "<!-- a\n" * 8_000,
    "escapes": "\\`" * 32_000,
}


@pytest.mark.parametrize("shape", HOSTILE)
def test_no_text_takes_long(shape: str) -> None:
    hostile = HOSTILE[shape]
    began = time.process_time()
    typed_in_markdown(hostile)
    typed = typed_text({"text": hostile})
    unmatched(reaching_out(hostile), [typed])
    assert time.process_time() - began < 1.0  # some milliseconds; quadratic ones take minutes
