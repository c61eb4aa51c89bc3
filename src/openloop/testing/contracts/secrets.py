"""Watching everything that is logged for a secret."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence


class _Keep(logging.Handler):
    """Keeps every record as text, traceback and all."""

    def __init__(self) -> None:
        super().__init__(level=logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


class SecretLogged(AssertionError):
    """A log line held a secret; the secret itself is not in the message."""


@contextmanager
def no_secret_logged(secrets: Sequence[str]) -> Generator[list[str]]:
    """Fail where one of the secrets is in a log line, at any level, of any library.

    Gives the lines that were logged so far, so that a test can show that it saw any.

    Raises:
        SecretLogged: at the end of the block
    """
    keep = _Keep()
    root = logging.getLogger()
    before = root.level
    configured = structlog.get_config()
    root.addHandler(keep)
    root.setLevel(logging.DEBUG)
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
        logger_factory=lambda *_: _Printed(keep.lines),
        cache_logger_on_first_use=False,
    )
    try:
        yield keep.lines
    finally:
        structlog.configure(**configured)
        root.setLevel(before)
        root.removeHandler(keep)
    for line in keep.lines:
        for number, secret in enumerate(secrets):
            if secret in line:
                shown = line.replace(secret, "(secret)")[:500]
                raise SecretLogged(f"Secret number {number} was logged: {shown}")


class _Printed:
    """A structlog logger that keeps what it is given."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def msg(self, message: str) -> None:
        self._lines.append(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg
