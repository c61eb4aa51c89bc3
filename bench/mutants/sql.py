"""Mutants of SQL: a condition less, `<` for `<=`, OR for AND, `greatest` for `least`.

What a workspace is compared with stays as it is: row security holds where a statement forgets it, and
`./run bench tenancy` plays all of them without it. Locks stay, too: only an interleaving shows that
one is missing, and the named mutants and races of tests/guarantees have those.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_STATEMENT = re.compile(r"\b(?:SELECT|WHERE|UPDATE|INSERT INTO|DELETE FROM|ORDER BY)\b")
_TOKEN = re.compile(
    r"""--[^\n]* | '(?:[^']|'')*' | %\(\w+\)s | ::\w+(?:\(\d+,\s*\d+\))? | [A-Za-z_][\w.]* | \d+
    | <= | >= | <> | => | ->> | -> | [<>=()+\-*/,] | \S""",
    re.VERBOSE,
)
_CLAUSES = frozenset(
    (
        *(
            "SELECT",
            "FROM",
            "WHERE",
            "ON",
            "HAVING",
            "SET",
            "VALUES",
            "WHEN",
            "THEN",
            "ELSE",
            "END",
        ),
        *(
            "ORDER",
            "GROUP",
            "LIMIT",
            "RETURNING",
            "JOIN",
            "LEFT",
            "CROSS",
            "FOR",
            "UNION",
            "FILTER",
        ),
        *("CONFLICT", "DO"),
    )
)
_CONDITIONS = frozenset({"WHERE", "ON", "HAVING", "WHEN"})
_COMPARED = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
_JOINED = {"AND": "OR", "OR": "AND"}
_SWAPPED = {
    **_COMPARED,
    "least": "greatest",
    "greatest": "least",
    "min": "max",
    "max": "min",
    "+": "-",
    "-": "+",
    "DESC": "ASC",
}
_TENANT = re.compile(r"\bworkspace(?:_id)?\b")


@dataclass(frozen=True, slots=True)
class Token:
    """A word of a statement, and the clause it stands in."""

    text: str
    start: int
    end: int
    depth: int
    clause: str


@dataclass(frozen=True, slots=True)
class Change:
    """Characters of a statement, and what stands there instead."""

    start: int
    end: int
    replacement: str


def is_sql(text: str) -> bool:
    """True for a statement, or for a part of one."""
    return _STATEMENT.search(text) is not None


def changes(text: str) -> Iterator[Change]:
    """Every change of a statement, in its order."""
    tokens = _tokens(text)
    for index, token in enumerate(tokens):
        word = token.text
        if word in _SWAPPED and not (word in _COMPARED and token.clause == "SET"):
            yield Change(token.start, token.end, _SWAPPED[word])
        if word in _JOINED and not _is_about_tenant(tokens, index, text):
            yield Change(token.start, token.end, _JOINED[word])
        if word in _JOINED or (word in _CONDITIONS and word == token.clause):
            yield from _without(text, tokens, index)


def _tokens(text: str) -> list[Token]:
    found: list[Token] = []
    clauses = [""]
    for match in _TOKEN.finditer(text):
        word = match[0]
        if word.startswith("--"):
            continue
        if word == ")" and len(clauses) > 1:
            clauses.pop()
        if word in _CLAUSES and not (word == "DO" and clauses[-1] != "CONFLICT"):
            clauses[-1] = word
        found.append(Token(word, match.start(), match.end(), len(clauses), clauses[-1]))
        if word == "(":
            clauses.append(clauses[-1])
    return found


def _condition(tokens: Sequence[Token], index: int) -> tuple[int, int]:
    """Where the condition begins and ends that follows a token: up to the next AND, OR or clause."""
    depth = tokens[index].depth
    stop = index + 1
    while stop < len(tokens):
        token = tokens[stop]
        if token.depth < depth or (
            token.depth == depth and (token.text in _JOINED or token.text in _CLAUSES)
        ):
            break
        stop += 1
    return index + 1, stop


def _without(text: str, tokens: Sequence[Token], index: int) -> Iterator[Change]:
    """The statement without the condition that follows a token."""
    if tokens[index].clause not in _CONDITIONS:
        return
    begin, stop = _condition(tokens, index)
    if begin >= stop:
        return
    start, end = tokens[begin].start, tokens[stop - 1].end
    condition = text[start:end]
    if _TENANT.search(condition) or condition.count("(") != condition.count(")"):
        return
    beside = {tokens[index].text, tokens[stop].text if stop < len(tokens) else ""}
    yield Change(start, end, "false" if "OR" in beside else "true")


def _is_about_tenant(tokens: Sequence[Token], index: int, text: str) -> bool:
    begin = index
    while begin > 0 and not (
        tokens[begin - 1].depth == tokens[index].depth
        and (tokens[begin - 1].text in _JOINED or tokens[begin - 1].text in _CLAUSES)
    ):
        begin -= 1
    _, stop = _condition(tokens, index)
    return _TENANT.search(text[tokens[begin].start : tokens[stop - 1].end]) is not None
