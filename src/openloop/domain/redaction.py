"""Taking secrets out of what is written or sent: hygiene, and never a control.

Known values are found exactly, also in base64, hexadecimal and URL encoding and inside JSON; beside
them whatever has the shape of a well-known token. Nothing may rely on this: a secret that is cut in
two or translated passes.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import quote, quote_plus, unquote, urlsplit

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

REDACTED: Final = "[redacted]"
SHORTEST: Final = 8
"""A known value that is shorter is also an ordinary word: it is left alone."""
_CLEARLY_RANDOM: Final = 16
_LONG_LINE: Final = 24
_SHORTEST_TOKEN: Final = 14
"""No pattern matches less."""

# What each pattern begins with is looked for first: that costs some nanoseconds, the pattern more.
_TOKENS: Final = tuple(
    (begins, re.compile(pattern))
    for begins, pattern in (
        ("xox", r"xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{10,}"),
        ("xapp-", r"xapp-[A-Za-z0-9-]{10,}"),
        ("ghp_", r"ghp_[A-Za-z0-9]{30,}"),
        ("gho_", r"gho_[A-Za-z0-9]{30,}"),
        ("ghu_", r"ghu_[A-Za-z0-9]{30,}"),
        ("ghs_", r"ghs_[A-Za-z0-9]{30,}"),
        ("ghr_", r"ghr_[A-Za-z0-9]{30,}"),
        ("github_pat_", r"github_pat_[A-Za-z0-9_]{30,}"),
        ("glpat-", r"glpat-[A-Za-z0-9_-]{20,}"),
        ("sk-", r"(?<![A-Za-z0-9])sk-(?=[A-Za-z0-9_-]*[0-9])[A-Za-z0-9_-]{20,}"),  # not sk-words
        ("AKIA", r"(?<![A-Za-z0-9])AKIA[0-9A-Z]{16}(?![0-9A-Za-z])"),
        ("AIza", r"(?<![A-Za-z0-9])AIza[0-9A-Za-z_-]{35}"),
        ("ol_", r"(?<![A-Za-z0-9])ol_[a-z]+_[A-Za-z0-9]{12}_[A-Za-z0-9]{43}_[0-9a-f]{8}"),
        ("eyJ", r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,}"),
        (
            "PRIVATE KEY-----",
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?",
        ),
    )
)
_BEGINNINGS: Final = tuple(begins for begins, _ in _TOKENS)


_SECRET_NAME: Final = re.compile(r"\w*(?:TOKEN|SECRET|KEY|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS)")


def secret_values(environ: Mapping[str, str]) -> Iterator[str]:
    """The values of variables whose names say that they are secret, and passwords in addresses."""
    for name, value in environ.items():
        if _SECRET_NAME.fullmatch(name):
            if not value.startswith(("/", "~", "secretref://")):  # where a secret is, is none
                yield value.strip()
        elif "://" in value and "@" in value:
            try:
                password = urlsplit(value).password
            except ValueError:
                continue
            if password:
                yield from {password, unquote(password)}


class Redactor:
    """What one process knows to be secret. It learns values and forgets none; safe to share."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._known: tuple[str, ...] = ()
        self._looked_for: tuple[str, ...] = ()
        self._looked_for_bytes: tuple[bytes, ...] = ()
        self._shortest = 0
        self.learn(values)

    def learn(self, values: Iterable[str]) -> None:
        """Know more values, in every form in which they are written."""
        forms = {form for value in values for form in _forms(value)}
        # The longest first: a secret may begin with another.
        self._known = tuple(sorted({*self._known, *forms}, key=lambda form: (-len(form), form)))
        self._looked_for = (*self._known, *_BEGINNINGS)
        self._looked_for_bytes = tuple(each.encode() for each in self._looked_for)
        self._shortest = min([_SHORTEST_TOKEN, *map(len, self._known)])

    def text(self, text: str) -> str:
        """The text without what is secret."""
        # This line is what nearly every text costs: a few microseconds for a kilobyte.
        if len(text) < self._shortest or not any(map(text.__contains__, self._looked_for)):
            return text
        for form in self._known:
            text = text.replace(form, REDACTED)
        for begins, pattern in _TOKENS:
            if begins in text:
                text = pattern.sub(REDACTED, text)
        return text

    def without_beginning(self, text: str) -> str:
        """A text whose end was cut off, without what may be the beginning of a known value there.

        To be asked before `text`, which finds whole values only.
        """
        end = len(text)
        for form in self._known:
            at = text.find(form[0], max(0, len(text) - len(form) + 1))
            while at >= 0 and not form.startswith(text[at:]):
                at = text.find(form[0], at + 1)
            if at >= 0:
                end = min(end, at)
        return text[:end]

    def json(self, written: bytes) -> bytes:
        """The same for a written JSON value; it stays one, whatever is taken out of its texts."""
        if not any(map(written.__contains__, self._looked_for_bytes)):
            return written
        value = orjson.loads(written)
        clean = self.value(value)
        return written if clean == value else orjson.dumps(clean)

    def value(self, value: Any) -> Any:
        """A JSON value without what is secret in its texts and keys."""
        match value:
            case str():
                return self.text(value)
            case dict():
                pairs = cast("dict[str, Any]", value)
                return {self.text(str(key)): self.value(each) for key, each in pairs.items()}
            case list() | tuple():
                return [self.value(each) for each in cast("list[Any]", value)]
            case _:
                return value


def _forms(value: str) -> Iterator[str]:
    """How a value may be written; nothing where it is too ordinary to be looked for."""
    if not _is_distinct(value):
        return
    raw = value.encode()
    spellings = {value, quote(value, safe=""), quote_plus(value), raw.hex(), raw.hex().upper()}
    spellings |= {json.dumps(value, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    spellings |= set(_base64(raw))
    yield from (form for form in spellings if len(form) >= SHORTEST)
    lines = value.splitlines()
    if len(lines) > 1:  # a key file: each of its lines is as good as secret
        for line in lines:
            if len(line) >= _LONG_LINE and "-----" not in line:
                yield from _forms(line)


def _is_distinct(value: str) -> bool:
    """Whether a value does not also occur as a word or a number in what people write."""
    if len(value) < SHORTEST:
        return False
    is_mixed = not value.isalpha() and not value.isdecimal()
    return is_mixed or len(value) >= _CLEARLY_RANDOM


def _base64(raw: bytes) -> Iterator[str]:
    """The characters that stand for `raw` wherever it begins: three ways, and two alphabets."""
    for before in range(3):
        written = b64encode(bytes(before) + raw).decode("ascii").rstrip("=")
        begin = (0, 2, 3)[before]  # characters that also depend on what comes before...
        end = len(written) - ((before + len(raw)) % 3 != 0)  # ...and after
        form = written[begin:end]
        yield form
        yield form.replace("+", "-").replace("/", "_")
