"""Identifiers: UUIDv7 everywhere, so that rows sort by the time they were made."""

from __future__ import annotations

from typing import NewType
from uuid import UUID

import uuid_utils.compat

WorkspaceId = NewType("WorkspaceId", UUID)
PrincipalId = NewType("PrincipalId", UUID)
AgentId = NewType("AgentId", UUID)
RevisionId = NewType("RevisionId", UUID)
ConversationId = NewType("ConversationId", UUID)
MessageId = NewType("MessageId", UUID)
RunId = NewType("RunId", UUID)
StepId = NewType("StepId", UUID)
ApprovalId = NewType("ApprovalId", UUID)
MemoryId = NewType("MemoryId", UUID)
OpId = NewType("OpId", UUID)
TokenId = NewType("TokenId", UUID)
ReservationId = NewType("ReservationId", UUID)
LoginId = NewType("LoginId", UUID)
LinkId = NewType("LinkId", UUID)
ChangeId = NewType("ChangeId", UUID)


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562): 48 bits of milliseconds, then random bits."""
    return uuid_utils.compat.uuid7()
