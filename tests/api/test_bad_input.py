"""Bad input over HTTP: each with its exact status and code, never a 500, and nothing is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.api.access import STRANGE_ID
from tests.api.server import served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.api.conftest import Api
    from tests.make import Stage

SAY = "/api/v1/conversations"
VOTE = f"/api/v1/approvals/{STRANGE_ID}/vote"
GOOD = b'{"agent": "dev-platform", "text": "hello"}'

BODIES: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 422, "request_invalid"),
    "not JSON": (b"hello", 400, "json_syntax"),
    "cut off": (GOOD[:-1], 400, "json_syntax"),
    "two values": (GOOD + GOOD, 400, "json_syntax"),
    "a list": (b"[]", 400, "json_not_an_object"),
    "a text": (b'"hello"', 400, "json_not_an_object"),
    "null": (b"null", 400, "json_not_an_object"),
    "a duplicate key": (GOOD[:-1] + b', "text": "bye"}', 400, "json_duplicate_key"),
    "NaN": (b'{"agent": "dev-platform", "text": NaN}', 400, "json_syntax"),
    "Infinity": (b'{"agent": -Infinity}', 400, "json_syntax"),
    "invalid UTF-8": (b'{"agent": "\xff\xfe"}', 400, "json_not_utf8"),
    "half a surrogate": (b'{"agent": "\\ud800"}', 400, "json_syntax"),
    "a large number": (b'{"agent": 123456789012345678901234567890}', 400, None or ""),
    "100,000 deep": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 400, "json_too_deep"),
    "100,000 lists deep, open": (b"[" * 100_000, 400, "json_too_deep"),
    "1 MiB and a byte": (b" " * (1024 * 1024 + 1), 413, "body_too_large"),
    "10 MB": (b'{"text": "' + b"x" * 10_000_000 + b'"}', 413, "body_too_large"),
    "a wrong type": (b'{"agent": 7, "text": "hello"}', 422, "request_invalid"),
    "a missing key": (b'{"agent": "dev-platform"}', 422, "request_invalid"),
    "an unknown key": (GOOD[:-1] + b', "aproval": "none"}', 422, "request_invalid"),
    "a NUL character": (
        b'{"agent": "dev-platform", "text": "a\\u0000b"}',
        422,
        "request_invalid",
    ),
    "an empty text": (b'{"agent": "dev-platform", "text": ""}', 422, "request_invalid"),
    "only spaces": (b'{"agent": "dev-platform", "text": "  "}', 422, "console_malformed"),
    "too long a text": (
        b'{"agent": "dev-platform", "text": "' + b"x" * 100_001 + b'"}',
        422,
        "request_invalid",
    ),
}
BODIES["a large number"] = (*BODIES["a large number"][:2], "json_number_out_of_range")

ADDRESSES: dict[str, tuple[str, str, int, str]] = {
    "no such route": ("GET", "/api/v1/nothing", 404, "route_not_found"),
    "a wrong method": ("PUT", "/api/v1/runs", 405, "method_not_allowed"),
    "a strange method": ("BREW", "/api/v1/runs", 405, "method_not_allowed"),
    "no id": ("GET", "/api/v1/runs/7", 422, "request_invalid"),
    "a NUL in the path": ("GET", "/api/v1/agents/%00", 400, "request_malformed"),
    "a NUL in the query": ("GET", "/api/v1/runs?agent=%00", 400, "request_malformed"),
    "invalid UTF-8 in the query": ("GET", "/api/v1/memories?q=%ff", 200, ""),
    "invalid UTF-8 in the path": ("GET", "/api/v1/agents/%ff%fe", 404, "not_found"),
    "an agent nobody has": ("GET", "/api/v1/runs?agent=nobody", 404, "not_found"),
    "a state that is none": ("GET", "/api/v1/runs?state=sleeping", 422, "request_invalid"),
    "limit 0": ("GET", "/api/v1/runs?limit=0", 422, "request_invalid"),
    "limit 201": ("GET", "/api/v1/runs?limit=201", 422, "request_invalid"),
    "a limit in words": ("GET", "/api/v1/runs?limit=ten", 422, "request_invalid"),
    "a cursor that is none": ("GET", "/api/v1/runs?cursor=1", 422, "request_invalid"),
    "too large a cursor": ("GET", "/audit?cursor=9223372036854775808", 422, "request_invalid"),
    "too large a position": (
        "GET",
        f"/api/v1/conversations/{STRANGE_ID}/messages?after=9223372036854775808",
        422,
        "request_invalid",
    ),
    "an event id that is none": ("GET", "/api/v1/events?after=1", 400, "request_malformed"),
    "too large an event id": (
        "GET",
        "/api/v1/events?after=9999999999999999999-1",
        400,
        "request_malformed",
    ),
    "SQL": ("GET", "/audit?kind=x'%20OR%20true--", 200, ""),
}


@pytest.mark.parametrize("what", BODIES)
async def test_bodies(api: Api, stage: Stage, what: str) -> None:
    body, status, code = BODIES[what]

    answer = await api.call("POST", SAY, content=body, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert await stage.runs() == []
    again = await api.call("POST", SAY, content=GOOD, headers={"Content-Type": "application/json"})
    assert again.status_code == 202


@pytest.mark.parametrize("what", ADDRESSES)
async def test_addresses(api: Api, what: str) -> None:
    method, path, status, code = ADDRESSES[what]

    answer = await api.call(method, path)

    assert (answer.status_code, answer.json().get("code", "")) == (status, code)


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
async def test_what_does_not_say_that_it_is_json_is_not_read(api: Api, content_type: str) -> None:
    """A form of another site can be sent without asking; JSON cannot."""
    headers = {"Content-Type": content_type} if content_type else {}

    answer = await api.call("POST", SAY, content=GOOD, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (415, "content_type_not_json")


async def test_every_problem_of_a_body_is_listed_and_no_value_is_echoed(api: Api) -> None:
    body = {"decision": "xoxb-secret", "reason": 7, "more": "xoxb-secret"}

    answer = await api.post(VOTE, body, by="approver")

    problems = answer.json()["problems"]
    assert [problem.split(":")[0] for problem in problems] == [
        "body.decision",
        "body.reason",
        "body.more",
    ]
    assert "xoxb" not in answer.text


async def test_a_body_without_an_announced_length_is_counted_while_it_arrives(api: Api) -> None:
    """What comes after a megabyte is not kept, and after sixteen more it is not waited for."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 4096:
            sent += 1
            yield b" " * 65536

    answer = await api.call(
        "POST", SAY, content=endless(), headers={"Content-Type": "application/json"}
    )

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert answer.headers["connection"] == "close"
    assert sent < 300


