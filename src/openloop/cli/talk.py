"""A conversation over the API: lines in, what the agent says out."""

from __future__ import annotations

import os
import select
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import click

from openloop.cli.approvals import vote
from openloop.cli.client import by_name, escape
from openloop.cli.failures import Exit, tell
from openloop.cli.output import say
from openloop.cli.text import clean, one_line
from openloop.domain.errors import OpenLoopError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openloop.cli.client import Client
    from openloop.cli.output import Json

_LOOK_SECONDS: Final = 0.2
_OVER: Final = ("done", "failed", "cancelled", "declined")
_HELP: Final = "/approve [ID]  /reject [ID]  /stop  /quit"


class Talk:
    """One conversation. On a terminal people may type while the agent works; a pipe waits."""

    def __init__(self, client: Client, agent: str, thread: str | None, priority: str) -> None:
        self._client = client
        self._agent = agent
        self._thread = thread
        self._priority = priority
        self._conversation: str | None = None
        self._after = 0
        self._run: Json | None = None
        self._status = ""
        self._open: dict[str, str] = {}  # approvals that nobody has decided: id to title
        self._told: dict[str, str] = {}  # what came of them, as it was last told
        self._is_idle = True

    def run(self) -> int:
        """Talk until the input ends; the exit status."""
        if not sys.stdin.isatty():
            return self._on_pipe()
        try:
            self._on_terminal()
        finally:
            self._part()
        return Exit.OK

    def _on_pipe(self) -> int:
        status = Exit.OK
        for line in sys.stdin:
            if not self._take(_readable(line)):
                break
            while not self._is_idle:
                self._look()
                time.sleep(0 if self._is_idle else _LOOK_SECONDS)
            if self._run is not None and self._run["state"] == "failed":
                status = Exit.FAILURE
        return status

    def _on_terminal(self) -> None:
        self._client.get(f"/api/v1/agents/{by_name('agent', self._agent)}")  # or there is none
        say(f"Talking to {self._agent}. {_HELP}")
        prompted = False
        for line in _typed():
            if line is not None:
                prompted = False
                if not self._take_bravely(line):
                    return
            self._look_bravely()
            if self._is_idle and not prompted:
                prompted = True
                click.echo("> ", nl=False, err=True)

    def _part(self) -> None:
        """Leave the prompt's line, and tell how to go on with what was begun."""
        if self._thread is not None:
            say(f"\nGo on with it: openloop chat {self._agent} --thread {self._thread}")

    def _take_bravely(self, line: str) -> bool:
        """Take a line; what fails is told, and the conversation goes on."""
        try:
            return self._take(line)
        except OpenLoopError as error:
            tell(error, as_json=False)
            return True

    def _look_bravely(self) -> None:
        try:
            self._look()
        except Unavailable as error:
            tell(error, as_json=False)
            time.sleep(1)

    def _take(self, line: str) -> bool:
        """Do what a line says; False where it ends the conversation."""
        word, _, rest = line.partition(" ")
        match word:
            case "":
                pass
            case "/quit" | "/exit":
                return False
            case "/approve":
                self._vote(rest.strip(), "approve")
            case "/reject":
                self._vote(rest.strip(), "deny")
            case "/stop":
                self._stop()
            case _ if word.startswith("/"):
                say(_HELP)
            case _:
                self._say(line)
        return True

    def _say(self, text: str) -> None:
        heard = self._client.post(
            "/api/v1/conversations",
            {
                "agent": self._agent,
                "text": text,
                "thread": self._thread,
                "priority": self._priority,
            },
        )
        self._thread, self._conversation = heard["thread"], heard["conversation_id"]
        self._is_idle = False

    def _vote(self, wanted: str, decision: str) -> None:
        found = [each for each in self._open if each.startswith(wanted) or each.endswith(wanted)]
        if len(found) > 1 or not (found or wanted):
            say("Which one? " + (", ".join(found) or "Nothing is waiting for a decision"))
            return
        approval = found[0] if found else wanted
        vote(self._client, approval, decision)
        self._open.pop(approval, None)
        self._is_idle = False

    def _stop(self) -> None:
        if self._run is None or self._run["state"] in _OVER:
            say("Nothing is running.")
            return
        self._client.post(f"/api/v1/runs/{escape(self._run['id'])}/cancel")
        self._is_idle = False

    def _look(self) -> None:
        """Show what is new, and see whether something is still to come."""
        if self._conversation is None:
            self._is_idle = True
            return
        path = f"/api/v1/conversations/{escape(self._conversation)}/messages"
        found = self._client.get(path, after=self._after or None)
        for message in found["messages"]:
            self._show(message)
        self._after = found["last_seq"]
        self._run = found["run"]
        state = self._run["state"] if self._run is not None else "done"
        # A decided run is `waiting` until a worker takes it up again.
        self._is_idle = state in _OVER or (state == "waiting" and bool(self._open))

    def _show(self, message: Json) -> None:
        op: Json = message["op"]
        match op["op"]:
            case "Say" | "Amend" | "Whisper":
                click.echo(clean(op["markdown"]))
                if op.get("footer"):
                    say(one_line(op["footer"]))
            case "Ask":
                for asked in _asked(message):
                    self._open[asked["approval"]] = asked["card"]["title"]
                    click.echo(_card(asked["card"], asked.get("buttons", ()), asked["approval"]))
                if op.get("more"):
                    say(one_line(op["more"]))
            case "Settle":
                for asked in _asked(message):
                    self._settle(asked)
            case "SetStatus":
                self._show_status(op["text"])
            case _:  # an op of a newer server
                pass

    def _settle(self, asked: Json) -> None:
        """Tell what has become of a call, once: its card is drawn anew for the others on it, too."""
        approval, outcome = asked["approval"], asked["outcome"]
        if outcome and self._told.get(approval) != outcome:
            self._told[approval] = outcome
            click.echo(f"[{clean(asked['card']['title'])}: {clean(outcome)}]")
        if asked.get("buttons"):
            self._open[approval] = asked["card"]["title"]
        else:
            self._open.pop(approval, None)

    def _show_status(self, text: str) -> None:
        if text and text != self._status:
            say(f"... {one_line(text)}")
        self._status = text


