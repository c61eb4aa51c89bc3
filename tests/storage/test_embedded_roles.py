"""The embedded Postgres: what its roles may do, and the databases that tests and dumps make."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import errors

from openloop.storage.embedded import EmbeddedPostgres, EmbeddedPostgresError, Running
from tests.storage.conftest import new_home


@pytest.fixture(scope="module")
def postgres() -> Iterator[EmbeddedPostgres]:
    with new_home() as home:
        postgres = EmbeddedPostgres(home)
        postgres.start()
        yield postgres
        postgres.leave()


@pytest.fixture
def running(postgres: EmbeddedPostgres) -> Running:
    return postgres.start()


def ask(dsn: str, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


def test_the_products_role_owns_its_database_and_nothing_more(running: Running) -> None:
    roles = """SELECT rolname, rolcanlogin, rolsuper OR rolbypassrls OR rolcreatedb OR
        rolcreaterole OR rolreplication FROM pg_roles WHERE rolname ~ '^openloop' ORDER BY 1"""
    owners = """SELECT pg_get_userbyid(datdba), pg_get_userbyid(nspowner)
        FROM pg_database, pg_namespace
        WHERE datname = current_database() AND nspname = 'public'"""

    assert ask(running.dsn, roles) == [("openloop", True, False), ("openloop_app", False, False)]
    assert ask(running.dsn, owners) == [("openloop", "openloop")]
    for forbidden in (
        "CREATE DATABASE other",
        "CREATE ROLE other",
        "SET ROLE postgres",
        "ALTER SYSTEM SET port = 1",
        "COPY (SELECT 1) TO PROGRAM 'cat'",
    ):
        with pytest.raises(errors.InsufficientPrivilege):
            ask(running.dsn, forbidden)
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        ask(running.dsn.replace("@/openloop?", "@/postgres?"), "SELECT 1")


def test_the_app_role_is_entered_by_choice_and_owns_nothing(running: Running) -> None:
    ask(running.dsn, "CREATE TABLE seen (who text); GRANT SELECT ON seen TO openloop_app")
    entered = "SELECT pg_has_role('openloop_app', 'SET'), pg_has_role('openloop_app', 'USAGE')"
    owned = "SELECT count(*) FROM pg_shdepend WHERE deptype = 'o' AND refobjid = "

    assert ask(running.dsn, entered) == [(True, False)]
    assert ask(running.dsn, owned + "'openloop_app'::regrole") == [(0,)]
    with psycopg.connect(running.dsn, autocommit=True) as connection:
        connection.execute("SET ROLE openloop_app")
        assert connection.execute("SELECT current_user").fetchone() == ("openloop_app",)
        connection.execute("SELECT * FROM seen")
        for forbidden in (
            "CREATE TABLE mine ()",
            "CREATE TEMP TABLE mine ()",
            "INSERT INTO seen VALUES ('anna')",
            "DROP TABLE seen",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(forbidden.encode())


def test_the_app_role_has_no_password_and_the_others_need_theirs(
    running: Running,
) -> None:
    password = running.dsn.split("openloop:", 1)[1].split("@", 1)[0]

    for wrong in (
        running.dsn.replace("openloop:", "openloop_app:", 1),
        running.dsn.replace(password, "guess"),
        running.superuser_dsn.replace("postgres:", "openloop:", 1),
    ):
        with pytest.raises(psycopg.OperationalError, match=r"not permitted|authentication failed"):
            ask(wrong, "SELECT 1")


def test_databases_of_tests_are_like_the_products(postgres: EmbeddedPostgres) -> None:
    template = postgres.create_database("made")
    ask(template.dsn, "CREATE TABLE place (at vector(2))")

    copied = postgres.create_database("copied", template="made")

    assert ask(copied.dsn, "INSERT INTO place VALUES ('[1,2]') RETURNING at::text") == [("[1,2]",)]
    with psycopg.connect(copied.dsn):  # dropped under its user
        postgres.drop_database("copied")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        ask(copied.dsn, "SELECT 1")
    with pytest.raises(EmbeddedPostgresError, match='database "made" already exists'):
        postgres.create_database("made")
    with pytest.raises(ValueError, match="not a plain"):
        postgres.create_database('x"; DROP DATABASE made; --')


def test_a_dump_is_restored(postgres: EmbeddedPostgres, running: Running, tmp_path: Path) -> None:
    ask(running.dsn, "CREATE TABLE kept AS SELECT generate_series(1, 3) AS n, '[1]'::vector AS v")
    dump = str(tmp_path / "openloop.dump")

    postgres.run_client("pg_dump", "--format=custom", f"--file={dump}", "openloop")
    postgres.drop_database("openloop")
    postgres.create_database("openloop")
    postgres.run_client("pg_restore", "--exit-on-error", "--dbname=openloop", dump)

    assert ask(running.dsn, "SELECT n, v::text FROM kept") == [(n, "[1]") for n in (1, 2, 3)]
    assert ask(running.dsn, "SELECT tableowner FROM pg_tables WHERE tablename = 'kept'") == [
        ("openloop",)
    ]
