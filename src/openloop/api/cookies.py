"""The two cookies: a login, and the way to the identity provider and back.

`__Host-` makes browsers refuse them without `Secure`, from another host, or for a part of the site.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from openloop.api.bodies import header
from openloop.api.problems import MalformedRequest

if TYPE_CHECKING:
    from starlette.types import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Cookie:
    """A cookie of ours. `Lax` comes along from the identity provider's page, `Strict` never does."""

    name: str
    same_site: Literal["Strict", "Lax"]
    seconds: int


LOGIN = Cookie(name="__Host-openloop", same_site="Strict", seconds=24 * 3600)
ON_THE_WAY = Cookie(name="__Host-openloop-login", same_site="Lax", seconds=600)


def read_cookie(scope: Scope, cookie: Cookie) -> str | None:
    """The value of a cookie; None where it is absent.

    Raises:
        MalformedRequest: it is there twice, and nobody can tell which one is ours
    """
    given = [
        value
        for pair in (header(scope, b"cookie") or b"").decode("latin-1").split(";")
        for name, _, value in (pair.strip().partition("="),)
        if name == cookie.name
    ]
    if len(given) > 1:
        raise MalformedRequest(f"The cookie {cookie.name!r} is given twice")
    return given[0] if given else None


def set_cookie(cookie: Cookie, value: str) -> tuple[bytes, bytes]:
    """The header that sets a cookie; an empty value removes it."""
    seconds = cookie.seconds if value else 0
    parts = (
        f"{cookie.name}={value}",
        "Path=/",
        f"Max-Age={seconds}",
        "Secure",
        "HttpOnly",
        f"SameSite={cookie.same_site}",
    )
    return b"set-cookie", "; ".join(parts).encode("latin-1")
