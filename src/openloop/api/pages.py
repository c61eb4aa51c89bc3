"""The few pages that a browser sees on its way in: plain HTML, no script, no style."""

from __future__ import annotations

import re
from html import escape

from fastapi.responses import HTMLResponse

RETURN_TO = re.compile(r"/(?!/)[A-Za-z0-9/_.~%?=&+-]{0,500}")


def page(title: str, text: str, *, status: int = 200, go_to: str = "") -> HTMLResponse:
    """A page that says one thing.

    With `go_to` the browser goes on from here by itself: a redirect would still count as coming
    from the identity provider's site, and the cookie, which is `Strict`, would not come along.
    """
    refresh = (
        f'<meta http-equiv="refresh" content="0;url={escape(go_to)}">'
        if RETURN_TO.fullmatch(go_to)
        else ""
    )
    return HTMLResponse(
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        f"<title>OpenLoop: {escape(title)}</title>{refresh}</head>"
        f"<body><h1>{escape(title)}</h1><p>{escape(text)}</p></body></html>",
        status_code=status,
    )
