"""Inputs from outside, changed at random, and whatever reads them: a refusal in words, or an answer.

Each target reads bytes that strangers may send. What it raises beside our own errors is a crash, and
so is an input that costs more than a tenth of a second of CPU. Inputs are made from a corpus that is
kept beside this file; the same seed makes the same ones.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from openloop.domain import manifest, strict_json
from openloop.domain.build_logs.analyser import analyse
from openloop.domain.errors import OpenLoopError
from openloop.domain.redaction import Redactor
from openloop.domain.surface import Ask, Rejected, Say
from openloop.domain.tool import ToolResult
from openloop.integrations.github import speech
from openloop.integrations.github.actors import Identity
from openloop.integrations.github.decode import ACTED_ON, decode
from openloop.integrations.github.mentions import called_in, is_twisted
from openloop.integrations.github.resources import Comment, Issue, Pull, PullFile, reader
from openloop.integrations.github.surface import MOST_BODY
from openloop.integrations.slack.render import render_ask, render_say
from openloop.integrations.slack.surface import SlackSurface
from openloop.testing.rigs.slack.blocks import problems_of
from openloop.tools.results import MAX_BYTES, bounded
from tests.integrations.slack import make

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CORPUS: Final = Path(__file__).parent / "corpus"
RECORDED_LOGS: Final = CORPUS.parents[1] / "corpus" / "build_logs" / "develop" / "recordings"
LONGEST_BYTES: Final = 16 * 1024  # what a model answers at most with 4,096 tokens
MOST_CPU_SECONDS: Final = 0.1
MOST_EXCERPT_BYTES: Final = 8 * 1024
_TOKENS: Final = (
    b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\\ud800", b"\xe2\x80\xae", b"\xef\xbb\xbf", b"\r\n",
    b'"', b"'", b"{", b"}", b"[", b"]", b":", b",", b"-", b"- ", b"? ", b"&a ", b"*a", b"!!python/x ",
    b"<<: ", b"|\n", b">\n", b"# ", b"`", b"```\n", b"**", b"_", b"~~", b"|", b"[a](", b"](x)", b"<!channel>",
    b"<@U0ANNA>", b"<https://x.example|", b"&lt;", b"&", b"%", b"%7B", b"payload=", b"null", b"true",
    b"NaN", b"-0", b"1e999", b"99999999999999999999", b"0x10", b"1_000", b"2026-13-45", b"~", b"yes",
    b"\\u0000", b"kind: Agent\n", b"apiVersion", b"T0ACME", b"1795435200.000100", b"\xf0\x9f\xa6\x80",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """An input that must not have done what it did."""

    target: str
    what: str
    input: bytes

    def __str__(self) -> str:
        return f"{self.target}: {self.what} for {self.input[:200]!r} ({len(self.input)} bytes)"


@dataclass(slots=True)
class Tally:
    """What was tried and found."""

    most_seconds: float = MOST_CPU_SECONDS
    inputs: dict[str, int] = field(default_factory=dict[str, int])
    slowest_seconds: dict[str, float] = field(default_factory=dict[str, float])
    findings: list[Finding] = field(default_factory=list[Finding])


# --- what reads ----------------------------------------------------------------------------------

_SURFACE: Final = SlackSurface(make.settings())
_READERS: Final = tuple(reader(kind) for kind in (Issue, Comment, Pull, PullFile))
_REDACTOR: Final = Redactor(["a-known-secret-value-1"])


def read_delivery(raw: bytes) -> None:
    """A body that Slack has signed, as an event and as a form."""
    for content_type in ("application/json", "application/x-www-form-urlencoded"):
        try:
            _SURFACE.accept(make.signed(raw, content_type=content_type))
        except Rejected as refused:
            if not 400 <= refused.status < 500:
                raise AssertionError(f"refused with {refused.status}") from refused


def read_manifest(raw: bytes) -> None:
    """A file that somebody applies; what is taken can be written and read again."""
    loaded = manifest.load(raw, name="fuzz.yaml").manifest
    assert manifest.digest(loaded)


def read_github(raw: bytes) -> None:
    """A body that GitHub has signed, as each of the events that we act on."""
    payload = strict_json.loads(raw, max_bytes=MOST_BODY, max_depth=64)
    if not isinstance(payload, dict):
        return
    for event in sorted(ACTED_ON):
        try:
            decode(
                event,
                payload,
                delivery="guid",
                received_at=datetime(2026, 11, 23, tzinfo=UTC),
                web_url="https://github.com",
                host="github.com",
                own=Identity(id=900, login="openloop[bot]", is_app=True),
            )
        except Rejected as refused:
            if not 400 <= refused.status < 500:
                raise AssertionError(f"refused with {refused.status}") from refused


def read_log(raw: bytes) -> None:
    """The log of a job that failed: what is shown of it is short, and on its lines."""
    found = analyse([raw], _REDACTOR)
    assert sum(len(excerpt.text.encode()) for excerpt in found.excerpts) <= MOST_EXCERPT_BYTES
    for excerpt in found.excerpts:
        assert excerpt.causal_text
        assert 1 <= excerpt.cause <= found.line_count


def read_json(raw: bytes) -> None:
    """A body of our API; what is taken means the same to everybody."""
    value = strict_json.loads(raw)
    assert orjson.loads(orjson.dumps(value)) == value


def render_markdown(raw: bytes) -> None:
    """An answer of a model, and a card with its words."""
    text = raw.decode(errors="replace")
    parts = [*render_say(Say(markdown=text)), render_ask(_ask(text))]
    for part in parts:
        assert problems_of(list(part.blocks)) == []


def render_comment(raw: bytes) -> None:
    """The same answer on GitHub: nobody is called by it."""
    for comment in speech.say(raw.decode(errors="replace")):
        assert len(comment) <= speech.MOST_COMMENT
        assert "@" not in comment if is_twisted(comment) else not list(called_in(comment))


def _ask(text: str) -> Ask:
    card = make.card(title=text[:80], body=text, reason=text[:400])
    return Ask(card=card, buttons=(make.APPROVE, make.REJECT))


def read_result(raw: bytes) -> None:
    """What a tool's service answered, on its way to the journal and the model."""
    for read in _READERS:
        try:
            read(raw)
        except (OpenLoopError, ValueError):
            continue
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError):
        content = raw.decode(errors="surrogateescape")
    result = bounded(ToolResult.done({"answer": content}), _REDACTOR)
    written = _REDACTOR.json(orjson.dumps(result.content, default=str))
    assert len(written) <= 2 * MAX_BYTES + 200  # quotes in what is quoted, and that it was cut


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "deliveries": read_delivery,
    "github": read_github,
    "logs": read_log,
    "manifests": read_manifest,
    "json": read_json,
    "markdown": render_markdown,
    "comments": render_comment,
    "results": read_result,
}

