"""Fetch GitHub's OpenAPI document: `python -m tests.contracts.github_shapes.fetch`.

It comes from the npm package that Octokit's own types are made of, into the ignored `.cache/`,
and is taken only if it is the very file these tests were written against.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.contracts.slack_shapes.fetch import npm

PACKAGE = "@octokit/openapi@23.0.2"
MEMBER = "package/generated/api.github.com.json"
SHA256 = "829b4bebb19a53133289f7b0bc819f4f1118115821db2ca9f25e9ee995a7da2a"
DOCUMENT = Path(__file__).parents[3] / ".cache/oracles/octokit-openapi-23.0.2/api.github.com.json"
FETCH_SECONDS = 300


def fetch() -> None:
    """Download the package with npm and keep the one file.

    Raises:
        FileNotFoundError: there is no npm
        ValueError: it is another file than the one that is pinned
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [*npm(), "pack", PACKAGE, "--silent", "--pack-destination", folder]
        subprocess.run(command, check=True, timeout=FETCH_SECONDS, capture_output=True)
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as package:
            member = package.extractfile(MEMBER)
            content = member.read() if member is not None else b""
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        message = f"{MEMBER} of {PACKAGE} is {found}, not the pinned {SHA256}"
        raise ValueError(message)
    DOCUMENT.parent.mkdir(parents=True, exist_ok=True)
    DOCUMENT.write_bytes(content)


def main() -> None:
    """Fetch it unless it is there."""
    if not DOCUMENT.exists():
        fetch()
    sys.stderr.write(f"{PACKAGE} is in the cache\n")


if __name__ == "__main__":
    main()
