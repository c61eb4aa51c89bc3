"""Every example payload of GitHub's is taken, and becomes what is written down beside this.

`OPENLOOP_WRITE_GOLDEN=1` writes it anew. Each example is looked at twice: as it is, and as if it were
meant for us (our name in its text, our number as assignee, a check run of ours, a red build).
"""

from __future__ import annotations

import json
import os
from collections import Counter
from copy import deepcopy
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from openloop.domain.surface import Delivery
from openloop.integrations.github.actors import Identity
from openloop.integrations.github.client import GitHubClient
from openloop.integrations.github.decode import ACTED_ON, decode
from openloop.integrations.github.settings import GitHubSettings
from openloop.integrations.github.surface import GitHubSurface
from openloop.testing.contracts.github import BotToken
from tests.contracts.github_webhooks import fetch
from tests.contracts.github_webhooks.fetch import EXAMPLES, PACKAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from openloop.domain.surface import Inbound

GOLDEN = Path(__file__).parent / "github_webhooks/inbound.json"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
OWN = Identity(id=990_001, login="openloop[bot]", is_app=True)
TEXTS = ("comment", "issue", "pull_request", "review")


@cache
def examples() -> list[tuple[str, dict[str, Any]]]:
    """Every example with the name of its event; without them a test fails in CI, else is skipped."""
    if not EXAMPLES.exists():
        reason = f"{PACKAGE} is not in the cache: run `python -m {fetch.__name__}`"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    listed = json.loads(EXAMPLES.read_bytes())
    return [(each["name"], one) for each in listed for one in each["examples"]]


def meant_for_us(payload: dict[str, Any]) -> dict[str, Any]:
    """The same, addressed to us in every way that there is."""
    payload = deepcopy(payload)
    for name in TEXTS:
        if isinstance(payload.get(name), dict):
            thing: dict[str, Any] = payload[name]
            thing["body"] = f"@openloop {thing.get('body') or ''}"
    for name in ("assignee", "requested_reviewer"):
        if isinstance(payload.get(name), dict):
            payload[name]["id"] = OWN.id
    for name in ("check_suite", "workflow_run"):
        if isinstance(payload.get(name), dict):
            payload[name]["conclusion"] = "failure"
    if isinstance(payload.get("check_run"), dict):
        payload["check_run"]["external_id"] = "openloop 42 a-token-of-ours"
    return payload


def told(event: str, payload: dict[str, Any]) -> Inbound | None:
    return decode(
        event,
        payload,
        delivery="d-1",
        received_at=NOON,
        web_url="https://github.com",
        host="github.com",
        own=OWN,
    )


def summary(inbound: Inbound | None) -> list[str] | str:
    """What the golden file keeps of an event."""
    if inbound is None:
        return "ignored"
    thread = f"{inbound.thread.place.container} {inbound.thread.root}"
    return [inbound.kind, inbound.actor.id, thread, inbound.subject_key]


def everything() -> Iterator[tuple[str, list[str] | str]]:
    numbers: Counter[str] = Counter()
    for event, payload in examples():
        if event not in ACTED_ON:
            continue
        name = f"{event}.{payload.get('action', '')}"
        numbers[name] += 1
        yield f"{name}.{numbers[name]}", summary(told(event, payload))
        addressed = summary(told(event, meant_for_us(payload)))
        yield f"{name}.{numbers[name]} to us", addressed


def test_what_we_act_on_becomes_what_is_written_down() -> None:
    found = dict(everything())
    if os.environ.get("OPENLOOP_WRITE_GOLDEN"):
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n")
    assert found == json.loads(GOLDEN.read_bytes())


def test_every_example_is_taken_and_all_others_become_nothing() -> None:
    client = GitHubClient("http://127.0.0.1:9", BotToken())
    settings = GitHubSettings(token="ghp_nothing", webhook_secret="not-used-here")
    surface = GitHubSurface(settings, client)
    surface.know(OWN)
    taken = ignored = 0
    for number, (event, payload) in enumerate(examples()):
        for each in (payload, meant_for_us(payload)):
            headers = {"x-github-event": event, "x-github-delivery": f"d-{number}"}
            delivery = Delivery(
                headers=headers,
                body=json.dumps(each).encode(),
                received_at=NOON,
                transport="poll",
            )
            accepted = surface.accept(delivery)
            assert event in ACTED_ON or not accepted.events
            taken += len(accepted.events)
            ignored += not accepted.events
    assert len(examples()) == 329
    assert taken + ignored == 2 * 329
    assert (taken, ignored) == (44, 614)
