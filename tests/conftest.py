"""What every test may ask for: a real database, empty, as the application role.

All workers of a test run share one embedded Postgres; each has a database of its own, and its rows
are deleted between tests by the owner, in one statement.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from openloop.actions import apply
from openloop.storage.embedded import EmbeddedPostgres
from openloop.storage.migrations import migrate
from tests.kept import KeptDatabase, close_kept
from tests.scheduling import pytest_xdist_make_scheduler as pytest_xdist_make_scheduler

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from openloop.domain.ids import WorkspaceId
    from openloop.storage.database import Database

# The contract suites are shipped, so pytest has to be told to explain their asserts.
pytest.register_assert_rewrite("openloop.testing.contracts.surface")

EMPTY = """
DO $$
DECLARE t text;
BEGIN
    SET LOCAL row_security = off;
    SET LOCAL session_replication_role = replica;
    FOR t IN SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
             WHERE schemaname IN ('openloop', 'procrastinate') AND tablename <> 'schema_migrations'
    LOOP
        EXECUTE 'DELETE FROM ' || t;
    END LOOP;
END $$
"""


HOME = "HOME_OF_THIS_TEST_RUN"


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder of this run; the workers of xdist inherit its name."""
    # How long an example takes tells something about the machine and nothing about the property.
    slow = [HealthCheck.too_slow]
    settings.register_profile(
        "patient", settings.default, deadline=None, suppress_health_check=slow
    )
    settings.load_profile("patient")
    if not hasattr(config, "workerinput"):
        home = tempfile.mkdtemp(prefix="openloop-tests-")
        Path(home).chmod(0o711)  # root's Postgres runs as another user
        os.environ[HOME] = home


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove it, once the last worker has left."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(HOME), ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The embedded Postgres of this test run; the last worker to leave stops it."""
    embedded = EmbeddedPostgres(Path(os.environ[HOME]), settings={"fsync": "off"})
    embedded.start()
    yield embedded
    embedded.leave()


@pytest.fixture(scope="session")
def own_database(postgres: EmbeddedPostgres) -> Iterator[tuple[str, str]]:
    """A migrated database of this worker: as its owner, and as superuser."""
    import asyncio  # noqa: PLC0415  # only the session fixture needs a loop of its own

    name = f"test_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{os.getpid()}"
    running = postgres.create_database(name)
    asyncio.run(migrate(running.dsn))
    yield running.dsn, running.superuser_dsn
    close_kept()
    if kept := _kept.pop(os.getpid(), None):
        kept.close()
    postgres.drop_database(name)


@pytest.fixture
def conninfo(own_database: tuple[str, str]) -> str:
    """The database's address as its owner, emptied."""
    return emptied(own_database)


def emptied(own_database: tuple[str, str]) -> str:
    """The address of a worker's database, without the rows of the test before."""
    dsn, superuser_dsn = own_database
    try:
        _connected(superuser_dsn).execute(EMPTY)
    except psycopg.OperationalError:  # a test may have ended every connection
        _connected(superuser_dsn).execute(EMPTY)
    return dsn


_kept: dict[int, psycopg.Connection] = {}
"""By process: a child that is forked cannot use its parent's, and must not close it."""


def _connected(dsn: str) -> psycopg.Connection:
    """A connection that is kept: what a new one has to look up costs five times the deletions."""
    process = os.getpid()
    if process not in _kept or _kept[process].closed:
        _kept[process] = psycopg.connect(
            dsn, autocommit=True, application_name="openloop-test-emptying"
        )
    return _kept[process]


@pytest.fixture
def superuser(own_database: tuple[str, str]) -> str:
    """The database's address as superuser, for what the product itself can never do."""
    return own_database[1]


@pytest.fixture
async def database(conninfo: str) -> AsyncIterator[Database]:
    """An open database as the application role."""
    opened = KeptDatabase(conninfo, size=8, name="openloop-test")
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def workspace(database: Database) -> WorkspaceId:
    """A workspace with no manifest."""
    return await apply.ensure_workspace(database, "acme")
