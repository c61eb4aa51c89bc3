"""What of a log's lines is shown: no token, no key, and never the half of a word."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from openloop.domain.redaction import REDACTED

if TYPE_CHECKING:
    from openloop.domain.build_logs.lines import Line
    from openloop.domain.redaction import Redactor

LONGEST_SHOWN: Final = 300

_KEY_MATERIAL: Final = re.compile(r"\s*[A-Za-z0-9+/]{60,76}={0,2}\s*")
"""A line of a key file: without the lines around it nothing else tells."""


def shown(line: Line, redactor: Redactor) -> str:
    """The line as an excerpt shows it.

    What is secret goes before anything is cut, and then whole words go: half of a secret would not
    be found any more by whoever looks for it later.
    """
    return cut(redactor.text(_without_key(line.stream + line.text)))


def cut(text: str) -> str:
    """The beginning of a long text, to the end of a word."""
    if len(text) <= LONGEST_SHOWN:
        return text
    kept = text[: LONGEST_SHOWN + 1].rpartition(" ")[0]
    return f"{kept} ..." if kept.strip() else f"[{len(text)} characters without a space]"


def _without_key(text: str) -> str:
    return REDACTED if _KEY_MATERIAL.fullmatch(text) else text
