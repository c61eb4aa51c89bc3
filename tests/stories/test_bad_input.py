"""Bad input, all of it: exact answers, never a 500, nothing widened, and nothing else lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from openloop.testing.homes import temporary_home
from openloop.testing.story.stage import CHANNEL
from tests.conftest import emptied
from tests.stories.bad_input import ROWS
from tests.stories.conftest import ROOT
from tests.stories.doors import ASK, Scene, ask_and_approve
from tests.stories.manifests import read_files
from tests.stories.product import open_product

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.stories.bad_input import Row

pytestmark = pytest.mark.asyncio(loop_scope="module")

DEMO = ROOT / "examples" / "demo"
STANDING = """
SELECT jsonb_build_object(
    'run', (SELECT max(id::text) FROM runs),
    'people', (SELECT jsonb_agg(to_jsonb(p) ORDER BY id) FROM principals AS p),
    'identities', (SELECT jsonb_agg(to_jsonb(i) ORDER BY external_id) FROM identities AS i),
    'tokens', (SELECT jsonb_agg(id || role ORDER BY id) FROM tokens),
    'workspace', (SELECT max(number) FROM workspace_revisions),
    'agents', (SELECT jsonb_agg(to_jsonb(a) ORDER BY id) FROM agents AS a),
    'revisions', (SELECT count(*) FROM agent_revisions),
    'places', (SELECT jsonb_agg(to_jsonb(b) ORDER BY container) FROM bindings AS b),
    'approvals', (SELECT jsonb_object_agg(id, state) FROM approvals),
    'votes', (SELECT count(*) FROM votes),
    'memories', (SELECT count(*) FROM memories))
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(own_database: tuple[str, str]) -> AsyncIterator[Scene]:
    """One product for all rows: what one of them breaks, the next ones find broken."""
    with temporary_home("ol-") as home:
        async with open_product(
            emptied(own_database), home=home, manifests=DEMO, scripts=DEMO / "scripts"
        ) as product:
            product.slack.people.add("anna", id="U0ANNATOO")
            product.slack.people.add("anna", id="U0ANNAEXT", kind="external")
            waiting = await product.slack.say(CHANNEL, by="anna", text=ASK)
            yield Scene(
                product=product,
                files={file.name: file.text for file in read_files(DEMO)},
                waiting=await product.slack.reply_to(waiting),
                decided=await ask_and_approve(product),
            )


@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_bad_input_is_answered_exactly_and_nothing_else_is_lost(
    scene: Scene, row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLOOP_URL", scene.product.url)
    monkeypatch.setenv("OPENLOOP_TOKEN", scene.product.token)
    before = await standing(scene)

    outcome = await row.door.send(scene)

    assert (outcome.status, outcome.code, outcome.finer) == (row.status, row.code, row.finer)
    assert row.says in outcome.told
    after = await standing(scene)
    assert (after.pop("run") != before.pop("run")) == row.runs
    assert after == before
    await row.door.send_good(scene)
    assert scene.product.slack.lost == []


async def standing(scene: Scene) -> dict[str, Any]:
    """Who may do what, what was decided, and what was done."""
    product = scene.product
    async with product.application.database.transaction(product.workspace) as tx:
        rows = await tx.value(STANDING)
    return {
        **rows,
        "buttons": product.slack.current(scene.waiting).buttons,
        "effects": len(product.github.writes),
    }
