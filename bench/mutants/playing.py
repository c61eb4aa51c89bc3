"""Mutants against tests, in one process that imports everything once and forks for each of them.

`python -m bench.mutants.playing AREA [MODULE ...]` plays the mutants of an area, or of some of its
modules, and writes a line for each to .cache/mutants; `--again` plays those that survived last time.

First every test runs as it is, and what it touches of the modules is noted, line by line. Then a child
is forked for each mutant; it plants the mutant and plays the tests that touch its lines until one
fails. All children use the database server of the parent, one after the other. What a test kills
counts only once that test has passed in a child without any mutant.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import sys
import time
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from _pytest.runner import runtestprotocol

from bench.mutants.areas import ABOUT, AREAS, MODULES, TESTS
from bench.mutants.learning import Known, digest, load, save
from bench.mutants.planting import SOURCE, Garden, Target, Unplantable, caches

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from types import FrameType

    from bench.mutants.operators import Mutant

ROOT = Path(__file__).resolve().parent.parent.parent
CACHE = ROOT / ".cache" / "mutants"

PATIENCE_SECONDS, PATIENCE_FACTOR = 10.0, 10.0
"""A test may take so much longer than without the mutant before it counts as one that never ends."""
AT_MOST_SECONDS = 40.0
"""Of tests for one mutant: the quick ones that touch its lines come first."""
EXAMPLES = 25
KILLED = frozenset({"killed", "slow"})
NOW = """CREATE OR REPLACE FUNCTION openloop.now() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS 'SELECT clock_timestamp()'"""
TERMINATE = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What became of one mutant: killed, slow (it never ended), survived or untested.

    A mutant that could not be planted or played is none of these, and counts as alive.
    """

    area: str
    name: str
    line: int
    outcome: str
    by: str = ""
    tests: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which mutants are played: all but some, of a name, or so many of each module by a seed."""

    but: frozenset[str] = frozenset()
    match: str = ""
    sample: int | None = None
    seed: str = ""
    seconds: float = AT_MOST_SECONDS
    tests: tuple[str, ...] = ()

    def of(self, mutants: Sequence[Mutant]) -> list[Mutant]:
        """Of those of a module."""
        found = [each for each in mutants if each.name not in self.but and self.match in each.name]
        if self.sample is None:
            return found
        return Random(self.seed).sample(found, min(self.sample, len(found)))


class Player:
    """A plugin that takes the place of pytest's loop over tests."""

    def __init__(self, area: str, targets: Sequence[Target], choice: Choice, out: Path) -> None:
        self._area, self._targets, self._out = area, targets, out
        self._choice = choice
        self._known: dict[str, Known] = {}
        self._items: dict[str, pytest.Item] = {}
        self._kills: dict[str, dict[str, int]] = {}
        self._sound: set[str] = set()
        self._superuser = ""

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any]
    ) -> Generator[None, object, object]:
        """Note where the database of this run is."""
        made: Any = yield
        if fixturedef.argname == "own_database":
            self._superuser = made[1]
        return made

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Learn the tests, then play every mutant."""
        _settle_examples()
        self._items = {item.nodeid: item for item in session.items}
        self._learn(session.items)
        garden = Garden(list(self._targets))
        with self._out.open("a") as out:
            for target in self._targets:
                for played in self._play_all(garden, target):
                    out.write(json.dumps(asdict(played)) + "\n")
                    out.flush()
        return True

    # --- tests as they are -----------------------------------------------------------------------

    def _learn(self, items: Sequence[pytest.Item]) -> None:
        print(f"{len(items)} tests", flush=True)
        stored = self._out.parent / "tests.json"
        sources = {name: (SOURCE / f"{name}.py").read_text("utf-8") for name in MODULES}
        kept = load(stored, sources)
        digests = {path: digest(path) for path in {item.path for item in items}}
        remembering = caches()
        rows = next((each for each in items if "own_database" in _fixtures(each)), None)
        for index, item in enumerate(items):
            known = kept.get(item.nodeid)
            if known is None or known.digest != digests[item.path] or item is rows:
                for each in remembering:
                    each.cache_clear()
                known = self._tell(item, items[(index + 1) % len(items)], digests[item.path])
            if known is None:
                kept.pop(item.nodeid, None)
            else:
                self._known[item.nodeid] = kept[item.nodeid] = known
        save(stored, sources, kept)
        total = sum(known.seconds for known in self._known.values())
        print(f"{len(self._known)} of them pass, in {total:.0f} s", flush=True)

    def _tell(self, item: pytest.Item, following: pytest.Item, of: str) -> Known | None:
        touched: dict[str, set[int]] = {str(SOURCE / f"{name}.py"): set() for name in MODULES}

        def within(frame: FrameType, event: str, _: object) -> object:
            if event == "line":
                touched[frame.f_code.co_filename].add(frame.f_lineno)
            return within

        def tracer(frame: FrameType, event: str, _: object) -> object:
            lines = touched.get(frame.f_code.co_filename)
            if lines is None:
                return None
            lines.add(frame.f_lineno)
            return within

        began = time.monotonic()
        sys.settrace(tracer)
        try:
            failed, passed = _run(item, following)
        finally:
            sys.settrace(None)
        if failed or not passed:
            print(f"left out: {item.nodeid}", flush=True)
            return None
        by_name = {
            str(Path(path).relative_to(SOURCE).with_suffix("")): sorted(found)
            for path, found in touched.items()
            if found
        }
        return Known(digest=of, seconds=time.monotonic() - began, lines=by_name)

    # --- mutants ---------------------------------------------------------------------------------

    def _play_all(self, garden: Garden, target: Target) -> Iterator[Played]:
        began, count, lived = time.monotonic(), 0, 0
        for mutant in self._choice.of(target.mutants()):
            played = self._play(garden, target, mutant)
            yield played
            count += 1
            if played.outcome not in KILLED:
                lived += 1
                line = f"{played.outcome}: {played.name} [{played.line}; {played.tests} tests"
                print(f"{line}, {played.seconds:.1f} s]", flush=True)
        seconds = time.monotonic() - began
        print(f"{target.name}: {count} mutants, {lived} alive, {seconds:.0f} s", flush=True)

    def _chosen(self, target: Target, mutant: Mutant) -> list[str]:
        """The tests that may notice: those that noticed others of the same place first."""
        first, last = mutant.lines
        wanted = set(range(first, last + 1)) if last else target.lines_with(mutant.where)
        kills = self._kills.get(mutant.where, {})
        touching = [
            name
            for name, known in self._known.items()
            if not wanted or wanted & set(known.lines.get(target.name, ()))
        ]

        def cost(name: str) -> tuple[int, bool, float]:
            known, file = self._known[name], name.partition("::")[0]
            is_about = any(word in file for word in ABOUT[self._area])
            touched = len(known.lines.get(target.name, "-"))  # most of a module it is about
            return -kills.get(name, 0), not is_about, known.seconds / touched

        touching.sort(key=cost)
        found, seconds = list[str](), 0.0
        for name in touching:
            seconds += self._known[name].seconds
            if seconds > self._choice.seconds:
                break
            found.append(name)
        return found

    def _play(self, garden: Garden, target: Target, mutant: Mutant) -> Played:
        began = time.monotonic()
        while True:
            names = self._chosen(target, mutant)
            outcome, by = "untested", ""
            if names:
                outcome, by = self._fork(names, garden, target, mutant)
            if outcome not in KILLED:
                break
            _let_go(self._superuser)
            if self._is_sound(by, garden, target):
                kills = self._kills.setdefault(mutant.where, {})
                kills[by] = kills.get(by, 0) + 1
                break
            print(f"left out: {by}", flush=True)
            del self._known[by]
        return Played(
            area=self._area,
            name=mutant.name,
            line=mutant.lines[0],
            outcome=outcome,
            by=by,
            tests=len(names),
            seconds=time.monotonic() - began,
        )

    def _is_sound(self, name: str, garden: Garden, target: Target) -> bool:
        """True for a test that passes in a child where nothing is planted, and nothing remembered."""
        if name not in self._sound:
            outcome, _ = self._fork([name], garden, target, None)
            if outcome != "survived":
                return False
            self._sound.add(name)
        return True

    def _fork(
        self, names: Sequence[str], garden: Garden, target: Target, mutant: Mutant | None
    ) -> tuple[str, str]:
        reading, writing = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            child = os.fork()
        if child == 0:
            os.close(reading)
            self._be_mutant(writing, names, garden, target, mutant)
        os.close(writing)
        try:
            return self._watch(reading, names)
        finally:
            os.close(reading)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)

    def _watch(self, reading: int, names: Sequence[str]) -> tuple[str, str]:
        """What the child says: a number before each test, then how it ended."""
        at, text = 0, ""
        while True:
            patience = PATIENCE_SECONDS + PATIENCE_FACTOR * self._known[names[at]].seconds
            ready, _, _ = select.select([reading], [], [], patience)
            if not ready:
                return "slow", names[at]
            said = os.read(reading, 4096).decode()
            if not said:
                return "killed", names[at]  # it died
            text += said
            *lines, text = text.split("\n")
            for line in lines:
                if not line.isdecimal():
                    return line, names[at]
                at = int(line)

    def _be_mutant(
        self,
        writing: int,
        names: Sequence[str],
        garden: Garden,
        target: Target,
        mutant: Mutant | None,
    ) -> None:
        """In the child; never returns."""
        outcome = "broken"
        try:
            os.setpgid(0, 0)
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            if not os.environ.get("LOUD"):
                os.dup2(quiet, 2)
            if mutant is None:
                garden.forget()
            else:
                garden.plant(target, mutant)
            outcome = "survived"
            for index, name in enumerate(names):
                os.write(writing, f"{index}\n".encode())
                item = self._items[name]
                following = self._items[names[(index + 1) % len(names)]]
                failed, _ = _run(item, following)
                if failed:
                    outcome = "killed"
                    break
        except Unplantable:
            outcome = "unplantable"
        except SyntaxError:
            outcome = "malformed"
        finally:
            os.write(writing, f"{outcome}\n".encode())
            os._exit(0)


def _settle_examples() -> None:
    """Examples are the same for every mutant, and none is made smaller."""
    from hypothesis import HealthCheck, Phase, settings  # noqa: PLC0415  # pytest imports it first

    settings.register_profile(
        "mutants",
        settings.default,
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=EXAMPLES,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    settings.load_profile("mutants")


def _run(item: pytest.Item, following: pytest.Item) -> tuple[bool, bool]:
    """Whether a test failed, and whether it ran at all."""
    item.session._setupstate.teardown_exact(item)  # of whatever ran before
    reports = runtestprotocol(item, log=False, nextitem=following)
    failed = any(report.failed for report in reports)
    passed = any(report.when == "call" and report.passed for report in reports)
    if failed and os.environ.get("LOUD"):
        for report in reports:
            if report.failed:
                sys.stderr.write(f"{report.longreprtext}\n")
    return failed, passed


def _fixtures(item: pytest.Item) -> Sequence[str]:
    return getattr(item, "fixturenames", ())


def _let_go(superuser: str) -> None:
    """Nothing that a dead child has begun holds a lock for the next one, and it is now again."""
    if superuser:
        with psycopg.connect(superuser, autocommit=True) as connection:
            connection.execute(TERMINATE)
            connection.execute(NOW)


def play(area: str, modules: Sequence[str], choice: Choice, out: Path) -> int:
    """Play an area in this process; pytest's exit code."""
    out.parent.mkdir(parents=True, exist_ok=True)
    targets = [Target.of(name) for name in modules or AREAS[area]]
    player = Player(area, targets, choice, out)
    options = ["-q", "-n0", "-p", "no:cacheprovider", "--capture=sys"]
    tests = choice.tests or TESTS[area]
    return int(pytest.main([*options, *(str(ROOT / each) for each in tests)], [player]))


