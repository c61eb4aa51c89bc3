"""The language spoken between surfaces and the runtime: addresses, what comes in, what goes out.

Addresses are opaque to the runtime. Everything here is a value that survives a round trip
through a row, since rows are the only seam between the two sides.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from openloop.domain.priority import PriorityName


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where people talk: a Slack channel, a GitHub repository, a terminal.

    `tenant` is the installation (a Slack team id), `container` the stable id inside it.
    """

    surface: str
    tenant: str
    container: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """One thread in a place; `root` is the id of its first message."""

    place: Place
    root: str


ActorKind = Literal["human", "bot", "self", "system"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who did something on a surface, by stable id; `name` is for display and carries no right."""

    surface: str
    tenant: str
    id: str
    name: str = ""
    kind: ActorKind = "human"


PersonKind = Literal["member", "guest", "external", "bot", "deactivated", "unknown"]
Standing = Literal["none", "read", "triage", "write"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """What the platform says of an actor, looked up in the worker, never in `accept`.

    `standing` is what they may do in the place that was asked about, where a platform tells that.
    """

    id: str
    name: str
    kind: PersonKind
    standing: Standing | None = None


Transport = Literal["http", "socket", "poll", "console"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One raw delivery of a platform. Header names are lower case."""

    headers: Mapping[str, str]
    body: bytes
    received_at: datetime
    transport: Transport = "http"


InboundKind = Literal["message", "choice", "edited", "deleted", "stopped", "build_failed"]
Addressed = Literal["mention", "dm", "followup"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A click on a button of ours: which one, and the opaque token it carried."""

    action: str
    token: str
    message_id: str
    response_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedBuild:
    """A build that failed, as its platform tells it; whether anybody wants to know, a manifest says.

    `source` and `id` name what told it. `is_fork`: the commit comes from another repository, so that
    its code and its log are a stranger's.
    """

    source: Literal["check_suite", "workflow_run"]
    id: str
    commit: str
    branch: str
    conclusion: str
    pulls: tuple[int, ...] = ()
    is_fork: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """One normalised event.

    `delivery_key` is the platform's delivery id; `subject_key` names what the event is about and
    is the same for twins (Slack sends `app_mention` and `message` for one human message). Both
    are unique in the store: a redelivery and a twin are each taken once.

    `typed` is what the author typed themselves, for sink arguments of standing rules: quotations,
    forwards, code and labels left out, mentions and links as ids and addresses. What a surface
    cannot tell apart it leaves out; edits have none. `priority` is that of a conversation which this
    event opens; an earlier one keeps its own.

    `from_anybody`: everybody in the world could have said it, so that nothing answers it before a
    worker has asked the platform what they may. With `wanted_as` it is taken only where the agent's
    manifest lists that word. `build` comes with the kind `build_failed` and is no message of anybody.
    `is_private`: the delivery itself says that not every full member can read in its place.
    """

    delivery_key: str
    subject_key: str
    kind: InboundKind
    thread: Thread
    actor: Actor
    message_id: str
    occurred_at: datetime
    text: str = ""
    typed: str = ""
    addressed: Addressed = "followup"
    choice: Choice | None = None
    attempt: int = 0
    link: str = ""
    priority: PriorityName = "interactive"
    from_anybody: bool = False
    wanted_as: str = ""
    build: FailedBuild | None = None
    is_private: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpReply:
    """What a platform wants to read in the answer to a delivery."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """The platform says that somebody is deactivated; `installation` is the tenant that says it."""

    surface: str
    installation: str
    tenant: str
    external_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A delivery that verified: events to commit, and a literal answer where one is due."""

    events: tuple[Inbound, ...] = ()
    departures: tuple[Departure, ...] = ()
    reply: HttpReply | None = None


class Rejected(Exception):
    """A delivery that is refused before anything is stored; `status` is 400, 401 or 413."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadMessage:
    """A message of the human thread, as read from the platform."""

    id: str
    author_id: str
    author_name: str
    sent_at: datetime
    text: str
    by_us: bool = False
    by_bot: bool = False
    link: str = ""


# --- out -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """A choice offered with a message; `token` is opaque and random, the row behind it decides."""

    action: str
    label: str
    token: str
    style: Literal["default", "primary", "danger"] = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One labelled line of a card."""

    label: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """An approval as people see it: rendered by the control plane from the bytes that will run.

    `title` says what will happen, `fields` and `body` show every argument, `reason` is the model's
    own words and is shown apart, `notes` are ours (solo mode, expiry, who may decide).
    """

    title: str
    fields: tuple[Field, ...] = ()
    body: str = ""
    reason: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One held call on a card: what it would do, the buttons while it is open, what came of it.

    `approval` names the row behind it; a surface shows it only to say where else it can be decided.
    """

    approval: str = ""
    card: Card
    buttons: tuple[Button, ...] = ()
    outcome: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Say:
    """Post `markdown` into the thread. Live mentions in it are neutralised unless listed."""

    markdown: str
    buttons: tuple[Button, ...] = ()
    footer: str = ""
    mention_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SetStatus:
    """Show what the agent is doing; the last one wins and an empty text clears it.

    `message_id` is the message that it works on, where a run begins to.
    """

    text: str
    state: Literal["working", "waiting", "idle"] = "working"
    message_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Post an approval card with its buttons.

    `others` are further held calls of the same model step on the same card, each with buttons of
    its own; `more` is our line about those that are not on it.
    """

    card: Card
    buttons: tuple[Button, ...]
    outcome: str = ""
    approval: str = ""
    others: tuple[Asked, ...] = ()
    more: str = ""
    mention_ids: tuple[str, ...] = ()

    @property
    def asked(self) -> tuple[Asked, ...]:
        """Every held call on the card."""
        return _asked(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle:
    """Replace the rendered copy `message_id` of a card by what it is now.

    What is decided has an outcome and no buttons any more; what is still open keeps its own.
    """

    message_id: str
    card: Card
    outcome: str
    buttons: tuple[Button, ...] = ()
    approval: str = ""
    others: tuple[Asked, ...] = ()
    more: str = ""

    @property
    def asked(self) -> tuple[Asked, ...]:
        """Every held call on the card."""
        return _asked(self)


def _asked(op: Ask | Settle) -> tuple[Asked, ...]:
    first = Asked(approval=op.approval, card=op.card, buttons=op.buttons, outcome=op.outcome)
    return (first, *op.others)


@dataclass(frozen=True, slots=True, kw_only=True)
class Amend:
    """Replace the text of an earlier message of ours."""

    message_id: str
    markdown: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Whisper:
    """Tell one person something in the thread that nobody else sees (an answer to a click).

    `message_id` is what they said, where a surface can mark no more than that.
    """

    to_id: str
    markdown: str
    message_id: str = ""


Op = Say | SetStatus | Ask | Settle | Amend | Whisper


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of an op.

    done: it is there, `message_ids` name its parts. refused: the platform will never take it.
    retry: nothing was sent, try again at `retry_at`. unknown: the answer was lost; look it up.
    """

    outcome: Literal["done", "refused", "retry", "unknown"]
    message_ids: tuple[str, ...] = ()
    retry_at: datetime | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of `doctor`: what was looked at, whether it is well, and what to do if not."""

    subject: str
    ok: bool
    detail: str
    remedy: str = ""
