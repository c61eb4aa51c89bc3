"""Names that go into a path: a repository and a number, checked before anything is sent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from openloop.domain.errors import Invalid

OWNER = r"[A-Za-z0-9](?:-?[A-Za-z0-9]){0,38}"
NAME = r"[A-Za-z0-9._-]{1,100}"
PATTERN = f"^{OWNER}/{NAME}$"
"""The same for a JSON Schema. It lets `.` and a trailing newline through; `RepoName` does not."""

OWNER_LIMIT = 39
HIGHEST_NUMBER = 2**31 - 1


class InvalidName(Invalid):
    """It cannot be the name of anything on GitHub."""

    code = "github_invalid_name"


@dataclass(frozen=True, slots=True)
class RepoName:
    """`owner/name` after GitHub's rules; one that exists as a value is safe in a path.

    Raises:
        InvalidName
    """

    owner: str
    name: str

    def __post_init__(self) -> None:
        good = (
            re.fullmatch(OWNER, self.owner)
            and len(self.owner) <= OWNER_LIMIT
            and re.fullmatch(NAME, self.name)
            and self.name not in {".", ".."}
        )
        if not good:
            whole = f"{self.owner}/{self.name}"
            raise InvalidName(f"{whole[:160]!r} is not a repository: write owner/name")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `owner/name`."""
        owner, _, name = text.partition("/")
        return cls(owner, name)

    def __str__(self) -> str:
        return f"{self.owner}/{self.name}"


def checked_login(login: str) -> str:
    """The login of a person, if it can be one.

    Raises:
        InvalidName
    """
    if re.fullmatch(OWNER, login) is None or len(login) > OWNER_LIMIT:
        raise InvalidName(f"{login[:80]!r} is not a login")
    return login


def checked_number(number: int) -> int:
    """The number of an issue or pull, if it can be one: True and 5.0 are none, whatever JSON says.

    Raises:
        InvalidName
    """
    if type(number) is not int or not 1 <= number <= HIGHEST_NUMBER:
        raise InvalidName(f"{number!r} is not the number of an issue or pull request")
    return number
