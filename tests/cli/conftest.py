"""A command line in this process, and a server that answers what a test tells it."""

from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from openloop.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "ol_viewer_test"


@dataclass(frozen=True)
class Ran:
    """What a command came to."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


OpenLoop = Callable[..., Ran]


@dataclass(frozen=True)
class Asked:
    """One request that the server got."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class FakeServer:
    """Answers each `METHOD /path` with the next of its answers, the last one for ever."""

    url: str = ""
    answers: dict[str, list[tuple[int, bytes]]] = field(
        default_factory=dict[str, list[tuple[int, bytes]]]
    )
    asked: list[Asked] = field(default_factory=list[Asked])

    def answer(self, route: str, body: object = None, *, status: int = 200) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers.setdefault(route, []).append((status, b"" if body is None else raw))

    def refuse(self, route: str, status: int, code: str, detail: str, *problems: str) -> None:
        problem = {"status": status, "code": code, "detail": detail, "problems": problems}
        self.answer(route, problem, status=status)

    def take(self, asked: Asked) -> tuple[int, bytes]:
        self.asked.append(asked)
        answers = self.answers.get(f"{asked.method} {asked.path.partition('?')[0]}", [])
        if not answers:
            return 404, b'{"status": 404, "code": "not_found", "detail": "no such route"}'
        return answers.pop(0) if len(answers) > 1 else answers[0]


def _serving(server: FakeServer) -> type[BaseHTTPRequestHandler]:
    class Requests(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): text for name, text in self.headers.items()}
            status, answer = server.take(Asked(self.command, self.path, headers, body))
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815  # the standard library's names

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Requests


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer()
    listener = ThreadingHTTPServer(("127.0.0.1", 0), _serving(fake))
    fake.url = f"http://127.0.0.1:{listener.server_port}"
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield fake
    listener.shutdown()
    thread.join()
    listener.server_close()


@pytest.fixture(autouse=True)
def clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine, and a folder without `.env`."""
    for name in list(os.environ):
        if name.startswith(("OPENLOOP_", "SLACK_", "GITHUB_")) or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("OPENLOOP_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def openloop(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> OpenLoop:
    """Run a command in this process."""

    def run(*arguments: str, stdin: str = "") -> Ran:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        status = main(arguments)
        captured = capsys.readouterr()
        return Ran(status, captured.out, captured.err)

    return run


@pytest.fixture
def connected(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    """The server that commands call, and a token for it."""
    monkeypatch.setenv("OPENLOOP_URL", server.url)
    monkeypatch.setenv("OPENLOOP_TOKEN", TOKEN)
    return server
