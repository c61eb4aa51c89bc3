"""The doors by which bad input comes in: how it is sent, and what is answered."""

from __future__ import annotations

import asyncio
import io
import json
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal, Protocol

import orjson

from openloop.cli import main
from openloop.domain.manifest import InvalidManifest, check_references, load, parse_workspace
from openloop.domain.manifest_agent import AgentManifest
from openloop.testing.rigs.slack import sign
from openloop.testing.story.stage import CHANNEL

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from openloop.domain.strict_yaml import Problem
    from openloop.testing.rigs.slack import Message
    from tests.stories.product import Answer, Product

HOUR = 3600
ASK = "<@U0BOT> summarize this thread and open an issue"
AGENT, WORKSPACE = "dev-platform.yaml", "workspace.yaml"

Signing = Literal[
    "good",
    "another secret",
    "another body",
    "half a signature",
    "not hexadecimal",
    "not ASCII",
    "another version",
    "no signature",
    "no timestamp",
    "nothing",
    "an hour old",
    "an hour ahead",
    "no number",
    "a fraction",
    "a negative number",
    "a huge number",
    "an empty timestamp",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of it: the status, the stable code, finer codes inside, and what a person reads."""

    status: int
    code: str = ""
    finer: tuple[str, ...] = ()
    told: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The product with its manifests, a card that waits for an answer, and one that has it."""

    product: Product
    files: Mapping[str, str]
    waiting: Message
    decided: Message


class Door(Protocol):
    """Sends something bad; `send_good` does the same with something good, which has to work."""

    async def send(self, scene: Scene) -> Outcome: ...

    async def send_good(self, scene: Scene) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A request to where Slack delivers."""

    body: bytes
    signing: Signing = "good"
    content_type: str = "application/json"
    path: str = "/surfaces/slack/events"
    method: str = "POST"
    is_chunked: bool = False

    async def send(self, scene: Scene) -> Outcome:
        headers = {
            "Content-Type": self.content_type,
            **headers_for(self.signing, scene.product.slack.signing_secret, self.body),
        }
        body = pieces(self.body) if self.is_chunked else BytesIO(self.body)
        answer = await scene.product.send(self.method, self.path, body=body, headers=headers)
        return told_by(answer)

    async def send_good(self, scene: Scene) -> None:
        """Whatever came before: the next person is answered."""
        said = await scene.product.slack.say(CHANNEL, by="ben", text="<@U0BOT> what can you do?")
        assert "I can summarize" in (await scene.product.slack.reply_to(said)).text


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention(Delivery):
    """A mention that is odd and yet one: it is answered in its thread."""

    text: str
    body: bytes = b""

    async def send(self, scene: Scene) -> Outcome:
        slack = scene.product.slack
        said = await slack.say(CHANNEL, by="ben", text="<@U0BOT> hello", deliver=False)
        body = mention(self.text, event_id="Ev0ODD", ts=said.ts)
        outcome = await Delivery(body=body).send(scene)
        assert (await slack.reply_to(said)).text
        return outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Click:
    """A click on the card of a request by Anna, who may approve what others ask for.

    `value` None is the token of the card. The code is what the audit has; `told` is what the person
    reads in private, where `is_told`.
    """

    by: str
    action: str = "approve"
    value: str | None = None
    is_late: bool = False
    is_told: bool = True

    async def send(self, scene: Scene) -> Outcome:
        product, slack = scene.product, scene.product.slack
        card = scene.decided if self.is_late else scene.waiting
        shown, refused = len(slack.ephemerals), len(await product.audit("click.refused"))
        status = await slack.click(
            card,
            action_id=self.action,
            by=self.by,
            value=self.value or card.buttons[0].value,
            forged=True,
        )
        assert status is not None
        events = await product.audit("click.refused")
        assert len(events) == refused + 1
        code = events[0]["detail"]["code"]
        if not self.is_told:
            return Outcome(status=status, code=code)
        await slack.until(lambda: len(slack.ephemerals) > shown)
        told = slack.ephemerals[-1]
        assert told.user == slack.people.get(self.by).id
        return Outcome(status=status, code=code, told=told.text)

    async def send_good(self, scene: Scene) -> None:
        await ask_and_approve(scene.product)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request to the API; `token` None is the owner's."""

    path: str
    method: str = "GET"
    body: bytes | None = None
    token: str | None = None

    async def send(self, scene: Scene) -> Outcome:
        product = scene.product
        token = product.token if self.token is None else self.token
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if self.body is not None:
            headers["Content-Type"] = "application/json"
        body = None if self.body is None else BytesIO(self.body)
        return told_by(await product.send(self.method, self.path, body=body, headers=headers))

    async def send_good(self, scene: Scene) -> None:
        said = {"agent": "dev-platform", "text": "hello"}
        assert (await scene.product.api("POST", "/api/v1/conversations", said)).status == 202


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A change to a manifest of the demo, applied over the API: `old` is replaced by `new`."""

    old: str
    new: str
    file: str = AGENT

    async def send(self, scene: Scene) -> Outcome:
        text = self.edited(scene)
        found = problems_of(self.file, text, scene.files[WORKSPACE])
        answer = await apply(scene.product, {self.file: text})
        told = told_by(answer)
        assert {str(problem) for problem in found} <= set(answer.body["problems"])
        return Outcome(
            status=told.status,
            code=told.code,
            finer=tuple(problem.code for problem in found),
            told=told.told,
        )

    def edited(self, scene: Scene) -> str:
        text = scene.files[self.file]
        assert self.old in text
        return text.replace(self.old, self.new, 1)

    async def send_good(self, scene: Scene) -> None:
        assert (await apply(scene.product, dict(scene.files))).status == 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """`openloop agents apply` in a terminal; the status is the command's.

    It is given the demo's manifests, one of them edited or (`raw`) replaced.
    """

    edit: Edit | None = None
    raw: bytes | None = None

    async def send(self, scene: Scene) -> Outcome:
        texts = {name: text.encode() for name, text in scene.files.items()}
        if self.edit is not None:
            texts[self.edit.file] = self.edit.edited(scene).encode()
        if self.raw is not None:
            texts[AGENT] = self.raw
        return await asyncio.to_thread(run_apply, texts)

    async def send_good(self, scene: Scene) -> None:
        assert (await Command().send(scene)).status == 0


def run_apply(texts: Mapping[str, bytes]) -> Outcome:
    """Apply the files of a folder from the command line, which finds its server by OPENLOOP_URL."""
    out, err = io.StringIO(), io.StringIO()
    with TemporaryDirectory() as folder, redirect_stdout(out), redirect_stderr(err):
        for name, text in texts.items():
            (Path(folder) / name).write_bytes(text)
        status = main(["agents", "apply", "-f", folder, "-o", "json"])
    if not status:
        return Outcome(status=status)
    error = json.loads(err.getvalue())["error"]
    return Outcome(
        status=status, code=error["code"], told=" ".join((error["message"], *error["problems"]))
    )


def told_by(answer: Answer) -> Outcome:
    """What an answer over HTTP says."""
    if not answer.is_problem:
        return Outcome(status=answer.status)
    told = " ".join((answer.body["detail"], *answer.body.get("problems", ())))
    return Outcome(status=answer.status, code=answer.code, told=told)


def problems_of(name: str, text: str, workspace: str) -> tuple[Problem, ...]:
    """What is wrong with a manifest, each with its own code and its place in the file."""
    try:
        loaded = load(text, name=name)
    except InvalidManifest as invalid:
        return invalid.found
    if not isinstance(loaded.manifest, AgentManifest):
        return ()
    governed_by = parse_workspace(workspace, name=WORKSPACE)
    return check_references(loaded.manifest, governed_by, document=loaded.document)


async def apply(product: Product, files: Mapping[str, str]) -> Answer:
    """Apply files over the API."""
    written = [{"name": name, "text": text} for name, text in files.items()]
    return await product.api("POST", "/api/v1/manifests/apply", {"files": written})


async def ask_and_approve(product: Product) -> Message:
    """Anna asks for an issue and Priya approves it, which makes exactly one; answers the card."""
    before = len(product.github.writes)
    root = await product.slack.say(CHANNEL, by="anna", text=ASK)
    card = await product.slack.reply_to(root)
    await product.slack.click(card, action_id="approve", by="priya")
    assert (await product.slack.reply_to(root, count=2)).text
    assert len(product.github.writes) == before + 1
    return card


async def pieces(body: bytes) -> AsyncGenerator[bytes]:
    """A body whose length nobody announces."""
    for at in range(0, len(body), 64 * 1024):
        yield body[at : at + 64 * 1024]


def mention(text: str, *, event_id: str = "Ev0BAD", ts: str = "1795414226.000100") -> bytes:
    """A mention as Slack sends it."""
    return orjson.dumps(
        {
            "token": "legacy",
            "team_id": "T0ACME",
            "api_app_id": "A0OPENLOOP",
            "type": "event_callback",
            "event_id": event_id,
            "event_time": 1795414226,
            "authorizations": [{"team_id": "T0ACME", "user_id": "U0BOT", "is_bot": True}],
            "event": {
                "type": "app_mention",
                "user": "U0BEN",
                "text": f"<@U0BOT> {text}",
                "ts": ts,
                "channel": "C0DEV",
                "event_ts": ts,
            },
        }
    )


def headers_for(signing: Signing, secret: str, body: bytes) -> Mapping[str, str]:
    """What a delivery carries that is signed like this."""
    now = int(time.time())
    times = {
        "an hour old": f"{now - HOUR}",
        "an hour ahead": f"{now + HOUR}",
        "no number": "yesterday",
        "a fraction": f"{now}.5",
        "a negative number": f"-{now}",
        "a huge number": "9" * 40,
        "an empty timestamp": "",
    }
    at = times.get(signing, f"{now}")
    good = sign(secret, at, body)
    signatures = {
        "another secret": sign("not-our-secret", at, body),
        "another body": sign(secret, at, body + b" "),
        "half a signature": good[:30],
        "not hexadecimal": f"v0={'g' * 64}",
        "not ASCII": "v0=ÄÖÜ",
        "another version": f"v1={good[3:]}",
    }
    headers = {
        "X-Slack-Request-Timestamp": at,
        "X-Slack-Signature": signatures.get(signing, good),
    }
    if signing in ("no timestamp", "nothing"):
        del headers["X-Slack-Request-Timestamp"]
    if signing in ("no signature", "nothing"):
        del headers["X-Slack-Signature"]
    return headers
