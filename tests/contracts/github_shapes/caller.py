"""A caller that asks the fake GitHub as its documentation says, and no product code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import aiohttp

    from openloop.testing.rigs.github import GitHubRig

TOKEN = "ghp_rig_0123456789"


class Caller:
    """Asks the rig as a program would that was written against GitHub's documentation."""

    def __init__(self, rig: GitHubRig, http: aiohttp.ClientSession) -> None:
        self._rig, self._http = rig, http

    async def __call__(
        self,
        method: str,
        path: str,
        content: object = None,
        *,
        token: str | None = TOKEN,
        **headers: str,
    ) -> tuple[int, Any, Any]:
        """Status, JSON (or the text of what is none) and headers of the answer."""
        sent = {name.replace("_", "-"): text for name, text in headers.items()}
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        async with self._http.request(
            method,
            f"{self._rig.api_url}{path}",
            data=None if content is None else body,
            headers=sent,
            allow_redirects=False,
        ) as response:
            text = await response.text()
            is_json = response.content_type == "application/json" and text
            return response.status, json.loads(text) if is_json else text, response.headers
