"""Who we are on GitHub, and who did something there: by number, since a login can pass on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from openloop.domain.surface import Actor, Place
from openloop.integrations.github.names import RepoName
from openloop.integrations.github.payloads import id_at, part_at, text_at

if TYPE_CHECKING:
    from openloop.domain.surface import ActorKind
    from openloop.integrations.github.payloads import Json

SURFACE = "github"
_BOT = "[bot]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The account whose token we hold; an App writes as its bot."""

    id: int
    login: str
    is_app: bool

    @property
    def mentioned_as(self) -> str:
        """What people write after the @, in lower case: an App goes by its name, not its bot's."""
        return self.login.lower().removesuffix(_BOT)


def host_of(web_url: str) -> str:
    """Which GitHub this is, as the tenant of its places and people."""
    return urlsplit(web_url).hostname or ""


def sender_of(payload: Json, *, host: str, own: Identity) -> Actor | None:
    """Who did it, as GitHub says; None where it says nobody."""
    sender = part_at(payload, "sender")
    account, login = id_at(sender, "id"), text_at(sender, "login")
    if not account or not login:
        return None
    kind: ActorKind = "human"
    if account == own.id:
        kind = "self"
    elif text_at(sender, "type") != "User" or login.endswith(_BOT):
        kind = "bot"
    return Actor(surface=SURFACE, tenant=host, id=str(account), name=login, kind=kind)


def place_of(repo: RepoName, *, host: str) -> Place:
    """A repository as a place; upper and lower case are the same there."""
    return Place(surface=SURFACE, tenant=host, container=str(repo).lower())


def repo_in(place: Place) -> RepoName:
    """The repository of a place.

    Raises:
        InvalidName
    """
    return RepoName.parse(place.container)
