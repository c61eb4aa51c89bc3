"""What is known to be secret is written to no table, in whatever a statement carries it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openloop.domain.redaction import REDACTED, Redactor
from openloop.storage import rows
from openloop.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SECRET = "the-canary-of-the-database"


@pytest.fixture
async def redacting(conninfo: str) -> AsyncIterator[Database]:
    opened = Database(conninfo, size=1, redactor=Redactor([SECRET]))
    await opened.open()
    yield opened
    await opened.close()


async def test_texts_lists_and_json_are_written_without_secrets(redacting: Database) -> None:
    parameters = {
        "text": f"a {SECRET} b",
        "list": [SECRET, "x"],
        "json": rows.json({"deep": [{"say": SECRET}], SECRET: 1}),
        "number": 7,
        "nothing": None,
        "bytes": SECRET.encode(),  # ciphertexts and hashes are bytes, and no text of anybody
    }
    async with redacting.directory() as tx:
        [row] = await tx.tuples(
            """
            SELECT %(text)s::text, %(list)s::text[], %(json)s::jsonb, %(number)s::int,
                   %(nothing)s::text, %(bytes)s::bytea
            """,
            parameters,
        )
    assert row == (
        f"a {REDACTED} b",
        [REDACTED, "x"],
        {"deep": [{"say": REDACTED}], REDACTED: 1},
        7,
        None,
        SECRET.encode(),
    )


async def test_every_way_to_run_a_statement_redacts(redacting: Database) -> None:
    sql = "SELECT %(text)s::text AS text"
    async with redacting.directory() as tx:
        assert await tx.value(sql, {"text": SECRET}) == REDACTED
        assert await tx.tuples(sql, {"text": SECRET}) == [(REDACTED,)]
        assert await tx.all(dict, sql, {"text": SECRET}) == [{"text": REDACTED}]
        assert await tx.find(dict, sql, {"text": SECRET}) == {"text": REDACTED}
        assert await (await tx.ask(dict, sql, {"text": SECRET})).one() == {"text": REDACTED}
        added = "INSERT INTO workspaces (id, name) VALUES (gen_random_uuid(), %(text)s)"
        await tx.run(added, {"text": f"1 {SECRET}"})
        await tx.send(added, {"text": f"2 {SECRET}"})
        names = await tx.tuples("SELECT name FROM workspaces ORDER BY name")
    assert names == [(f"1 {REDACTED}",), (f"2 {REDACTED}",)]
