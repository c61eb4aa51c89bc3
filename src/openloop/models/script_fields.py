"""Typed values from a script file; whatever is not as needed becomes a problem with its line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from openloop.domain.strict_yaml import format_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.strict_yaml import Document, Path, Plain

_LONGEST_PATTERN: Final = 500
_MOST_TOKENS: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Spot:
    """A value and the way to it."""

    value: Plain
    path: Path


class ScriptFields:
    """Reads one document. A wrong value adds to `problems`, and something harmless is returned."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._problems: list[tuple[int, str]] = []

    @property
    def root(self) -> Spot:
        """The whole document."""
        return Spot(self._document.value, ())

    def line(self, spot: Spot) -> int:
        """Where it stands, counted from 1."""
        return self._document.at(spot.path).line

    def refuse(self, spot: Spot, sentence: str) -> None:
        """Note a problem."""
        line = self._document.key_at(spot.path).line
        where = f"{format_path(spot.path)}: " if spot.path else ""
        self._problems.append((line, f"{self._document.file}:{line}: {where}{sentence}"))

    @property
    def problems(self) -> list[str]:
        """What was refused, from the top of the file to its end."""
        return [problem for _, problem in sorted(self._problems, key=lambda each: each[0])]

    def mapping(
        self, spot: Spot | None, known: Sequence[str], *, needed: Sequence[str] = ()
    ) -> dict[str, Spot]:
        """The known names of a mapping; any other is a problem, and so is a needed one missing."""
        if spot is None:
            return {}
        if not isinstance(spot.value, dict):
            self.refuse(spot, f"names with values are needed here: {', '.join(known)}")
            return {}
        found = {key: Spot(each, (*spot.path, key)) for key, each in spot.value.items()}
        for key, each in found.items():
            if key not in known:
                self.refuse(each, f"{key!r} is not known; known are {', '.join(known)}")
        for key in needed:
            if key not in found:
                self.refuse(spot, f"`{key}` is missing")
        return {key: each for key, each in found.items() if key in known}

    def entries(self, spot: Spot | None) -> list[Spot]:
        """The entries of a list that has some."""
        if spot is None:
            return []
        if not isinstance(spot.value, list) or not spot.value:
            self.refuse(spot, "a list with at least one entry is needed here")
            return []
        return [Spot(each, (*spot.path, at)) for at, each in enumerate(spot.value)]

    def text(self, spot: Spot | None) -> str:
        """A text that is not empty."""
        if spot is None:
            return ""
        if not isinstance(spot.value, str) or not spot.value:
            self.refuse(spot, "a text is needed here")
            return ""
        return spot.value

    def flag(self, spot: Spot | None) -> bool:
        """True or false; false where nothing is said."""
        if spot is not None and not isinstance(spot.value, bool):
            self.refuse(spot, "true or false is needed here")
        return spot is not None and spot.value is True

    def pattern(self, spot: Spot | None, flags: int = 0) -> re.Pattern[str] | None:
        """A regular expression of bounded length."""
        if spot is None:
            return None
        text = self.text(spot)
        if len(text) > _LONGEST_PATTERN:
            self.refuse(spot, f"a pattern has at most {_LONGEST_PATTERN} characters")
            return None
        try:
            return re.compile(text, flags)
        except re.error as error:
            self.refuse(spot, f"this is not a regular expression: {error}")
            return None

    def tokens(self, spot: Spot | None, default: int, *, least: int = 0) -> int:
        """A number of tokens."""
        if spot is None:
            return default
        value = spot.value
        if isinstance(value, bool) or not isinstance(value, int):
            self.refuse(spot, "a whole number of tokens is needed here")
            return default
        if not least <= value <= _MOST_TOKENS:
            self.refuse(spot, f"a number of tokens from {least} to {_MOST_TOKENS} is needed here")
            return default
        return value

    def number(self, spot: Spot | None, *, most: int, of: str) -> Decimal:
        """A number from 0 to `most`, exact; 0 where nothing is said."""
        if spot is None:
            return Decimal(0)
        value = spot.value
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, Decimal))
            or not 0 <= value <= most
        ):
            self.refuse(spot, f"{of} from 0 to {most} are needed here")
            return Decimal(0)
        return Decimal(value)
