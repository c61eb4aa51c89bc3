"""Requests to the whole API, changed at random: no status 500, whatever comes."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import orjson

from tests.api.access import OPERATIONS
from tests.guarantees.fuzzing import MOST_CPU_SECONDS, Tally, changed, corpus, note, note_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.api.conftest import Api

TARGET: Final = "requests"
# They do not end by themselves, or end what the others need.
_LEFT_OUT: Final = frozenset({"stream_events", "log_out", "get_conversation_messages"})
_VALUES: Final = (
    *("", "0", "-1", "99999999999999999999", "null", "..", "a/b", "%00", "\u202e", "é", "x" * 3000),
    *("01999999-0000-7000-8000-000000000000", "2026-11-23T12:00:00Z", "run.", "'; --", "{}", "[1]"),
)


async def run(
    api: Api,
    *,
    inputs: int | None = None,
    seconds: float | None = None,
    seed: int,
    most_seconds: float = MOST_CPU_SECONDS,
) -> Tally:
    """Ask for operations, with addresses, queries and bodies that are nearly right."""
    tally = Tally(most_seconds=most_seconds)
    chance = random.Random(seed)
    asked = list(_operations(api))
    bodies = changed(_bodies(), random.Random(f"{TARGET}:{seed}"))
    until = None if seconds is None else time.monotonic() + seconds
    for number, body in enumerate(bodies):
        if (inputs is not None and number >= inputs) or (
            until is not None and time.monotonic() > until
        ):
            break
        method, path = chance.choice(asked)
        await _attempt(api, method, _filled(path, chance), body, tally, chance)
    return tally


def _operations(api: Api) -> Iterator[tuple[str, str]]:
    for path, methods in api.app.openapi()["paths"].items():
        for method, operation in methods.items():
            is_stream = "text/event-stream" in str(operation.get("responses"))
            if not is_stream and operation["operationId"] not in _LEFT_OUT:
                yield method.upper(), path


def _bodies() -> Sequence[bytes]:
    known = [orjson.dumps(each.body) for each in OPERATIONS.values() if each.body is not None]
    return [*known, *corpus("json")]


def _filled(path: str, chance: random.Random) -> str:
    parts = [
        quote(chance.choice(_VALUES), safe=chance.choice(("", "/"))) if "{" in part else part
        for part in path.split("/")
    ]
    names = ("limit", "cursor", "kind", "before", "run_id", "call", "place", "state", "agent")
    query = "&".join(
        f"{chance.choice(names)}={quote(chance.choice(_VALUES))}"
        for _ in range(chance.randint(0, 3))
    )
    return "/".join(parts) + (f"?{query}" if query else "")


async def _attempt(
    api: Api, method: str, url: str, body: bytes, tally: Tally, chance: random.Random
) -> None:
    headers = {
        "Content-Type": chance.choice(("application/json", "application/json", "text/plain"))
    }
    if chance.random() < 0.2:
        headers["Idempotency-Key"] = (
            chance.choice(_VALUES).encode("ascii", "ignore").decode() or "k"
        )
    sent = None if method == "GET" else body
    began = time.process_time()
    try:
        answer = await api.call(method, url, content=sent, headers=headers)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is what is looked for
        note(tally, TARGET, f"{method} {url}: {type(error).__name__}: {error}"[:400], body)
    else:
        if answer.status_code == 500:
            note(tally, TARGET, f"{method} {url}: 500 {answer.text[:300]}", body)
    note_time(tally, TARGET, time.process_time() - began, f"{method} {url} ".encode() + body)
