"""The rig with an app behind it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from openloop.testing.rigs.slack import SlackRig
from tests.contracts.slack_rig.app import App, a_rig, client_of


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "oracle: held against a vendor's official shapes, fetched from npm once"
    )


@pytest.fixture
async def app() -> AsyncIterator[App]:
    app = App()
    runner = web.ServerRunner(web.Server(app.take, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    app.url = f"http://127.0.0.1:{runner.addresses[0][1]}/surfaces/slack/events"
    yield app
    await runner.cleanup()


@pytest.fixture
async def rig(app: App) -> AsyncIterator[SlackRig]:
    async with a_rig(deliver_to=app.url) as rig:
        yield rig


@pytest.fixture
def slack(rig: SlackRig) -> Any:
    return client_of(rig)
