"""Runs the corpus's tiny projects with real tools and records what they print.

    python -m tests.corpus.build_logs.produce HALF [NAME ...] --tools FOLDER

FOLDER holds `py/` (a virtual environment) and `npm/node_modules/`; README.md says what is in them.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.corpus.build_logs.scrubbing import scrub

HERE = Path(__file__).parent
LONGEST_SECONDS = 240


@dataclass(frozen=True, slots=True)
class Project:
    """One file of `projects/`: the commands that are run, then the sources."""

    name: str
    commands: str
    files: dict[str, str]


def read_project(path: Path) -> Project:
    """Read `commands`, then `-- relative/path --` headers, each followed by that file's text."""
    commands: list[str] = []
    files: dict[str, list[str]] = {}
    lines = commands
    for line in path.read_text().splitlines():
        if line.startswith("-- ") and line.endswith(" --"):
            lines = files.setdefault(line[3:-3], [])
        else:
            lines.append(line)
    texts = {name: "".join(f"{line}\n" for line in content) for name, content in files.items()}
    return Project(path.stem, "\n".join(commands) + "\n", texts)


def record(project: Project, tools: Path) -> str:
    """Run the project in an empty folder and return what its commands printed, scrubbed."""
    with tempfile.TemporaryDirectory(prefix="acme-") as temporary:
        root = Path(temporary) / "acme"
        root.mkdir()
        for name, text in project.files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        outcome = subprocess.run(
            ["/usr/bin/nice", "/bin/bash", "-c", project.commands],
            cwd=root,
            env=environment(tools, root),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LONGEST_SECONDS,
            check=False,
        )
        text = outcome.stdout.decode("utf-8", "replace")
        return scrub(text, root=root, tools=tools)


def environment(tools: Path, root: Path) -> dict[str, str]:
    """Return this process's environment, the tools first on its path and the settings of CI."""
    path = f"{tools}/py/bin:{tools}/npm/node_modules/.bin:{os.environ['PATH']}"
    return os.environ | {
        "PATH": path,
        "TOOLS": str(tools),
        "NODE_PATH": f"{tools}/npm/node_modules",
        "GOFLAGS": "-mod=mod",
        "GOCACHE": f"{tools}/gocache",
        "CI": "true",
        "TERM": "dumb",
        "PYTHONDONTWRITEBYTECODE": "1",
        "npm_config_update_notifier": "false",
        "npm_config_cache": f"{root.parent}/npm-cache",
    }


def main() -> int:
    """Record the named projects of one half (all of them when none is named)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("half", choices=["develop", "held_out"])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--tools", type=Path, required=True)
    chosen = parser.parse_args()
    half = HERE / chosen.half
    for path in sorted((half / "projects").glob("*.txt")):
        if chosen.names and path.stem not in chosen.names:
            continue
        text = record(read_project(path), chosen.tools.resolve())
        (half / "recordings" / f"{path.stem}.txt").write_text(text)
        sys.stdout.write(f"{path.stem}: {text.count(chr(10))} lines\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
