"""The brake: what is paused starts no model call, no tool call and no effect until it is resumed."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from openloop.domain.audit import Who
from openloop.domain.errors import Conflict

LONGEST_REASON = 500


class PauseScope(StrEnum):
    """How much is paused. `installation` is every workspace, by whoever has the machine."""

    AGENT = "agent"
    WORKSPACE = "workspace"
    INSTALLATION = "installation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """One pause in force; `subject` is the agent's id, or the workspace's."""

    scope: PauseScope
    subject: UUID
    reason: str
    paused_by: Who
    paused_at: datetime

    @property
    def sentence(self) -> str:
        """What people are told."""
        what = {
            PauseScope.AGENT: "This agent",
            PauseScope.WORKSPACE: "This workspace",
            PauseScope.INSTALLATION: "This installation",
        }[self.scope]
        return f"{what} was paused by {self.paused_by.name}: {self.reason}"


class Paused(Conflict):
    """Nothing of this starts and nothing is decided until somebody resumes it."""

    code = "paused"
