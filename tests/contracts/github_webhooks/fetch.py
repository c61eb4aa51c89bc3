"""Fetch GitHub's webhook examples: `python -m tests.contracts.github_webhooks.fetch`.

They come from npm into the ignored `.cache/`, and are taken only if they are the very file that these
tests were written against.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.contracts.slack_shapes.fetch import npm

PACKAGE = "@octokit/webhooks-examples@7.6.1"
MEMBER = "package/api.github.com/index.json"
SHA256 = "09d8f0c617876ae9dad22e26fea5510bfcaad50ee7e602659f6db25b87b25815"
CACHE = Path(__file__).parents[3] / ".cache/oracles"
EXAMPLES = CACHE / "octokit-webhooks-examples-7.6.1/api.github.com.json"
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
    EXAMPLES.parent.mkdir(parents=True, exist_ok=True)
    EXAMPLES.write_bytes(content)


def main() -> None:
    """Fetch it unless it is there."""
    if not EXAMPLES.exists():
        fetch()
    sys.stderr.write(f"{PACKAGE} is in the cache\n")


if __name__ == "__main__":
    main()
