"""How far the lists of a platform have been read, for surfaces that ask instead of being told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.domain.errors import Conflict

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A time of which the platform lists nothing any more: what happened then may be lost."""

    since: datetime
    until: datetime


class LostBookmark(Conflict):
    """Another process reads this list now; nothing was kept."""

    code = "lost_bookmark"
