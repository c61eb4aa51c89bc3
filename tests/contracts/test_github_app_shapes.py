"""What an App asks, and what one asks who watches, is held against GitHub's description, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from openloop.integrations.github.permissions import EVENTS, PERMISSIONS
from openloop.integrations.github.private_key import sign
from openloop.testing.rigs.github.app_operations import APP_ROUTES
from openloop.testing.rigs.github.apps import GitHubApp, other_key, rig_key
from openloop.testing.rigs.github.watch_operations import GRAPHQL, WATCH_ROUTES
from tests.contracts.github_shapes.oracle import Oracle

if TYPE_CHECKING:
    from openloop.testing.rigs.github import GitHubRig
    from tests.contracts.github_shapes.caller import Caller

# The document wants an account there that is a person and an enterprise at once (`allOf`), where
# it has `anyOf` for the same thing asked alone.
UNSATISFIABLE = "GET /app/installations: answer 200 at $[0].account"


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle.load_or_skip()


@pytest.fixture
def app(rig: GitHubRig) -> GitHubApp:
    rig.state.app = GitHubApp(
        rig.state,
        permissions={each.name: each.level for each in PERMISSIONS},
        events=[each.name for each in EVENTS],
    )
    return rig.state.app


def jwt_of(rig: GitHubRig, app: GitHubApp, pem: str = "") -> str:
    return sign(str(app.id), pem or rig_key(), at=rig.state.now())


async def as_app(rig: GitHubRig, app: GitHubApp, call: Caller) -> None:
    """Every operation of an App, and every way to be refused."""
    token = jwt_of(rig, app)
    mine, other = app.install("acme"), app.install("globex", repositories=["globex/web"])
    for page in range(3):
        app.deliver("issues", {"action": "opened", "installation": {"id": mine.id}, "page": page})
    mine_url = f"/app/installations/{mine.id}"
    for path in (
        "/app",
        "/app/installations?per_page=1",
        mine_url,
        "/app/installations/1",
        "/repos/acme/platform/installation",
        "/repos/acme/none/installation",
        "/app/hook/config",
        "/app/hook/deliveries?per_page=2",
        f"/app/hook/deliveries?per_page=2&cursor=v1_{app.deliveries[0].id}",
        "/app/hook/deliveries?cursor=nonsense",
        f"/app/hook/deliveries/{app.deliveries[0].id}",
        "/app/hook/deliveries/1",
    ):
        await call("GET", path, token=token)
    await call("POST", f"/app/hook/deliveries/{app.deliveries[0].id}/attempts", token=token)
    await call(
        "POST", f"{mine_url}/access_tokens", {"permissions": {"issues": "read"}}, token=token
    )
    too_much = {"permissions": {"workflows": "write"}}
    await call("POST", f"{mine_url}/access_tokens", too_much, token=token)
    other.suspended_at = rig.state.now()
    await call("POST", f"/app/installations/{other.id}/access_tokens", {}, token=token)
    await call("GET", "/app", token=jwt_of(rig, app, other_key()))


@pytest.mark.oracle
async def test_what_an_app_asks_has_githubs_official_shape(
    oracle: Oracle, rig: GitHubRig, call: Caller, app: GitHubApp
) -> None:
    await as_app(rig, app, call)

    deviations = [found for made in rig.calls for found in oracle.deviations(made)]
    assert [found for found in deviations if not found.startswith(UNSATISFIABLE)] == []
    assert {made.operation for made in rig.calls} == {route.operation for route in APP_ROUTES}
    assert {made.status for made in rig.calls} >= {200, 201, 202, 400, 401, 403, 404, 422}


@pytest.mark.oracle
async def test_what_one_asks_who_watches_has_githubs_official_shape(
    oracle: Oracle, rig: GitHubRig, call: Caller
) -> None:
    state, repository = rig.state, rig.state.repositories["acme/platform"]
    anna = state.add_user("anna")
    pull = state.add_pull(repository, "Fix", by=anna, head="fix")
    state.set_label(pull, "bug", by=anna)
    state.assign(pull, [anna], by=state.add_user("ben"))
    state.add_review_comment(pull, "Why?", by=anna)
    for path in (
        "issues/events?per_page=1",
        "issues/events",
        "pulls/comments?sort=updated&direction=asc&since=2020-01-01T00:00:00Z",
    ):
        await call("GET", f"/repos/acme/platform/{path}")
    state.add_user("openloop[bot]", kind="Bot")
    state.add_token("ghs_installed", login="openloop[bot]", repositories=["acme/platform"])
    await call("GET", "/installation/repositories?per_page=1", token="ghs_installed")
    await call("GET", "/installation/repositories")

    assert [found for made in rig.calls for found in oracle.deviations(made)] == []
    asked = {made.operation for made in rig.calls}
    assert asked == {route.operation for route in WATCH_ROUTES if route is not GRAPHQL}


async def test_a_delivery_is_found_by_the_cursor_of_the_page_before(
    rig: GitHubRig, call: Caller, app: GitHubApp
) -> None:
    for number in range(5):
        app.deliver("issues", {"action": "opened", "number": number})
    found: list[Any] = []
    path = "/app/hook/deliveries?per_page=2"
    while path:
        _, page, headers = await call("GET", path, token=jwt_of(rig, app))
        found += page
        link = headers.get("Link", "")
        path = link.split(rig.api_url)[1].split(">")[0] if link else ""
    assert [one["id"] for one in found] == [one.id for one in reversed(app.deliveries)]
