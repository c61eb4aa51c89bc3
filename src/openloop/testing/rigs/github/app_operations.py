"""The operations that an App asks with its JWT: itself, its installations, what was delivered."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from openloop.testing.rigs.github import answers
from openloop.testing.rigs.github.answers import Answer
from openloop.testing.rigs.github.apps import TOKEN_LIVES
from openloop.testing.rigs.github.shapes import HTML_URL, node_id, written, written_or_null

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openloop.testing.rigs.github.apps import AppDelivery, AppInstallation, GitHubApp
    from openloop.testing.rigs.github.calls import Call
    from openloop.testing.rigs.github.shapes import Json, Shapes
    from openloop.testing.rigs.github.state import GitHubState

DEFAULT_PAGE, LARGEST_PAGE = 30, 100


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedByApp:
    """One request of the App, after its JWT was found good."""

    state: GitHubState
    app: GitHubApp
    shapes: Shapes
    url: str
    parts: Mapping[str, str]
    query: Mapping[str, str]
    content: object

    @property
    def page_size(self) -> int:
        size = self.query.get("per_page", str(DEFAULT_PAGE))
        return min(max(int(size) if size.isdecimal() else DEFAULT_PAGE, 1), LARGEST_PAGE)

    def installation(self) -> AppInstallation:
        """The installation in the path."""
        number = self.parts["installation_id"]
        found = self.app.installations.get(int(number)) if number.isdecimal() else None
        if found is None:
            raise answers.not_found()
        return found

    def delivery(self) -> AppDelivery:
        """The delivery in the path, as long as it is listed."""
        for one in self.app.listed():
            if str(one.id) == self.parts["delivery_id"]:
                return one
        raise answers.not_found()


def get_app(asked: AskedByApp) -> Answer:
    app = asked.app
    return Answer(
        200,
        {
            "id": app.id,
            "slug": app.slug,
            "node_id": node_id("Integration", app.id),
            "client_id": f"Iv23{app.id}",
            "owner": asked.shapes.user(app.owner),
            "name": app.slug,
            "description": None,
            "external_url": "https://openloop.test",
            "html_url": f"{HTML_URL}/apps/{app.slug}",
            "created_at": written(app.created_at),
            "updated_at": written(app.created_at),
            "permissions": app.permissions,
            "events": app.events,
            "installations_count": len(app.installations),
        },
    )


def list_installations(asked: AskedByApp) -> Answer:
    every = list(asked.app.installations.values())
    page = max(int(asked.query.get("page", "1")), 1)
    size = asked.page_size
    shown = every[(page - 1) * size : page * size]
    links: dict[str, str] = {}
    if page * size < len(every):
        links = {"Link": f'<{asked.url}?per_page={size}&page={page + 1}>; rel="next"'}
    return Answer(200, [_installation(asked, one) for one in shown], links)


def get_installation(asked: AskedByApp) -> Answer:
    return Answer(200, _installation(asked, asked.installation()))


def get_repository_installation(asked: AskedByApp) -> Answer:
    name = f"{asked.parts['owner']}/{asked.parts['repo']}"
    found = asked.app.installation_of(name)
    if found is None or asked.state.find_repository(name) is None:
        raise answers.not_found()
    return Answer(200, _installation(asked, found))


def create_token(asked: AskedByApp) -> Answer:
    installation = asked.installation()
    if installation.suspended_at is not None:
        raise answers.forbidden("This installation has been suspended")
    wanted = cast("Json", asked.content or {}).get("permissions") or installation.permissions
    permissions = cast("dict[str, str]", wanted)
    if not set(permissions.items()) <= _allowed(installation.permissions):
        message = "The permissions requested are not granted to this installation."
        raise answers.Refusal(answers.failure(422, message))
    return Answer(
        201,
        {
            "token": asked.app.grant(installation, permissions),
            "expires_at": written(asked.state.now() + TOKEN_LIVES),
            "permissions": permissions,
            "repository_selection": _selection(installation),
        },
    )


def get_hook_config(asked: AskedByApp) -> Answer:
    return Answer(
        200,
        {
            "content_type": "json",
            "insecure_ssl": "0",
            "secret": "********",
            "url": asked.app.hook_url,
        },
    )


def list_deliveries(asked: AskedByApp) -> Answer:
    """Newest first; the cursor names the delivery with which a page begins."""
    every, size = asked.app.listed(), asked.page_size
    cursor = asked.query.get("cursor")
    begin = 0
    if cursor is not None:
        numbers = [f"v1_{one.id}" for one in every]
        if cursor not in numbers:
            raise answers.bad_request("Invalid cursor")
        begin = numbers.index(cursor)
    rest = every[begin + size :]
    links: dict[str, str] = {}
    if rest:
        links = {"Link": f'<{asked.url}?per_page={size}&cursor=v1_{rest[0].id}>; rel="next"'}
    return Answer(200, [_summary(one) for one in every[begin : begin + size]], links)


def get_delivery(asked: AskedByApp) -> Answer:
    one = asked.delivery()
    headers = {
        "Accept": "*/*",
        "User-Agent": "GitHub-Hookshot/rig",
        "X-GitHub-Delivery": one.guid,
        "X-GitHub-Event": one.event,
        "X-GitHub-Hook-ID": str(asked.app.id),
        "X-GitHub-Hook-Installation-Target-ID": str(asked.app.id),
        "X-GitHub-Hook-Installation-Target-Type": "integration",
        "content-type": "application/json",
    }
    return Answer(
        200,
        _summary(one)
        | {
            "url": asked.app.hook_url,
            "request": {"headers": headers, "payload": one.payload},
            "response": {"headers": dict[str, str](), "payload": None},
        },
    )


def redeliver(asked: AskedByApp) -> Answer:
    one = asked.delivery()
    asked.app.deliver(one.event, one.payload, guid=one.guid, status_code=one.status_code)
    return Answer(202, {})


def _installation(asked: AskedByApp, one: AppInstallation) -> Json:
    url = f"{asked.shapes.api_url}/app/installations/{one.id}"
    return {
        "id": one.id,
        "account": asked.shapes.user(one.account),
        "repository_selection": _selection(one),
        "access_tokens_url": f"{url}/access_tokens",
        "repositories_url": f"{asked.shapes.api_url}/installation/repositories",
        "html_url": f"{HTML_URL}/organizations/{one.account.login}/settings/installations/{one.id}",
        "app_id": asked.app.id,
        "app_slug": asked.app.slug,
        "target_id": one.account.id,
        "target_type": one.account.kind,
        "permissions": one.permissions,
        "events": one.events,
        "single_file_name": None,
        "created_at": written(one.created_at),
        "updated_at": written(one.created_at),
        "suspended_by": None if one.suspended_at is None else asked.shapes.user(one.account),
        "suspended_at": written_or_null(one.suspended_at),
    }


def _selection(one: AppInstallation) -> str:
    return "all" if one.repositories is None else "selected"


def _allowed(granted: Mapping[str, str]) -> set[tuple[str, str]]:
    lower = {(name, "read") for name, level in granted.items() if level != "read"}
    return {*granted.items(), *lower}


def _summary(one: AppDelivery) -> Json:
    payload = one.payload
    installation = cast("Json", payload.get("installation") or {})
    repository = cast("Json", payload.get("repository") or {})
    return {
        "id": one.id,
        "guid": one.guid,
        "delivered_at": written(one.delivered_at),
        "redelivery": one.redelivery,
        "duration": 0.01,
        "status": "OK" if 200 <= one.status_code < 300 else "Invalid HTTP Response",
        "status_code": one.status_code,
        "event": one.event,
        "action": payload.get("action"),
        "installation_id": installation.get("id"),
        "repository_id": repository.get("id"),
        "throttled_at": None,
    }


@dataclass(frozen=True, slots=True)
class AppRoute:
    """A method and path that only an App may ask, with its JWT."""

    method: str
    template: str
    act: Callable[[AskedByApp], Answer]
    permissions: tuple[str, ...] = ()
    level: str = "app"

    @property
    def operation(self) -> str:
        """The name under which a call is recorded."""
        return f"{self.method} {self.template}"

    def match(self, method: str, path: str) -> Mapping[str, str] | None:
        """The parts of a path that is this route's; None for another's."""
        if method != self.method:
            return None
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.template)
        found = re.fullmatch(pattern, path)
        return found.groupdict() if found is not None else None


_DELIVERY = "/app/hook/deliveries/{delivery_id}"

APP_ROUTES: tuple[AppRoute, ...] = (
    AppRoute("GET", "/app", get_app),
    AppRoute("GET", "/app/installations", list_installations),
    AppRoute("GET", "/app/installations/{installation_id}", get_installation),
    AppRoute("POST", "/app/installations/{installation_id}/access_tokens", create_token),
    AppRoute("GET", "/repos/{owner}/{repo}/installation", get_repository_installation),
    AppRoute("GET", "/app/hook/config", get_hook_config),
    AppRoute("GET", "/app/hook/deliveries", list_deliveries),
    AppRoute("GET", _DELIVERY, get_delivery),
    AppRoute("POST", f"{_DELIVERY}/attempts", redeliver),
)


def answer_app(
    route: AppRoute,
    call: Call,
    *,
    state: GitHubState,
    shapes: Shapes,
    token: str,
) -> Answer:
    """Let the App in and do what it asks; where there is no App, no JWT is good.

    Raises:
        Refusal
    """
    if state.app is None:
        raise answers.Refusal(answers.failure(401, "A JSON web token could not be decoded"))
    state.app.check(token)
    return route.act(
        AskedByApp(
            state=state,
            app=state.app,
            shapes=shapes,
            url=f"{shapes.api_url}{call.path}",
            parts=call.parts,
            query=call.query,
            content=call.content,
        )
    )
