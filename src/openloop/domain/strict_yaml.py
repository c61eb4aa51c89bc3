"""Reading YAML that says one thing only: the scalars of YAML 1.2, and nothing that hides a value.

Refused, each at its line and column: aliases and anchors, tags, directives, merge keys, duplicate
keys, a second document, numbers that YAML 1.1 and 1.2 read differently, control characters that
reorder or hide text (in comments too: a reviewer reads those), and whatever is too large or deep.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias, cast

import yaml
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from openloop.domain.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

try:
    from yaml import CSafeLoader
except ImportError as error:
    sentence = "PyYAML was built without libyaml: install its wheel, or build it with libyaml"
    raise ImportError(sentence) from error

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_NODES = 20_000  # about 0.1 s
MAX_PROBLEMS = 50

Path: TypeAlias = tuple[str | int, ...]
Plain: TypeAlias = "str | int | bool | Decimal | list[Plain] | dict[str, Plain] | None"


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file; both count from 1, columns in characters."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with a file: a stable code, a sentence, and where it is.

    `path` names the value (`spec.tools[0].name`); it is empty where the file as such is meant.
    Line and column are 0 where no file is at hand.
    """

    code: str
    message: str
    file: str
    line: int = 0
    column: int = 0
    path: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"


class Malformed(Invalid):
    """The text cannot be read as strict YAML; `found` lists every problem, the first one first."""

    code = "yaml_malformed"

    def __init__(self, found: tuple[Problem, ...]) -> None:
        super().__init__(
            str(found[0]), problems=tuple(str(problem) for problem in found), code=found[0].code
        )
        self.found = found


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Plain values (a number with a fraction is the Decimal of its digits), and where each was."""

    file: str
    value: Plain
    keys: Mapping[Path, Position]
    values: Mapping[Path, Position]

    def at(self, path: Path) -> Position:
        """Where the value at `path` begins; for a value that is absent, where it would belong."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values[path]

    def key_at(self, path: Path) -> Position:
        """Where the key at the end of `path` is written, else what `at` answers."""
        return self.keys.get(path) or self.at(path)


def load(text: bytes | str, *, name: str) -> Document:
    """Read one document; `name` is what messages call the file.

    Raises:
        Malformed
    """
    source = _decoded(text, name)
    _refuse_hidden_text(source, name)
    reader = _Reader(source, name)
    return reader.read()


def format_path(path: Path) -> str:
    """`spec.tools[0].name`, with keys that are no plain words in brackets and quotes."""
    out = ""
    for part in path:
        if isinstance(part, int):
            out += f"[{part}]"
        elif re.fullmatch(r"\w+", part):
            out += f".{part}" if out else part
        else:
            out += f"[{part!r}]"
    return out


# --- before parsing ------------------------------------------------------------------------------

_BREAK = re.compile(r"\r\n|\r|\n")
_HIDDEN_CLASS = (
    r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"  # control characters
    r"\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # what reorders text, and foreign line breaks
    r"\u200b\u2060\ufeff"  # what takes no space
    r"\ud800-\udfff\ufffe\uffff"  # what no text contains
)
_HIDDEN = re.compile(f"[{_HIDDEN_CLASS}]")
# Atomic: a line break that could be read as two would be tried in both ways, for each of them.
_DIRECTIVE = re.compile(r"\A(?>[ \t]*(?:#[^\r\n]*)?(?>\r\n|\r|\n))*+%")


def _decoded(text: bytes | str, file: str) -> str:
    raw = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    if len(raw) > MAX_BYTES:
        sentence = f"The file has {len(raw)} bytes; at most {MAX_BYTES} are read"
        raise Malformed((Problem(code="yaml_too_large", message=sentence, file=file),))
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    try:
        return text.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = text[: error.start].decode()
        sentence = f"The byte 0x{text[error.start]:02x} is not valid UTF-8"
        raise Malformed((_problem_after(before, file, "yaml_not_utf8", sentence),)) from None


def _refuse_hidden_text(source: str, file: str) -> None:
    if hidden := _HIDDEN.search(source):
        sentence = f"The character {_codepoint(hidden[0])} is invisible or reorders text: remove it"
        before = source[: hidden.start()]
        raise Malformed((_problem_after(before, file, "yaml_control_character", sentence),))
    if directive := _DIRECTIVE.search(source):
        before = source[: directive.end() - 1]
        sentence = "Directives (lines that begin with %) are not read: remove it"
        raise Malformed((_problem_after(before, file, "yaml_directive", sentence),))


