"""The two questions that `init` has for Slack, asked with the standard library."""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass, field
from typing import Any, Final, cast
from urllib.parse import urlencode, urlsplit

from openloop.domain.errors import OpenLoopError, Unavailable

API_URL: Final = "https://slack.com/api/"
_SECONDS: Final = 10
_MOST_ANSWER: Final = 1024 * 1024


class SlackSaidNo(OpenLoopError):
    """Slack answered that it will not; `code` is its word for why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bot:
    """Whom a bot token belongs to."""

    name: str
    team: str
    team_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackWorkspace:
    """A Slack workspace, seen with a bot token."""

    token: str = field(repr=False)
    api_url: str = API_URL

    def bot(self) -> Bot:
        """Whom the token belongs to (`auth.test`). Raises SlackSaidNo, Unavailable."""
        said = self._call("auth.test", {})
        return Bot(
            name=str(said.get("user", "")),
            team=str(said.get("team", "")),
            team_id=str(said.get("team_id", "")),
        )

    def member_id(self, email: str) -> str:
        """The id of the person with that address. Raises SlackSaidNo, Unavailable."""
        said = self._call("users.lookupByEmail", {"email": email})
        return str(said.get("user", {}).get("id", ""))

    def _call(self, method: str, arguments: dict[str, str]) -> dict[str, Any]:
        parts = urlsplit(self.api_url)
        host = parts.hostname or ""
        connection = (
            http.client.HTTPConnection(host, parts.port, timeout=_SECONDS)
            if parts.scheme == "http"
            else http.client.HTTPSConnection(
                host, parts.port, timeout=_SECONDS, context=ssl.create_default_context()
            )
        )
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        try:
            path = f"{parts.path.rstrip('/')}/{method}"
            connection.request("POST", path, urlencode(arguments), headers)
            said: Any = json.loads(connection.getresponse().read(_MOST_ANSWER))
        except (OSError, http.client.HTTPException, ValueError) as error:
            message = f"Slack did not answer at {self.api_url} ({type(error).__name__})"
            raise Unavailable(message) from error
        finally:
            connection.close()
        answer = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
        if answer.get("ok") is not True:
            code = str(answer.get("error", "unknown_error"))
            raise SlackSaidNo(f"Slack says {code!r} to {method}", code=code)
        return answer
