"""Delivering to the app's request URL: signed POSTs, as the Events API and buttons make them."""

import asyncio
from urllib.parse import urlencode

import aiohttp

from openloop.testing.rigs.slack.delivery import Outcome, Parcel
from openloop.testing.rigs.slack.wire import signed_headers

# Below uvicorn's five seconds, or a request now and then meets a connection just being closed.
_KEEP_ALIVE_SECONDS = 2.0
_MOST_ANSWER = 4000
_AGENT = {"User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)", "Accept": "*/*"}


class RequestUrl:
    """The app's request URL; it may change while the rig runs."""

    def __init__(self, signing_secret: str, url: str | None) -> None:
        self.url = url
        self._signing_secret = signing_secret
        self._http: aiohttp.ClientSession | None = None

    async def send(
        self, parcel: Parcel, *, attempt: int, retry_reason: str | None, deadline_seconds: float
    ) -> Outcome:
        body = parcel.body
        headers = dict(_AGENT)
        if parcel.kind == "interaction":
            body = urlencode({"payload": body}).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        else:
            headers["Content-Type"] = "application/json"
        if attempt > 0:
            headers["X-Slack-Retry-Num"] = str(attempt)
            headers["X-Slack-Retry-Reason"] = retry_reason or "unknown_error"
        headers |= signed_headers(self._signing_secret, body)
        try:
            async with asyncio.timeout(deadline_seconds):
                return await self._post(body, headers)
        except TimeoutError:
            return Outcome(status=None, reason="http_timeout")
        except aiohttp.ClientSSLError:
            return Outcome(status=None, reason="ssl_error")
        except (aiohttp.ClientError, OSError):
            return Outcome(status=None, reason="connection_failed")

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def _post(self, body: bytes, headers: dict[str, str]) -> Outcome:
        if self.url is None:
            return Outcome(status=None, reason="connection_failed")
        async with self._client().post(
            self.url, data=body, headers=headers, allow_redirects=False
        ) as response:
            answer = (await response.read())[:_MOST_ANSWER].decode(errors="replace")
            if response.ok and response.status < 300:
                return Outcome(status=response.status, reason=None, answer=answer)
            return Outcome(
                status=response.status,
                reason="http_error",
                answer=answer,
                no_retry=response.headers.get("X-Slack-No-Retry") == "1",
            )

    def _client(self) -> aiohttp.ClientSession:
        if self._http is None:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS)
            self._http = aiohttp.ClientSession(
                connector=connector, timeout=aiohttp.ClientTimeout(total=None), trust_env=False
            )
        return self._http
