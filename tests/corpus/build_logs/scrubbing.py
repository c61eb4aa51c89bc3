"""Taking the recording machine's paths, hosts and notices out of a recording."""

import getpass
import re
import socket
import sys
from pathlib import Path

WORK = "/home/runner/work/acme/acme"
PYTHON = "/opt/hostedtoolcache/Python/3.11.7/x64"

NOTICES = re.compile(
    r"Looking in (indexes|links)|WARNING: Location '|\[notice\]|Unknown user config"
    r"|install-scripts|npm-cache|update-alternatives|debconf"
)
REWRITTEN = {
    re.compile(r"https?://[\w.-]*npm[\w.-]*(:\d+)?/"): "https://npm.acme.example/",
    re.compile(r"https?://[\w.-]*(pypi|pythonhosted)[\w.-]*(:\d+)?/"): "https://pypi.acme.example/",
    re.compile(r"https?://repo\.maven[\w.-]*/maven2/?"): "https://maven.acme.example/maven2/",
    re.compile(r"https?://[\w.-]*(debian|ubuntu)[\w.-]*(:\d+)?/"): "http://archive.acme.example/",
    re.compile(r"\bindex\.crates\.io\b"): "crates.acme.example",
    re.compile(r"Processing /\S*/(?=[^/\s]+\.whl)"): "Processing /home/runner/wheels/",
    re.compile(r"(\.\./)+[\w./-]*?node_modules"): "node_modules",
    re.compile(r"/usr/(lib|share)/go-1\.19"): "/opt/hostedtoolcache/go/1.19/x64",
}


def scrub(text: str, *, root: Path, tools: Path) -> str:
    """Return the recording as a hosted runner would have printed it."""
    places = {
        str(root): WORK,
        str(root.parent): "/home/runner/work/acme",
        f"{tools}/py": PYTHON,
        f"{tools}/npm/node_modules": f"{WORK}/node_modules",
        str(tools): "/home/runner/work/_tool",
        sys.base_prefix: PYTHON,
        f"{Path.home()}/": "/home/runner/",
    }
    for place, neutral in places.items():
        text = text.replace(place, neutral)
    for found, neutral in REWRITTEN.items():
        text = found.sub(neutral, text)
    text = re.sub(rf"\b({getpass.getuser()}@|{re.escape(socket.gethostname())}\.)", "runner.", text)
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip() for line in lines if not NOTICES.search(line)).strip("\n") + "\n"
