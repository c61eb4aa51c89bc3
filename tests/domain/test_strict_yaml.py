"""What strict_yaml promises: the scalars of YAML 1.2, nothing hidden, refusals with a place."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openloop.domain import strict_yaml
from openloop.domain.strict_yaml import MAX_BYTES, Malformed, Plain, Position, Problem

SLOWEST_SECONDS = 1.0  # CPU; the slowest of the bombs takes about 0.1 s on an idle machine


def value(text: str) -> Plain:
    return strict_yaml.load(text, name="x.yaml").value


def problems(text: bytes | str) -> tuple[Problem, ...]:
    with pytest.raises(Malformed) as caught:
        strict_yaml.load(text, name="x.yaml")
    return caught.value.found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"), ("y", "y"), ("NO", "NO"),
        ("1:30", "1:30"), ("190:20:30", "190:20:30"), ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"), ("0b101", "0b101"), ("=", "="), ("issues:write", "issues:write"),
        ("true", True), ("True", True), ("FALSE", False),
        ("null", None), ("~", None), ("'null'", "null"), ('"true"', "true"), ("'10'", "10"),
        ("0", 0), ("-7", -7), ("+7", 7), ("0x1F", 31), ("9223372036854775807", 2**63 - 1),
        ("0.50", Decimal("0.50")), (".5", Decimal("0.5")), ("1e3", Decimal(1000)),
        ("0.1", Decimal("0.1")), ("-1.", Decimal(-1)),
        ("a: [1, 'x', {b: c}]", {"a": [1, "x", {"b": "c"}]}),
        ("---\na: 1\n...\n", {"a": 1}), ("\ufeffa: 1", {"a": 1}),
        ("a: |\n  one\n  two\n", {"a": "one\ntwo\n"}),
    ],
)  # fmt: skip
def test_plain_scalars_have_their_yaml_1_2_meaning(text: str, expected: Plain) -> None:
    assert value(text) == expected
    assert type(value(text)) is type(expected)


def test_fractions_are_the_digits_and_never_binary_floats() -> None:
    assert str(value("0.50")) == "0.50"
    assert value("0.1") != 0.1  # the binary float is another number


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        ("", "yaml_empty", 1, 1),
        ("# only a comment\n", "yaml_empty", 1, 1),
        ("a: 1\nb: 2\na: 3\n", "yaml_duplicate_key", 3, 1),
        ("a: {b: 1, 'b': 2}", "yaml_duplicate_key", 1, 11),
        ("a: &x 1\n", "yaml_anchor", 1, 4),
        ("a: b\nc: *x\n", "yaml_alias", 2, 4),
        ("*x : 1\n", "yaml_alias", 1, 1),
        ("a: !!python/object:os.system x\n", "yaml_tag", 1, 4),
        ("a: !!str 1\n", "yaml_tag", 1, 4),
        ("a: ! 1\n", "yaml_tag", 1, 4),
        ("a:\n  <<: {b: 1}\n", "yaml_merge_key", 2, 3),
        ("%YAML 1.1\n---\na: 1\n", "yaml_directive", 1, 1),
        ("# c\n\n%FOO bar\n---\na: 1\n", "yaml_directive", 3, 1),
        ("a: 1\n---\nb: 2\n", "yaml_several_documents", 2, 1),
        ("a: 010\n", "yaml_ambiguous_number", 1, 4),
        ("a: -010\n", "yaml_ambiguous_number", 1, 4),
        ("a: 007.5\n", "yaml_ambiguous_number", 1, 4),
        ("a: 0o17\n", "yaml_ambiguous_number", 1, 4),
        ("a: .inf\n", "yaml_number_out_of_range", 1, 4),
        ("a: .NaN\n", "yaml_number_out_of_range", 1, 4),
        ("a: 9223372036854775808\n", "yaml_number_out_of_range", 1, 4),
        (f"a: {'9' * 200_000}\n", "yaml_number_out_of_range", 1, 4),
        ("a: 1e999999999\n", "yaml_number_out_of_range", 1, 4),
        ("a: 0.1e-999999999\n", "yaml_number_out_of_range", 1, 4),
        ("1: a\n", "yaml_key_not_text", 1, 1),
        ("true: a\n", "yaml_key_not_text", 1, 1),
        (f"{'9' * 1000}: a\n", "yaml_key_not_text", 1, 1),
        ("? [a, b]\n: c\n", "yaml_key_not_text", 1, 3),
        ("a: x\x00y\n", "yaml_control_character", 1, 5),
        ("# \u202e hides\na: 1\n", "yaml_control_character", 1, 3),
        ("a: x\u2066y\n", "yaml_control_character", 1, 5),
        ("a: x\x85y\n", "yaml_control_character", 1, 5),
        ('a: "\\u202e"\n', "yaml_control_character", 1, 4),
        ('a: "\\0"\n', "yaml_control_character", 1, 4),
        ('a: "\\ud800"\n', "yaml_syntax", 1, 7),
        ('"\\0": 1\n', "yaml_control_character", 1, 1),
        ('a: "\\UFFFFFFFF"\n', "yaml_syntax", 1, 7),
        ("a: @priya\n", "yaml_syntax", 1, 4),
        ("a:\n\t- b\n", "yaml_syntax", 2, 1),
        ("a: b: c\n", "yaml_syntax", 1, 5),
        ("a: [b\n", "yaml_syntax", 2, 1),
        ("a: 'b\n", "yaml_syntax", 2, 1),
    ],
)  # fmt: skip
def test_each_refusal_has_its_code_and_its_place(
    text: str, code: str, line: int, column: int
) -> None:
    first = problems(text)[0]
    assert (first.code, first.line, first.column) == (code, line, column)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: @priya", "A value cannot begin with @: put it in quotes"),
        ("a:\n\t- b", "A tab cannot indent: use spaces"),
        ("a: 010", "Is 010 octal or decimal? Write it without the leading zero, or in quotes"),
        ("a: 1\na: 2", "The key 'a' was given already, on line 1"),
        ("- {a: #b}\n- c", "is one missing, or commented out by an unquoted #?"),
    ],
)
def test_the_usual_slips_are_explained(text: str, sentence: str) -> None:
    assert sentence in problems(text)[0].message


def test_every_problem_is_listed_at_once() -> None:
    found = problems("a: 010\nb: &x 1\nc: *x\na: 2\nd: [e, &y f\n")
    assert [problem.code for problem in found] == [
        "yaml_ambiguous_number",
        "yaml_anchor",
        "yaml_alias",
        "yaml_duplicate_key",
        "yaml_anchor",
        "yaml_syntax",
    ]
    assert str(found[0]).startswith("x.yaml:1:4: a: Is 010 octal")


@pytest.mark.parametrize(("raw", "line"), [(b"a: \xff\n", 1), (b"b: 1\na: \xc3\x28", 2)])
def test_bytes_that_are_not_utf8_are_refused_where_they_are(raw: bytes, line: int) -> None:
    (problem,) = problems(raw)
    assert (problem.code, problem.line, problem.column) == ("yaml_not_utf8", line, 4)


def test_positions_are_known_for_keys_values_and_what_is_absent() -> None:
    document = strict_yaml.load("a:\n  b: [x, y]\r\n  'c d': 1\n", name="x.yaml")
    assert document.at(("a", "b", 1)) == Position(2, 10)
    assert document.key_at(("a", "c d")) == Position(3, 3)
    assert document.at(("a", "missing", 0)) == document.at(("a",)) == Position(2, 3)
    assert strict_yaml.format_path(("a", "b", 1, "c d")) == "a.b[1]['c d']"


def test_depth_32_is_read_and_depth_33_is_not() -> None:
    assert value("[" * 32 + "]" * 32)
    assert problems("[" * 33 + "]" * 33)[0].code == "yaml_too_deep"


def test_256_kib_are_read_and_no_more() -> None:
    assert value("a: " + "x" * (MAX_BYTES - 3))
    assert problems("a: " + "x" * (MAX_BYTES - 2))[0].code == "yaml_too_large"


LAUGHS = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10))


@pytest.mark.parametrize(
    "text",
    [
        f"a0: &a0 lol\n{LAUGHS}",
        "[" * 200_000,
        "{a: " * 60_000,
        "[a: b, " * 30_000,
        "- " * 130_000,
        "? " * 130_000,
        "{" + "a:" * 100_000,
        ":" * 260_000,
        "%a\n" * 80_000,
        "&a " * 80_000,
        "!a " * 80_000,
        "a:\n" * 65_000,
        "'" * 260_001,
        "\n".join(" " * depth + "a:" for depth in range(700)),
        "[" + "1," * 120_000 + "1]",
        "\n".join(f"k{n}: {n}" for n in range(20_500)),
        "a: 1\n" * 19_000,
    ],
    ids=lambda text: text[:10],
)
def test_bombs_are_refused_in_bounded_time(text: str) -> None:
    started = time.process_time()
    assert problems(text)
    assert time.process_time() - started < SLOWEST_SECONDS


def places(text: bytes | str) -> list[Position | Problem]:
    """Where the values are, or else the problems."""
    try:
        return list(strict_yaml.load(text, name="x.yaml").values.values())
    except Malformed as malformed:
        return list(malformed.found)


fragments = st.sampled_from(
    ["a", "b", ":", " ", "\n", "  ", "- ", "[", "]", "{", "}", ",", "'", '"', "|", ">", "#", "&x",
     "*x", "!t", "?", "%", "@", "<<", "010", "1", ".inf", "null", "\\", "\\U", "\t", "---", "...",
     "\r", "\u202e", "é"]
)  # fmt: skip


@pytest.mark.parametrize("lines", ["\r\n" * 20_000, "#\r\n" * 20_000, " \r\r\n" * 10_000])
def test_many_line_breaks_take_no_time(lines: str) -> None:
    began = time.process_time()
    assert value(f"# c\r\n{lines}a: 1\r\n") == {"a": 1}
    assert time.process_time() - began < SLOWEST_SECONDS


@pytest.mark.parametrize(
    "many", ["- a\n", "[", "{", "a,", "a: 1\n", "?\n", "? a\n: 1\n", "- &a a\n"]
)
@pytest.mark.parametrize("first", ["", "[", "a:\n  "])
def test_many_small_values_take_little_time(first: str, many: str) -> None:
    text = (first + many * 16_384)[:16_384]
    began = time.process_time()
    places(text)
    assert time.process_time() - began < 0.2  # 0.03 s on an idle machine


@given(st.lists(fragments, max_size=25).map("".join) | st.text(max_size=40))
@example('"\\UFFFFFFFF"')
@example("--- |\n%")
def test_any_text_is_read_or_refused_and_nothing_else_happens(text: str) -> None:
    assert all(place.line >= 1 and place.column >= 1 for place in places(text))


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    assert places(raw)
