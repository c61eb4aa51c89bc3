"""Buttons of check runs: the only ones that GitHub has, on the commit of a pull request.

Each held call has a check run of its own beside its card, with at most three actions; its external
id carries the token, and the card remembers the run in a line that GitHub does not show. An issue
has no commit: there people write the command.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from openloop.integrations.github.errors import Forbidden, NotFound, Refused
from openloop.integrations.github.exchange import LARGEST_PAGE, in_repo, turn
from openloop.integrations.github.marker import unmarked
from openloop.integrations.github.threads import Address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.surface import Asked, Button, Thread
    from openloop.integrations.github.client import GitHubClient
    from openloop.integrations.github.names import RepoName

log = structlog.get_logger(__name__)

MOST_ACTIONS = 3
_MOST_LABEL = 20
_MOST_DESCRIPTION = 40
_MOST_NAME = 100
_DESCRIPTIONS = {
    "approve": "Let it run exactly as shown",
    "deny": "Reject it; nothing is done",
    "happened": "It was done; go on",
    "retry": "It was not done; do it now",
}
# At the end alone: what stands before it are the arguments of a call, which may hold anything.
_LINE = re.compile(r"\n\n<!-- checks((?: [0-9]{1,19})+) -->\s*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """A check run, as much as we look at."""

    id: int
    external_id: str | None = None


class CheckButtons:
    """The check runs of approval cards."""

    def __init__(self, client: GitHubClient) -> None:
        self._client = client

    async def offer(self, asked: Sequence[Asked], thread: Thread) -> str:
        """Make the runs of a card; the line that remembers them, nothing where there is no commit.

        Where GitHub declines, the card goes without: its commands do the same.

        Raises:
            GitHubError: it cannot be asked at the moment
        """
        at = Address.of(thread)
        try:
            commit = (await self._client.get_pull(at.repo, at.number)).head_sha
            made = [await self.make(at.repo, commit, thread, each) for each in asked]
        except NotFound:  # an issue
            return ""
        except (Forbidden, Refused) as error:
            log.warning("no check beside a card", repository=str(at.repo), reason=str(error))
            return ""
        return f"\n\n<!-- checks {' '.join(map(str, made))} -->"

    async def settle(self, asked: Sequence[Asked], thread: Thread, before: str) -> str:
        """Let the runs of a card say what its calls are now; `before` is the card as it stands.

        Raises:
            GitHubError: it cannot be asked at the moment
        """
        found = _LINE.search(unmarked(before))
        if found is None:
            return ""
        repo = Address.of(thread).repo
        for run, each in zip(found[1].split(), asked, strict=False):
            await self.change(repo, run, thread, each)
        return f"\n\n<!-- checks{found[1]} -->"

    async def make(
        self, repo: RepoName, commit: str, thread: Thread, asked: Asked, *, text: str = ""
    ) -> int:
        """The run of one call; one that an earlier attempt made is taken.

        Raises:
            GitHubError
        """
        external = external_id(thread.root, asked.buttons)
        known = await self.find(repo, commit, external) if external else None
        if known is not None:
            return known
        content = {"head_sha": commit, "external_id": external, **_content(asked, text)}
        return (await self._client.write(_Run, in_repo(repo, "check-runs"), content)).id

    async def change(
        self, repo: RepoName, run: str, thread: Thread, asked: Asked, *, text: str = ""
    ) -> None:
        """Let a run say what its call is now; its buttons are those of what it says.

        Raises:
            GitHubError: it cannot be asked at the moment
        """
        endpoint = in_repo(repo, "check-runs", run)
        try:
            content = _content(asked, text)
            if asked.buttons:
                content["external_id"] = external_id(thread.root, asked.buttons)
            await self._client.write(_Run, endpoint, content, method="PATCH")
        except (NotFound, Forbidden, Refused) as error:
            log.warning("a check keeps its buttons", run=run, reason=str(error))

    async def find(self, repo: RepoName, commit: str, external: str) -> int | None:
        """The run at a commit that has this external id."""
        known = await self._client.read_page(
            _Run,
            in_repo(repo, "commits", commit, "check-runs"),
            {"filter": "all"} | turn(1, LARGEST_PAGE),
            below="check_runs",
        )
        return next((run.id for run in known.items if run.external_id == external), None)


def external_id(root: str, buttons: Sequence[Button]) -> str:
    """What `decode` reads when somebody presses a button; it is no secret, and gives no right."""
    return f"openloop {root} {buttons[0].token}" if buttons else ""


def _content(asked: Asked, text: str) -> dict[str, object]:
    """A run that asks, or one that says what came of it; `text` is the card where it has no other."""
    where = "The card in the conversation shows" if not text else "Below is"
    summary = asked.outcome or f"{where} what would be done."
    output: dict[str, object] = {
        "title": asked.outcome or "Waits for a decision",
        "summary": summary,
    }
    if text:
        output["text"] = text
    content: dict[str, object] = {
        "name": f"OpenLoop: {asked.card.title}"[:_MOST_NAME],
        "status": "completed",
        "conclusion": "action_required" if asked.buttons else "neutral",
        "output": output,
        "actions": [_action(button) for button in asked.buttons[:MOST_ACTIONS]],
    }
    return content


def _action(button: Button) -> dict[str, str]:
    described = _DESCRIPTIONS.get(button.action, button.label)
    return {
        "label": button.label[:_MOST_LABEL],
        "description": described[:_MOST_DESCRIPTION],
        "identifier": button.action[:_MOST_LABEL],
    }
