"""How much of a list is asked for at once: less where an answer would be too large, down to one entry."""

from __future__ import annotations

from dataclasses import dataclass, field

LARGEST_PAGE = 100

_SMALLER = (50, 10, 5, 1)


@dataclass(slots=True, kw_only=True)
class Stride:
    """Where in a list we are, and how many of its entries are asked for next.

    GitHub's pages are counted in their own size, so a smaller page is taken only where it begins
    exactly at what comes next: nothing is skipped, and nothing read twice. A page of 100 is read
    with at most 1 + 2 + 10 + 20 + 100 requests, whatever stands in it.
    """

    largest: int = LARGEST_PAGE
    at: int = 0
    """How many entries stand before the next one, in the list as it is asked for now."""
    gone: int = 0
    """How many were passed, in all."""
    _most: int = field(init=False)

    def __post_init__(self) -> None:
        self._most = self.largest

    @property
    def size(self) -> int:
        """The largest page that begins here and was not found to be too large."""
        fits = (
            size
            for size in (self.largest, *_parts_of(self.largest))
            if size <= self._most and self.at % size == 0 and self.gone % size == 0
        )
        return next(fits, 1)

    @property
    def page(self) -> int:
        """The number of that page."""
        return self.at // self.size + 1

    def shorten(self) -> bool:
        """Ask for less, since what was asked for is too large; False where it is one entry."""
        parts = _parts_of(self.size)
        if not parts:
            return False
        self._most = parts[0]
        return True

    def advance(self) -> None:
        """Go behind the page, read or not; from there a larger one may fit again."""
        size = self.size
        self.at += size
        self.gone += size
        self._most = self.largest

    def begin(self) -> None:
        """The list is asked for in another way from now on, and what comes next is its first."""
        self.at = 0


def _parts_of(size: int) -> tuple[int, ...]:
    """The sizes of which a page of this size is made up, the largest first."""
    parts: list[int] = []
    for smaller in _SMALLER:
        whole = parts[-1] if parts else size
        if smaller < whole and whole % smaller == 0:
            parts.append(smaller)
    return tuple(parts)
