"""What `github check` and `doctor` say of GitHub: each thing that must hold, and what to do if not."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import orjson

from openloop.domain.errors import TryLater
from openloop.domain.surface import Finding
from openloop.integrations.github.app_api import time_of
from openloop.integrations.github.app_auth import InstallationCredentials
from openloop.integrations.github.clients import app_of
from openloop.integrations.github.errors import Forbidden, GitHubError
from openloop.integrations.github.exchange import Endpoint, Exchange, in_repo
from openloop.integrations.github.limits import shared_limits
from openloop.integrations.github.manifest import EVENTS_PATH
from openloop.integrations.github.names import InvalidName, RepoName
from openloop.integrations.github.payloads import flag_at, id_at, part_at, parts_at, text_at
from openloop.integrations.github.permissions import EVENTS, excessive, missing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.integrations.github.app_api import App, AppApi, Installation
    from openloop.integrations.github.app_auth import AppCredentials
    from openloop.integrations.github.client import GitHubClient
    from openloop.integrations.github.payloads import Json
    from openloop.integrations.github.settings import GitHubSettings
    from openloop.integrations.github.wire import Answered

# A JWT is refused beyond a minute or so; warn before.
MOST_SKEW = timedelta(seconds=30)
LEAST_LEFT = 0.1
ENDS_SOON = timedelta(days=7)
MOST_NAMED = 10
REPOSITORIES = Endpoint("/installation/repositories")
_REACH = "Check GITHUB_API_URL, and whether this machine reaches it."
_GRANT = "Grant it in the App's settings, then accept the change where the App is installed."
_CLOCK = "Set this machine's clock (NTP): GitHub refuses what is signed at a wrong time."


async def findings(settings: GitHubSettings, client: GitHubClient) -> Sequence[Finding]:
    """Look at everything that can be looked at without changing anything."""
    app = app_of(client)
    if app is None:
        return await _of_token(settings, client)
    return await _of_app(settings, app)


async def repository_findings(client: GitHubClient, names: Sequence[str]) -> list[Finding]:
    """Whether these repositories can be read, and what we may do in each."""
    found: list[Finding] = []
    for name in names:
        try:
            answered = await client.answer(in_repo(RepoName.parse(name)))
        except (GitHubError, InvalidName) as error:
            remedy = "Select it for the token, or for the App where that is installed."
            found.append(_bad(name, str(error), remedy))
        else:
            found.append(_repository(name, _object(answered)))
    return found


# --- an App --------------------------------------------------------------------------------------


async def _of_app(settings: GitHubSettings, credentials: AppCredentials) -> Sequence[Finding]:
    api = credentials.api
    try:
        app, answered = await api.app()
    except Forbidden as error:
        remedy = "Compare GITHUB_APP_ID and the private key with the App's settings page."
        return (_bad("App", str(error), remedy),)
    except GitHubError as error:
        return (_bad("App", str(error), _REACH),)
    found = [
        _good("App", f"{app.name} (@{app.slug}) at {settings.api_url}"),
        _clock(answered),
        *_events(app),
    ]
    try:
        installations = await api.installations()
        found += _installed(settings, app, installations)
        found += await _arriving(settings, api)
        usable = [each for each in installations if each.suspended_at is None]
        found += await _reached(settings, credentials, usable)
    except GitHubError as error:
        found.append(_bad("installations", str(error), _again(error)))
    return found


def _events(app: App) -> list[Finding]:
    lacking = [event.name for event in EVENTS if event.name not in app.events]
    if lacking:
        remedy = "Subscribe to them in the App's settings, under Permissions & events."
        return [_bad("events", f"not subscribed: {', '.join(lacking)}", remedy)]
    return [_good("events", "all that are needed")]


def _installed(
    settings: GitHubSettings, app: App, installations: Sequence[Installation]
) -> list[Finding]:
    if not installations:
        remedy = f"Install it: {settings.web_url}/apps/{app.slug}/installations/new"
        return [_bad("installation", "the App is installed nowhere", remedy)]
    return [_installation(each) for each in installations]


def _installation(installation: Installation) -> Finding:
    subject = f"installation on {installation.owner}"
    if installation.suspended_at is not None:
        remedy = "Lift it in the settings of that account, under GitHub Apps."
        return _bad(subject, f"suspended since {installation.suspended_at:%Y-%m-%d}", remedy)
    given = installation.permissions
    lacking = missing(given)
    if lacking:
        said = "; ".join(f"{each.name}: {each.level} ({each.needed_for})" for each in lacking)
        return _bad(subject, f"not permitted: {said}", _GRANT)
    more = excessive(given)
    if more:
        said = ", ".join(f"{name}: {level}" for name, level in more.items())
        remedy = "Take it away in the App's settings; tokens are asked for without it."
        return Finding(
            subject=subject, ok=True, detail=f"all that is needed, and more: {said}", remedy=remedy
        )
    return _good(subject, "exactly the permissions that are needed")


async def _arriving(settings: GitHubSettings, api: AppApi) -> list[Finding]:
    """Whether events arrive: the webhook's address, and what became of the newest deliveries."""
    hook = await api.hook_config()
    if not hook.url:
        remedy = "Switch the App's webhook on: GitHub lists only what it tries to deliver."
        return [_bad("webhook", "the App has none", remedy)]
    listed = (await api.deliveries()).items or ()
    if settings.webhooks == "poll":
        if not listed:
            detail = f"nothing is listed yet (webhook {hook.url}); it has to be active"
            return [_good("events by asking", detail)]
        newest = listed[0].delivered_at
        return [
            _good("events by asking", f"the list is read; its newest is of {newest:%d %b %H:%M}Z")
        ]
    if urlsplit(hook.url).path != EVENTS_PATH:
        remedy = f"Its path has to be {EVENTS_PATH}."
        return [_bad("webhook", f"it goes to {hook.url}", remedy)]
    refused = [each for each in listed if not each.was_taken]
    if listed and not listed[0].was_taken:
        detail = (
            f"{hook.url} did not take the newest delivery ({listed[0].status_code}), nor "
            f"{len(refused) - 1} others of the last {len(listed)}; they are fetched"
        )
        remedy = "Is the server reachable there, and is GITHUB_WEBHOOK_SECRET the App's?"
        return [_bad("webhook", detail, remedy)]
    detail = f"{hook.url}; {len(refused)} of the last {len(listed)} deliveries were not taken"
    return [_good("webhook", detail)]