@pytest.mark.parametrize("path", [SAY, "/surfaces/hello/events"])
@pytest.mark.parametrize("is_announced", [True, False])
async def test_whoever_sends_ten_megabytes_over_a_real_connection_reads_why_not(
    api: Api, path: str, *, is_announced: bool
) -> None:
    """Closing a connection with unread bytes would reset it before the answer is read."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(160):
            yield b" " * 65536

    headers = {
        "Authorization": f"Bearer {api.tokens['owner']}",
        "Content-Type": "application/json",
    }
    async with served(api) as http:
        content = b" " * 10_485_760 if is_announced else pieces()
        answer = await http.post(path, content=content, headers=headers)
        alive = await http.get("/healthz")

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert alive.status_code == 200


async def test_a_huge_announced_length_is_refused_before_the_token_is_looked_at(api: Api) -> None:
    for length, status in (("10000000", 413), ("9" * 400, 413), ("-1", 400), ("0x10", 400)):
        answer = await api.call(
            "POST", SAY, by=None, content=b"{}", headers={"Content-Length": length}
        )
        assert (length, answer.status_code) == (length, status)


async def test_headers_that_are_given_twice_are_refused(api: Api) -> None:
    for name in ("Content-Length", "Content-Type", "Host", "Idempotency-Key"):
        headers: list[tuple[str, str]] = [
            ("Authorization", f"Bearer {api.tokens['owner']}"),
            ("Content-Type", "application/json"),
            (name, "1"),
            (name, "2"),
        ]
        answer = await api.http.post(SAY, content=b"{}", headers=headers)
        assert (name, answer.status_code) == (name, 400)
        assert answer.json()["code"] in ("request_malformed", "host_not_allowed")


async def test_a_message_of_a_megabyte_is_refused_and_the_next_one_is_taken(api: Api) -> None:
    message: dict[str, Any] = {"agent": "dev-platform", "text": "x" * 1024 * 1024}

    assert (await api.post(SAY, message)).status_code == 413
    message["text"] = "hello"
    assert (await api.post(SAY, message)).status_code == 202
