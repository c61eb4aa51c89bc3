"""Lines of a log as people read them: what terminals and runners put around the words is gone."""

import re
from typing import NamedTuple

LONGEST_READ = 4096
"""Bytes of a line that are looked at; the rest of a longer one is not."""
LONGEST_MATCHED = 1000
"""Characters that rules are matched against."""

_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*+[ -/]*+[@-~]|\][^\x07\x1b]*+(?:\x07|\x1b\\)?|[@-Z\\-_])|\x1b|\x9b[0-?]*+[@-~]"
)
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]+"
)
_CLOCK = re.compile(
    r"(?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d{1,9})?Z (?:\d\d[OE][ +])?"  # GitHub, GitLab
    r"|\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[^\]\s]{0,9}\] )"  # Jenkins
)
# What tells apart programs that run at the same time and write into one log.
_STREAM = re.compile(
    r"#\d{1,4} (?:\d{1,6}\.\d{1,3} )?"  # BuildKit
    r"|@?[A-Za-z][\w./-]{0,80}:[A-Za-z][\w:.-]{0,80}: "  # turbo
    r"|@[\w-]{1,40}/[\w.-]{1,40}: "  # lerna
    r"|[A-Za-z][\w.-]{0,60} {0,20}\| "  # docker compose
    r"|\[@?(?!(?i:error|info|warn|warning|debug|fatal|trace|notice|command|ok|pass|fail|gw\d+)\])"
    r"[A-Za-z][\w./:@-]{0,60}\]:? (?!-)"  # concurrently, yarn
)


class Line(NamedTuple):
    """What one of the programs wrote; `stream` is what stands before its lines, often nothing."""

    stream: str
    text: str


def clean(raw: bytes) -> Line:
    """One line, without its line end: at most LONGEST_MATCHED characters of what can be seen."""
    text = visible(raw[:LONGEST_READ])
    stream = _STREAM.match(text)
    if stream is None:
        return Line("", text[:LONGEST_MATCHED])
    return Line(stream[0], text[stream.end() : stream.end() + LONGEST_MATCHED])


def visible(raw: bytes) -> str:
    """All that can be seen of these bytes of one line."""
    text = raw.decode("utf-8", "replace")
    if "\x1b" in text or "\x9b" in text:
        text = _ESCAPES.sub("", text)
    if "\r" in text:
        text = _overwritten(text)
    if not text.isprintable():
        text = _INVISIBLE.sub("", text)
    clock = _CLOCK.match(text)
    return text if clock is None else text[clock.end() :]


def _overwritten(text: str) -> str:
    """A progress bar writes over itself: the last thing written is what stays."""
    return next((part for part in reversed(text.split("\r")) if part.strip()), "")
