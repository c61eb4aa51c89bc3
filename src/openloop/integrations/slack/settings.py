"""What the environment says about Slack, validated whole."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from openloop.domain.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

API_URL = "https://slack.com/api/"

_BOT_TOKEN = re.compile(r"xoxb-[A-Za-z0-9-]{4,}")
_APP_TOKEN = re.compile(r"xapp-[A-Za-z0-9-]{4,}")
_SIGNING_SECRET = re.compile(r"[!-~]{8,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackSettings:
    """Tokens and addresses of one Slack app in one Slack workspace; secrets are not in its repr."""

    bot_token: str = field(repr=False)
    signing_secret: str | None = field(default=None, repr=False)
    app_token: str | None = field(default=None, repr=False)
    api_url: str = API_URL
    timeout_seconds: float = 10.0

    @staticmethod
    def read(environment: Mapping[str, str]) -> SlackSettings | None:
        """Read the SLACK_ variables; None where no secret of Slack is set at all.

        Raises:
            Misconfigured: with every problem, never with a value of a secret.
        """
        bot_token = _value(environment, "SLACK_BOT_TOKEN")
        signing_secret = _value(environment, "SLACK_SIGNING_SECRET")
        app_token = _value(environment, "SLACK_APP_TOKEN")
        if bot_token is None and signing_secret is None and app_token is None:
            return None
        api_url = _value(environment, "SLACK_API_URL") or API_URL
        problems = [
            *_token_problems(bot_token, signing_secret, app_token),
            *_url_problems(api_url),
        ]
        if problems or bot_token is None:
            message = "Slack is not configured correctly"
            raise Misconfigured(message, problems=problems)
        return SlackSettings(
            bot_token=bot_token,
            signing_secret=signing_secret,
            app_token=app_token,
            api_url=api_url if api_url.endswith("/") else f"{api_url}/",
        )

    @property
    def is_local(self) -> bool:
        """Whether the Web API is a test double reached without TLS."""
        return urlsplit(self.api_url).scheme == "http"


def _value(environment: Mapping[str, str], name: str) -> str | None:
    return environment.get(name, "").strip() or None


def _token_problems(
    bot_token: str | None, signing_secret: str | None, app_token: str | None
) -> Iterator[str]:
    if bot_token is None:
        yield "SLACK_BOT_TOKEN is missing: install your app and copy its bot token (xoxb-...)."
    elif not _BOT_TOKEN.fullmatch(bot_token):
        yield "SLACK_BOT_TOKEN must start with 'xoxb-' and hold only letters, digits and dashes."
    if signing_secret is None and app_token is None:
        yield (
            "Neither SLACK_SIGNING_SECRET (events over HTTP) nor SLACK_APP_TOKEN (Socket Mode) "
            "is set: nothing could be received."
        )
    if signing_secret is not None and not _SIGNING_SECRET.fullmatch(signing_secret):
        yield "SLACK_SIGNING_SECRET must be at least 8 printable characters without spaces."
    if app_token is not None and not _APP_TOKEN.fullmatch(app_token):
        yield "SLACK_APP_TOKEN must start with 'xapp-' and hold only letters, digits and dashes."


def _url_problems(api_url: str) -> Iterator[str]:
    try:
        parts = urlsplit(api_url)
        host = parts.hostname or ""
    except ValueError:
        yield f"SLACK_API_URL is not a URL: {api_url!r}."
        return
    if parts.scheme not in {"http", "https"} or not host:
        yield f"SLACK_API_URL must be an http(s) URL, not {api_url!r}."
    elif parts.username is not None or parts.query or parts.fragment:
        yield "SLACK_API_URL must hold no user, query or fragment."
    elif parts.scheme == "http" and not _is_near(host):
        yield f"SLACK_API_URL must be https: the bot token would travel in clear to {host!r}."


def _is_near(host: str) -> bool:
    """Whether a host is this machine or a name of a private container network (no dot)."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return "." not in host
