"""A webhook: each checkpoint as one POST to somebody who keeps it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import aiohttp

from openloop.runtime.destinations.destination import NotDelivered, diverged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.ids import WorkspaceId
    from openloop.storage.checkpoints import CheckpointRow

SECONDS: Final = 10.0
CONFLICT: Final = 409


class Webhook:
    """Posts to one address; 2xx means that it is kept, 409 that another one is."""

    def __init__(self, url: str) -> None:
        self._url = url
        parts = urlsplit(url)
        # The path may be a secret: of it, only a fingerprint is shown.
        fingerprint = hashlib.sha256(url.encode()).hexdigest()[:8]
        self.name = f"{parts.scheme}://{parts.hostname}/({fingerprint})"
        self._http: aiohttp.ClientSession | None = None

    async def put(self, workspace: WorkspaceId, documents: Sequence[CheckpointRow]) -> None:
        """Post them one after the other."""
        for each in documents:
            key = f"{workspace}:{each.number}"
            try:
                async with self._open().post(
                    self._url,
                    data=each.document.encode(),
                    headers={"Content-Type": "application/json", "Idempotency-Key": key},
                    allow_redirects=False,
                ) as answer:
                    status = answer.status
            except (TimeoutError, aiohttp.ClientError) as error:
                raise NotDelivered(f"{self.name}: {type(error).__name__}") from error
            if status == CONFLICT:
                raise diverged(self.name, each.number)
            if not 200 <= status < 300:
                raise NotDelivered(f"{self.name} answered {status}")

    async def aclose(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=SECONDS), cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._http
