"""The explanation of a run as people read it, and as a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from openloop.cli.output import say, show_one
from openloop.cli.text import money, one_line, when
from openloop.cli.wording import step_line, who

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from openloop.cli.output import Format, Json


def show(bundle: Json, file: Path | None, output: Format) -> None:
    """Write the explanation; the bundle as it is where a file is named."""
    if file is not None:
        file.write_text(json.dumps(bundle, ensure_ascii=False) + "\n", encoding="utf-8")
        say(f"Written to {file}: openloop audit verify --bundle {file}")
    run, revision = bundle["run"], bundle["revision"]
    lines = [
        ("Run", f"{run['id']}, {run['state']} {run['error_code']}".strip()),
        ("Asked by", "\n".join(_requests(bundle))),
        ("Where", f"{bundle['thread']['place']['surface']} {run['request_link']}".strip()),
        ("Agent", f"{run['agent']}, revision {revision['number']}, {revision['digest']}"),
        ("Governed by", "\n".join(_governing(bundle))),
        ("Remembered", "\n".join(_memories(bundle))),
        ("Decisions", "\n".join(_decisions(bundle))),
        ("Approvals", "\n".join(_approvals(bundle))),
        ("Steps", "\n".join(step_line(step) for step in bundle["steps"])),
        ("Messages", "\n".join(_messages(bundle))),
        ("Cost", "\n".join(_cost(bundle))),
        ("On record", "\n".join(_events(bundle))),
        ("Proof", _proof(bundle)),
    ]
    show_one(bundle, lines, output=output, name=f"run/{run['id']}")


def _requests(bundle: Json) -> Iterator[str]:
    for said in bundle["requests"]:
        yield f"{who(said['actor'])}, {when(said['sent_at'])}: {one_line(said['text'])}"


def _governing(bundle: Json) -> Iterator[str]:
    for each in bundle["governing"]:
        made = each["manifest"]
        yield f"{made['kind']} revision {made['number']}, {made['digest']}, {when(made['applied_at'])}"


def _memories(bundle: Json) -> Iterator[str]:
    for memory in bundle["memories"]:
        yield f"{memory['kind']} of {who(memory['author'])}: {one_line(memory['text'])}"


def _decisions(bundle: Json) -> Iterator[str]:
    for decided in bundle["decisions"]:
        rule = f" by {decided['rule']}" if decided["rule"] else ""
        yield f"step {decided['step']}: {decided['tool']} ({decided['effect'] or 'refused'}) {decided['verdict']}{rule}"


def _approvals(bundle: Json) -> Iterator[str]:
    for approval in bundle["approvals"]:
        yield f"{approval['state']}: {approval['tool']} {one_line(approval['arguments'])}"
        yield f"  hash {approval['hash']}"
        for vote in approval["votes"]:
            yield f"  {vote['decision']} by {vote['name']} via {vote['via']}, {when(vote['voted_at'])}"


def _messages(bundle: Json) -> Iterator[str]:
    for sent in bundle["messages"]:
        op = sent["op"]
        text = op.get("markdown") or op.get("outcome") or op.get("text") or ""
        yield f"{op['op']} {sent['state']}: {one_line(text)}".rstrip(": ")


def _cost(bundle: Json) -> Iterator[str]:
    run = bundle["run"]
    yield f"{money(bundle['cost_usd'])}, {run['input_tokens']} tokens in, {run['output_tokens']} out"
    for spent in bundle["spent"]:
        assumed = ", assumed" if spent["assumed"] else ""
        cost = money(spent["cost_usd"]) if spent["cost_usd"] is not None else "open"
        yield f"  step {spent['step_seq']}: {spent['model']} {cost} of {money(spent['reserved_usd'])}{assumed}"


def _events(bundle: Json) -> Iterator[str]:
    for entry in bundle["events"]:
        event = entry["event"]
        if event is not None:
            link = f"link {entry['seq']}" if entry["seq"] else "not sealed yet"
            yield f"{when(event['at'])}  {event['kind']} by {who(event['actor'])} ({link})"


def _proof(bundle: Json) -> str:
    if not bundle["proofs"]:
        return "no checkpoint covers it yet"
    numbers = ", ".join(str(proof["checkpoint"]) for proof in bundle["proofs"])
    return f"checkpoint {numbers}; openloop audit verify --bundle FILE"