def _readable(line: str) -> str:
    """A line of a pipe; what is not UTF-8 in it is replaced, as it is on a terminal."""
    return line.encode(errors="surrogateescape").decode(errors="replace").strip()


def _asked(message: Json) -> list[Json]:
    """Every held call on a card, each with the approval behind it."""
    op: Json = message["op"]
    first = {**op, "approval": op.get("approval") or message["approval_id"] or ""}
    return [first, *op.get("others", ())]


def _card(card: Any, buttons: Any, approval: str) -> str:
    lines = [
        _marked(f"Asks: {card['title']}"),
        *(_marked(f"  {each['label']}: {each['value']}") for each in card["fields"]),
        *([_marked(f"\n{card['body']}").removeprefix("\n")] if card["body"] else []),
        *([_marked(f"  The model says: {card['reason']}")] if card["reason"] else []),
        *(_marked(f"  {note}") for note in card["notes"]),
        f"  {_answers(buttons, approval)}",
    ]
    return "\n".join(lines)


def _marked(text: str) -> str:
    """Every line but the first begins with a mark: no argument poses as a line of the card."""
    return "\n  | ".join(clean(text).split("\n"))


def _answers(buttons: Any, approval: str) -> str:
    if any(button["action"] == "retry" for button in buttons):
        command = "openloop approvals"
        return f"{command} happened {approval}   or   {command} retry {approval}"
    return f"/approve {approval}   or   /reject {approval}"


def _typed() -> Iterator[str | None]:
    """The lines that somebody types, and None each time that nothing was typed for a moment."""
    rest = b""
    yield None
    while True:
        if not select.select([sys.stdin], [], [], _LOOK_SECONDS)[0]:
            yield None
            continue
        read = os.read(sys.stdin.fileno(), 65536)
        if not read:
            return
        *lines, rest = (rest + read).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", "replace").strip()
