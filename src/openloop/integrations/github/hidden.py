"""What of a text in Markdown nobody sees: HTML comments, which are taken out before a model reads."""

from __future__ import annotations

_BEGIN, _END = "<!--", "-->"


def visible(text: str) -> str:
    """The text without HTML comments, in time that grows with its length; one that is never
    closed hides nothing."""
    parts: list[str] = []
    at = 0
    while (begin := text.find(_BEGIN, at)) >= 0:
        end = text.find(_END, begin + len(_BEGIN))
        if end < 0:
            break
        parts.append(text[at:begin])
        at = end + len(_END)
    return "".join((*parts, text[at:])).strip()
