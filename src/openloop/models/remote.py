"""Real models, through litellm: the only module that imports it."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import threading
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, Literal

from openloop.models.errors import ModelOverloaded, ModelWarming
from openloop.models.failures import failure_of
from openloop.models.providers import access, provider_of
from openloop.models.replies import read_completion

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from openloop.domain.model import ModelReply

logger = logging.getLogger(__name__)

Loading = Literal["not needed", "warming", "loaded", "failed"]

WARMING_RETRY_SECONDS: Final = 2.0
BUSY_RETRY_SECONDS: Final = 1.0

# Read by litellm while it is imported. PRODUCTION: in any other mode it loads a .env file. The
# rest: it asks no host for price maps or header lists, and downloads no tokenizer.
_ENVIRONMENT: Final = {
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_OFFLINE_MODE": "true",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "LITELLM_LOG": "CRITICAL",
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
}

_WARM_UP_SECONDS: Final = 10
_NO_TOOL: Final = {
    "type": "function",
    "function": {"name": "nothing", "description": "", "parameters": {"type": "object"}},
}
_ANSWER: Final = json.dumps(
    {
        "id": "none",
        "object": "chat.completion",
        "created": 0,
        "model": "gpt-4o-mini",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello"},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
)


class RemoteModels:
    """Calls to providers. litellm is imported in a thread, when it is first needed or asked for."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        concurrency: int,
        waiting: int,
        warm_wait_seconds: float,
    ) -> None:
        self._environ = environ
        self._slots = asyncio.Semaphore(concurrency)
        self._room = concurrency + waiting
        self._inside = 0
        self._warm_wait_seconds = warm_wait_seconds
        self._loaded = asyncio.Event()
        self._litellm: Any = None
        self._loading: Loading = "not needed"
        self.on_failure: Callable[[], None] = lambda: None

    @property
    def loading(self) -> Loading:
        """How far the import of litellm is."""
        return self._loading

    def warm(self) -> None:
        """Start loading litellm, unless that was done."""
        if self._loading != "not needed":
            return
        self._loading = "warming"
        loop = asyncio.get_running_loop()
        # A daemon thread: a stop during the seconds of an import does not wait for it.
        thread = threading.Thread(target=self._load, args=(loop,), name="litellm", daemon=True)
        thread.start()

    async def complete(
        self,
        model: str,
        passed_on: Mapping[str, object],
        *,
        max_tokens: int,
        seconds: float,
        key: str,
    ) -> ModelReply:
        """One call to a provider, made once. Raises a ModelFailure."""
        provider = provider_of(model)
        reach = access(provider, self._environ)
        async with self._turn(seconds) as (litellm, left):
            try:
                async with asyncio.timeout(left):
                    answer = await litellm.acompletion(
                        model=model,
                        **passed_on,
                        max_tokens=max_tokens,
                        api_key=reach.api_key,
                        api_base=reach.api_base,
                        api_version=reach.api_version,
                        timeout=left,
                        max_retries=0,
                        num_retries=0,
                        drop_params=False,
                        extra_headers={"Idempotency-Key": key} if key else None,
                    )
            except Exception as error:  # noqa: BLE001 - litellm raises anything, and its text may hold the key
                raise failure_of(error, provider=provider.name, litellm=litellm) from None
        return read_completion(model, answer)

    async def embed(self, model: str, texts: list[str], *, seconds: float) -> dict[str, Any]:
        """The embeddings of some texts, in OpenAI's format. Raises a ModelFailure."""
        provider = provider_of(model)
        reach = access(provider, self._environ)
        async with self._turn(seconds) as (litellm, left):
            try:
                async with asyncio.timeout(left):
                    answer = await litellm.aembedding(
                        model=model,
                        input=texts,
                        api_key=reach.api_key,
                        api_base=reach.api_base,
                        api_version=reach.api_version,
                        timeout=left,
                        max_retries=0,
                        num_retries=0,
                    )
            except Exception as error:  # noqa: BLE001 - litellm raises anything, and its text may hold the key
                raise failure_of(error, provider=provider.name, litellm=litellm) from None
        return {**answer.model_dump(exclude_none=True), "model": model}

    @asynccontextmanager
    async def _turn(self, seconds: float) -> AsyncGenerator[tuple[Any, float]]:
        """litellm once it is loaded and a slot is free, and the seconds that are left then."""
        self.warm()
        if self._inside >= self._room:
            message = "The model gateway has too many calls waiting"
            raise ModelOverloaded(message, retry_after_seconds=BUSY_RETRY_SECONDS)
        self._inside += 1
        try:
            await self._until_loaded()
            asked = time.monotonic()
            try:
                async with asyncio.timeout(seconds):
                    await self._slots.acquire()
            except TimeoutError:
                message = "No slot came free in the model gateway"
                raise ModelOverloaded(message, retry_after_seconds=BUSY_RETRY_SECONDS) from None
            try:
                yield self._litellm, seconds - (time.monotonic() - asked)
            finally:
                self._slots.release()
        finally:
            self._inside -= 1

    async def _until_loaded(self) -> None:
        if self._loaded.is_set():
            return
        try:
            async with asyncio.timeout(self._warm_wait_seconds):
                await self._loaded.wait()
        except TimeoutError:
            message = "The model gateway is still warming up"
            raise ModelWarming(message, retry_after_seconds=WARMING_RETRY_SECONDS) from None

    def _load(self, loop: asyncio.AbstractEventLoop) -> None:
        """In the thread: import litellm, and make one call that goes nowhere."""
        started = time.perf_counter()
        ready: Any = None
        try:
            litellm = _import_litellm()
            asyncio.run(_throw_away_calls(litellm))
            # Hundreds of thousands of objects that never go away: the collector passes them by.
            gc.freeze()
            ready = litellm
            logger.info("litellm loaded in %.1f s", time.perf_counter() - started)
        finally:
            with suppress(RuntimeError):  # the gateway has stopped meanwhile
                loop.call_soon_threadsafe(self._finish_loading, ready)

    def _finish_loading(self, litellm: object) -> None:
        self._litellm = litellm
        if litellm is None:
            self._loading = "failed"
            self.on_failure()
        else:
            self._loading = "loaded"
            self._loaded.set()


