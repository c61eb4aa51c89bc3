"""Sink arguments: where a call sends something, and whether the people who asked named it.

A recipient, target or host decides who is reached by a call. A standing rule takes such a value
only where it equals one whole token that a requester typed. Nothing is guessed: a value is not
found within a token, and what does not count (a quotation, code, a label) is glued to its
neighbours, so that neither makes a token. What counts of a message is said by its surface.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SHORTEST = 3
"""Values below this many characters are in every text: they never match."""
GLUE = "\ufffc"
"""Stands in a typed text for what does not count; it separates no tokens."""

_AROUND = "(){}<>\"'*_~,;:!?.\u201c\u201d\u2018\u2019\u00ab\u00bb"
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkValue:
    """One value that decides whom a call reaches.

    `spellings` are the ways in which people write it (an issue by its address or as
    `owner/name#7`); one of them has to be typed. Without any, it never matches.
    """

    argument: str
    spellings: tuple[str, ...]


def arguments_named(*names: str) -> Callable[[Mapping[str, object]], tuple[SinkValue, ...]]:
    """The sinks of a tool whose arguments of these names are sinks as they stand.

    A call that leaves all of them out reaches whomever the service takes instead, and nobody typed
    that: its first sink never matches.
    """

    def values(arguments: Mapping[str, object]) -> tuple[SinkValue, ...]:
        found = tuple(
            SinkValue(argument=name, spellings=(leaf,))
            for name in names
            if arguments.get(name) is not None
            for leaf in leaves(arguments[name])
        )
        return found or tuple(SinkValue(argument=name, spellings=()) for name in names[:1])

    return values


def every_argument(arguments: Mapping[str, object]) -> tuple[SinkValue, ...]:
    """The sinks of a tool that declares none: everything a model wrote counts as one.

    What it left empty reaches whomever the service takes instead, and so does a call of nothing.
    """
    found = tuple(
        SinkValue(argument=name, spellings=(leaf,))
        for name, value in arguments.items()
        for leaf in tuple(leaves(value)) or ("",)
    )
    return found or (SinkValue(argument="its arguments", spellings=()),)


def leaves(value: object) -> Iterator[str]:
    """Every key and single value in an argument, as text."""
    if isinstance(value, Mapping):
        for key, item in cast("Mapping[str, object]", value).items():
            yield str(key)
            yield from leaves(item)
    elif isinstance(value, list | tuple):
        for item in cast("Iterable[object]", value):
            yield from leaves(item)
    else:
        yield value if isinstance(value, str) else _number(value)


def _number(value: object) -> str:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_whole else ""  # true, null and 1.5 are typed by nobody as such


# --- matching ------------------------------------------------------------------------------------


def tokens(typed: str) -> frozenset[str]:
    """The whole tokens of what somebody typed: words between spaces, also without what is around."""
    words = unicodedata.normalize("NFC", typed).split()
    bare = (word.strip(_AROUND) for word in words)
    return frozenset(each for each in (*words, *bare) if each and GLUE not in each)


def unmatched(values: Iterable[SinkValue], typed: Iterable[str]) -> SinkValue | None:
    """The first value that nobody typed; None where each of them was."""
    known = frozenset[str]().union(*(tokens(text) for text in typed))
    addresses = frozenset(filter(None, map(address, known)))
    for value in values:
        if not any(_is_typed(spelling, known, addresses) for spelling in value.spellings):
            return value
    return None


def _is_typed(value: str, known: frozenset[str], addresses: frozenset[Address]) -> bool:
    normal = unicodedata.normalize("NFC", value)
    if len(normal) < SHORTEST:
        return False
    if (wanted := address(normal)) is not None:
        return wanted in addresses
    return normal in known


@dataclass(frozen=True, slots=True)
class Address:
    """A URL by what a request would go by; scheme and host have no case."""

    scheme: str
    host: str
    port: int | None
    path: str
    query: str
    fragment: str


def address(text: str) -> Address | None:
    """The URL that a text is, whole; None where it is none or names a user before its host."""
    if "://" not in text or any(c.isspace() or c == "\\" for c in text):
        return None
    try:
        parts = urlsplit(text)
        host, port = _host(parts), parts.port
    except ValueError:
        return None
    if host is None or not parts.scheme:
        return None
    scheme = parts.scheme.lower()
    return Address(
        scheme=scheme,
        host=host,
        port=port if port is not None else _PORTS.get(scheme),
        path=parts.path or "/",
        query=parts.query,
        fragment=parts.fragment,
    )


def _host(parts: SplitResult) -> str | None:
    if "@" in parts.netloc or not parts.hostname:
        return None
    return parts.hostname.lower()


# --- links and recipients in prose ---------------------------------------------------------------

_BETWEEN = re.compile(r"[\s<>()\[\]{}\"'`|,;]+")
_ADDRESS = re.compile(r"[/\\]{2}|[a-z0-9+.-]:[/\\]|https?:|www\.", re.IGNORECASE)
"""What makes an address of a word, wherever it stands in it: attributes of HTML need no quotes."""
_CALL = re.compile(r"<!(?!--)[^<>\s]+")
"""How Slack writes notices to everybody."""
_SCHEMES = ("mailto:", "tel:", "sms:", "data:", "javascript:", "vbscript:", "file:", "//")


def reaching_out(text: str) -> Iterator[SinkValue]:
    """Addresses, e-mails, hosts and mentions in a text: clients make links and notices of them.

    Read as a client might: entities and escapes of HTML and Markdown are undone as well.
    """
    plain = unicodedata.normalize("NFKC", text)
    readings = dict.fromkeys((plain, html.unescape(plain).replace("\\", "")))
    words = (word.strip(_AROUND) for reading in readings for word in _BETWEEN.split(reading))
    calls = (call for reading in readings for call in _CALL.findall(reading))
    for word in dict.fromkeys((*calls, *words)):
        if word.startswith("<") or _reaches_out(word):
            yield SinkValue(argument="text", spellings=(word,))


def _reaches_out(word: str) -> bool:
    if "@" in word or _ADDRESS.search(word):
        return True
    return any(part.lower().startswith(_SCHEMES) or _is_host(part) for part in word.split("="))


def _is_host(part: str) -> bool:
    """True for what a client may take for a host, with or without a path."""
    *labels, last = re.split(r"[/:?#\\]", part.lstrip("/\\"), maxsplit=1)[0].split(".")
    if not labels or not all(labels):
        return False
    if len(labels) == 3 and all(each.isdecimal() for each in (*labels, last)):
        return True
    has_digits = any(c.isdecimal() for c in last) and not last.lower().startswith("xn--")
    return len(last) > 1 and not has_digits
