"""What an installation says of its identity provider; read at every start, also where there is none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from openloop.domain.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Mapping

CALLBACK = "/login/callback"
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcSettings:
    """Whom to ask, as whom, and where this installation is reached in a browser."""

    issuer: str
    client_id: str
    client_secret: str | None = field(repr=False)
    url: str

    @property
    def redirect_uri(self) -> str:
        """Where the identity provider sends people back to."""
        return self.url + CALLBACK


def read_settings(environ: Mapping[str, str]) -> OidcSettings | None:
    """The settings of the identity provider; None where there is none.

    Raises:
        Misconfigured: with every problem
    """
    issuer = environ.get("OPENLOOP_OIDC_ISSUER")
    client_id = environ.get("OPENLOOP_OIDC_CLIENT_ID")
    url = (environ.get("OPENLOOP_PUBLIC_URL") or "").rstrip("/")
    if not issuer and not client_id:
        return None
    problems = [
        f"{name} is needed for logins, as another OPENLOOP_OIDC variable is set"
        for name, value in (
            ("OPENLOOP_OIDC_ISSUER", issuer),
            ("OPENLOOP_OIDC_CLIENT_ID", client_id),
            ("OPENLOOP_PUBLIC_URL", url),
        )
        if not value
    ]
    problems += [
        f"{name}={value} must begin with https:// (http:// is for this machine only)"
        for name, value in (("OPENLOOP_OIDC_ISSUER", issuer), ("OPENLOOP_PUBLIC_URL", url))
        if value and not is_private_way(value)
    ]
    if problems or not issuer or not client_id:
        message = "The settings of logins are refused: " + "; ".join(problems)
        raise Misconfigured(message, problems=problems)
    secret = environ.get("OPENLOOP_OIDC_CLIENT_SECRET") or None
    return OidcSettings(issuer=issuer, client_id=client_id, client_secret=secret, url=url)


def is_private_way(address: str) -> bool:
    """True where nobody on the way can read along or answer instead."""
    parts = urlsplit(address)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
