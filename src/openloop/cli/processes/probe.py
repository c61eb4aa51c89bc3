"""Asking a process of ours how it is: one small HTTP request."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from pathlib import Path

_SECONDS: Final = 2.0
_MOST: Final = 64 * 1024


async def ask(
    address: Path | tuple[str, int], path: str, *, token: str | None = None
) -> tuple[int, dict[str, Any]] | None:
    """The status and the JSON of an answer; None where nobody answers in time."""
    try:
        async with asyncio.timeout(_SECONDS):
            read = await _exchange(address, path, token)
    except (OSError, EOFError, TimeoutError):
        return None
    head, _, body = read.partition(b"\r\n\r\n")
    try:
        status = int(head.split(b" ", 2)[1])
        found: Any = json.loads(body)
    except (ValueError, IndexError):
        return None
    return status, cast("dict[str, Any]", found) if isinstance(found, dict) else {}


async def _exchange(address: Path | tuple[str, int], path: str, token: str | None) -> bytes:
    reader, writer = (
        await asyncio.open_connection(*address)
        if isinstance(address, tuple)
        else await asyncio.open_unix_connection(address)
    )
    try:
        bearer = f"Authorization: Bearer {token}\r\n" if token else ""
        # HTTP 1.0: the answer comes in one piece and ends with the connection.
        writer.write(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n{bearer}\r\n".encode("ascii"))
        await writer.drain()
        parts: list[bytes] = []
        while part := await reader.read(_MOST):
            parts.append(part)
        return b"".join(parts)
    finally:
        writer.close()
