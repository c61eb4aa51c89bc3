"""The buttons of a card: what can be decided now, behind opaque tokens of which we keep a hash."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

from openloop.domain.approval import ApprovalState
from openloop.domain.surface import Button

if TYPE_CHECKING:
    from openloop.domain.approval import Approval

TOKEN_BYTES = 16


def new_token() -> str:
    """An opaque token: it means nothing by itself, the row behind it decides."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def hash_token(token: str) -> bytes:
    """What is stored of a button's token: 128 random bits need no slow hash."""
    return hashlib.sha256(token.encode()).digest()


def buttons_of(approval: Approval, token: str) -> tuple[Button, ...]:
    """What can be decided about an approval in its state."""
    if approval.state is ApprovalState.UNKNOWN:
        return (
            Button(action="happened", label="It happened", token=token, style="primary"),
            Button(action="retry", label="Try again", token=token),
        )
    return (
        Button(action="approve", label="Approve", token=token, style="primary"),
        Button(action="deny", label="Reject", token=token, style="danger"),
    )