def _import_litellm() -> Any:
    os.environ.update(_ENVIRONMENT)
    import litellm  # noqa: PLC0415 - costs 6 s CPU and 200 MB: only where a real model is called

    litellm.suppress_debug_info = True
    litellm.disable_hf_tokenizer_download = True
    litellm.turn_off_message_logging = True
    litellm.drop_params = False  # a parameter that a model does not take is refused, not lost
    litellm.num_retries = None
    litellm.callbacks = []
    for name in ("LiteLLM", "openai", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # they write urls, headers and bodies
    return litellm


async def _throw_away_calls(litellm: Any) -> None:
    """A first answer and a first error cost 2 s CPU, most of it imports: pay while nobody waits."""
    from openai import OpenAIError  # noqa: PLC0415 - as litellm, which brings it

    nowhere = await asyncio.start_server(_answer_once, "127.0.0.1", 0)
    async with nowhere:
        host, port = nowhere.sockets[0].getsockname()
        for path in ("answer", "error"):
            with suppress(OpenAIError):  # the root of what litellm raises
                await litellm.acompletion(
                    model="openai/gpt-4o-mini",
                    messages=[{"role": "user", "content": "Hello"}],
                    tools=[_NO_TOOL],
                    max_tokens=16,
                    api_key="none",
                    api_base=f"http://{host}:{port}/{path}",
                    timeout=_WARM_UP_SECONDS,
                    max_retries=0,
                    num_retries=0,
                )


async def _answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The smallest provider there is."""
    request = await reader.readuntil(b"\r\n\r\n")
    status = "200 OK" if request.startswith(b"POST /answer") else "429 Too Many Requests"
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n"
    writer.write(f"{head}Content-Length: {len(_ANSWER)}\r\n\r\n{_ANSWER}".encode())
    await writer.drain()
    writer.close()
