"""The messages of one channel: threads, and what is read of them page by page."""

from collections.abc import Iterator

from openloop.testing.rigs.slack.messages import Message
from openloop.testing.rigs.slack.wire import Json


class History:
    """The messages of one channel in the order of their timestamps."""

    def __init__(self) -> None:
        self._messages: dict[str, Message] = {}
        self._roots: list[str] = []
        self._replies: dict[str, list[str]] = {}

    def __iter__(self) -> Iterator[Message]:
        return iter(self._messages.values())

    def find(self, ts: str) -> Message | None:
        return self._messages.get(ts)

    def append(self, message: Message) -> None:
        self._messages[message.ts] = message
        if message.thread_ts is not None:
            self._replies.setdefault(message.thread_ts, []).append(message.ts)
        if message.thread_ts is None or message.broadcast:
            self._roots.append(message.ts)

    def replace(self, message: Message) -> None:
        self._messages[message.ts] = message

    def remove(self, message: Message) -> None:
        del self._messages[message.ts]
        if message.thread_ts is not None:
            self._replies[message.thread_ts].remove(message.ts)
        if message.thread_ts is None or message.broadcast:
            self._roots.remove(message.ts)

    def has_replies(self, ts: str) -> bool:
        return bool(self._replies.get(ts))

    def thread(self, root_ts: str) -> list[Message]:
        """The opening message and its replies, oldest first; empty if there is no such thread."""
        stamps = [root_ts, *self._replies.get(root_ts, ())]
        return [self._messages[ts] for ts in stamps if ts in self._messages]

    def newest_first(self) -> Iterator[Message]:
        """What the channel itself shows: opening messages and broadcast replies."""
        return (self._messages[ts] for ts in reversed(self._roots))

    def render(self, message: Message, *, with_metadata: bool) -> Json:
        """The message object of `conversations.*`, with the counters of the thread it opens."""
        rendered = message.as_json()
        if with_metadata and message.metadata is not None:
            rendered["metadata"] = message.metadata
        stamps = self._replies.get(message.ts)
        if not stamps or message.is_reply:
            return rendered
        authors = list(dict.fromkeys(self._messages[ts].user for ts in stamps))
        return rendered | {
            "thread_ts": message.ts,
            "reply_count": len(stamps),
            "reply_users_count": len(authors),
            "latest_reply": stamps[-1],
            "reply_users": authors,
            "is_locked": False,
            "subscribed": False,
        }
