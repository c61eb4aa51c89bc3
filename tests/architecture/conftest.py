"""What the architecture tests look at: the repository, and the files that belong to it."""

import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def repository() -> Path:
    return Path(__file__).parents[2]


@pytest.fixture(scope="session")
def own_files(repository: Path) -> list[Path]:
    """Every file that is committed, or would be by `git add --all`."""
    if not (repository / ".git").exists():
        pytest.skip("not a git checkout, so nothing says which files are the project's own")
    listing = subprocess.check_output(
        [
            *("git", "-c", "safe.directory=*", "ls-files", "-z"),
            *("--cached", "--others", "--exclude-standard"),
        ],
        cwd=repository,
        text=True,
    )
    paths = (repository / name for name in listing.split("\0") if name)
    return [path for path in paths if path.is_file()]
