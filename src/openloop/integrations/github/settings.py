"""What the environment says about GitHub, validated whole."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from openloop.domain.errors import Misconfigured
from openloop.plugin import Variable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

API_URL = "https://api.github.com"

VARIABLES = (
    Variable(
        name="GITHUB_TOKEN",
        meaning="A personal access token with the permissions Issues (read and write) and "
        "Pull requests (read) on the repositories that agents may use.",
        secret=True,
    ),
    Variable(
        name="GITHUB_API_URL",
        meaning=f"Where GitHub's REST API is; {API_URL} unless it is another GitHub or a rig.",
    ),
)

_TOKEN = re.compile(r"[!-~]{4,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class GitHubSettings:
    """Which GitHub, and the token for it; the token is not in its repr."""

    token: str = field(repr=False)
    api_url: str = API_URL

    @staticmethod
    def read(environment: Mapping[str, str]) -> GitHubSettings | None:
        """Read the GITHUB_ variables; None where there is neither a token nor an app.

        Raises:
            Misconfigured: with every problem, never with the token
        """
        token = _value(environment, "GITHUB_TOKEN")
        app = _value(environment, "GITHUB_APP_ID") or _value(environment, "GITHUB_APP_PRIVATE_KEY")
        if token is None and app is None:
            return None
        api_url = _value(environment, "GITHUB_API_URL") or API_URL
        problems = [*_token_problems(token), *_url_problems(api_url)]
        if problems or token is None:
            raise Misconfigured("GitHub is not configured correctly", problems=problems)
        return GitHubSettings(token=token, api_url=api_url.rstrip("/"))


def _value(environment: Mapping[str, str], name: str) -> str | None:
    return environment.get(name, "").strip() or None


def _token_problems(token: str | None) -> Iterator[str]:
    if token is None:
        yield "GITHUB_TOKEN is missing: this release signs in with a token, not as a GitHub App."
    elif not _TOKEN.fullmatch(token):
        yield "GITHUB_TOKEN must be at least 4 printable characters without spaces."


def _url_problems(api_url: str) -> Iterator[str]:
    try:
        parts = urlsplit(api_url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        yield f"GITHUB_API_URL is not a URL: {api_url!r}."
        return
    if parts.username is not None or parts.query or parts.fragment:
        yield "GITHUB_API_URL must hold no user, query or fragment."
    elif parts.scheme not in {"http", "https"} or not host:
        yield f"GITHUB_API_URL must be an http(s) URL, not {api_url!r}."
    elif parts.scheme == "http" and not _is_near(host):
        yield f"GITHUB_API_URL must be https: the token would travel in clear to {host!r}."


def _is_near(host: str) -> bool:
    """Whether a host is this machine or a name of a private container network (no dot)."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return "." not in host
