"""The composition root: everything is built here once, in order, and closed in reverse."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import structlog

from openloop.actions import login, manifests, secrets, tokens
from openloop.actions.configuration import Configuration
from openloop.actions.intake import Intake
from openloop.actions.manifests import ManifestFile, Proposal
from openloop.actions.people import INSTALLATION
from openloop.domain.audit import SYSTEM
from openloop.domain.errors import Misconfigured
from openloop.domain.ids import new_id
from openloop.domain.pricing import Price, PriceOverride
from openloop.domain.principal import Role
from openloop.models.client import GatewayClient
from openloop.models.prices import PriceBook
from openloop.plugin import TellsAlone, discover
from openloop.runtime import editing, gate
from openloop.runtime.builtin.memory import memory_toolset
from openloop.runtime.courier import Courier
from openloop.runtime.kit import Kit
from openloop.runtime.master_keys import MasterKeyFile
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
    from openloop.domain.redaction import Redactor
    from openloop.plugin import Integration, Surface, Toolset
    from openloop.settings import Settings


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


async def with_stored_secrets(settings: Settings) -> Settings:
    """The settings with the stored secrets that they refer to; the database is asked only for those.

    Raises:
        Misconfigured: with every one that cannot be read
    """
    if not settings.stored_references:
        return settings
    async with conninfo(settings) as dsn:
        await migrate(dsn)
        database = Database(dsn, size=1, name="openloop-secrets")
        try:
            await database.open()
            return await with_secrets_of(database, settings)
        finally:
            await database.close()


async def with_secrets_of(database: Database, settings: Settings) -> Settings:
    """The settings with the stored secrets of a database that is open. Raises Misconfigured."""
    wanted = settings.stored_references
    values, problems = await secrets.read_secrets(
        database,
        await home_of(database, settings),
        sorted({*wanted.values()}),
        keys=MasterKeyFile(settings.master_keys),
    )
    if problems:
        said = [f"{name}: {problems[of]}" for name, of in wanted.items() if of in problems]
        raise Misconfigured("The settings are refused: " + "; ".join(said), problems=said)
    settings.redactor.learn(values.values())
    known = {name: values[of] for name, of in wanted.items()}
    return replace(settings, environ={**settings.environ, **known})


@asynccontextmanager
async def build(
    settings: Settings, *, pool_size: int = 10, warm: bool = False
) -> AsyncGenerator[Application]:
    """Build everything, refusing with every problem at once where something cannot be honoured."""
    settings = await with_stored_secrets(settings)
    async with AsyncExitStack() as stack:
        surfaces, toolsets = build_integrations(settings)
        for part in (*surfaces.values(), *toolsets):
            stack.push_async_callback(part.aclose)
        registry = Registry((*toolsets, memory_toolset()))
        dsn = await stack.enter_async_context(conninfo(settings))
        await migrate(dsn)
        database = Database(dsn, size=pool_size, redactor=settings.redactor, warm=warm)
        await database.open()
        stack.push_async_callback(database.close)
        models = GatewayClient(
            settings.gateway_url or settings.gateway_socket,
            settings.gateway_token,
            settings.redactor,
        )
        stack.push_async_callback(models.aclose)
        configuration = Configuration(
            {name: each for name, each in surfaces.items() if isinstance(each, TellsAlone)}
        )
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


def set_up_logging(level: str, redactor: Redactor) -> None:
    """JSON lines on standard error, without what is known to be secret."""
    numeric: int = getattr(logging, level.upper())

    def write(_logger: object, _method: str, event: structlog.typing.EventDict) -> str:
        return redactor.text(str(render(_logger, _method, event)))

    render = structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            write,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries speak up only when something is wrong; procrastinate logs every job at INFO.
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(_Redacted("%(name)s: %(message)s", redactor))
    logging.basicConfig(level=logging.WARNING, handlers=[lines])


class _Redacted(logging.Formatter):
    """A line of a library, without what is known to be secret."""

    def __init__(self, form: str, redactor: Redactor) -> None:
        super().__init__(form)
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        return self._redactor.text(super().format(record))


def create_api(application: Application) -> FastAPI:
    """The HTTP API over an application."""
    # Only serve pays for importing FastAPI.
    from openloop.api.application import create_api as create  # noqa: PLC0415
    from openloop.api.kit import ApiKit  # noqa: PLC0415
    from openloop.api.oidc_settings import read_settings  # noqa: PLC0415

    async def ready_checks() -> Mapping[str, str | None]:
        async with application.database.directory() as tx:
            working = await queue.count_workers(tx)
        return {"workers": None if working else "no worker takes wake-ups at the moment"}

    environ = application.settings.environ
    hosts = environ.get("OPENLOOP_ALLOWED_HOSTS", "").split(",")
    oidc = read_settings(environ)
    provider = None
    if oidc is not None:
        from openloop.api.oidc import IdentityProvider  # noqa: PLC0415  # Authlib is slow to import

        provider = IdentityProvider(oidc)
        hosts.append(urlsplit(oidc.url).hostname or "")
    return create(
        ApiKit(
            database=application.database,
            configuration=application.configuration,
            intake=application.intake,
            surfaces=application.surfaces,
            world=application.world,
            look_at=partial(gate.looked_at, application.registry),
            models=application.models,
            edit=partial(editing.edit, application.kit),
            ready_checks=ready_checks,
            master_keys=MasterKeyFile(application.settings.master_keys),
            identity_provider=provider,
            allowed_hosts=frozenset(host.strip() for host in hosts if host.strip()),
        )
    )


async def home_workspace(application: Application) -> WorkspaceId:
    """The workspace this installation began with, made at the first start."""
    return await home_of(application.database, application.settings)


async def home_of(database: Database, settings: Settings) -> WorkspaceId:
    """The same, where no more than the database is there."""
    async with database.directory() as tx:
        known = await agents.list_workspaces(tx)
        if known:
            named = [row.id for row in known if row.name == settings.workspace]
            return named[0] if named else min(row.id for row in known)  # the oldest one
        return await agents.put_workspace(tx, settings.workspace)


async def every_workspace(application: Application) -> list[WorkspaceId]:
    """Every workspace of this installation."""
    async with application.database.directory() as tx:
        return [row.id for row in await agents.list_workspaces(tx)]


async def first_token(application: Application) -> str | None:
    """The owner token of the first start, left for the command line; None at every later start."""
    workspace = await home_workspace(application)
    async with application.database.transaction(workspace) as tx:
        if await token_rows.list_all(tx):
            return None
    text = await tokens.create(
        application.database,
        workspace,
        principal=INSTALLATION,
        role=Role.OWNER,
        name="first start",
        by=SYSTEM,
    )
    file = application.settings.token_file
    file.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(text + "\n")
    return text


async def first_link(application: Application, token: str) -> str:
    """The address that logs a browser on this machine in as the holder of the first token, once."""
    workspace = await home_workspace(application)
    secret = await login.make_link(application.database, workspace, token.split("_")[2], by=SYSTEM)
    return f"{application.settings.url}/login/link/{secret}"


async def apply_files(application: Application, files: Sequence[NamedText]) -> list[Applied]:
    """Apply manifests as the installation itself; what widens rights waits for a person.

    Raises:
        Invalid
    """
    workspace = await home_workspace(application)
    async with application.database.transaction(workspace) as tx:
        by = await principals.ensure_service(tx, workspace, INSTALLATION)
    return await manifests.apply_files(
        application.database,
        workspace,
        [ManifestFile(name=file.name, text=file.text) for file in files],
        world=application.world,
        proposal=Proposal(by=by, who=SYSTEM, origin="up"),
    )
