"""Proving that a request is Slack's and fresh, over the raw bytes and before any parsing.

The rule: https://docs.slack.dev/authentication/verifying-requests-from-slack
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING

from openloop.domain.surface import Rejected

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

WINDOW_SECONDS = 300
SIGNATURE_HEADER = "x-slack-signature"
TIMESTAMP_HEADER = "x-slack-request-timestamp"

_TIMESTAMP = re.compile(r"[0-9]{1,12}")


def sign(secret: str, *, timestamp: str, body: bytes) -> str:
    """The value of `X-Slack-Signature` for these bytes at this time."""
    signed = b"v0:" + timestamp.encode() + b":" + body
    return "v0=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def verify(secret: str, *, headers: Mapping[str, str], body: bytes, received_at: datetime) -> None:
    """Refuse what Slack did not sign within five minutes of `received_at`.

    Raises:
        Rejected: always 401, with a code that says which check failed.
    """
    timestamp = headers.get(TIMESTAMP_HEADER)
    if timestamp is None:
        raise Rejected(401, "timestamp_missing", "The request carries no Slack timestamp")
    if not _TIMESTAMP.fullmatch(timestamp):
        raise Rejected(401, "timestamp_invalid", "The Slack timestamp is not a whole number")
    if abs(received_at.timestamp() - int(timestamp)) > WINDOW_SECONDS:
        raise Rejected(
            401, "timestamp_outside_window", "The Slack timestamp is over five minutes away"
        )
    signature = headers.get(SIGNATURE_HEADER)
    if signature is None:
        raise Rejected(401, "signature_missing", "The request carries no Slack signature")
    expected = sign(secret, timestamp=timestamp, body=body)
    # As bytes: compare_digest refuses text that is not ASCII with a TypeError.
    if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
        raise Rejected(401, "signature_mismatch", "The Slack signature does not match")
