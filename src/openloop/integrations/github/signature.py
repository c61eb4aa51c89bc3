"""Proving that a delivery is GitHub's, over the raw bytes and before any parsing.

The signature covers the body alone: neither its time nor its id nor the name of its event. So the
ids are kept for 90 days, and what an event is about has a key of its own that is made of the body.
The rule: https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from openloop.domain.surface import Rejected

if TYPE_CHECKING:
    from collections.abc import Mapping

HEADER = "x-hub-signature-256"


def sign(secret: str, body: bytes) -> str:
    """The value of `X-Hub-Signature-256` for these bytes."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def verify(secret: str, *, headers: Mapping[str, str], body: bytes) -> None:
    """Refuse what GitHub did not sign.

    Raises:
        Rejected: always 401, with a code that says which check failed
    """
    signature = headers.get(HEADER)
    if signature is None:
        raise Rejected(401, "signature_missing", "The request carries no GitHub signature")
    # As bytes: compare_digest refuses text that is not ASCII with a TypeError.
    expected = sign(secret, body).encode()
    if not hmac.compare_digest(expected, signature.encode("utf-8", "replace")):
        raise Rejected(401, "signature_mismatch", "The GitHub signature does not match")