def _problem_after(before: str, file: str, code: str, sentence: str) -> Problem:
    lines = _BREAK.split(before)
    return Problem(
        code=code, message=sentence, file=file, line=len(lines), column=len(lines[-1]) + 1
    )


def _codepoint(character: str) -> str:
    return f"U+{ord(character):04X}"


# --- parsing -------------------------------------------------------------------------------------

_INTEGER = re.compile(r"[-+]?[0-9]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FRACTION = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|0o[0-7]+")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_LONGEST_NUMBER = 40
_LARGEST_INTEGER = 2**63
_LARGEST_EXPONENT = 18


class _Stop(Exception):
    """Nothing after this problem can be read."""


class _Reader:
    """Builds values from parser events, gathering problems until one makes going on pointless."""

    def __init__(self, source: str, file: str) -> None:
        self._file, self._source = file, source
        self._events = _events(source)
        self._found: list[Problem] = []
        self._keys: dict[Path, Position] = {}
        self._values: dict[Path, Position] = {}
        self._nodes = 0

    def read(self) -> Document:
        value: Plain = None
        try:
            value = self._document()
        except _Stop:
            pass
        except yaml.MarkedYAMLError as error:
            self._add(
                "yaml_syntax", _syntax_sentence(error, self._source), _position(error.problem_mark)
            )
        if self._found:
            raise Malformed(tuple(self._found[:MAX_PROBLEMS]))
        return Document(file=self._file, value=value, keys=self._keys, values=self._values)

    def _document(self) -> Plain:
        self._next(StreamStartEvent)
        start = next(self._events)
        if isinstance(start, StreamEndEvent):
            raise self._stop("yaml_empty", "The file is empty", Position(1, 1))
        value = self._value((), next(self._events))
        self._next(DocumentEndEvent)
        after = next(self._events)
        if isinstance(after, DocumentStartEvent):
            sentence = "A file holds one document: put the second one into a file of its own"
            self._add("yaml_several_documents", sentence, _position(after.start_mark))
        return value

    def _next(self, kind: type[Event]) -> None:
        event = next(self._events)
        if not isinstance(event, kind):
            raise self._stop("yaml_syntax", "This is not valid YAML", _position(event.start_mark))

    def _value(self, path: Path, event: Event) -> Plain:
        position = _position(event.start_mark)
        self._values[path] = position
        self._nodes += 1
        if self._nodes > MAX_NODES:
            sentence = f"The file has more than {MAX_NODES} values"
            raise self._stop("yaml_too_large", sentence, position)
        if len(self._found) >= MAX_PROBLEMS:
            raise _Stop
        if isinstance(event, AliasEvent):
            self._refuse_alias(event, path)
            return None
        self._refuse_decoration(event, path)
        if isinstance(event, ScalarEvent):
            return self._scalar(path, event)
        if len(path) >= MAX_DEPTH:
            sentence = f"Values are nested more than {MAX_DEPTH} deep"
            raise self._stop("yaml_too_deep", sentence, position)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(path)
        return self._mapping(path)

    def _sequence(self, path: Path) -> Plain:
        items: list[Plain] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            items.append(self._value((*path, len(items)), event))
        return items

    def _mapping(self, path: Path) -> Plain:
        entries: dict[str, Plain] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._key(path, event)
            place = (*path, key)
            position = _position(event.start_mark)
            if key in entries:
                first = self._keys[place].line
                sentence = f"The key {key!r} was given already, on line {first}"
                self._add("yaml_duplicate_key", sentence, position, place)
                self._value((*path, f"{key} (again)"), next(self._events))
                continue
            self._keys[place] = position
            entries[key] = self._value(place, next(self._events))
        return entries

    def _key(self, path: Path, event: Event) -> str:
        position = _position(event.start_mark)
        if isinstance(event, AliasEvent):
            self._refuse_alias(event, path)
            return ""
        if not isinstance(event, ScalarEvent):
            raise self._stop(
                "yaml_key_not_text", "A key is a word, not a list or mapping", position
            )
        self._refuse_decoration(event, path)
        self._refuse_hidden(event, path)
        if not event.style and event.value == "<<":
            self._add("yaml_merge_key", "Merge keys are not read: write the keys out", position)
        elif not event.style and _is_no_text(event.value):
            shown = event.value or "an empty key"
            sentence = f"A key is text, and {shown} is not: put it in quotes"
            self._add("yaml_key_not_text", sentence, position, path)
        return event.value

    def _scalar(self, path: Path, event: ScalarEvent) -> Plain:
        self._refuse_hidden(event, path)
        if event.style:
            return event.value
        if (refusal := _refused_number(event.value)) is not None:
            self._add(*refusal, _position(event.start_mark), path)
            return None
        return _plain(event.value)

    def _refuse_alias(self, event: AliasEvent, path: Path) -> None:
        sentence = f"Aliases are not read: write out what *{event.anchor} stands for"
        self._add("yaml_alias", sentence, _position(event.start_mark), path)

    def _refuse_decoration(self, event: Event, path: Path) -> None:
        anchor: str | None = getattr(event, "anchor", None)
        tag: str | None = getattr(event, "tag", None)
        if anchor is not None:
            sentence = f"Anchors are not read: remove &{anchor}"
            self._add("yaml_anchor", sentence, _position(event.start_mark), path)
        if tag is not None:
            sentence = f"Tags are not read: remove {tag}"
            self._add("yaml_tag", sentence, _position(event.start_mark), path)

    def _refuse_hidden(self, event: ScalarEvent, path: Path) -> None:
        """Escapes in double quotes can write what the file itself may not contain."""
        if hidden := _HIDDEN.search(event.value):
            sentence = f"The escaped character {_codepoint(hidden[0])} is invisible: remove it"
            self._add("yaml_control_character", sentence, _position(event.start_mark), path)

    def _add(self, code: str, message: str, position: Position, path: Path = ()) -> None:
        self._found.append(
            Problem(
                code=code,
                message=message,
                file=self._file,
                line=position.line,
                column=position.column,
                path=format_path(path),
            )
        )

    def _stop(self, code: str, message: str, position: Position) -> _Stop:
        self._add(code, message, position)
        return _Stop()


