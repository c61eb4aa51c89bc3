"""Logs of GitHub Actions: where they may be fetched from, and how much of them is kept.

GitHub does not serve logs itself: it answers with an address that is good for a minute, on a host
of its storage. That host is asked only where it is one we know, never with our token, and it may
not send us on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from yarl import URL

from openloop.integrations.github.errors import NotFound, Refused, Unavailable
from openloop.integrations.github.wire import Answered, Lost

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.integrations.github.wire import Wire

LOG_SECONDS = 60
BEGINNING_BYTES = 8 * 2**20
ENDING_BYTES = 24 * 2**20
MOST_BYTES = 256 * 2**20
"""How much is read of one log; what is in the middle of a long one is counted and let go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A log: all of it, or its beginning and its end with what was skipped between them."""

    beginning: bytes
    ending: bytes = b""
    skipped_bytes: int = 0
    skipped_lines: int = 0

    @property
    def is_whole(self) -> bool:
        return self.skipped_bytes == 0

    @property
    def total_bytes(self) -> int:
        return len(self.beginning) + self.skipped_bytes + len(self.ending)


class LogKeeper:
    """Keeps the beginning and the end of what is downloaded."""

    def __init__(
        self,
        *,
        beginning_bytes: int = BEGINNING_BYTES,
        ending_bytes: int = ENDING_BYTES,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.most_bytes = most_bytes
        self._beginning_bytes, self._ending_bytes = beginning_bytes, ending_bytes
        self._beginning = bytearray()
        self._ending: deque[bytes] = deque()
        self._ending_size = self._taken = self._skipped_bytes = self._skipped_lines = 0

    def take(self, chunk: bytes) -> bool:
        """Keep the next part, and let go of what is too far from both ends."""
        self._taken += len(chunk)
        if self._taken > self.most_bytes:
            return False
        room = self._beginning_bytes - len(self._beginning)
        self._beginning += chunk[:room]
        rest = chunk[room:] if room > 0 else chunk
        if rest:
            self._ending.append(rest)
            self._ending_size += len(rest)
        while self._ending_size - len(self._ending[0] if self._ending else b"") >= (
            self._ending_bytes
        ):
            gone = self._ending.popleft()
            self._ending_size -= len(gone)
            self._skipped_bytes += len(gone)
            self._skipped_lines += gone.count(b"\n")
        return True

    def log(self) -> Log:
        """What was kept."""
        beginning, ending = bytes(self._beginning), b"".join(self._ending)
        if self._skipped_bytes == 0:
            return Log(beginning=beginning + ending)
        return Log(
            beginning=beginning,
            ending=ending,
            skipped_bytes=self._skipped_bytes,
            skipped_lines=self._skipped_lines,
        )


class BytesKeeper:
    """Keeps all of what is downloaded, up to a limit."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.kept = bytearray()

    def take(self, chunk: bytes) -> bool:
        """Keep the next part."""
        self.kept += chunk
        return len(self.kept) <= self.most_bytes


async def fetch(
    wire: Wire, address: str, into: LogKeeper | BytesKeeper, *, hosts: Sequence[str]
) -> None:
    """Download from an address that GitHub gave, if its host is one of `hosts`.

    Raises:
        Refused: it is not, or there is more than we take
        NotFound, Unavailable
    """
    url = _checked(address, hosts)
    match await wire.download(url, into, total_seconds=LOG_SECONDS):
        case Lost(how="too_large", reason=reason):
            raise Refused(f"The log is too large: {reason}")
        case Lost(reason=reason):
            raise Unavailable(f"The log could not be fetched: {reason}")
        case Answered(status=200):
            return
        case Answered(status=404 | 410):
            raise NotFound("The log is not there any more")
        case Answered(status=status) if 300 <= status < 400:
            raise Refused("The address of the log points elsewhere; it is followed once only")
        case Answered(status=status):
            raise Unavailable(f"The log could not be fetched ({status})")


def _checked(address: str, hosts: Sequence[str]) -> URL:
    """The address as a URL to ask, if its host is one of these and it is asked over TLS.

    A host of the list that is named whole, with a port, may also be asked over plain HTTP where it
    is this machine: that is a rig.
    """
    try:
        url = URL(address, encoded=True)
        host, port = (url.host or "").lower(), url.port
    except ValueError:
        raise Refused("GitHub gave an address of the log that cannot be read") from None
    if url.user is not None or url.password is not None or not host:
        raise Refused("GitHub gave an address of the log that is not one to ask")
    if url.scheme == "http" and f"{host}:{port}" in hosts and host in {"127.0.0.1", "localhost"}:
        return url
    if url.scheme != "https" or (port != 443 and f"{host}:{port}" not in hosts):
        raise Refused(f"The log is at {url.scheme}://{host[:80]}:{port}, which is not asked")
    if not any(_covers(pattern.lower(), host) for pattern in hosts):
        raise Refused(f"The log is at {host[:80]!r}, which is no host of GITHUB_LOG_HOSTS")
    return url


def _covers(pattern: str, host: str) -> bool:
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1
    return host == pattern.partition(":")[0]
