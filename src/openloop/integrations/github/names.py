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
HIGHEST_ID = 2**53 - 1
PATH_LIMIT = 1000
REF = r"[0-9A-Za-z](?:[0-9A-Za-z._+@/-]{0,253}[0-9A-Za-z_+@-])?"
REF_PATTERN = f"^{REF}$"
"""Branches, tags and commits as a JSON Schema; `checked_ref` refuses more."""

SHA = "[0-9a-f]{40}"


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


def checked_id(number: int) -> int:
    """The id of a comment, run or anything else on GitHub, if it can be one.

    Raises:
        InvalidName
    """
    if type(number) is not int or not 1 <= number <= HIGHEST_ID:
        raise InvalidName(f"{number!r} is not an id")
    return number


def checked_ref(ref: str) -> str:
    """The name of a branch, a tag or a commit, if it can be one.

    Narrower than git: names with other characters exist and are refused, since a name is read by
    shells and scripts of CI as well.

    Raises:
        InvalidName
    """
    if re.fullmatch(REF, ref) is None or ".." in ref or "//" in ref or "@{" in ref:
        raise InvalidName(f"{ref[:80]!r} is not a branch, tag or commit that we use")
    return ref


def checked_sha(sha: str) -> str:
    """The whole name of a commit.

    Raises:
        InvalidName
    """
    if re.fullmatch(SHA, sha) is None:
        raise InvalidName(f"{sha[:80]!r} is not the whole name of a commit")
    return sha


def checked_path(path: str) -> tuple[str, ...]:
    """The parts of a path within a repository; empty for its root.

    Raises:
        InvalidName
    """
    parts = tuple(path.strip("/").split("/")) if path.strip("/") else ()
    if len(path) > PATH_LIMIT or any(part in {"", ".", ".."} for part in parts) or "\0" in path:
        raise InvalidName(f"{path[:80]!r} is not a path within a repository")
    return parts
