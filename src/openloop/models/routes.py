"""The gateway over HTTP: chat completions, embeddings, models, providers, health."""

from __future__ import annotations

import asyncio
import hmac
import logging
import math
import time
from typing import TYPE_CHECKING, Final

import orjson
from aiohttp import web

from openloop.domain.redaction import Redactor, secret_values
from openloop.models.errors import BadCall, BadScript, ModelFailure, UnknownModel, to_wire
from openloop.models.prices import shipped_prices
from openloop.models.providers import PROVIDERS, SCRIPTED, is_reachable, split_model
from openloop.models.script_folder import ScriptFolder
from openloop.models.scripted import reply_to
from openloop.models.wire import (
    MAX_BODY_BYTES,
    PASSED_ON,
    check_chat,
    max_tokens_of,
    model_of,
    parse_body,
    read_request,
    timeout_of,
    write_reply,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from openloop.domain.model import ModelReply
    from openloop.models.remote import RemoteModels
    from openloop.models.wire import Json

logger = logging.getLogger(__name__)

_MOST_TEXTS: Final = 2048


class Gateway:
    """What the endpoints share."""

    def __init__(
        self,
        *,
        remote: RemoteModels,
        scripts: Path | None,
        environ: Mapping[str, str],
        token: str | None,
    ) -> None:
        self._remote = remote
        self._scripts = ScriptFolder(scripts) if scripts else None
        self._environ = environ
        self._bearer = f"Bearer {token}".encode() if token else None
        self._redactor = Redactor(secret_values(environ))

    def application(self) -> web.Application:
        """The endpoints, behind the token where there is one."""
        application = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self._answer])
        application.add_routes(
            [
                web.post("/v1/chat/completions", self._chat),
                web.post("/v1/embeddings", self._embeddings),
                web.get("/v1/models", self._models),
                web.get("/v1/providers", self._providers),
                web.get("/healthz", self._health),
            ]
        )
        return application

    @web.middleware
    async def _answer(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        """Check the token; turn failures into answers."""
        if self._bearer is not None:
            given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
            if not hmac.compare_digest(given, self._bearer):
                return _json({"error": {"message": "A valid token is needed"}}, status=401)
        try:
            return await handler(request)
        except ModelFailure as failure:
            headers: dict[str, str] = {}
            if failure.retry_after_seconds is not None:
                headers["Retry-After"] = str(math.ceil(failure.retry_after_seconds))
            return _json({"error": to_wire(failure)}, status=failure.http_status, headers=headers)
        except web.HTTPException as refusal:
            failure = BadCall(f"The model gateway answers this with {refusal.status}")
            return _json({"error": to_wire(failure)}, status=refusal.status)

    async def _chat(self, request: web.Request) -> web.Response:
        body = parse_body(await request.read())
        model = model_of(body)
        check_chat(body)
        started = time.perf_counter()
        key = request.headers.get("Idempotency-Key", "")
        try:
            if split_model(model)[0] == SCRIPTED:
                reply = await self._scripted(body, model=model, key=key)
            else:
                reply = await self._real(body, model=model, key=key)
        except ModelFailure as failure:
            logger.warning(
                "%s for %s after %.3f s: %s", failure.code, model, _since(started), failure
            )
            raise
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("%s answered after %.3f s", model, _since(started))
        written = write_reply(reply, call_id=f"chatcmpl-{key}", created=int(time.time()))
        return web.Response(body=self._redactor.json(written), content_type="application/json")

    async def _scripted(self, body: Json, *, model: str, key: str) -> ModelReply:
        if self._scripts is None:
            message = f"{model!r} is a scripted model, and the gateway has no scripts folder"
            raise UnknownModel(message)
        asked = read_request(body, idempotency_key=key)
        scripted = reply_to(asked, self._scripts.read(split_model(model)[1]))
        if scripted.delay_seconds:
            await asyncio.sleep(scripted.delay_seconds)
        return scripted.reply

    async def _real(self, body: Json, *, model: str, key: str) -> ModelReply:
        max_tokens = max_tokens_of(body)
        return await self._remote.complete(
            model,
            {name: body[name] for name in PASSED_ON if name in body},
            max_tokens=max_tokens if isinstance(max_tokens, int) else 1,
            seconds=timeout_of(body),
            key=key,
        )

    async def _embeddings(self, request: web.Request) -> web.Response:
        body = parse_body(await request.read())
        model = model_of(body)
        if unknown := body.keys() - {"model", "input", "openloop"}:
            message = f"{', '.join(sorted(unknown))} is not taken"
            raise BadCall(message)
        given = body.get("input")
        texts = [given] if isinstance(given, str) else given
        if (
            not isinstance(texts, list)
            or not 0 < len(texts) <= _MOST_TEXTS  # pyright: ignore[reportUnknownArgumentType]
            or not all(isinstance(each, str) for each in texts)  # pyright: ignore[reportUnknownVariableType]
        ):
            message = f"`input` is a text, or a list of up to {_MOST_TEXTS} texts"
            raise BadCall(message)
        return _json(await self._remote.embed(model, texts, seconds=timeout_of(body)))  # pyright: ignore[reportUnknownArgumentType]

    async def _models(self, _request: web.Request) -> web.Response:
        reachable = {name for name, each in PROVIDERS.items() if is_reachable(each, self._environ)}
        listed = [
            _listed(model, facts.provider)
            for model, facts in shipped_prices().models.items()
            if facts.provider in reachable
        ]
        if scripts := self._scripts:
            listed += [
                _listed(f"{SCRIPTED}/{name}", SCRIPTED, problem=_problem_of(scripts, name))
                for name in scripts.names()
            ]
        return _json({"object": "list", "data": listed})

    async def _providers(self, _request: web.Request) -> web.Response:
        return _json(
            {
                "providers": [
                    {
                        "name": provider.name,
                        "ready": is_reachable(provider, self._environ),
                        "keys": provider.key_names if provider.key_needed else (),
                    }
                    for provider in PROVIDERS.values()
                ]
            }
        )

    async def _health(self, _request: web.Request) -> web.Response:
        loading = self._remote.loading
        status = "ready" if loading in ("loaded", "not needed") else "warming"
        return _json({"status": status, "litellm": loading})


def _problem_of(scripts: ScriptFolder, name: str) -> str | None:
    try:
        scripts.read(name)
    except (BadScript, UnknownModel) as problem:
        return str(problem)
    return None


def _listed(model: str, owner: str, *, problem: str | None = None) -> Json:
    listed: Json = {"id": model, "object": "model", "created": 0, "owned_by": owner}
    return listed if problem is None else {**listed, "problem": problem}


def _since(started: float) -> float:
    return time.perf_counter() - started


def _json(
    body: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    return web.Response(
        body=orjson.dumps(body), status=status, headers=headers, content_type="application/json"
    )