def _events(source: str) -> Iterator[Event]:
    # libyaml, not the parser in Python: 16 KiB of brackets take that one 0.2 s.
    return cast("Iterator[Event]", yaml.parse(source, Loader=CSafeLoader))  # pyright: ignore[reportUnknownMemberType]  # the stubs leave the stream open


def _position(mark: yaml.Mark | None) -> Position:
    return Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)


def _plain(text: str) -> Plain:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _HEXADECIMAL.fullmatch(text):
        return int(text, 16)
    return Decimal(text) if _FRACTION.fullmatch(text) else text


def _is_no_text(text: str) -> bool:
    return _refused_number(text) is not None or not isinstance(_plain(text), str)


def _refused_number(text: str) -> tuple[str, str] | None:
    """Why a plain scalar that looks like a number is not taken as one."""
    if _LEADING_ZERO.fullmatch(text):
        sentence = f"Is {text} octal or decimal? Write it without the leading zero, or in quotes"
        return "yaml_ambiguous_number", sentence
    if _NOT_FINITE.fullmatch(text):
        return "yaml_number_out_of_range", f"{text} is not a finite number"
    shape = _INTEGER.fullmatch(text) or _HEXADECIMAL.fullmatch(text) or _FRACTION.fullmatch(text)
    if not shape:
        return None
    shown = text if len(text) <= _LONGEST_NUMBER else f"{text[:_LONGEST_NUMBER]}..."
    refusal = "yaml_number_out_of_range", f"{shown} is beyond what is read as a number"
    if len(text) > _LONGEST_NUMBER:
        return refusal
    number = _plain(text)
    if isinstance(number, int) and not -_LARGEST_INTEGER <= number < _LARGEST_INTEGER:
        return refusal
    if isinstance(number, Decimal) and abs(number.adjusted()) > _LARGEST_EXPONENT:
        return refusal
    return None


def _syntax_sentence(error: yaml.MarkedYAMLError, source: str) -> str:
    problem = error.problem or "it cannot be read"
    if problem == "found character that cannot start any token" and error.problem_mark:
        starts = source[error.problem_mark.index :][:1]
        if starts == "\t":
            return "A tab cannot indent: use spaces"
        return f"A value cannot begin with {starts}: put it in quotes"
    if problem == "mapping values are not allowed in this context":
        return "A colon is not allowed here: check the indentation, or put the text in quotes"
    if (error.context or "").startswith("while parsing a flow"):
        return "A bracket is not closed here: is one missing, or commented out by an unquoted #?"
    context = f" ({error.context})" if error.context else ""
    return f"This is not valid YAML: {problem}{context}"
