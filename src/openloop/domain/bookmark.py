"""How far the lists of a platform have been read, for surfaces that ask instead of being told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from openloop.domain.errors import Conflict


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A time of which not all is listed any more, or can be read: what happened then may be lost."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """Something of a list that cannot be read at present: since when, and why."""

    since: datetime
    reason: str


class LostBookmark(Conflict):
    """Another process reads this list now; nothing was kept."""

    code = "lost_bookmark"