def outcomes(path: Path) -> dict[str, Played]:
    """What was found last of each mutant."""
    if not path.exists():
        return {}
    played = (Played(**json.loads(line)) for line in path.read_text().splitlines())
    return {each.name: each for each in played}


def main(arguments: Sequence[str]) -> int:
    """One area, or a part of it."""
    parser = argparse.ArgumentParser(prog="python -m bench.mutants.playing")
    parser.add_argument("area", choices=list(AREAS))
    parser.add_argument("modules", nargs="*")
    parser.add_argument("--again", action="store_true", help="those that nothing has killed yet")
    parser.add_argument("--match", default="", help="those with this in their names")
    parser.add_argument("--sample", type=int, help="so many of each module")
    parser.add_argument("--seed", default="", help="which they are")
    parser.add_argument("--seconds", type=float, default=AT_MOST_SECONDS, help="of tests for each")
    parser.add_argument("--tests", nargs="*", default=[], help="instead of those of the area")
    parser.add_argument("--out", type=Path, help="the file for what is found")
    given = parser.parse_args(arguments)
    out = given.out or CACHE / f"{given.area}.jsonl"
    killed = frozenset(
        each.name for each in outcomes(out).values() if given.again and each.outcome in KILLED
    )
    choice = Choice(
        but=killed,
        match=given.match,
        sample=given.sample,
        seed=given.seed,
        seconds=given.seconds,
        tests=tuple(given.tests),
    )
    return play(given.area, given.modules, choice, out)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