async def _reached(
    settings: GitHubSettings, credentials: AppCredentials, installations: Sequence[Installation]
) -> list[Finding]:
    """The repositories of the first installations, and how much may still be asked."""
    found: list[Finding] = []
    for installation in installations[:MOST_NAMED]:
        own = InstallationCredentials(credentials, installation)
        limits = shared_limits(settings.api_url)
        try:
            async with Exchange(settings.api_url, own, limits=limits) as exchange:
                answered = await exchange.answer(REPOSITORIES, {"per_page": MOST_NAMED})
        except GitHubError as error:
            found.append(_bad(f"repositories of {installation.owner}", str(error), _again(error)))
            continue
        listed = _object(answered)
        names = [text_at(one, "full_name") for one in parts_at(listed, "repositories")]
        total = id_at(listed, "total_count")
        more = f" and {total - len(names)} more" if total > len(names) else ""
        subject = f"repositories of {installation.owner}"
        if not names:
            found.append(_bad(subject, "none is selected", "Select some where it is installed."))
        else:
            found.append(_good(subject, f"{', '.join(names)}{more}"))
        found.append(_rate(answered))
    return found


# --- a token -------------------------------------------------------------------------------------


async def _of_token(settings: GitHubSettings, client: GitHubClient) -> Sequence[Finding]:
    try:
        answered = await client.answer(Endpoint("/user"))
    except Forbidden as error:
        remedy = "Put a token that is still good into GITHUB_TOKEN."
        return (_bad("token", str(error), remedy),)
    except GitHubError as error:
        return (_bad("token", str(error), _again(error)),)
    user = _object(answered)
    login = text_at(user, "login")
    found = [
        _good("token", f"signed in as {login} at {settings.api_url}"),
        *_kind(answered),
        _clock(answered),
        _rate(answered),
    ]
    if settings.webhooks == "poll":
        found.append(_good("events by asking", "of the repositories that agents are bound to"))
    else:
        detail = "a secret is set; only a delivery by GitHub proves that it is the right one"
        found.append(_good("webhook", detail))
    return found


