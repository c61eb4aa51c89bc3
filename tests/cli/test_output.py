"""How answers are written: tables for people, JSON and YAML for programs, names for pipes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import yaml

from openloop.cli import text
from openloop.cli.output import field, table
from tests.cli import answers

if TYPE_CHECKING:
    from tests.cli.conftest import FakeServer, OpenLoop

EVIL = "\x1b[31mred\x1b[0m \x1b]8;;http://evil\x07link\x1b\\ \x9b2Jc1 \u202egnp\u200b.exe\r\n\ttwo"


@pytest.fixture(autouse=True)
def with_runs(connected: FakeServer) -> None:
    connected.answer(
        "GET /api/v1/runs",
        answers.page(answers.run(), answers.run(state="waiting", request=EVIL, agent="größe")),
    )


def test_a_table_has_titles_and_aligned_columns(openloop: OpenLoop) -> None:
    ran = openloop("runs", "get")

    title, first, second = ran.out.splitlines()
    assert title.split() == ["ID", "AGENT", "STATE", "REQUEST", "COST", "AGE"]
    assert first.split()[:3] == [answers.RUN_ID, "assistant", "done"]
    assert {line.index(word) for line, word in ((title, "STATE"), (first, "done"))} == {
        second.index("waiting")
    }
    assert ran.err == ""


def test_a_wide_table_has_more_columns_and_cuts_nothing(openloop: OpenLoop) -> None:
    out = openloop("runs", "get", "-o", "wide").out

    assert out.splitlines()[0].split()[6:] == ["BY", "MODEL", "TOKENS", "OUTCOME"]
    assert "800+120" in out


def test_nothing_from_outside_reaches_the_terminal_unfiltered(openloop: OpenLoop) -> None:
    for output in ("table", "wide", "json", "yaml"):
        out = openloop("runs", "get", "-o", output).out

        assert not set(out) & set("\x1b\x9b\x07\r\u202e\u200b"), output
    assert "red link c1 gnp.exe two" in openloop("runs", "get").out


def test_json_is_what_the_api_answers(openloop: OpenLoop) -> None:
    ran = openloop("runs", "get", "-o", "json")

    assert ran.json["items"][1]["request"] == EVIL  # escaped, and whole
    assert "größe" in ran.out
    assert list(ran.json) == ["items", "next_cursor", "as_of"]


def test_yaml_holds_the_same(openloop: OpenLoop) -> None:
    found = yaml.safe_load(openloop("runs", "get", "-o", "yaml").out)

    assert found["items"][0] == answers.run()


def test_names_can_be_handed_to_the_next_command(connected: FakeServer, openloop: OpenLoop) -> None:
    connected.answer(f"POST /api/v1/runs/{answers.RUN_ID}/cancel", answers.run(state="cancelled"))
    name = openloop("runs", "get", "-o", "name").out.splitlines()[0]

    assert name == f"run/{answers.RUN_ID}"
    assert openloop("runs", "cancel", name).status == 0


def test_an_empty_list_writes_no_data_and_says_what_would_fill_it(
    connected: FakeServer, openloop: OpenLoop
) -> None:
    connected.answer("GET /api/v1/agents", answers.page())

    ran = openloop("agents", "get")

    assert ran.out == ""
    assert "openloop agents apply -f FILE" in ran.err
    assert json.loads(openloop("agents", "get", "-o", "json").out)["items"] == []


@pytest.mark.parametrize(("no_color", "coloured"), [(None, True), ("", True), ("1", False)])
def test_colours_are_for_terminals_of_people_who_want_them(
    monkeypatch: pytest.MonkeyPatch, no_color: str | None, *, coloured: bool
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    if no_color is not None:
        monkeypatch.setenv("NO_COLOR", no_color)

    shown = table([{"state": "failed"}], [field("STATE", "state")], most=None)

    assert ("\x1b[31m" in shown) is coloured


def test_without_a_terminal_there_are_no_colours() -> None:
    assert "\x1b" not in table([{"state": "failed"}], [field("STATE", "state")], most=None)


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        ("plain ünïcode 漢字 🙂", "plain ünïcode 漢字 🙂"),
        ("line\nline\ttab", "line\nline\ttab"),
        ("\x1b[1;31mbold\x1b[0m", "bold"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1bP1;2|secret\x1b\\text", "text"),
        ("\x9b31mtext", "text"),
        ("unfinished \x1b[12", "unfinished 12"),
        ("unfinished \x1b]0;title", "unfinished "),
        ("\x1bcreset", "reset"),
        ("a\x00b\x08c\x7fd\x85e", "abcde"),
        ("\u2066isolate\u2069 \ufeffbom", "isolate bom"),
        ("\ud800 alone", " alone"),
    ],
)
def test_escapes_and_controls_are_taken_out(dirty: str, clean: str) -> None:
    assert text.clean(dirty) == clean


@pytest.mark.parametrize(
    ("long", "columns", "short"),
    [("short", 5, "short"), ("longer", 5, "long…"), ("漢字漢字", 5, "漢字…"), ("a b c", 4, "a b…")],
)
def test_long_texts_are_cut_by_the_columns_they_take(long: str, columns: int, short: str) -> None:
    assert text.shorten(long, columns) == short
    assert text.width(short) <= columns


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "$0.00"),
        ("50.000000", "$50.00"),
        ("0.000192", "$0.000192"),
        ("1.5", "$1.50"),
        ("1E+2", "$100.00"),
        ("0.00000012", "$0.000000"),
        ("much", "much"),
        ("NaN", "NaN"),
    ],
)
def test_money_has_the_digits_that_it_needs(amount: str, shown: str) -> None:
    assert text.money(amount) == shown


@pytest.mark.parametrize(
    ("then", "shown"),
    [
        ("2026-11-23T11:59:30Z", "30s"),
        ("2026-11-23T11:58:30+00:00", "90s"),
        ("2026-11-23T11:55:00", "5m"),
        ("2026-11-23T09:00:00Z", "3h"),
        ("2026-11-14T12:00:00Z", "9d"),
        ("2026-11-24T12:00:00Z", "0s"),
        ("not a time", ""),
        (None, ""),
    ],
)
def test_an_age_is_short(then: object, shown: str) -> None:
    assert text.age(then, now=datetime(2026, 11, 23, 12, tzinfo=UTC)) == shown
