"""What gets installed is locked by hash, and comes from wherever the machine is set to."""

import re
import sysconfig
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

MALICIOUS = {("litellm", "1.82.7"), ("litellm", "1.82.8")}


@pytest.fixture
def lock(repository: Path) -> str:
    return (repository / "requirements.lock").read_text()


def locked(lock: str) -> dict[str, Requirement]:
    """Read the lock: one pinned requirement for each package."""
    pins = (Requirement(line.rstrip(" \\")) for line in re.findall(r"(?m)^\w.*$", lock))
    return {canonicalize_name(pin.name): pin for pin in pins}


def wanted(repository: Path) -> Iterator[Requirement]:
    """Every package that is asked for by name."""
    project = tomllib.loads((repository / "pyproject.toml").read_text())
    lines = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["dev"],
        *project["build-system"]["requires"],
        *(repository / "requirements.in").read_text().splitlines(),
    ]
    return (Requirement(line) for line in lines if line and not line.startswith("#"))


def version(pin: Requirement) -> str:
    (specifier,) = pin.specifier
    assert specifier.operator == "==", f"{pin} is not pinned"
    return specifier.version


def test_every_locked_package_is_pinned_and_hashed(lock: str) -> None:
    entries = re.split(r"\n(?=\w)", lock)

    for entry in entries:
        assert re.match(r"[\w.-]+==\S+ (; .+ )?\\\n", entry), entry.splitlines()[0]
        assert "--hash=sha256:" in entry, entry.splitlines()[0]


def test_the_lock_names_no_place_to_download_from(lock: str) -> None:
    assert "://" not in lock
    assert " @ " not in lock
    assert not re.findall(r"(?m)^-.*$", lock)  # --index-url, --find-links and their like


def test_the_lock_holds_what_is_asked_for(repository: Path, lock: str) -> None:
    pins = locked(lock)

    for requirement in wanted(repository):
        pin = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version(pin)), f"{pin} is not {requirement}"


def test_no_release_known_to_be_malicious_is_locked(lock: str) -> None:
    pins = {(name, version(pin)) for name, pin in locked(lock).items()}

    assert not pins & MALICIOUS


def test_nothing_installed_runs_code_at_every_start_of_python(repository: Path) -> None:
    """A .pth file may hold code, and needs no import to run it: a good place for malice to hide.

    The one that is expected says where OpenLoop's own source is.
    """
    found = {
        path: path.read_text().strip()
        for scheme in ("purelib", "platlib")
        for path in Path(sysconfig.get_path(scheme)).glob("*.pth")
    }

    assert list(found.values()) == [str(repository / "src")], found
