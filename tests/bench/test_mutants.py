"""What counts as a mutant, and what is put into a running process for it."""

from __future__ import annotations

import ast
from textwrap import dedent

import pytest

from bench.mutants import sql
from bench.mutants.operators import mutants


def changed(source: str) -> set[str]:
    """The text of a module under each of its mutants."""
    tree = ast.parse(dedent(source))
    found: set[str] = set()
    for mutant in mutants("m", tree):
        with mutant.in_tree():
            found.add(ast.unparse(tree))
    assert ast.unparse(tree) == ast.unparse(ast.parse(dedent(source)))
    return found


def body(text: str, source: str) -> bool:
    """Whether one of the mutants has this line in it."""
    return any(text in each for each in changed(source))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("return a < b", "return a <= b"),
        ("return a == b", "return a != b"),
        ("return a and b and c", "return a or b or c"),
        ("return a and b and c", "return a and c"),
        ("return not a", "return a"),
        ("return a + 1", "return a - 1"),
        ("return a + 1", "return a + 2"),
        ("return a + 1", "return None"),
        ("return True", "return False"),
        ("return a if b else c", "return c"),
        ("return min(a, b)", "return max(a, b)"),
        ("return a(b, c=d)", "return a(b)"),
        ("return [each for each in a if b]", "return [each for each in a if True]"),
        ("while a(b): break", "continue"),
        ("while a(b): break", "while not a(b)"),
        ("a(b)", "pass"),
        ("raise a", "pass"),
        ("yield a", "(yield a) if False else None"),
        ("a.b = c", "pass"),
        ("a += b", "a -= b"),
        ("return a == 'read'", "return a == 'xreadx'"),
    ],
)
def test_each_operator(before: str, after: str) -> None:
    assert body(after, f"def f(a, b, c, d):\n    {before}\n")


@pytest.mark.parametrize(
    "text",
    [
        "raise Wrong('No such thing')",
        "raise Wrong('word')",
        "message = f'{a} is not there'",
    ],
)
def test_sentences_are_for_people(text: str) -> None:
    found = changed(f"def f(a):\n    {text}\n")
    assert found <= {"def f(a):\n    pass"}


def test_types_decorators_and_descriptions_are_left_alone() -> None:
    assert not changed(
        """
        from typing import Literal
        Kind = Literal["a", "b"]

        class Thing:
            '''A thing.'''
            name: str

        @cache(maxsize=3)
        def f(a: "int" = b) -> "str":
            '''SELECT words.'''
        """
    )


def statements(text: str) -> set[str]:
    """A statement under each of its changes."""
    return {
        " ".join((text[: each.start] + each.replacement + text[each.end :]).split())
        for each in sql.changes(text)
    }


def test_conditions_of_sql_are_dropped_turned_and_joined_otherwise() -> None:
    assert statements("SELECT a FROM t WHERE a = 'x y' AND (b < c OR d)") == {
        "SELECT a FROM t WHERE true AND (b < c OR d)",
        "SELECT a FROM t WHERE a = 'x y' OR (b < c OR d)",
        "SELECT a FROM t WHERE a = 'x y' AND true",
        "SELECT a FROM t WHERE a = 'x y' AND (b <= c OR d)",
        "SELECT a FROM t WHERE a = 'x y' AND (b < c AND d)",
        "SELECT a FROM t WHERE a = 'x y' AND (b < c OR false)",
    }


def test_so_is_arithmetic_and_order() -> None:
    assert statements("UPDATE t SET a = least(b, c + 1) WHERE d") == {
        "UPDATE t SET a = greatest(b, c + 1) WHERE d",
        "UPDATE t SET a = least(b, c - 1) WHERE d",
        "UPDATE t SET a = least(b, c + 1) WHERE true",
    }
    assert statements("SELECT a FROM t ORDER BY a DESC LIMIT 1") == {
        "SELECT a FROM t ORDER BY a ASC LIMIT 1"
    }


def test_words_in_texts_and_comments_of_sql_are_none() -> None:
    assert not statements("SELECT 'a AND b' -- a < b OR c\nFROM t")


def test_a_statement_keeps_its_workspace() -> None:
    found = statements("SELECT a FROM t WHERE workspace_id = %(w)s AND a = b AND c = d")
    assert all("workspace_id = %(w)s AND" in each for each in found)
    assert found
