"""JSON log lines for a process that has only the standard library's logging."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openloop.domain.redaction import Redactor


class JsonLines(logging.Formatter):
    """One JSON object a line, with the same keys as structlog's, without what is secret."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        line = {
            "event": record.getMessage(),
            "logger": record.name,
            "level": record.levelname.lower(),
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return self._redactor.text(json.dumps(line))


def set_up(level: str, redactor: Redactor) -> None:
    """Log to standard error: ours from `level` on, libraries only when something is wrong."""
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(JsonLines(redactor))
    logging.basicConfig(level=logging.WARNING, handlers=[lines])
    logging.getLogger("openloop").setLevel(level.upper())
