"""Every method of the Web API that is called here, with the scopes it needs.

The app manifest asks for the union of these scopes and of those of the events, and for no others.
Each method's page: https://docs.slack.dev/reference/methods
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A method: `scopes` of the bot token, one per kind of conversation where it reads several.

    `by` says whose token makes the call. `effect` says what a lost answer means: a `read` or a
    `set` may simply be made again, a `post` may have happened and must be looked up.
    """

    name: str
    effect: Literal["read", "set", "post"]
    scopes: tuple[str, ...] = ()
    by: Literal["bot", "app"] = "bot"


_HISTORY = ("channels:history", "groups:history", "im:history", "mpim:history")
_CHANNELS = ("channels:read", "groups:read")

AUTH_TEST = Method(name="auth.test", effect="read")
OPEN_SOCKET = Method(name="apps.connections.open", effect="read", by="app")
POST_MESSAGE = Method(name="chat.postMessage", effect="post", scopes=("chat:write",))
POST_EPHEMERAL = Method(name="chat.postEphemeral", effect="post", scopes=("chat:write",))
UPDATE_MESSAGE = Method(name="chat.update", effect="set", scopes=("chat:write",))
SET_STATUS = Method(name="assistant.threads.setStatus", effect="set", scopes=("chat:write",))
READ_THREAD = Method(name="conversations.replies", effect="read", scopes=_HISTORY)
READ_CHANNEL = Method(name="conversations.info", effect="read", scopes=_CHANNELS)
LIST_CHANNELS = Method(name="conversations.list", effect="read", scopes=_CHANNELS)
LIST_MEMBERS = Method(name="conversations.members", effect="read", scopes=_CHANNELS)
LIST_USERS = Method(name="users.list", effect="read", scopes=("users:read",))
READ_USER = Method(name="users.info", effect="read", scopes=("users:read",))
LIST_GROUP = Method(name="usergroups.users.list", effect="read", scopes=("usergroups:read",))

# Called by `openloop init`, to find out who is setting this up.
FIND_USER = Method(name="users.lookupByEmail", effect="read", scopes=("users:read.email",))

METHODS = (
    AUTH_TEST,
    OPEN_SOCKET,
    POST_MESSAGE,
    POST_EPHEMERAL,
    UPDATE_MESSAGE,
    SET_STATUS,
    READ_THREAD,
    READ_CHANNEL,
    LIST_CHANNELS,
    LIST_MEMBERS,
    LIST_USERS,
    READ_USER,
    LIST_GROUP,
    FIND_USER,
)
