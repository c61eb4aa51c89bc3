"""What is said about a commit that stands in no pull request: check runs of our own beside it.

There is no conversation there: nobody can answer, and nothing but an App may report. What an agent
says is the summary of a run, and a held call a run with buttons, whose text is the card.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openloop.domain.surface import Amend, Ask, Receipt, Say, SetStatus, Settle, Whisper
from openloop.integrations.github import cards, speech
from openloop.integrations.github.actors import repo_in
from openloop.integrations.github.cards import Votes
from openloop.integrations.github.errors import Refused
from openloop.integrations.github.exchange import in_repo

if TYPE_CHECKING:
    from openloop.domain.surface import Op, Thread
    from openloop.integrations.github.client import GitHubClient
    from openloop.integrations.github.votes import CheckButtons

NAME = "OpenLoop"
MOST_TEXT = 65_535
_ROOT = re.compile(r"commit/([0-9a-f]{40}(?:[0-9a-f]{24})?)")
_RUNS = re.compile(r"k[0-9]{1,19}(?:_[0-9]{1,19})*")
_MOST_TITLE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    id: int


def commit_of(thread: Thread) -> str | None:
    """The commit that a thread is about, where it is about one."""
    found = _ROOT.fullmatch(thread.root)
    return found[1] if found is not None else None


class Reports:
    """What is said beside commits. Without `buttons` we are no App, and may say nothing there."""

    def __init__(self, client: GitHubClient, buttons: CheckButtons | None) -> None:
        self._client, self._buttons = client, buttons

    async def perform(self, op: Op, thread: Thread, commit: str, *, key: str) -> Receipt:
        """Carry out one op; each of them may be carried out again.

        Raises:
            GitHubError
        """
        if self._buttons is None:
            raise Refused("With a personal token nothing can be said beside a commit")
        votes = Votes(by_comment=False, by_check=True)
        match op:
            case Say():
                return Receipt(
                    outcome="done", message_ids=(await self._say(op, thread, commit, key),)
                )
            case Ask():
                text = cards.ask(op, votes)[:MOST_TEXT]
                made = [
                    await self._buttons.make(repo_in(thread.place), commit, thread, each, text=text)
                    for each in cards.decidable(op, votes)
                ]
                return Receipt(outcome="done", message_ids=(f"k{'_'.join(map(str, made))}",))
            case Settle():
                text = cards.settled(op, votes)[:MOST_TEXT]
                runs = op.message_id[1:].split("_") if _RUNS.fullmatch(op.message_id) else []
                for run, each in zip(runs, cards.decidable(op, votes), strict=False):
                    await self._buttons.change(repo_in(thread.place), run, thread, each, text=text)
                return Receipt(outcome="done", message_ids=(op.message_id,))
            case SetStatus():
                return Receipt(outcome="done")
            case Amend() | Whisper():
                return Receipt(outcome="refused", detail="Nobody can be answered beside a commit")

    async def _say(self, op: Say, thread: Thread, commit: str, key: str) -> str:
        repo, external = repo_in(thread.place), f"openloop report {key}"
        found = await self._find(thread, commit, external)
        if found is not None:
            return found
        said = speech.say(op.markdown)[0]
        content: dict[str, object] = {
            "name": NAME,
            "head_sha": commit,
            "external_id": external,
            "status": "completed",
            "conclusion": "neutral",
            "output": {"title": said.split("\n")[0][:_MOST_TITLE], "summary": said[:MOST_TEXT]},
        }
        made = await self._client.write(_Run, in_repo(repo, "check-runs"), content)
        return f"k{made.id}"

    async def _find(self, thread: Thread, commit: str, external: str) -> str | None:
        assert self._buttons is not None  # noqa: S101  # asked for by `perform` alone
        run = await self._buttons.find(repo_in(thread.place), commit, external)
        return None if run is None else f"k{run}"
