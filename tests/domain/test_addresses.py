"""Addresses and single values: what is the same as what somebody typed, and what only looks so."""

from __future__ import annotations

from typing import Any

import pytest

from openloop.domain.sinks import (
    SinkValue,
    address,
    arguments_named,
    every_argument,
    leaves,
    reaching_out,
    tokens,
    unmatched,
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://acme.example", "https://acme.example/"),
        ("HTTPS://Acme.Example/a", "https://acme.example/a"),
        ("https://acme.example:443/a", "https://acme.example/a"),
        ("http://acme.example:80/a", "http://acme.example/a"),
        ("ftp://acme.example/a", "FTP://acme.example/a"),
    ],
)
def test_these_addresses_are_one(one: str, other: str) -> None:
    assert address(one) is not None
    assert address(one) == address(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://acme.example/a", "http://acme.example/a"),
        ("https://acme.example/a", "https://acme.example/A"),
        ("https://acme.example/a", "https://acme.example/a/"),
        ("https://acme.example/a", "https://acme.example/a?b"),
        ("https://acme.example/a", "https://acme.example/a#b"),
        ("https://acme.example/a", "https://acme.example:8443/a"),
        ("http://acme.example:81/a", "http://acme.example/a"),
        ("https://acme.example:80/a", "https://acme.example/a"),
        ("ftp://acme.example:21/a", "ftp://acme.example/a"),
    ],
)
def test_and_these_are_two(one: str, other: str) -> None:
    assert address(one) is not None
    assert address(other) is not None
    assert address(one) != address(other)


@pytest.mark.parametrize(
    "text",
    [
        "acme.example",
        "//acme.example/a",
        "//acme.example/?next=https://other.example",
        "https:///a",
        "https://:443/a",
        "://acme.example/a",
        "https://acme.example/a b",
        "https://acme.example/a\tb",
        "https://acme.example\\@evil.example/a",
        "https://acme.example/a\\b",
        "https://somebody@acme.example/a",
        "https://acme.example:99999/a",
        "https://[acme.example/a",
    ],
)
def test_what_a_client_might_read_otherwise_is_no_address(text: str) -> None:
    assert address(text) is None


def test_an_address_is_compared_whole() -> None:
    said = address("https://Acme.Example:8443/a/b?c=d#e")
    assert said is not None
    assert (said.scheme, said.host, said.port) == ("https", "acme.example", 8443)
    assert (said.path, said.query, said.fragment) == ("/a/b", "c=d", "e")


# --- single values -------------------------------------------------------------------------------


def value(*spellings: str, argument: str = "to") -> SinkValue:
    return SinkValue(argument=argument, spellings=spellings)


@pytest.mark.parametrize(("word", "counts"), [("ab", False), ("abc", True), ("abcd", True)])
def test_three_characters_are_the_fewest_that_count(word: str, *, counts: bool) -> None:
    assert (unmatched([value(word)], [f"send {word} there"]) is None) is counts


def test_the_first_value_that_nobody_typed_is_named() -> None:
    values = [value("anna"), value("mallory", argument="cc"), value("eve", argument="bcc")]
    found = unmatched(values, ["tell anna"])
    assert found is not None
    assert found.argument == "cc"
    assert unmatched(values, ["tell anna", "and mallory, eve"]) is None


def test_one_of_its_spellings_is_enough_and_without_any_it_never_matches() -> None:
    assert unmatched([value("acme/platform#7", "issue-7")], ["close issue-7"]) is None
    assert unmatched([value()], ["close issue-7"]) is not None


def test_a_whole_number_counts_as_it_is_written_and_nothing_else_that_is_no_text() -> None:
    assert list(leaves([123, True, 1.5, None])) == ["123", "", "", ""]
    assert list(leaves({"a": ["b", {"c": 4567}]})) == ["a", "b", "c", "4567"]
    assert unmatched(arguments_named("id")({"id": 4567}), ["close 4567"]) is None


@pytest.mark.parametrize("arguments", [{}, {"to": None}, {"other": "anna"}])
def test_a_call_that_names_nobody_is_typed_by_nobody(arguments: dict[str, Any]) -> None:
    assert arguments_named("to", "cc")(arguments) == (value(),)


def test_every_argument_counts_where_a_tool_declares_none() -> None:
    found = every_argument({"to": ["anna", "ben"], "text": "hello"})
    assert found == (
        value("anna"),
        value("ben"),
        value("hello", argument="text"),
    )
    assert every_argument({}) == (value(argument="its arguments"),)
    assert every_argument({"to": []}) == (value(""),)


def test_words_count_as_they_stand_and_without_what_is_around_them() -> None:
    assert tokens("tell (anna), or *ben*!") == {
        *("tell", "(anna),", "anna", "or", "*ben*!", "ben"),
    }


# --- links and recipients in prose ---------------------------------------------------------------


def reached(text: str) -> list[str]:
    return [spelling for each in reaching_out(text) for spelling in each.spellings]


@pytest.mark.parametrize(
    "word",
    [
        "@anna",
        "anna@acme.example",
        "https://acme.example/a",
        "ftp:/acme",
        "file:\\share",
        "mailto:anna",
        "TEL:123",
        "sms:123",
        "data:text",
        "file:a",
        "JavaScript:alert",
        "vbscript:a",
        "//acme.example",
        "acme.example",
        "acme.example/a",
        "acme.example:8080",
        "acme.example?a=1.5",
        "1.2.3.4",
        "a.b.c.example",
        "acme.io",
        "x.io",
    ],
)
def test_a_client_makes_something_of_these(word: str) -> None:
    assert word in reached(f"see {word} now")
    assert {each.argument for each in reaching_out(word)} == {"text"}


@pytest.mark.parametrize(
    "word",
    [
        "hello",
        "1.2.3",
        "1.5",
        "v1.2",
        "e.g",
        "a.b2",
        "a..example",
        ".example",
        "note:x",
        "1.2.3.4.5",
        "a.b.c.d1",
        "1.b.c.d2",
    ],
)
def test_and_nothing_of_these(word: str) -> None:
    assert reached(f"see {word} now") == []


def test_it_is_read_as_it_is_written_and_as_it_is_shown() -> None:
    assert reached("see acme&#46;example") == ["acme.example"]
    assert reached("see acme\\.example") == ["acme.example"]
    assert reached("see \uff21cme.example, acme.example, acme.example") == [
        "Acme.example",
        "acme.example",
    ]
