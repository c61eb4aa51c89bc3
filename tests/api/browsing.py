"""A browser that logs in, and the identity provider that it is sent to."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from openloop.api.oidc import IdentityProvider
from openloop.api.oidc_settings import OidcSettings
from openloop.api.renewing import Renewing
from openloop.testing.rigs.oidc import Issuer
from tests.api.conftest import HOST, open_api

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import httpx

    from openloop.api.kit import ApiKit
    from openloop.storage.database import Database
    from tests.api.conftest import Api
    from tests.make import Stage

SUBJECT = "248289761001"
SAME = {"Origin": f"http://{HOST}"}
GROUPS = {"login": {"roles": {"engineering": ["operator"], "on call": ["admin", "approver"]}}}


@asynccontextmanager
async def with_issuer(
    database: Database, stage: Stage, issuer: Issuer
) -> AsyncGenerator[tuple[Api, httpx.AsyncClient]]:
    """The API with an identity provider behind it, and a browser without a cookie."""
    settings = OidcSettings(
        issuer=issuer.url,
        client_id=issuer.client_id,
        client_secret=issuer.client_secret,
        url=f"http://{HOST}",
    )
    provider = IdentityProvider(settings, transport=issuer.transport())
    async with open_api(database, stage.workspace, identity_provider=provider) as api:
        yield api, api.http


async def renew(api: Api) -> None:
    """What a serve process does every few seconds: ask about logins, where they are due."""
    kit = cast("ApiKit", api.app.state.kit)
    assert kit.identity_provider is not None
    await Renewing(kit.database, kit.configuration, kit.identity_provider, kit.master_keys).once()


async def allow(stage: Stage, access: dict[str, Any] | None = None) -> None:
    await stage.revise_workspace({"access": access or GROUPS})


def cookies_of(answer: httpx.Response) -> dict[str, str]:
    """What an answer sets, by name; a removed cookie is empty."""
    found: dict[str, str] = {}
    for header in answer.headers.get_list("set-cookie"):
        name, _, rest = header.partition("=")
        found[name] = rest.partition(";")[0]
    return found


class Browser:
    """Keeps cookies as a browser does that takes `__Host-` ones over http on this machine."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.kept: dict[str, str] = {}

    @property
    def headers(self) -> dict[str, str]:
        """What comes along with each of its requests."""
        if not self.kept:
            return {}
        return {"Cookie": "; ".join(f"{k}={v}" for k, v in self.kept.items())}

    async def call(self, method: str, path: str, **details: Any) -> httpx.Response:
        headers = {**details.pop("headers", {}), **self.headers}
        answer = await self.api.http.request(method, path, headers=headers, **details)
        for name, value in cookies_of(answer).items():
            self.kept[name] = value
            if not value:
                del self.kept[name]
        return answer

    async def get(self, path: str, **details: Any) -> httpx.Response:
        return await self.call("GET", path, **details)

    async def log_in(self, issuer: Issuer, *, return_to: str = "") -> httpx.Response:
        """All the way to the identity provider and back."""
        sent = await self.get(f"/login?return_to={return_to}" if return_to else "/login")
        assert sent.status_code == 303, sent.text
        back = urlsplit(issuer.visit(sent.headers["location"]))
        return await self.get(f"{back.path}?{back.query}")

    async def csrf(self) -> str:
        return (await self.get("/api/v1/me")).json()["csrf"]

    async def post(self, path: str, content: object, **headers: str) -> httpx.Response:
        """A write as our own page makes it."""
        given = {**SAME, "X-OpenLoop-CSRF": await self.csrf(), **headers}
        return await self.call("POST", path, json=content, headers=given)


def make_issuer() -> Issuer:
    """A provider at which somebody of the group `engineering` logs in."""
    return Issuer(person={"sub": SUBJECT, "email_verified": True, "groups": ["engineering"]})
