"""The mark by which an issue or comment of ours is found again after its answer was lost.

It is the last line of the body, an HTML comment that GitHub does not show. A person can paste
one, and a model can write one into its text: only the last line counts, since we put it there,
and only below something that our own account has written.
"""

from __future__ import annotations

import re

_KEY = r"[0-9A-Za-z_:.-]{1,100}"
_LAST_LINE = re.compile(rf"(?:\A|\n)<!-- openloop:({_KEY}) -->\s*\Z")


def marked(body: str, key: str) -> str:
    """The body with the mark of this key below it."""
    if not re.fullmatch(_KEY, key):
        message = f"{key!r} cannot be an idempotency key"
        raise ValueError(message)
    return f"{body}\n\n<!-- openloop:{key} -->"


def key_of(body: str | None) -> str | None:
    """The key in the last line, if it is a mark."""
    found = _LAST_LINE.search((body or "").replace("\r\n", "\n"))
    return found.group(1) if found is not None else None


def unmarked(body: str | None) -> str:
    """The body as people see it."""
    return _LAST_LINE.sub("", (body or "").replace("\r\n", "\n")).rstrip()
