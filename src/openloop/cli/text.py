"""Text on a terminal: what came from outside is made harmless, and columns line up."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

# Escape sequences: CSI, OSC and other strings up to their end, and two-character ones. Both the
# seven-bit and the eight-bit (C1) beginnings.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|$)"
    r"|\x1b[ -/]*[0-~]"
)
# What is left of controls, and what reorders or hides text: bidirectional marks, zero width.
_UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
_IN_JSON = re.compile(r"[\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def clean(text: str) -> str:
    """Text without anything that moves a cursor, changes a colour or hides what it says."""
    return _UNSAFE.sub("", _ESCAPES.sub("", text))


def one_line(text: object) -> str:
    """Clean text in one line."""
    return " ".join(clean(str(text)).split())


def escape_json(text: str) -> str:
    """JSON in which the unsafe characters inside of strings are written as escapes."""
    return _IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def shorten(text: str, columns: int) -> str:
    """At most so many columns; what is left out is marked."""
    if width(text) <= columns:
        return text
    kept, used = "", 1
    for character in text:
        used += _columns(character)
        if used > columns:
            break
        kept += character
    return f"{kept.rstrip()}…"


def pad(text: str, columns: int) -> str:
    """The text, filled up with spaces."""
    return text + " " * max(0, columns - width(text))


def money(amount: object) -> str:
    """US dollars, with as many digits as the amount needs and at least two."""
    try:
        number = Decimal(str(amount))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        return one_line(amount)
    digits = -int(number.normalize().as_tuple().exponent)
    return f"${number:.{min(6, max(2, digits))}f}"


def age(moment: object, *, now: datetime | None = None) -> str:
    """How long ago something was: `12s`, `5m`, `3h`, `9d`."""
    at = _moment(moment)
    if at is None:
        return ""
    seconds = max(0, int(((now or datetime.now(UTC)) - at).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def when(moment: object) -> str:
    """A time in UTC, to the second."""
    at = _moment(moment)
    return at.strftime("%Y-%m-%d %H:%M:%SZ") if at is not None else ""


def _moment(moment: object) -> datetime | None:
    if not isinstance(moment, str) or not moment:
        return None
    try:
        at = datetime.fromisoformat(moment)
    except ValueError:
        return None
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).astimezone(UTC)
