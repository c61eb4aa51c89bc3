"""Slack's wire formats: JSON bodies, timestamps, ids and request signatures."""

import hashlib
import hmac
import time
from typing import Any
from uuid import uuid4

import orjson

Json = dict[str, Any]

_MICROSECONDS = 1_000_000


def encode(value: object) -> bytes:
    return orjson.dumps(value)


def decode(body: bytes) -> Json:
    """The object in a body that this rig encoded itself."""
    return orjson.loads(body)


def sign(secret: str, timestamp: int | str, body: bytes) -> str:
    """The `X-Slack-Signature` of a body.

    Source: https://docs.slack.dev/authentication/verifying-requests-from-slack
    """
    signed = b"v0:" + str(timestamp).encode() + b":" + body
    return "v0=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def signed_headers(secret: str, body: bytes, *, timestamp: int | None = None) -> dict[str, str]:
    """The two headers by which a receiver knows that a request is Slack's."""
    at = int(time.time()) if timestamp is None else timestamp
    return {"X-Slack-Request-Timestamp": str(at), "X-Slack-Signature": sign(secret, at, body)}


def microseconds(ts: str) -> int:
    """A Slack timestamp as a number to compare by; raises ValueError if it is not one."""
    seconds, _, fraction = ts.partition(".")
    return int(seconds) * _MICROSECONDS + int(fraction.ljust(6, "0")[:6])


class Clock:
    """Message timestamps: Slack's clock in microseconds, never the same twice."""

    def __init__(self) -> None:
        self._last = 0

    def next_ts(self) -> str:
        self._last = max(time.time_ns() // 1000, self._last + 1)
        return f"{self._last // _MICROSECONDS}.{self._last % _MICROSECONDS:06d}"


class Ids:
    """Ids that look like Slack's and count up, so that a failing test reads the same twice."""

    def __init__(self) -> None:
        self._count = 0

    def next_id(self, prefix: str, *, width: int = 9) -> str:
        self._count += 1
        return f"{prefix}{self._count:0{width}d}"

    @staticmethod
    def uuid() -> str:
        return str(uuid4())
