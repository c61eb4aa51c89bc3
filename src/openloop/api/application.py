"""The API as one ASGI application: what every request passes, and the routes of each resource."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import TYPE_CHECKING, Any, cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from openloop import __version__
from openloop.api import (
    agents,
    approvals,
    audit,
    changes,
    conversations,
    entrance,
    events,
    evidence,
    explain,
    health,
    logins,
    manifests,
    memories,
    pauses,
    people,
    runs,
    surfaces,
    tokens,
    usage,
    verdicts,
    workspace,
)
from openloop.api.authentication import Authentication
from openloop.api.bodies import StrictBodies
from openloop.api.feed import Feeds
from openloop.api.guard import Guard
from openloop.api.idempotency import IdempotencyKeys
from openloop.api.ingress import Ingress
from openloop.api.openapi import make_document
from openloop.api.problems import answer_routing, answer_validation
from openloop.api.redacting import Redacting
from openloop.api.renewing import Renewing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from openloop.api.kit import ApiKit

RESOURCES = (
    health,
    runs,
    approvals,
    agents,
    manifests,
    changes,
    workspace,
    memories,
    audit,
    evidence,
    explain,
    usage,
    surfaces,
    tokens,
    conversations,
    events,
    entrance,
    logins,
    pauses,
    people,
    verdicts,
)
ROUTES = [route for resource in RESOURCES for route in resource.router.routes]
"""Of the API: `include_router` would build the schemas of each once more for every application."""


def create_api(kit: ApiKit) -> FastAPI:
    """The API over a kit.

    From the outside in: refuse what is foreign; take deliveries; ask who it is; read the body;
    answer a repeated write. Only then FastAPI looks at the request.
    """
    feeds = Feeds(kit.database, poll_seconds=kit.pace.poll_seconds, bound=kit.pace.queued_events)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        renewing = _renewing(kit)
        yield
        end_streams(app)
        if renewing is not None:
            renewing.cancel()
            await asyncio.wait([renewing])

    app = FastAPI(
        title="OpenLoop",
        version=__version__,
        docs_url=None,  # both would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        routes=ROUTES,
        middleware=[
            Middleware(Redacting, redactor=kit.database.redactor),
            Middleware(Guard, allowed_hosts=kit.allowed_hosts, seconds=kit.pace.request_seconds),
            Middleware(
                Ingress,
                surfaces=kit.surfaces,
                intake=kit.intake,
                ack_seconds=kit.pace.ack_seconds,
            ),
            Middleware(Authentication, database=kit.database, configuration=kit.configuration),
            Middleware(StrictBodies),
            Middleware(IdempotencyKeys, database=kit.database),
        ],
        exception_handlers={
            HTTPException: answer_routing,
            RequestValidationError: answer_validation,
        },
    )
    app.state.kit = kit
    app.state.feeds = feeds
    app.openapi = _once(app)
    return app


def _renewing(kit: ApiKit) -> asyncio.Task[None] | None:
    """Keep logins as good as their identity provider says, where there is one."""
    provider = kit.identity_provider
    if provider is None:
        return None
    renewing = Renewing(kit.database, kit.configuration, provider, kit.master_keys)
    return asyncio.create_task(renewing.run())


def end_streams(app: FastAPI) -> None:
    """End every event stream, so that a server that stops need not wait for its clients."""
    cast("Feeds", app.state.feeds).end()


def _once(app: FastAPI) -> Any:
    return cache(partial(make_document, app))
