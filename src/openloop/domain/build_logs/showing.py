"""What of a log's lines is shown: no token, no key, and never the half of a word."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from openloop.domain.build_logs.lines import LONGEST_READ, visible
from openloop.domain.redaction import REDACTED, Redactor

LONGEST_SHOWN: Final = 300

_MORE: Final = " ..."
_NO_SPACE: Final = " without a space]"

_KEY_MATERIAL: Final = re.compile(r"\s*[A-Za-z0-9+/]{60,76}={0,2}\s*")
"""A line of a key file: without the lines around it nothing else tells."""


class Part(NamedTuple):
    """Something that was read out of a line, with the raw line: what is around it says what it is."""

    text: str
    line: bytes


def shown(line: bytes, redactor: Redactor) -> str:
    """A raw line as an excerpt shows it.

    What is secret goes before anything is cut, and then whole words go: half of a secret would not
    be found any more by whoever looks for it later. Of a line that is too long to be read, nothing
    is shown that could be the beginning of a secret.
    """
    return cut(_told(line, redactor))


def shown_part(part: Part | None, redactor: Redactor) -> str | None:
    """A part of a line as it is shown; nothing of it, where it stood within something secret."""
    if part is None:
        return None
    text = redactor.text(part.text)
    return cut(text) if text in _told(part.line, redactor) else REDACTED


def is_whole(text: str) -> bool:
    """Whether this is all of what was to be shown: two such texts that are equal say the same."""
    return REDACTED not in text and not text.endswith((_MORE, _NO_SPACE))


def cut(text: str) -> str:
    """The beginning of a long text, to the end of a word."""
    if len(text) <= LONGEST_SHOWN:
        return text
    kept = text[: LONGEST_SHOWN + 1].rpartition(" ")[0]
    return f"{kept}{_MORE}" if kept.strip() else f"[{len(text)} characters{_NO_SPACE}"


def _told(line: bytes, redactor: Redactor) -> str:
    """All that was read of a line and is no secret."""
    if len(line) > LONGEST_READ:
        words = line[:LONGEST_READ].rpartition(b" ")[0]
        if not words.strip():
            return f"[more than {LONGEST_READ} bytes{_NO_SPACE}"
        return redactor.text(redactor.without_beginning(visible(words))) + _MORE
    text = visible(line)
    return REDACTED if _KEY_MATERIAL.fullmatch(text) else redactor.text(text)
