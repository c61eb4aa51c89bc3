"""Answers of the API, as it gives them."""

from __future__ import annotations

from typing import Any

RUN_ID = "01a20718-799e-72dc-b6e4-93cda862063c"
APPROVAL_ID = "01a20718-7a4e-76b1-8b91-9e7697ed17c3"
MEMORY_ID = "01a20717-f716-7517-9c91-ac65d5ae9a41"
CONVERSATION_ID = "01a20718-8809-7692-83bb-c11b246ffba3"


def run(**changes: object) -> dict[str, Any]:
    """A run."""
    return {
        "id": RUN_ID,
        "agent": "assistant",
        "state": "done",
        "requested_by": {"name": "priya", "id": "U0PRIYA"},
        "request": "open an issue",
        "request_link": "",
        "outcome": "answered",
        "error_code": "",
        "model": "scripted/assistant",
        "input_tokens": 800,
        "output_tokens": 120,
        "cost_usd": "0.000192",
        "queued_at": "2026-11-23T06:29:34Z",
        "started_at": "2026-11-23T06:29:34Z",
        "ended_at": "2026-11-23T06:29:36Z",
        **changes,
    }


def step(seq: int, state: str = "finished", **changes: object) -> dict[str, Any]:
    """A step of a run."""
    return {
        "seq": seq,
        "kind": "model",
        "name": "scripted/assistant",
        "state": state,
        "rule": "",
        "input": {},
        "output": {"text": f"thought {seq}"} if state == "finished" else None,
        "started_at": "2026-11-23T06:29:34Z",
        "finished_at": "2026-11-23T06:29:35Z" if state == "finished" else None,
        **changes,
    }


def approval(**changes: object) -> dict[str, Any]:
    """A held call."""
    return {
        "id": APPROVAL_ID,
        "run_id": RUN_ID,
        "tool": "github__create_issue",
        "arguments": {"repo": "acme/platform", "title": "Use Postgres 16"},
        "card": card(),
        "requested_by": {"name": "ben"},
        "hash": "0" * 64,
        "approvers": ["@priya"],
        "demands": [{"rule": "writes are held", "approvers": ["@priya"], "quorum": 1}],
        "round": 1,
        "edited_by_name": "",
        "parked": "",
        "votes": [],
        "rule": "writes are held",
        "state": "pending",
        "asked_at": "2026-11-23T06:29:34Z",
        "expires_at": "2026-11-26T06:29:34Z",
        "decided_by_name": "",
        "decided_at": None,
        "reason": "",
        **changes,
    }


def card() -> dict[str, Any]:
    """What people see of a held call."""
    return {
        "title": "Open an issue in acme/platform",
        "fields": [{"label": "Title", "value": "Use Postgres 16"}],
        "body": "Because it is there.",
        "reason": "I was asked to.",
        "notes": ["Expires in 72 h if undecided"],
    }


def page(*items: object) -> dict[str, Any]:
    """A list answer."""
    return {"items": list(items), "next_cursor": None, "as_of": "1-1"}