def _kind(answered: Answered) -> list[Finding]:
    """A classic token says its scopes, one that ends says when."""
    found: list[Finding] = []
    scopes = answered.headers.get("x-oauth-scopes")
    if scopes:
        detail = f"a classic token, for all repositories of its owner ({scopes})"
        remedy = "A fine-grained token, or a GitHub App, reaches only what you select."
        found.append(Finding(subject="token kind", ok=True, detail=detail, remedy=remedy))
    ends = answered.headers.get("github-authentication-token-expiration", "")
    if re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (?:UTC|[+-]\d{4})", ends):
        ends_at = datetime.strptime(ends.replace("UTC", "+0000"), "%Y-%m-%d %H:%M:%S %z")
        if ends_at - datetime.now(UTC) < ENDS_SOON:
            remedy = "Make a new one in time, and put it into GITHUB_TOKEN."
            found.append(_bad("token lifetime", f"it ends on {ends_at:%Y-%m-%d}", remedy))
        else:
            found.append(_good("token lifetime", f"it ends on {ends_at:%Y-%m-%d}"))
    return found


# --- both ----------------------------------------------------------------------------------------


def _repository(name: str, repository: Json) -> Finding:
    full_name = text_at(repository, "full_name")
    if full_name.lower() != name.lower():
        return _bad(name, f"it is called {full_name} now", "Write that name into the manifest.")
    if flag_at(repository, "archived"):
        return _bad(
            name, "it is archived: nothing can be written", "Unarchive it, or leave it out."
        )
    kind = "private" if flag_at(repository, "private") else "public"
    notes = [] if flag_at(repository, "has_issues") else ["issues are switched off"]
    if part_at(repository, "permissions") and not flag_at(repository, "permissions", "push"):
        notes.append("read only")
    return _good(name, ", ".join([kind, *notes]))


def _clock(answered: Answered) -> Finding:
    theirs = time_of(answered)
    if theirs is None:
        return _good("clock", "GitHub did not say what time it is; nothing was compared")
    skew = datetime.now(UTC) - theirs
    if abs(skew) > MOST_SKEW:
        side = "ahead of" if skew > timedelta(0) else "behind"
        return _bad("clock", f"{abs(skew).total_seconds():.0f} s {side} GitHub's", _CLOCK)
    return _good("clock", "agrees with GitHub's")


def _rate(answered: Answered) -> Finding:
    left, most = (
        answered.headers.get(f"x-ratelimit-{name}", "") for name in ("remaining", "limit")
    )
    if not left.isdecimal() or not most.isdecimal():
        return _good("rate", "GitHub did not say how much may be asked")
    detail = f"{left} of {most} requests of this hour are left"
    if int(left) < int(most) * LEAST_LEFT:
        return _bad("rate", detail, "Something else uses this account; give agents their own.")
    return _good("rate", detail)


def _again(error: GitHubError) -> str:
    return "Try again later." if isinstance(error, TryLater) else _REACH


def _object(answered: Answered) -> Json:
    try:
        return part_at({"found": orjson.loads(answered.body)}, "found")
    except orjson.JSONDecodeError:
        return {}


def _good(subject: str, detail: str) -> Finding:
    return Finding(subject=subject, ok=True, detail=detail)


def _bad(subject: str, detail: str, remedy: str) -> Finding:
    return Finding(subject=subject, ok=False, detail=detail, remedy=remedy)
