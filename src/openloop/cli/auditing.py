"""Verifying the audit from a file or a server, with checkpoints from wherever they are kept."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID

import orjson

from openloop.cli.failures import Exit, LocalFailure
from openloop.cli.output import Format, field, say, show_list
from openloop.domain.audit_bundle import verify_bundle
from openloop.domain.audit_verify import verify
from openloop.domain.errors import Invalid
from openloop.runtime.destinations.folder import read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from openloop.cli.client import Client
    from openloop.domain.audit_chain import Entry
    from openloop.domain.audit_verify import Verified

PAGE: Final = 2000
FINDINGS: Final = (
    field("FINDING", "kind"),
    field("WHERE", "where"),
    field("MESSAGE", "message"),
)
NOTHING_ELSEWHERE: Final = (
    "Not compared with checkpoints kept elsewhere: whoever can rewrite the whole database is not "
    "found so. Name a folder or file of them with --checkpoints."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A verdict as it is shown: what was found, and sentences about how far it goes."""

    answer: dict[str, Any]
    findings: list[dict[str, Any]]
    notes: list[str]


def verify_file(
    export: Path, places: Sequence[Path], pins: Sequence[str], *, output: Format
) -> int:
    """Verify an export without any database."""
    with export.open("rb") as lines:
        workspace, after = _begins(export)
        elsewhere = _elsewhere(workspace, places)
        entries = (_entry(line) for line in lines)
        verified = verify(workspace, entries, elsewhere=elsewhere, pins=pins, after=after)
    return _show(verified, (), output)


def verify_server(
    client: Client, places: Sequence[Path], pins: Sequence[str], *, output: Format
) -> int:
    """Verify what a server has now: the record, its checkpoints, and the effects it tells of."""
    ours = list(_checkpoints(client))
    first = client.text("/api/v1/audit/export", limit=1)
    workspace = _workspace_of(first, ours)
    if workspace is None:
        say("Nothing is sealed yet.")
        return Exit.OK
    elsewhere = _elsewhere(workspace, places)
    entries = (_entry(line) for line in export_lines(client, after=0))
    verified = verify(workspace, entries, ours=ours, elsewhere=elsewhere, pins=pins)
    return _show(verified, list(_effects(client)), output)


def verify_bundle_file(file: Path, pins: Sequence[str], *, output: Format) -> int:
    """Verify the explanation of a run without any database."""
    try:
        bundle: object = orjson.loads(file.read_bytes())
    except orjson.JSONDecodeError:
        message = f"{file} is not JSON"
        raise Invalid(message, code="bundle_malformed") from None
    read_bundle = cast("dict[str, Any]", bundle) if isinstance(bundle, dict) else {}
    proved = verify_bundle(read_bundle, pins=pins)
    notes = [f"Run {proved.run_id}: {proved.proved} events are proved by checkpoints."]
    if proved.unproved:
        notes.append(f"{proved.unproved} events are not covered by a checkpoint in it yet.")
    if not pins:
        notes.append(
            f"The checkpoints begin with key {', '.join(proved.root_keys) or 'none'}: compare it with "
            "the one you know, or give it as --key."
        )
    notes.append(
        "The manifest, the approved bytes and the events are proved. Steps, memories, messages and "
        "cost are what the database said; they agree with the events."
        if proved.is_well
        else "It is not what it claims to be."
    )
    _write(
        Said(answer=asdict(proved), findings=[asdict(f) for f in proved.findings], notes=notes),
        output,
    )
    return Exit.OK if proved.is_well else Exit.FAILURE


def export_lines(client: Client, *, after: int) -> Iterator[str]:
    """Every line of the record after a link, a page at a time."""
    while True:
        page = client.text("/api/v1/audit/export", after=after, limit=PAGE).splitlines()
        yield from page
        numbers = [json.loads(line)["seq"] for line in page[-1:]]
        if len(page) < PAGE or numbers[0] is None:
            return
        after = numbers[0]


# --- reading ---------------------------------------------------------------------------------------


def _begins(export: Path) -> tuple[UUID, int]:
    """The workspace that an export is of, and the link before its first."""
    with export.open("rb") as lines:
        for line in lines:
            entry = _entry(line)
            if entry["seq"] is not None and entry["record"]:
                return _record_workspace(entry["record"]), entry["seq"] - 1
    message = f"{export} has no sealed event"
    raise LocalFailure(message, code="export_empty")


def _record_workspace(record: str) -> UUID:
    try:
        return UUID(orjson.loads(record)["workspace"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        message = "The first record does not say whose it is"
        raise Invalid(message, code="export_malformed") from None


def _workspace_of(export: str, documents: Sequence[str]) -> UUID | None:
    for line in export.splitlines()[:1]:
        record = _entry(line)["record"]
        if record:
            return _record_workspace(record)
    if documents:
        return UUID(orjson.loads(documents[0])["checkpoint"]["workspace"])
    return None


def _entry(line: str | bytes) -> Entry:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict) or "record" not in found:
        message = "This is no export: a line is not an entry of the record"
        raise Invalid(message, code="export_malformed")
    return cast("Entry", found)


def _elsewhere(workspace: UUID, places: Sequence[Path]) -> Mapping[str, Iterable[str]]:
    found: dict[str, Iterable[str]] = {}
    for place in places:
        if place.is_dir():
            found[str(place)] = list(read(place, workspace))  # pyright: ignore[reportArgumentType]
        elif place.is_file():
            found[str(place)] = [
                line for line in place.read_text("utf-8").splitlines() if line.strip()
            ]
        else:
            message = f"There are no checkpoints at {place}"
            raise LocalFailure(message, code="checkpoints_missing")
    return found


def _checkpoints(client: Client) -> Iterator[str]:
    cursor: str | None = None
    while True:
        page = client.get("/api/v1/audit/checkpoints", limit=200, cursor=cursor)
        yield from (item["document"] for item in page["items"])
        cursor = page["next_cursor"]
        if cursor is None:
            return


def _effects(client: Client) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        page = client.get("/api/v1/audit/effects", limit=200, cursor=cursor)
        yield from page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return


# --- showing ---------------------------------------------------------------------------------------


def _show(verified: Verified, effects: Sequence[dict[str, Any]], output: Format) -> int:
    findings = [asdict(finding) for finding in verified.findings] + list(effects)
    notes = [f"{verified.events} events, sealed up to link {verified.seq}."]
    if verified.covered:
        notes.append(f"Confirmed by a checkpoint up to link {verified.covered}.")
    if verified.keys:
        notes.append(
            f"The checkpoints begin with key {', '.join(verified.root_keys)}; the last is signed with "
            f"{', '.join(verified.keys)}."
        )
    if verified.elsewhere:
        notes.append(f"Compared with {verified.elsewhere} checkpoints that are kept elsewhere.")
    else:
        notes.append(NOTHING_ELSEWHERE)
    if verified.more_findings:
        notes.append(f"{verified.more_findings} more findings are not listed.")
    answer = {**asdict(verified), "findings": findings, "ok": not findings}
    _write(Said(answer=answer, findings=findings, notes=notes), output)
    return Exit.FAILURE if findings else Exit.OK


def _write(said: Said, output: Format) -> None:
    show_list(
        said.answer,
        said.findings,
        FINDINGS,
        output="wide" if output == "table" else output,
        name=lambda each: f"finding/{each['kind']}",
        nothing="The record is what was sealed.",
    )
    if output in ("table", "wide"):
        for note in said.notes:
            say(note)
