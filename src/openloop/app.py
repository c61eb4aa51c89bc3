"""The composition root: everything is built here once, in order, and closed in reverse."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog

from openloop.actions import manifests, tokens
from openloop.actions.configuration import Configuration
from openloop.actions.intake import Intake
from openloop.actions.manifests import ManifestFile
from openloop.domain.audit import SYSTEM
from openloop.domain.errors import Misconfigured
from openloop.domain.ids import new_id
from openloop.domain.pricing import Price, PriceOverride
from openloop.domain.principal import Role
from openloop.models.client import GatewayClient
from openloop.models.prices import PriceBook
from openloop.plugin import discover
from openloop.runtime.builtin.memory import memory_toolset
from openloop.runtime.courier import Courier
from openloop.runtime.kit import Kit
from openloop.runtime.world import InstalledWorld
from openloop.storage import agents, principals, queue
from openloop.storage import tokens as token_rows
from openloop.storage.database import Database
from openloop.storage.embedded import EmbeddedPostgres
from openloop.storage.migrations import migrate
from openloop.tools.registry import Registry

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from fastapi import FastAPI

    from openloop.actions.apply import Applied
    from openloop.domain.ids import WorkspaceId
    from openloop.domain.manifest_workspace import WorkspaceManifest
    from openloop.plugin import Integration, Surface, Toolset
    from openloop.settings import Settings


OWNER = "owner"
"""The service that holds the first token and applies what `up -f` is given."""


class NamedText(Protocol):
    """A file as it was read."""

    @property
    def name(self) -> str: ...
    @property
    def text(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """Everything that serve and worker are made of."""

    settings: Settings
    database: Database
    configuration: Configuration
    intake: Intake
    surfaces: Mapping[str, Surface]
    registry: Registry
    models: GatewayClient
    prices: Callable[[WorkspaceManifest], PriceBook]
    world: InstalledWorld
    kit: Kit


@asynccontextmanager
async def conninfo(settings: Settings) -> AsyncGenerator[str]:
    """Where Postgres is: `DATABASE_URL`, or the embedded one, which this process then holds up."""
    if settings.database_url is not None:
        yield settings.database_url
        return
    embedded = EmbeddedPostgres(settings.home)
    running = await asyncio.to_thread(embedded.start)
    keeper = asyncio.create_task(_keep_up(embedded))
    try:
        yield running.dsn
    finally:
        keeper.cancel()
        await asyncio.to_thread(embedded.leave)


async def _keep_up(embedded: EmbeddedPostgres) -> None:
    """Start the embedded server again when it died; connections come back by themselves."""
    log = structlog.get_logger(__name__)
    while True:
        await asyncio.sleep(0.5)
        if not await asyncio.to_thread(embedded.is_up):
            log.warning("the embedded Postgres is gone, starting it again")
            try:
                await asyncio.to_thread(embedded.start)
            except RuntimeError as error:
                log.warning("the embedded Postgres does not start", reason=str(error))


@asynccontextmanager
async def build(settings: Settings, *, pool_size: int = 10) -> AsyncGenerator[Application]:
    """Build everything, refusing with every problem at once where something cannot be honoured."""
    async with AsyncExitStack() as stack:
        surfaces, toolsets = build_integrations(settings)
        for part in (*surfaces.values(), *toolsets):
            stack.push_async_callback(part.aclose)
        registry = Registry((*toolsets, memory_toolset()))
        dsn = await stack.enter_async_context(conninfo(settings))
        await migrate(dsn)
        database = Database(dsn, size=pool_size)
        await database.open()
        stack.push_async_callback(database.close)
        models = GatewayClient(
            settings.gateway_url or settings.gateway_socket, settings.gateway_token
        )
        stack.push_async_callback(models.aclose)
        configuration = Configuration()
        prices = _Prices(settings)
        worker_id = new_id()
        yield Application(
            settings=settings,
            database=database,
            configuration=configuration,
            intake=Intake(database, configuration),
            surfaces=surfaces,
            registry=registry,
            models=models,
            prices=prices,
            world=InstalledWorld(
                surfaces=surfaces, registry=registry, models=models, prices=prices
            ),
            kit=Kit(
                worker=worker_id,
                database=database,
                configuration=configuration,
                surfaces=surfaces,
                registry=registry,
                models=models,
                prices=prices,
                courier=Courier(database, surfaces, worker_id),
            ),
        )


class _Prices:
    """The price book of a workspace, made once per manifest."""

    def __init__(self, settings: Settings) -> None:
        self._scripts = settings.scripts
        self._books: dict[int, tuple[WorkspaceManifest, PriceBook]] = {}

    def __call__(self, workspace: WorkspaceManifest) -> PriceBook:
        known = self._books.get(id(workspace))
        if known is None or known[0] is not workspace:
            if len(self._books) > 100:  # manifests change rarely
                self._books.clear()
            known = (workspace, PriceBook(_overrides(workspace), scripts=self._scripts))
            self._books[id(workspace)] = known
        return known[1]


def _overrides(workspace: WorkspaceManifest) -> dict[str, PriceOverride]:
    return {
        model: PriceOverride(
            price=Price(
                input_per_million=price.input_per_million,
                output_per_million=price.output_per_million,
                cached_per_million=price.cached_per_million,
            ),
            max_output_tokens=price.max_output_tokens,
            context_window=price.context_window,
        )
        for model, price in workspace.spec.prices.items()
    }


def build_integrations(settings: Settings) -> tuple[dict[str, Surface], list[Toolset]]:
    """The configured faces of every installed integration.

    Raises:
        Misconfigured: with the problems of all of them
    """
    surfaces: dict[str, Surface] = {}
    toolsets: list[Toolset] = []
    problems: list[str] = []
    for integration in discover().values():
        try:
            _add(integration, settings, surfaces, toolsets)
        except Misconfigured as error:
            problems += error.problems or [str(error)]
    if problems:
        message = "The settings are refused: " + "; ".join(problems)
        raise Misconfigured(message, problems=problems)
    return surfaces, toolsets


def _add(
    integration: Integration,
    settings: Settings,
    surfaces: dict[str, Surface],
    toolsets: list[Toolset],
) -> None:
    if integration.surface is not None:
        surface = integration.surface(settings.environ)
        if surface is not None:
            surfaces[surface.name] = surface
    if integration.toolset is not None:
        toolset = integration.toolset(settings.environ)
        if toolset is not None:
            toolsets.append(toolset)


def set_up_logging(level: str) -> None:
    """JSON lines on standard error."""
    numeric: int = getattr(logging, level.upper())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries speak up only when something is wrong; procrastinate logs every job at INFO.
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s: %(message)s")


def create_api(application: Application) -> FastAPI:
    """The HTTP API over an application."""
    # Only serve pays for importing FastAPI.
    from openloop.api.application import create_api as create  # noqa: PLC0415
    from openloop.api.kit import ApiKit  # noqa: PLC0415

    async def ready_checks() -> Mapping[str, str | None]:
        async with application.database.directory() as tx:
            working = await queue.count_workers(tx)
        return {"workers": None if working else "no worker takes wake-ups at the moment"}

    hosts = application.settings.environ.get("OPENLOOP_ALLOWED_HOSTS", "")
    return create(
        ApiKit(
            database=application.database,
            configuration=application.configuration,
            intake=application.intake,
            surfaces=application.surfaces,
            world=application.world,
            models=application.models,
            ready_checks=ready_checks,
            allowed_hosts=frozenset(host.strip() for host in hosts.split(",") if host.strip()),
        )
    )


async def home_workspace(application: Application) -> WorkspaceId:
    """The workspace this installation began with, made at the first start."""
    async with application.database.directory() as tx:
        known = await agents.list_workspaces(tx)
        if known:
            named = [row.id for row in known if row.name == application.settings.workspace]
            return named[0] if named else known[0].id
        return await agents.put_workspace(tx, application.settings.workspace)


async def first_token(application: Application) -> str | None:
    """The owner token of the first start, left for the command line; None at every later start."""
    workspace = await home_workspace(application)
    async with application.database.transaction(workspace) as tx:
        if await token_rows.list_all(tx):
            return None
    text = await tokens.create(
        application.database,
        workspace,
        principal=OWNER,
        role=Role.OWNER,
        name="first start",
        by=SYSTEM,
    )
    file = application.settings.token_file
    file.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(text + "\n")
    return text


async def apply_files(application: Application, files: Sequence[NamedText]) -> list[Applied]:
    """Apply manifests as the installation itself: all of them, or none.

    Raises:
        Invalid
    """
    workspace = await home_workspace(application)
    async with application.database.transaction(workspace) as tx:
        by = await principals.ensure_service(tx, workspace, OWNER)
    return await manifests.apply_files(
        application.database,
        workspace,
        [ManifestFile(name=file.name, text=file.text) for file in files],
        world=application.world,
        by=by,
        who=SYSTEM,
    )