# --- inputs --------------------------------------------------------------------------------------


def corpus(target: str) -> list[bytes]:
    """The inputs that are kept for a target."""
    files = sorted((CORPUS / ("markdown" if target == "comments" else target)).iterdir())
    if target == "logs":
        files += sorted(RECORDED_LOGS.iterdir())
    return [raw for file in files if len(raw := file.read_bytes()) <= LONGEST_BYTES]


def changed(kept: Sequence[bytes], chance: random.Random) -> Iterator[bytes]:
    """Inputs without an end."""
    while True:
        raw = bytearray(chance.choice(kept))
        for _ in range(chance.choice((1, 1, 2, 4, 8, 16))):
            _change(raw, kept, chance)
        yield bytes(raw[:LONGEST_BYTES])


def _change(raw: bytearray, kept: Sequence[bytes], chance: random.Random) -> None:
    at = chance.randrange(len(raw) + 1)
    to = min(len(raw), at + chance.choice((1, 2, 8, 64, 512)))
    match chance.randrange(8):
        case 0:
            raw[at:at] = chance.choice(_TOKENS)
        case 1:
            raw[at:to] = chance.choice(_TOKENS)
        case 2:
            del raw[at:to]
        case 3:  # again and again: nesting, and long runs
            raw[at:at] = raw[at:to] * chance.choice((2, 10, 100, 3000))
        case 4:
            raw[at:at] = chance.choice(_TOKENS) * chance.choice((2, 10, 100, 3000))
        case 5:
            other = chance.choice(kept)
            start = chance.randrange(len(other) + 1)
            raw[at:to] = other[start : start + chance.choice((8, 64, 512))]
        case 6:
            del raw[at:]
        case _ if at < len(raw):
            raw[at] = chance.randrange(256)
        case _:
            pass
    del raw[LONGEST_BYTES:]


# --- trying --------------------------------------------------------------------------------------


def attempt(target: str, raw: bytes, tally: Tally) -> None:
    """Let a target read an input, and note what must not be."""
    read = TARGETS[target]
    began = time.process_time()
    try:
        read(raw)
    except OpenLoopError:
        pass
    except Exception as error:  # noqa: BLE001  # whatever it is, it is what is looked for
        note(tally, target, f"{type(error).__name__}: {error}"[:300], raw)
    spent = time.process_time() - began
    if spent > tally.most_seconds:
        # A busy machine may have done something else meanwhile: what is slow is slow again.
        spent = min(spent, *(_again(read, raw) for _ in range(2)))
    note_time(tally, target, spent, raw)


def _again(read: Callable[[bytes], None], raw: bytes) -> float:
    began = time.process_time()
    try:
        read(raw)
    except Exception:  # noqa: BLE001  # it was noted before
        return time.process_time() - began
    return time.process_time() - began


def note(tally: Tally, target: str, what: str, raw: bytes) -> None:
    """Keep a finding."""
    tally.findings.append(Finding(target=target, what=what, input=raw))


def note_time(tally: Tally, target: str, seconds: float, raw: bytes) -> None:
    """Count an input, and judge how long it took."""
    tally.inputs[target] = tally.inputs.get(target, 0) + 1
    tally.slowest_seconds[target] = max(seconds, tally.slowest_seconds.get(target, 0.0))
    if seconds > tally.most_seconds:
        note(tally, target, f"took {1000 * seconds:.0f} ms", raw)


def run(
    target: str,
    *,
    inputs: int | None = None,
    seconds: float | None = None,
    seed: int,
    most_seconds: float = MOST_CPU_SECONDS,
) -> Tally:
    """The corpus, then changed inputs, until there were so many or it took so long."""
    tally = Tally(most_seconds=most_seconds)
    kept = corpus(target)
    for raw in kept:
        attempt(target, raw, tally)
    until = None if seconds is None else time.monotonic() + seconds
    for number, raw in enumerate(changed(kept, random.Random(f"{target}:{seed}"))):
        if (inputs is not None and number >= inputs) or (
            until is not None and time.monotonic() > until
        ):
            return tally
        attempt(target, raw, tally)
    raise AssertionError("inputs have no end")
