"""The GitHub surface: `accept` decodes, `perform` comments; no policy."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from openloop.domain import strict_json
from openloop.domain.errors import AmbiguousEffect, TryLater, Unavailable
from openloop.domain.surface import (
    Accepted,
    Amend,
    Ask,
    Finding,
    Receipt,
    Rejected,
    Say,
    SetStatus,
    Settle,
    Whisper,
)
from openloop.integrations.github import cards, speech
from openloop.integrations.github.actors import Identity, host_of, place_of, repo_in
from openloop.integrations.github.cards import Votes
from openloop.integrations.github.decode import ACTED_ON, decode
from openloop.integrations.github.errors import GitHubError, NotFound
from openloop.integrations.github.investigation import is_stale
from openloop.integrations.github.names import InvalidName, RepoName, checked_login
from openloop.integrations.github.people import Rights
from openloop.integrations.github.polling import keep_reading, reader_of
from openloop.integrations.github.progress import EVERY_SECONDS, Progress
from openloop.integrations.github.reports import Reports, commit_of
from openloop.integrations.github.signature import verify
from openloop.integrations.github.standing import Standings
from openloop.integrations.github.threads import Threads, is_comment
from openloop.integrations.github.votes import CheckButtons

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.audience import PlaceClass
    from openloop.domain.surface import Delivery, Op, Person, Place, Thread, ThreadMessage
    from openloop.integrations.github.client import GitHubClient
    from openloop.integrations.github.settings import GitHubSettings
    from openloop.plugin import Bookmarks, Sink

MOST_BODY: Final = 1024 * 1024
_MOST_DEPTH: Final = 64
_DELIVERY: Final = re.compile(r"[!-~]{1,100}")
_EVENT: Final = re.compile(r"[a-z0-9_]{1,60}")
# GitHub's lists lag behind its writes: a look-up before that would find nothing.
_SETTLING: Final = timedelta(seconds=3)


class GitHubSurface:
    """One account on one GitHub. Safe to share between tasks of one event loop."""

    name = "github"
    progress_seconds = EVERY_SECONDS

    def __init__(
        self,
        settings: GitHubSettings,
        client: GitHubClient,
        *,
        progress_seconds: float = EVERY_SECONDS,
    ) -> None:
        self._settings, self._client = settings, client
        self._host = host_of(settings.web_url)
        self._identity: Identity | None = None
        self._threads = Threads(client)
        self._standings = Standings(client)
        self._rights = Rights(client)
        self._progress = Progress(self._threads, seconds=progress_seconds)
        self._buttons = CheckButtons(client) if settings.app is not None else None
        self._votes = Votes(by_comment=settings.app is not None, public_url=settings.public_url)
        self._reports = Reports(client, self._buttons)

    # --- in ----------------------------------------------------------------------------------

    def accept(self, delivery: Delivery) -> Accepted:
        """Verify and decode one delivery; where we asked GitHub ourselves, TLS is the proof.

        Raises:
            Rejected: 413 too large, 401 not provably GitHub's, 400 not readable
            Unavailable: who we are is not known yet, so that nobody can tell what is meant for us
        """
        if len(delivery.body) > MOST_BODY:
            raise Rejected(413, "body_too_large", "The body is larger than 1 MiB")
        if delivery.transport != "poll":
            self._verify(delivery)
        headers = delivery.headers
        event, key = headers.get("x-github-event", ""), headers.get("x-github-delivery", "")
        if not _EVENT.fullmatch(event) or not _DELIVERY.fullmatch(key):
            raise Rejected(400, "headers_missing", "The delivery names no event, or has no id")
        if event not in ACTED_ON:
            return Accepted()
        if self._identity is None:
            raise Unavailable("GitHub has not said yet who we are")
        try:
            payload = strict_json.loads(delivery.body, max_bytes=MOST_BODY, max_depth=_MOST_DEPTH)
        except strict_json.Malformed as malformed:
            raise Rejected(400, malformed.code, str(malformed)) from None
        if not isinstance(payload, dict):
            raise Rejected(400, "json_not_an_object", "The payload is not a JSON object")
        told = decode(
            event,
            payload,
            delivery=key,
            received_at=delivery.received_at,
            web_url=self._settings.web_url,
            host=self._host,
            own=self._identity,
        )
        return Accepted(events=() if told is None else (told,))

    def _verify(self, delivery: Delivery) -> None:
        secret = self._settings.webhook_secret
        if secret is None:
            message = "GitHub's deliveries over HTTP need GITHUB_WEBHOOK_SECRET"
            raise Rejected(401, "signature_not_configured", message)
        verify(secret, headers=delivery.headers, body=delivery.body)

    async def listen(self, sink: Sink) -> None:
        """Find out who we are, which every delivery needs; returns then.

        Raises:
            GitHubError
        """
        del sink
        await self.identify()

    async def poll(self, sink: Sink, bookmarks: Bookmarks) -> None:
        """Ask GitHub for what happened, or for what did not arrive, until cancelled."""
        found = reader_of(self._settings, self._client, self.accept)
        if found is not None:
            name, reader = found
            await keep_reading(name, reader, sink, bookmarks, prepare=self.identify)

    async def identify(self) -> Identity:
        """The account under which we write, asked for once.

        Raises:
            GitHubError
        """
        if self._identity is None:
            me = await self._client.me()
            is_app = self._settings.app is not None
            self._identity = Identity(id=me.id, login=me.login, is_app=is_app)
        return self._identity

    def know(self, own: Identity) -> None:
        """Who we are, where that is known without asking."""
        self._identity = own

    # --- out ---------------------------------------------------------------------------------

    async def perform(self, op: Op, thread: Thread, *, key: str) -> Receipt:
        """Carry out one op. `key` is in the mark of every comment that an op makes."""
        commit = commit_of(thread)
        try:
            if commit is not None:
                return await self._reports.perform(op, thread, commit, key=key)
            match op:
                case Say():
                    return await self._say(op, thread, key=key)
                case Ask():
                    return await self._ask(op, thread, key=key)
                case SetStatus():
                    return await self._set_status(op, thread, key=key)
                case Settle():
                    return await self._settle(op, thread, key=key)
                case Amend():
                    (text, *_) = speech.say(op.markdown)
                    await self._threads.replace(thread, op.message_id, text, key=key, kind="say")
                    return Receipt(outcome="done", message_ids=(op.message_id,))
                case Whisper():
                    return await self._whisper(op, thread)
        except (GitHubError, InvalidName) as error:
            return _receipt(error)

    async def look_up(self, op: Op, thread: Thread, *, key: str) -> Receipt:
        """What became of an op whose answer was lost.

        Reactions and replacements may simply be made again, and so may what is said of a commit.
        """
        if commit_of(thread) is not None:
            return Receipt(outcome="retry", retry_at=_now(), detail="found where it is made again")
        match op:
            case Say():
                wanted, kind = len(await self._parts(op)), "say"
            case Ask():
                wanted, kind = 1, "card"
            case SetStatus() | Settle() | Amend() | Whisper():
                return Receipt(outcome="retry", retry_at=_now(), detail="harmless to repeat")
        try:
            found = await self._threads.find(thread, key=key, kind=kind)
        except (GitHubError, InvalidName) as error:
            return Receipt(outcome="unknown", retry_at=_later(error), detail=str(error))
        ids = tuple(found.ids[part] for part in sorted(found.ids))
        if len(ids) >= wanted:
            return Receipt(outcome="done", message_ids=ids)
        if not found.is_certain:
            detail = "The thread is too long to be read to its end"
            return Receipt(outcome="unknown", message_ids=ids, detail=detail)
        detail = f"{len(ids)} of {wanted} comments are in the thread"
        return Receipt(outcome="retry", message_ids=ids, retry_at=_now(), detail=detail)

    async def _say(self, op: Say, thread: Thread, *, key: str) -> Receipt:
        parts = await self._parts(op)
        sent: dict[int, str] = {}
        if len(parts) > 1:
            # An earlier attempt may have ended half way, here or in another process.
            sent = dict((await self._threads.find(thread, key=key, kind="say")).ids)
        for number, part in enumerate(parts):
            if number in sent:
                continue
            try:
                sent[number] = await self._threads.post(
                    thread, part, key=key, kind="say", part=number
                )
            except GitHubError as error:
                ids = tuple(sent[at] for at in sorted(sent))
                return _receipt(error, ids, of=len(parts))
        await self._progress.clear(thread)
        return Receipt(outcome="done", message_ids=tuple(sent[at] for at in sorted(sent)))

    async def _parts(self, op: Say) -> list[str]:
        """The comments of an answer: footer and commands end the last one."""
        parts = speech.say(op.markdown, live=await self._logins(op.mention_ids))
        footer = f"<sub>{speech.plain(op.footer)}</sub>" if op.footer.strip() else ""
        ending = "\n\n".join(filter(None, (footer, cards.commands(op.buttons, self._votes))))
        if not ending:
            return parts
        last = f"{parts[-1]}\n\n{ending}"
        if len(last) <= speech.MOST_COMMENT - speech.MARK_ROOM:
            return [*parts[:-1], last]
        return [*parts, ending]

    async def _ask(self, op: Ask, thread: Thread, *, key: str) -> Receipt:
        live = await self._logins(op.mention_ids)
        body = cards.ask(op, self._votes, live=live)
        if self._buttons is not None:
            body += await self._buttons.offer(cards.decidable(op, self._votes), thread)
        made = await self._threads.post(thread, body, key=key, kind="card", part=0)
        await self._progress.clear(thread)
        return Receipt(outcome="done", message_ids=(made,))

    async def _settle(self, op: Settle, thread: Thread, *, key: str) -> Receipt:
        body = cards.settled(op, self._votes)
        if self._buttons is not None:
            before = await self._threads.text_of(thread, op.message_id)
            asked = cards.decidable(op, self._votes)
            body += await self._buttons.settle(asked, thread, before)
        await self._threads.replace(thread, op.message_id, body, key=key, kind="card")
        return Receipt(outcome="done", message_ids=(op.message_id,))

    async def _set_status(self, op: SetStatus, thread: Thread, *, key: str) -> Receipt:
        """An eye on what is worked on at once, and words where it takes longer."""
        if op.state == "idle" or not op.text:
            await self._progress.clear(thread)
            return Receipt(outcome="done")
        self._progress.show(thread, op.text, key=key)
        if op.message_id:
            await self._threads.react(thread, op.message_id, "eyes")
        return Receipt(outcome="done")

    async def _whisper(self, op: Whisper, thread: Thread) -> Receipt:
        """GitHub shows nothing to one person alone: a sign on what they wrote has to do."""
        if not is_comment(op.message_id):
            detail = "GitHub shows nothing to one person alone"
            return Receipt(outcome="refused", detail=detail)
        await self._threads.react(thread, op.message_id, "confused")
        return Receipt(outcome="done")

    async def _logins(self, ids: Sequence[str]) -> list[str]:
        """The logins of people by their numbers; somebody whom GitHub does not know is not named."""
        found: list[str] = []
        for each in ids:
            try:
                is_number = each.isascii() and each.isdecimal()
                login = await self._client.login_of(int(each)) if is_number else each
                found.append(checked_login(login))
            except (NotFound, InvalidName):
                continue
        return found

    # --- around ------------------------------------------------------------------------------

    async def history(self, thread: Thread, *, limit: int) -> Sequence[ThreadMessage]:
        """The newest `limit` messages (200 at most), oldest first; the issue's text is the first.

        Raises:
            GitHubError
        """
        if commit_of(thread) is not None:
            return ()  # nobody speaks there but us
        return await self._threads.history(thread, limit=limit)

    async def person(self, tenant: str, user_id: str) -> Person:
        """Somebody without a place: nobody has a right on all of GitHub."""
        from_number = await self._logins((user_id,)) if tenant == self._host else []
        return self._standings.stranger(user_id, from_number[0] if from_number else "")

    async def person_in(self, place: Place, user_id: str) -> Person:
        """What GitHub says of somebody in a repository, remembered for a minute.

        Raises:
            GitHubError, InvalidName
        """
        return await self._standings.of(repo_in(place), user_id)

    async def is_stale(self, thread: Thread, message_id: str) -> bool:
        """Whether a red build is of a commit at which no branch stands any more.

        Raises:
            GitHubError
        """
        return await is_stale(self._client, repo_in(thread.place), message_id)

    async def audience(self, place: Place) -> PlaceClass:
        """Who can read a repository, remembered for a minute.

        Raises:
            GitHubError, InvalidName
        """
        return await self._rights.audience(place.container)

    async def find_place(self, name: str) -> Place | None:
        """The repository `owner/name`, under the name that it has now.

        Raises:
            GitHubError
        """
        try:
            found = await self._client.repository(RepoName.parse(name))
            return place_of(RepoName.parse(found.full_name), host=self._host)
        except (NotFound, InvalidName):
            return None

    async def check(self) -> Sequence[Finding]:
        """Under which name we are spoken to, and how events arrive."""
        try:
            own = await self.identify()
        except GitHubError as error:
            remedy = "Run `openloop github check`, which says what is missing"
            return (Finding(subject="GitHub events", ok=False, detail=str(error), remedy=remedy),)
        how = "POST /surfaces/github/events" if self._settings.webhooks == "http" else "by asking"
        votes = "" if own.is_app else "; approvals are decided elsewhere (a personal token)"
        detail = f"spoken to as @{own.mentioned_as}; events arrive {how}{votes}"
        return (Finding(subject="GitHub events", ok=True, detail=detail),)

    async def aclose(self) -> None:
        """Stop showing progress, and close the connections."""
        await self._progress.aclose()
        await self._client.aclose()


def _receipt(error: Exception, ids: tuple[str, ...] = (), *, of: int = 1) -> Receipt:
    detail = f"{error} ({len(ids)} of {of} comments are made)" if of > 1 else str(error)
    match error:
        case TryLater():
            outcome = "retry"
        case AmbiguousEffect():
            outcome = "unknown"
        case _:
            outcome = "refused"
    return Receipt(outcome=outcome, message_ids=ids, retry_at=_later(error), detail=detail)


def _later(error: Exception) -> datetime | None:
    """When GitHub wants to hear from us again; None leaves the pace to the caller."""
    match error:
        case TryLater():
            return error.retry_at
        case AmbiguousEffect():
            return _now() + _SETTLING
        case _:
            return None


def _now() -> datetime:
    return datetime.now(UTC)
