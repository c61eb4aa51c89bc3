"""What every test may ask for: a real database, empty, as the application role.

All workers of a test run share one embedded Postgres; each has a database of its own, and its rows
are deleted between tests by the owner, in one statement.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from openloop.actions import apply
from openloop.storage.database import Database
from openloop.storage.embedded import EmbeddedPostgres
from openloop.storage.migrations import migrate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from openloop.domain.ids import WorkspaceId

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


def shared_home() -> Path:
    """One folder per test run; xdist's workers all find the same."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    home = Path(tempfile.gettempdir()) / f"openloop-tests-{run[:12]}"
    home.mkdir(mode=0o711, exist_ok=True)
    return home


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The embedded Postgres of this test run; the last worker to leave stops it."""
    embedded = EmbeddedPostgres(shared_home(), settings={"fsync": "off"})
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
    postgres.drop_database(name)


@pytest.fixture
def conninfo(own_database: tuple[str, str]) -> str:
    """The database's address as its owner, emptied."""
    dsn, superuser_dsn = own_database
    with psycopg.connect(superuser_dsn, autocommit=True) as connection:
        connection.execute(EMPTY)
    return dsn


@pytest.fixture
def superuser(own_database: tuple[str, str]) -> str:
    """The database's address as superuser, for what the product itself can never do."""
    return own_database[1]


@pytest.fixture
async def database(conninfo: str) -> AsyncIterator[Database]:
    """An open database as the application role."""
    opened = Database(conninfo, size=8, name="openloop-test")
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def workspace(database: Database) -> WorkspaceId:
    """A workspace with no manifest."""
    return await apply.ensure_workspace(database, "acme")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that start the whole product run one at a time: two of them would fill two cores."""
    for item in items:
        if item.get_closest_marker("stack") is not None:
            item.add_marker(pytest.mark.xdist_group("stack"))
