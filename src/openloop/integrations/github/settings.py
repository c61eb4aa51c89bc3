"""What the environment says about GitHub, validated whole."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Literal, cast
from urllib.parse import urlsplit

from openloop.domain.errors import Misconfigured
from openloop.integrations.github.private_key import KeyRefused, checked_key, read_key_file
from openloop.plugin import Variable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Webhooks = Literal["http", "poll"]

API_URL = "https://api.github.com"
LOG_HOSTS = ("*.actions.githubusercontent.com", "*.blob.core.windows.net")
"""Where GitHub keeps logs, after its list of the hosts that its own runners need:
https://docs.github.com/actions/reference/runners/self-hosted-runners
"""

VARIABLES = (
    Variable(
        name="GITHUB_TOKEN",
        meaning="A fine-grained personal access token; not together with a GitHub App.",
        secret=True,
    ),
    Variable(name="GITHUB_APP_ID", meaning="The id (or the client id) of your GitHub App."),
    Variable(
        name="GITHUB_APP_PRIVATE_KEY",
        meaning="A private key of that App, as PEM text.",
        secret=True,
    ),
    Variable(
        name="GITHUB_APP_PRIVATE_KEY_FILE",
        meaning="The file of the key instead; one that is replaced there is taken up at once.",
    ),
    Variable(
        name="GITHUB_WEBHOOKS",
        meaning="http: GitHub delivers to this server. poll: GitHub is asked, and nothing has to "
        "reach this machine. Without it, http where there is a secret, else poll.",
    ),
    Variable(
        name="GITHUB_WEBHOOK_SECRET",
        meaning="The secret that signs GitHub's deliveries over HTTP.",
        secret=True,
    ),
    Variable(
        name="GITHUB_API_URL",
        meaning=f"Where GitHub's REST API is; {API_URL} unless it is another GitHub or a rig.",
    ),
    Variable(
        name="GITHUB_LOG_HOSTS",
        meaning="The hosts from which logs of GitHub Actions are fetched, separated by commas: a "
        f"name, or *.name for all below it. {', '.join(LOG_HOSTS)} unless it is another GitHub.",
    ),
)

_TOKEN = re.compile(r"[!-~]{4,}")
_APP_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SECRET = re.compile(r"[!-~]{8,}")
_LINKED = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(?:/[A-Za-z0-9._~-]+)*")
_LOG_HOST = re.compile(r"(?:\*\.(?=[^.]+\.[^.]))?[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?")
_APP = ("GITHUB_APP_ID", "GITHUB_APP_PRIVATE_KEY", "GITHUB_APP_PRIVATE_KEY_FILE")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSettings:
    """One GitHub App: its id, and its private key or the file of it. The key is not in its repr."""

    id: str
    private_key: str = field(repr=False)
    private_key_file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GitHubSettings:
    """Which GitHub, as whom, and how its events arrive; no secret is in its repr.

    Exactly one of `token` and `app` is set. `public_url` is where people log in to this installation
    with a browser; empty where they cannot.
    """

    token: str | None = field(default=None, repr=False)
    app: AppSettings | None = None
    webhooks: Webhooks = "poll"
    webhook_secret: str | None = field(default=None, repr=False)
    api_url: str = API_URL
    log_hosts: tuple[str, ...] = LOG_HOSTS
    public_url: str = ""

    @staticmethod
    def read(environment: Mapping[str, str]) -> GitHubSettings | None:
        """Read the GITHUB_ variables; None where there is neither a token nor an App.

        Raises:
            Misconfigured: with every problem, never with a secret
        """
        token = _value(environment, "GITHUB_TOKEN")
        if token is None and not any(_value(environment, name) for name in _APP):
            return None
        api_url = _value(environment, "GITHUB_API_URL") or API_URL
        secret = _value(environment, "GITHUB_WEBHOOK_SECRET")
        log_hosts = _list(environment, "GITHUB_LOG_HOSTS") or LOG_HOSTS
        webhooks = _value(environment, "GITHUB_WEBHOOKS") or ("http" if secret else "poll")
        problems = [
            *_token_problems(token, environment),
            *_webhook_problems(webhooks, secret),
            *_url_problems(api_url),
            *_host_problems(log_hosts),
        ]
        app = _read_app(environment, problems)
        if problems:
            raise Misconfigured("GitHub is not configured correctly", problems=problems)
        return GitHubSettings(
            token=token,
            app=app,
            webhooks=cast("Webhooks", webhooks),
            webhook_secret=secret,
            api_url=api_url.rstrip("/"),
            log_hosts=log_hosts,
            public_url=_public_url(environment),
        )

    @property
    def web_url(self) -> str:
        """Where people see this GitHub."""
        return web_url_of(self.api_url)

    @property
    def graphql_url(self) -> str:
        """What `/graphql` is below: an Enterprise server has it beside `v3`."""
        return self.api_url.removesuffix("/v3")


def web_url_of(api_url: str) -> str:
    """Where people see a GitHub: an Enterprise server has its API below `/api/v3`."""
    if api_url == API_URL:
        return "https://github.com"
    return api_url.rstrip("/").removesuffix("/api/v3")


def _value(environment: Mapping[str, str], name: str) -> str | None:
    return environment.get(name, "").strip() or None


def _public_url(environment: Mapping[str, str]) -> str:
    """Where there are logins, and only what can stand in a link; the API says what is wrong else."""
    url = (_value(environment, "OPENLOOP_PUBLIC_URL") or "").rstrip("/")
    has_logins = _value(environment, "OPENLOOP_OIDC_ISSUER") is not None
    return url if has_logins and _LINKED.fullmatch(url) else ""


def _list(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    words = environment.get(name, "").replace(",", " ").split()
    return tuple(word.lower() for word in words)


def _host_problems(hosts: tuple[str, ...]) -> Iterator[str]:
    for host in hosts:
        if not _LOG_HOST.fullmatch(host):
            yield f"GITHUB_LOG_HOSTS must hold host names or *.name, not {host[:80]!r}."


def _token_problems(token: str | None, environment: Mapping[str, str]) -> Iterator[str]:
    if token is None:
        return
    if not _TOKEN.fullmatch(token):
        yield "GITHUB_TOKEN must be at least 4 printable characters without spaces."
    given = [name for name in _APP if _value(environment, name)]
    if given:
        yield (
            f"GITHUB_TOKEN and {', '.join(given)} are set: keep the token or the App, since "
            "agents act as one account."
        )


def _read_app(environment: Mapping[str, str], problems: list[str]) -> AppSettings | None:
    app_id, key, file = (_value(environment, name) for name in _APP)
    if app_id is None and key is None and file is None:
        return None
    if app_id is None:
        problems.append("GITHUB_APP_ID is missing: it stands on the settings page of the App.")
    elif not _APP_ID.fullmatch(app_id):
        problems.append("GITHUB_APP_ID must be the App's id, or its client id.")
    if (key is None) == (file is None):
        problems.append(
            "One of GITHUB_APP_PRIVATE_KEY (the PEM text) and GITHUB_APP_PRIVATE_KEY_FILE is needed."
        )
        return None
    named = "GITHUB_APP_PRIVATE_KEY" if file is None else "GITHUB_APP_PRIVATE_KEY_FILE"
    try:
        text = checked_key(key) if key is not None else read_key_file(file or "")
    except KeyRefused as refused:
        problems.append(f"{named}: {refused}.")
        return None
    return AppSettings(id=app_id or "", private_key=text, private_key_file=file)


def _webhook_problems(webhooks: str, secret: str | None) -> Iterator[str]:
    if webhooks not in {"http", "poll"}:
        yield f"GITHUB_WEBHOOKS must be http or poll, not {webhooks!r}."
    if webhooks == "http" and secret is None:
        yield "GITHUB_WEBHOOKS=http needs GITHUB_WEBHOOK_SECRET: unsigned deliveries are refused."
    if secret is not None and not _SECRET.fullmatch(secret):
        yield "GITHUB_WEBHOOK_SECRET must be at least 8 printable characters without spaces."


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
