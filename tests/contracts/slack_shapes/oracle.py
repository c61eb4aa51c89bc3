"""Holding what passed between Slack and the app against Slack's own types, with their compiler."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from openloop.testing.rigs.slack import Call, Delivery, SlackRig
from tests.contracts.slack_shapes.fetch import TYPES, fetch, node

SHAPES = Path(__file__).with_name("shapes.ts")
_CHECK_SECONDS = 60
_OPTIONS = (
    *("--noEmit", "--strict", "--skipLibCheck", "--pretty", "false"),
    *("--target", "es2022", "--module", "commonjs", "--moduleResolution", "node10"),
)
_AMENDED = ("message_changed", "message_deleted")


@dataclass(frozen=True, slots=True)
class Case:
    """Something that was sent, and the type of `shapes.ts` that it has to be of."""

    label: str
    shape: str
    value: object


def cases_of(rig: SlackRig) -> list[Case]:
    """All that passed a rig: requests and answers of its Web API, events and clicks."""
    calls = (case for call in rig.calls for case in _cases_of_call(call))
    return [*calls, *map(_case_of_delivery, rig.deliveries)]


def _cases_of_call(call: Call) -> Iterator[Case]:
    if call.method == "response_url" or call.status != 200:
        return
    if not call.ok:
        yield Case(f"refusal of {call.method}", "Refusal", call.response)
        return
    yield Case(f"request of {call.method}", f"Requests[{call.method!r}]", call.args)
    yield Case(f"answer to {call.method}", f"Responses[{call.method!r}]", call.response)


def _case_of_delivery(delivery: Delivery) -> Case:
    if delivery.kind == "interaction":
        return Case(
            f"interaction {delivery.type}", f"Interactions[{delivery.type!r}]", delivery.payload
        )
    subtype = delivery.payload.get("event", {}).get("subtype")
    name = f"{delivery.type}.{subtype}" if subtype in _AMENDED else delivery.type
    return Case(f"event {name}", f"Events[{name!r}]", delivery.payload)


class Oracle:
    """Slack's word on what a payload may look like."""

    def __init__(self, types: Path) -> None:
        self._types = types

    @classmethod
    def load_or_skip(cls) -> "Oracle":
        """Fetch the types unless they are cached; without them fail in CI, and skip elsewhere."""
        if not TYPES.exists():
            try:
                fetch()
            except (OSError, subprocess.SubprocessError) as unreachable:
                reason = f"npm cannot fetch Slack's types ({unreachable}): see {fetch.__module__}"
                if os.environ.get("CI") == "true":
                    pytest.fail(reason)
                pytest.skip(reason)
        return cls(TYPES)

    def deviations(self, cases: Iterable[Case]) -> dict[str, list[str]]:
        """What Slack would not have sent, or taken, so: the compiler's words by label."""
        checked = list(cases)
        folder = Path(tempfile.mkdtemp(prefix="check-", dir=self._types))
        try:
            shutil.copy(SHAPES, folder)
            (folder / "cases.ts").write_text(_source(checked), "utf-8")
            said = self._compile(folder)
        finally:
            shutil.rmtree(folder)
        found: defaultdict[str, list[str]] = defaultdict(list)
        for line in said.splitlines():
            if at := re.match(r"cases\.ts\((\d+),\d+\): error (.*)", line):
                found[checked[int(at[1]) - 2].label].append(at[2])
            elif found and line.startswith(" "):
                next(reversed(found.values()))[-1] += f"\n{line}"
            else:
                pytest.fail(f"The compiler did not get as far as the cases: {said}")
        return dict(found)

    def _compile(self, folder: Path) -> str:
        compiler = self._types / "node_modules/typescript/lib/tsc.js"
        done = subprocess.run(
            [*node(), str(compiler), *_OPTIONS, "cases.ts"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_CHECK_SECONDS,
            check=False,
        )
        if done.stderr:
            pytest.fail(done.stderr)
        return done.stdout


def _source(cases: list[Case]) -> str:
    """One case a line, after one line of imports: the compiler's lines lead back to the cases."""
    lines = ["import type * as shapes from './shapes';"]
    lines += [
        f"const case{number}: shapes.{case.shape} = {_literal(case.value)};"
        for number, case in enumerate(cases)
    ]
    return "\n".join([*lines, "export {};", ""])


def _literal(value: object) -> str:
    """JSON is TypeScript, but for two characters that end a line there."""
    return json.dumps(value, ensure_ascii=True)
