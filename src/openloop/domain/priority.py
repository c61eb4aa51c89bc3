"""What is worked on first where not everything can be: fixed when a conversation is opened."""

from enum import IntEnum
from typing import Literal

PriorityName = Literal["interactive", "scheduled", "batch"]


class Priority(IntEnum):
    """People who wait come before what a clock began, and that before work in bulk."""

    INTERACTIVE = 0
    SCHEDULED = 1
    BATCH = 2

    @staticmethod
    def of(name: PriorityName) -> "Priority":
        """The priority that manifests, the API and surfaces call so."""
        return Priority[name.upper()]
