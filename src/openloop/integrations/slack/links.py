"""Which addresses of a model's text may become links, and how their labels are shown."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

MOST_URL = 2000

# One more than may become a link: what is longer is none, and nothing longer is looked through.
_BARE_URL = re.compile(r"https?://[^\s<>\"'`\\^{|}\x00-\x1f]{1,2001}", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_HOST_IN_LABEL = re.compile(r"(?:[a-z0-9-]+\.)+[a-z]{2,}", re.IGNORECASE)
_CLOSING = {")": "(", "]": "["}


def host_of(url: str) -> str | None:
    """The host a reader would end up at; None where the address may not become a link.

    Only http and https, no user part (`https://github.com@evil.example`), an ASCII host that is
    not punycode (a look-alike), no blanks or controls, at most 2,000 characters.
    """
    if len(url) > MOST_URL or not url.isprintable() or any(char.isspace() for char in url):
        return None
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or "@" in parts.netloc or "\\" in url:
        return None
    if not _HOST.fullmatch(host) or any(part.startswith("xn--") for part in host.split(".")):
        return None
    return host


def hides_host(label: str, host: str) -> bool:
    """Whether a label reads like an address of another host than the one it leads to."""
    shown = {found.lower().removeprefix("www.") for found in _HOST_IN_LABEL.findall(label)}
    return bool(shown - {host.removeprefix("www.")}) or (not label.isascii() and "." in label)


def bare_urls(text: str) -> list[tuple[int, int]]:
    """Where addresses stand in plain text, without the punctuation of the sentence around them."""
    return [(found.start(), found.start() + len(_trimmed(found[0]))) for found in _matches(text)]


def _matches(text: str) -> list[re.Match[str]]:
    return list(_BARE_URL.finditer(text)) if "://" in text else []


def _trimmed(url: str) -> str:
    while url:
        last = url[-1]
        opening = _CLOSING.get(last)
        if last in ".,;:!?*_~" or (opening is not None and url.count(last) > url.count(opening)):
            url = url[:-1]
        else:
            break
    return url
