"""What kind of work a run is, decided by rules from its request alone: routes of models match it."""

import re

INVESTIGATE = "investigate"
_ASKS_WHY = re.compile(
    r"\b(?:why|what|investigate|look into|find out)\b.{0,200}?\b(?:red|broken|fail(?:s|ed|ing|ures?)?)\b",
    re.IGNORECASE | re.DOTALL,
)
_OF_A_BUILD = re.compile(
    r"\b(?:ci|builds?|main|master|pipeline|checks?|workflows?|tests?)\b", re.IGNORECASE
)
_LONGEST = 2_000
"""Who asks that gets to the point: no more of a request is looked at."""


def task_of(request: str) -> str | None:
    """The kind of a request: its first word where a colon follows (`code: ...`), else what it asks.

    Whoever asks why a build is red wants `investigate`; nothing else is guessed.
    """
    said, colon, _ = request.lstrip().partition(":")
    if colon and len(said.split()) == 1:
        return said.strip().lower()
    text = request[:_LONGEST]
    if _ASKS_WHY.search(text) and _OF_A_BUILD.search(text):
        return INVESTIGATE
    return None
