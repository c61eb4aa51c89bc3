"""What is not read of a request, and how that is told; tests/stories/bad_input.py has the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.api.access import STRANGE_ID
from tests.api.server import served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.api.conftest import Api

SAY = "/api/v1/conversations"
VOTE = f"/api/v1/approvals/{STRANGE_ID}/vote"
GOOD = b'{"agent": "dev-platform", "text": "hello"}'


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


async def test_a_problem_is_told_in_our_words_alone(api: Api) -> None:
    answer = await api.post(SAY, {"agent": "dev-platform", "text": "\0"})

    assert answer.json()["detail"] == "body.text: NUL characters are not taken"


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


async def test_a_method_that_nobody_knows_is_not_allowed(api: Api) -> None:
    answer = await api.call("BREW", "/api/v1/runs")

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
