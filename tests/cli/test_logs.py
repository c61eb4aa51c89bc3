"""No log line of any process holds what is known to be secret: not of ours, not of a library."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SECRET = 'the "canary" of the logs'
LOGS = {
    "serve and worker": "from openloop import app; app.set_up_logging('debug', redactor)",
    "gateway": "from openloop.cli.processes import logs; logs.set_up('debug', redactor)",
}
LINES = """
import logging, structlog
from openloop.domain.redaction import Redactor
secret = {secret!r}
redactor = Redactor()
{set_up}
redactor.learn([secret])  # as where it is read from the store
def fail():
    raise ValueError(f"refused {{secret}} " + secret.encode().hex())
for logger in (structlog.get_logger("openloop.a") if {ours} else logging.getLogger("openloop.a"),
               logging.getLogger("a_library")):
    logger.warning("line " + secret)
    try:
        fail()
    except ValueError:
        logger.exception("line " + secret)
"""


@pytest.mark.parametrize("process", LOGS)
def test_lines_and_tracebacks_are_written_without_secrets(process: str) -> None:
    code = LINES.format(secret=SECRET, set_up=LOGS[process], ours=process != "gateway")
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    said = ran.stdout + ran.stderr

    assert said.count("Traceback") == 2
    assert said.count("line [redacted]") == 4
    for written in (SECRET, json.dumps(SECRET)[1:-1], SECRET.encode().hex()):
        assert written not in said
