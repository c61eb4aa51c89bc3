"""The corpus of build logs: what is marked is there, and nothing of the recording machine is."""

from __future__ import annotations

import getpass
import re
import socket
from pathlib import Path

import pytest

from tests.corpus.build_logs.loading import Half, Recipe, build, cases, plain

FOLDER = Path(__file__).parent / "build_logs"
HALVES: tuple[Half, Half] = ("develop", "held_out")
EVERY = [
    pytest.param(half, recipe, id=f"{half}-{recipe.name}")
    for half in HALVES
    for recipe in cases(half).case
]
STAMPED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z ")
HOST = re.compile(r"\w+://(?:[^/@\s]+@)?([\w.-]+)")
NEUTRAL = re.compile(r"[\w-]+\.acme\.example|acme\.example|127\.0\.0\.1|localhost")
NAMED_IN_OUTPUT = {"cwiki.apache.org", "jestjs.io", "pip.pypa.io", "docs.pytest.org"}
ADDRESS = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])")


@pytest.mark.parametrize(("half", "recipe"), EVERY)
def test_a_log_has_its_size_and_its_marked_lines(half: Half, recipe: Recipe) -> None:
    log = build(half, recipe)
    lines = log.text.removeprefix("\ufeff").removesuffix("\n").split("\n")

    assert len(lines) == log.size
    assert 10_000 <= log.size <= 200_100
    assert all(STAMPED.match(line) for line in lines[::97])
    if recipe.cut or recipe.exit == 0:
        assert (log.kind, log.expected) == ("none", ())
        assert not any(
            line.endswith("##[error]Process completed with exit code 1.") for line in lines[-100:]
        )
        return
    marked = [plain(lines[number - 1]) for number in log.expected]
    assert len(marked) == len(recipe.cause) > 0
    for text, _ in recipe.cause:
        assert any(text.rstrip() in line for line in marked), text


@pytest.mark.parametrize("half", HALVES)
def test_the_same_log_is_built_every_time(half: Half) -> None:
    for recipe in cases(half).case[-3:]:
        assert build(half, recipe) == build(half, recipe)


@pytest.mark.parametrize("half", HALVES)
def test_a_half_has_thirty_failures_and_some_logs_without_a_cause(half: Half) -> None:
    kinds = [recipe.kind for recipe in cases(half).case]

    assert len(kinds) - kinds.count("none") == 30
    assert kinds.count("none") == 6
    assert len({recipe.name for recipe in cases(half).case}) == len(kinds)


def test_the_halves_share_no_recording() -> None:
    develop, held_out = (
        {path.read_text() for path in (FOLDER / half).glob("[rs]*/*.txt")} for half in HALVES
    )

    assert develop
    assert held_out
    assert not develop & held_out


def test_nothing_of_the_recording_machine_is_in_the_corpus() -> None:
    personal = [str(Path.home()) + "/", str(FOLDER.parents[2]), f"{getpass.getuser()}@"]
    if len(socket.gethostname()) > 4:
        personal.append(socket.gethostname())
    for path in [*FOLDER.glob("*/recordings/*.txt"), *FOLDER.glob("*/shapes/*.txt")]:
        text = path.read_text()
        assert not [word for word in personal if word in text], path
        assert not [host for host in HOST.findall(text) if not is_neutral(host)], path
        assert set(ADDRESS.findall(text)) <= {"127.0.0.1"}, path


def is_neutral(host: str) -> bool:
    """Say whether a host is an invented one, or one that a tool names in its advice."""
    return bool(NEUTRAL.fullmatch(host)) or host in NAMED_IN_OUTPUT


def test_the_corpus_stays_small() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file() and path.suffix != ".pyc"]

    assert sum(path.stat().st_size for path in files) < 3_000_000
