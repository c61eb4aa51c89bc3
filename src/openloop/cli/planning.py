"""A plan as people read it: on a terminal, and as Markdown for a pull request."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from openloop.cli.output import Json, value
from openloop.cli.text import clean, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_VERBS = {"create": "new", "change": "changed", "unchanged": "unchanged"}
_LONGEST = 200


def widens(plan: Json) -> bool:
    """Whether somebody else has to agree."""
    return any(document["widenings"] for document in plan["documents"])


def lines(plan: Json) -> Iterator[str]:
    """The plan in lines: what changes by `~ + -`, what widens rights by `!`."""
    for document in plan["documents"]:
        yield f"{title(document)}: {_VERBS[document['verb']]}, revision {document['revision']}"
        if document["verb"] == "change":
            for each in document["differences"]:
                yield f"  {_sign(each)} {one_line(each['path'])}: {_change(each)}"
        for each in document["widenings"]:
            yield f"  ! widens {one_line(each['path'])}: {one_line(each['sentence'])}"
        for part in document["inactive"]:
            yield f"  . inactive {one_line(part['part'])}: {one_line(part['reason'])}"


def markdown(plan: Json, dry_run: Json | None) -> Iterator[str]:
    """The plan for a pull request; what manifests say stands in code blocks and nowhere else."""
    verdict = (
        "**widens rights**: somebody else has to approve it" if widens(plan) else "widens nothing"
    )
    yield "### OpenLoop plan"
    yield ""
    yield f"This {verdict}. Plan `{plan['digest'][:12]}`."
    yield ""
    yield from _block(lines(plan))
    if dry_run is not None:
        yield ""
        yield f"{summary(dry_run)}."
        yield ""
        yield from _block(dry_run_lines(dry_run))


def summary(dry_run: Json) -> str:
    """How many recorded calls would be decided otherwise, and how sure that is."""
    counts = ", ".join(f"{len(calls)} newly {kind}" for kind, calls in dry_run["newly"].items())
    said = f"Of {dry_run['calls']} recorded calls: {counts}"
    if dry_run["assumed"]:
        said += f"; {dry_run['assumed']} tried under every possibility that their record leaves"
    if dry_run["undecided"]:
        said += f"; {dry_run['undecided']} could not be decided"
    return said


def dry_run_lines(dry_run: Json) -> Iterator[str]:
    """Each recorded call that would be decided otherwise, with its run."""
    for kind, calls in dry_run["newly"].items():
        for call in calls:
            where = f" in {one_line(call['resource'])}" if call["resource"] else ""
            sure = ", possibly" if call["assumed"] else ""
            yield (
                f"newly {kind}{sure}: {one_line(call['tool'])}{where} ({one_line(call['agent'])}), "
                f"{one_line(call['rule'])}, run {call['run_id']} step {call['step']}"
            )


def title(document: Json) -> str:
    """`Agent dev-platform`."""
    return f"{document['kind']} {one_line(document['name'])}"


def _block(texts: Iterator[str]) -> Iterator[str]:
    shown = [clean(text) for text in texts] or ["(nothing)"]
    ticks = max((len(run) for text in shown for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, ticks + 1)
    yield f"{fence}text"
    yield from shown
    yield fence


def _sign(difference: Json) -> str:
    if difference["before"] is None:
        return "+"
    return "-" if difference["after"] is None else "~"


def _change(difference: Json) -> str:
    before, after = difference["before"], difference["after"]
    if before is None:
        return shown(after)
    return f"{shown(before)} -> {shown(after) if after is not None else 'absent'}"


def shown(part: object) -> str:
    """A value of a manifest in one line."""
    text = part if isinstance(part, str) else json.dumps(part, ensure_ascii=False)
    text = one_line(text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def widenings(documents: Sequence[Json]) -> str:
    """Every widening of a set, one a line."""
    return "\n".join(
        f"{title(document)}: {one_line(value(each, 'path'))}: {one_line(value(each, 'sentence'))}"
        for document in documents
        for each in document["widenings"]
    )
