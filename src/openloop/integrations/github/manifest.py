"""The GitHub App a self-hoster creates: exactly the permissions and events that the code uses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from openloop.domain.errors import Misconfigured
from openloop.integrations.github.names import OWNER
from openloop.integrations.github.payloads import text_at
from openloop.integrations.github.permissions import EVENTS, PERMISSIONS

if TYPE_CHECKING:
    from openloop.integrations.github.payloads import Json

EVENTS_PATH = "/surfaces/github/events"
HOMEPAGE = "https://openloop.invalid"
"""Nobody's, for ever (RFC 6761). GitHub lists only deliveries of a webhook that is switched on, so
where nothing can reach us it gets an address at which nobody can listen in."""
_MOST_NAME = 34
_DESCRIPTION = "An AI colleague that asks before it acts, and keeps everything on record."


def app_manifest(*, request_url: str | None, name: str = "OpenLoop") -> Json:
    """A manifest of GitHub's, for its manifest flow or to compare with.

    `request_url` is where GitHub reaches `openloop serve`; None where it cannot (polling). Without
    a path it gets the path of GitHub's events.

    Raises:
        Misconfigured: an address GitHub could not deliver to, or a name it does not take
    """
    problems: list[str] = []
    address = _address(request_url, problems)
    name = name.strip()
    if not 0 < len(name) <= _MOST_NAME:
        problems.append(f"The name of a GitHub App has 1 to {_MOST_NAME} characters")
    if problems:
        raise Misconfigured("; ".join(problems), problems=problems)
    parts = urlsplit(address)
    return {
        "name": name,
        "url": f"{parts.scheme}://{parts.netloc}",
        "description": _DESCRIPTION,
        "public": False,
        "hook_attributes": {"url": address, "active": True},
        "default_permissions": {each.name: each.level for each in PERMISSIONS},
        "default_events": [event.name for event in EVENTS],
    }


def form_url(manifest: Json, *, web_url: str, organization: str | None = None) -> str:
    """GitHub's form for a new App, filled in; nothing is made before somebody presses its button.

    https://docs.github.com/apps/sharing-github-apps/registering-a-github-app-using-url-parameters

    Raises:
        Misconfigured: no organization can be called so
    """
    if organization is not None and not re.fullmatch(OWNER, organization):
        message = f"{organization[:80]!r} is not the name of an organization"
        raise Misconfigured(message, problems=(message,))
    owner = "" if organization is None else f"/organizations/{organization}"
    fields = [
        ("name", manifest["name"]),
        ("description", manifest["description"]),
        ("url", manifest["url"]),
        ("public", "false"),
        ("webhook_active", "true"),
        ("webhook_url", text_at(manifest, "hook_attributes", "url")),
        *((each.name, each.level) for each in PERMISSIONS),
        *(("events[]", event.name) for event in EVENTS),
    ]
    return f"{web_url}{owner}/settings/apps/new?{urlencode(fields)}"


def _address(request_url: str | None, problems: list[str]) -> str:
    if request_url is None:
        return f"{HOMEPAGE}{EVENTS_PATH}"
    parts = urlsplit(request_url)
    if parts.scheme != "https" or not parts.hostname:
        problems.append(
            "Webhooks need the public https address of this server (or --poll, without any)"
        )
    if parts.path in {"", "/"}:
        return parts._replace(path=EVENTS_PATH).geturl()
    return parts.geturl()
