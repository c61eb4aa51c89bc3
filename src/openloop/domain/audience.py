"""Who can read in a place: five classes, each of them readable by more people than the one before."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class PlaceClass(StrEnum):
    """The widest kind of reader that a place has, as the platform says now.

    private: some full members (a direct message, a private channel, a terminal). internal: every
    full member. guests: guests of the organisation too. shared: people of another organisation.
    public: anybody.
    """

    PRIVATE = "private"
    INTERNAL = "internal"
    GUESTS = "guests"
    SHARED = "shared"
    PUBLIC = "public"

    @property
    def width(self) -> int:
        """How far the class reaches; a narrower one has a smaller number."""
        return _WIDTHS[self]

    def is_within(self, other: PlaceClass) -> bool:
        """True where everybody who reads here is among those who read there."""
        return self.width <= other.width

    @property
    def has_only_members(self) -> bool:
        """True where nobody reads but full members, for whom a manifest can speak."""
        return self.is_within(PlaceClass.INTERNAL)


_WIDTHS = {each: width for width, each in enumerate(PlaceClass)}


def narrowest(classes: Iterable[PlaceClass]) -> PlaceClass:
    """The class that all of these allow; of none, anybody."""
    return min(classes, key=_WIDTHS.__getitem__, default=PlaceClass.PUBLIC)
