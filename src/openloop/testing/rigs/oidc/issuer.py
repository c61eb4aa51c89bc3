"""An OpenID provider as an ASGI application: whoever visits it is logged in as `person`.

What it answers can be made wrong on purpose: `claims` are changed last, `signs_with` is the key that
signs (its own one is what it publishes), `header` what the token says of itself. When its person was
authenticated is `authenticated_at`; where that is None they are as they come, and it says so only
where it is asked by a `max_age` that it heeds.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from starlette.requests import Request
from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

LIFETIME_SECONDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What a browser was sent with, kept until its code is exchanged."""

    query: dict[str, str]
    claims: dict[str, Any]


@dataclass
class Issuer:
    """One provider with one client registered at it."""

    url: str = "https://id.example"
    client_id: str = "openloop"
    client_secret: str | None = "a-client-secret"  # of the rig
    redirect_uri: str = "http://127.0.0.1:8000/login/callback"
    person: dict[str, Any] = field(
        default_factory=lambda: {"sub": "248289761001", "email_verified": True}
    )
    claims: dict[str, Any] = field(default_factory=dict[str, Any])
    header: dict[str, Any] = field(default_factory=dict[str, Any])
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    signs_with: Any = None
    announces: dict[str, Any] = field(default_factory=dict[str, Any])
    is_down: bool = False
    gives_renewals: bool = True
    repeats_id_token: bool = True
    authenticated_at: float | None = None
    heeds_max_age: bool = True
    requests: list[str] = field(default_factory=list[str])
    _codes: dict[str, Visit] = field(default_factory=dict[str, Visit])
    _renewals: dict[str, Visit] = field(default_factory=dict[str, Visit])

    def transport(self) -> httpx2.ASGITransport:
        """The way to it without a network."""
        return httpx2.ASGITransport(self)

    def visit(self, address: str) -> str:
        """A browser comes with this address; where it is sent back to.

        Raises:
            AssertionError: it asks for something that the provider would refuse
        """
        parts = urlsplit(address)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{self.url}/authorize"
        assert query["client_id"] == self.client_id
        assert query["redirect_uri"] == self.redirect_uri
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        code = secrets.token_urlsafe(16)
        self._codes[code] = Visit(query=query, claims=dict(self.person))
        back = urlencode({"code": code, "state": query["state"], "iss": self.url})
        return f"{self.redirect_uri}?{back}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of the client."""
        request = Request(scope, receive)
        self.requests.append(request.url.path)
        answer = await self._answer(request)
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if self.is_down:
            return JSONResponse({"error": "temporarily_unavailable"}, status_code=503)
        match request.method, request.url.path:
            case "GET", "/.well-known/openid-configuration":
                return JSONResponse(self._metadata())
            case "GET", "/keys":
                return JSONResponse(KeySet([self.key]).as_dict(private=False))
            case "POST", "/token":
                return await self._token(request)
            case _:
                return JSONResponse({"error": "not_found"}, status_code=404)

    def _metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            **self.announces,
        }

    async def _token(self, request: Request) -> Response:
        form = {key: str(value) for key, value in (await request.form()).items()}
        if not self._knows(request, form):
            return JSONResponse({"error": "invalid_client"}, status_code=401)
        if form.get("grant_type") == "refresh_token":
            return self._again(form.get("refresh_token", ""))
        visit = self._codes.pop(form.get("code", ""), None)
        if visit is None or form.get("grant_type") != "authorization_code":
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        challenge = _challenge(form.get("code_verifier", ""))
        if challenge != visit.query["code_challenge"]:
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        return JSONResponse(
            {**self._tokens(visit), "id_token": self._id_token(visit, nonce=visit.query["nonce"])}
        )

    def _again(self, given: str) -> Response:
        visit = self._renewals.pop(given, None)
        if visit is None:
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        answer = self._tokens(visit)
        if self.repeats_id_token:
            answer["id_token"] = self._id_token(visit)
        return JSONResponse(answer)

    def _tokens(self, visit: Visit) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "access_token": secrets.token_urlsafe(16),
            "token_type": "Bearer",
            "expires_in": LIFETIME_SECONDS,
        }
        if self.gives_renewals:
            answer["refresh_token"] = secrets.token_urlsafe(16)
            self._renewals[answer["refresh_token"]] = visit
        return answer

    def deactivate(self) -> None:
        """Nobody who is logged in is let in any more: what was given along is worth nothing."""
        self._renewals.clear()

    def _knows(self, request: Request, form: dict[str, str]) -> bool:
        if self.client_secret is None:
            return form.get("client_id") == self.client_id
        given = request.headers.get("authorization", "")
        expected = base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()
        return given == f"Basic {expected}"

    def _id_token(self, visit: Visit, *, nonce: str | None = None) -> str:
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": self.client_id,
            "iat": now,
            "exp": now + LIFETIME_SECONDS,
            "nonce": nonce,
            "auth_time": self._auth_time(visit, now),
            **visit.claims,
            **self.claims,
        }
        header = {"alg": "ES256", "kid": self.key.thumbprint(), **self.header}
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(header, kept, self.signs_with or self.key, algorithms=[header["alg"]])

    def _auth_time(self, visit: Visit, now: int) -> int | None:
        at = None if self.authenticated_at is None else int(self.authenticated_at)
        if not self.heeds_max_age or "max_age" not in visit.query:
            return at
        return now if at is None or now - at > int(visit.query["max_age"]) else at


def _challenge(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
