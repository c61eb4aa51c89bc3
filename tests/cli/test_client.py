"""Where the command line sends its token, and what it sends beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openloop.cli.client import Client, Server, connect
from openloop.domain.errors import Invalid, Unavailable
from tests.cli import answers
from tests.cli.conftest import TOKEN

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import FakeServer, OpenLoop


@pytest.fixture
def kept(tmp_path: Path) -> str:
    """The token that the first start left."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "cli-token").write_text("ol_owner_kept\n")
    return "ol_owner_kept"


def test_the_token_of_the_environment_counts_more_than_the_kept_one(
    connected: FakeServer, openloop: OpenLoop, kept: str
) -> None:
    connected.answer("GET /api/v1/runs", answers.page())

    openloop("runs", "get")

    assert connected.asked[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_the_kept_token_opens_this_machines_server(
    server: FakeServer, openloop: OpenLoop, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    server.answer("GET /api/v1/runs", answers.page())
    monkeypatch.setenv("OPENLOOP_PORT", server.url.rpartition(":")[2])

    assert openloop("runs", "get").status == 0

    assert server.asked[0].headers["authorization"] == f"Bearer {kept}"


def test_the_kept_token_is_never_sent_to_another_machine(
    monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    monkeypatch.setenv("OPENLOOP_URL", "https://openloop.example.com")

    assert connect().server == Server(url="https://openloop.example.com", token=None)


@pytest.mark.parametrize(
    "url",
    [
        "http://openloop.example.com",
        "ftp://localhost",
        "https://user:pass@openloop.example.com",
        "https://openloop.example.com/?q=1",
        "http://[::1",
        "localhost:8000",
    ],
)
def test_an_address_that_would_give_the_token_away_is_refused(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("OPENLOOP_URL", url)
    monkeypatch.setenv("OPENLOOP_TOKEN", TOKEN)

    with pytest.raises(Invalid, match="OPENLOOP_URL"):
        connect()


def test_settings_come_from_the_env_file_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPENLOOP_URL=http://localhost:9\nOPENLOOP_TOKEN=from-file\n")

    assert connect().server == Server(url="http://localhost:9", token="from-file")


def test_every_write_has_a_key_of_its_own(connected: FakeServer) -> None:
    connected.answer("POST /x", {})
    connected.answer("DELETE /x", status=204)
    client = Client(Server(url=connected.url, token=TOKEN))

    client.post("/x")
    client.post("/x", {"a": 1})
    client.delete("/x")
    connected.answer("GET /x", {})
    client.get("/x", q="a b", none=None)

    keys = [asked.headers.get("idempotency-key") for asked in connected.asked]
    assert len({*keys[:3]}) == 3
    assert keys[3] is None
    assert connected.asked[3].path == "/x?q=a+b"


def test_a_server_below_a_path_is_called_there(server: FakeServer) -> None:
    server.answer("GET /below/x", {"here": True})

    assert Client(Server(url=f"{server.url}/below/", token=None)).get("/x") == {"here": True}


def test_a_stream_of_events_is_read_piece_by_piece(server: FakeServer) -> None:
    server.answer(
        "GET /events",
        b': ping\n\nid: 1-1\ndata: {"kind": "run.queued"}\n\n'
        b"event: error\nid: 1-2\ndata: a\r\ndata: b\n\ndata: cut off",
    )

    found = list(Client(Server(url=server.url, token=None)).events("/events", after="1-0"))

    assert [(each.id, each.kind, each.content) for each in found] == [
        ("1-1", "message", {"kind": "run.queued"}),
        ("1-2", "error", "a\nb"),
    ]
    assert server.asked[0].headers["last-event-id"] == "1-0"


def test_a_refused_stream_is_an_error(server: FakeServer) -> None:
    server.refuse("GET /events", 503, "unavailable", "not now")

    with pytest.raises(Unavailable, match="not now"):
        list(Client(Server(url=server.url, token=None)).events("/events"))
