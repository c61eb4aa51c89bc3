"""The identity provider: OpenID Connect, code flow with PKCE, and nothing believed unverified.

Authlib makes the requests (over httpx2, which `mcp` brings along) and knows the claims of an ID
token; the algorithms, the issuer and the addresses are held to what was configured.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import httpx2
from authlib.integrations.httpx_client import AsyncOAuth2Client, OAuthError
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from openloop.api.oidc_settings import is_private_way
from openloop.domain.errors import Unavailable
from openloop.domain.login import LoginRefused, NotVouchedFor, Renewal, Vouched, VouchedAgain
from openloop.storage.logins import FRESH_MINUTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openloop.actions.login import OnTheWay
    from openloop.api.oidc_settings import OidcSettings

SCOPE = "openid profile email"
OFFLINE = "offline_access"
"""Asks for something to ask again with that outlives a person's stay at the provider."""
ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
"""Those with a public key: a shared secret would let every client of the provider sign."""
LEEWAY_SECONDS = 30
MOST_GROUPS = 1000
_SECONDS = 10.0
_METADATA_SECONDS = 3600.0
_KEYS_SECONDS = 600.0
_KEYS_AGAIN_SECONDS = 30.0
_LAST_TIME = 2**40


@dataclass(frozen=True, slots=True, kw_only=True)
class _Endpoints:
    authorization: str
    token: str
    keys: str
    has_offline: bool


class IdentityProvider:
    """One identity provider, with what it says of itself remembered for a while."""

    def __init__(
        self, settings: OidcSettings, *, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        self.settings = settings
        self._transport = transport
        self._endpoints: tuple[float, _Endpoints] | None = None
        self._keys: tuple[float, KeySet] | None = None

    async def address(self, way: OnTheWay) -> str:
        """Where a browser has to go.

        Raises:
            Unavailable
        """
        endpoints = await self._metadata()
        async with self._client() as client:
            address: str = client.create_authorization_url(
                endpoints.authorization,
                scope=f"{SCOPE} {OFFLINE}" if endpoints.has_offline else SCOPE,
                state=way.state,
                code_verifier=way.verifier,
                nonce=way.nonce,
                response_type="code",
                **({"max_age": FRESH_MINUTES * 60} if way.again else {}),
            )[0]
        return address

    async def vouch(self, *, code: str, verifier: str, nonce: str, groups_claim: str) -> Vouched:
        """Whom the provider vouches for with this code.

        Raises:
            LoginRefused: the code is no good, or the token is not what it has to be
            Unavailable
        """
        endpoints = await self._metadata()
        try:
            token = await self._fetch(
                endpoints, grant_type="authorization_code", code=code, code_verifier=verifier
            )
        except OAuthError as error:
            message = f"The identity provider refused the login: {str(error.error)[:100]}"
            raise LoginRefused(message) from error
        claims = await self._verified(str(token.get("id_token") or ""), nonce=nonce)
        return Vouched(
            issuer=self.settings.issuer,
            subject=str(claims["sub"]),
            groups=_groups(claims.get(groups_claim)),
            email_verified=claims.get("email_verified") is True,
            authed_at=_authed_at(claims.get("auth_time")),
            renewal=_renewal(token, asked_offline=endpoints.has_offline),
        )

    async def vouch_again(self, renewal: Renewal, *, groups_claim: str) -> VouchedAgain:
        """What the provider says now of somebody who is logged in.

        Raises:
            NotVouchedFor: it does not let them in any more
            Unavailable: it did not answer, did not take us for its client, or was not believed
        """
        endpoints = await self._metadata()
        try:
            token = await self._fetch(
                endpoints, grant_type="refresh_token", refresh_token=renewal.secret
            )
        except OAuthError as error:
            if error.error != "invalid_grant":
                raise _unreachable(error) from error
            raise NotVouchedFor("The identity provider does not vouch for them any more") from error
        given = token.get("refresh_token")
        kept = Renewal(
            secret=given if isinstance(given, str) and given else renewal.secret,
            outlives=renewal.outlives,
        )
        text = token.get("id_token")
        if not text:
            return VouchedAgain(said=None, renewal=kept)
        try:
            claims = await self._verified(str(text), nonce=None)
        except LoginRefused as refusal:
            raise Unavailable(str(refusal), code="identity_provider_wrong") from refusal
        said = Vouched(
            issuer=self.settings.issuer,
            subject=str(claims["sub"]),
            groups=_groups(claims.get(groups_claim)),
            # Once verified it stays so unless the provider takes it back: few repeat the claim.
            email_verified=claims.get("email_verified", True) is True,
        )
        return VouchedAgain(said=said, renewal=kept)

    async def _fetch(self, endpoints: _Endpoints, **grant: str) -> Mapping[str, Any]:
        """Ask the token endpoint.

        Raises:
            OAuthError, Unavailable
        """
        try:
            async with self._client() as client:
                token: object = await client.fetch_token(endpoints.token, **grant)
        except (httpx2.HTTPError, ValueError, TypeError) as error:
            raise _unreachable(error) from error
        if not isinstance(token, dict):
            raise _unreachable(TypeError())
        return cast("Mapping[str, Any]", token)

    async def _verified(self, text: str, *, nonce: str | None) -> Mapping[str, Any]:
        """The claims of an ID token with a good signature, from this issuer, for us.

        With a nonce it is one for this very login.
        """
        try:
            decoded = await self._decoded(text)
            claims: Any = CodeIDToken(
                decoded.claims,
                decoded.header,
                options={
                    "iss": {"essential": True, "value": self.settings.issuer},
                    "aud": {"essential": True, "value": self.settings.client_id},
                    "sub": {"essential": True},
                    **({"nonce": {"essential": True, "value": nonce}} if nonce else {}),
                },
                params={
                    "client_id": self.settings.client_id,
                    **({"nonce": nonce} if nonce else {}),
                },
            )
            claims.validate(leeway=LEEWAY_SECONDS)
        except (JoseError, ValueError) as error:
            message = f"The identity provider's answer was not believed: {type(error).__name__}"
            raise LoginRefused(message) from error
        return claims

    async def _decoded(self, text: str) -> jwt.Token:
        keys = await self._key_set(_KEYS_SECONDS)
        try:
            return jwt.decode(text, keys, algorithms=list(ALGORITHMS))
        except (JoseError, ValueError):
            # Providers change their keys: one that is not known may be new.
            fresh = await self._key_set(_KEYS_AGAIN_SECONDS)
            if fresh is keys:
                raise
            return jwt.decode(text, fresh, algorithms=list(ALGORITHMS))

    async def _key_set(self, seconds: float) -> KeySet:
        known = self._keys
        if known is not None and time.monotonic() - known[0] < seconds:
            return known[1]
        found = await self._read((await self._metadata()).keys)
        try:
            keys = KeySet.import_key_set(cast("Any", found))
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise _unreachable(error) from error
        self._keys = (time.monotonic(), keys)
        return keys

    async def _metadata(self) -> _Endpoints:
        known = self._endpoints
        if known is not None and time.monotonic() - known[0] < _METADATA_SECONDS:
            return known[1]
        issuer = self.settings.issuer
        found = await self._read(issuer.rstrip("/") + "/.well-known/openid-configuration")
        named = [
            str(found.get(name) or "")
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")
        ]
        if found.get("issuer") != issuer or not all(is_private_way(address) for address in named):
            message = "What the identity provider says of itself is not what is configured"
            raise Unavailable(message, code="identity_provider_wrong")
        scopes = found.get("scopes_supported")
        endpoints = _Endpoints(
            authorization=named[0],
            token=named[1],
            keys=named[2],
            has_offline=isinstance(scopes, list) and OFFLINE in scopes,
        )
        self._endpoints = (time.monotonic(), endpoints)
        return endpoints

    async def _read(self, address: str) -> Mapping[str, Any]:
        try:
            async with httpx2.AsyncClient(
                transport=self._transport, timeout=_SECONDS, trust_env=False
            ) as client:
                answer = await client.get(address)
                answer.raise_for_status()
                found = answer.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise _unreachable(error) from error
        if not isinstance(found, dict):
            raise _unreachable(TypeError())
        return cast("Mapping[str, Any]", found)

    def _client(self) -> Any:  # Authlib has no types
        settings = self.settings
        return AsyncOAuth2Client(
            settings.client_id,
            settings.client_secret,
            token_endpoint_auth_method="client_secret_basic" if settings.client_secret else "none",
            scope=SCOPE,
            redirect_uri=settings.redirect_uri,
            code_challenge_method="S256",
            transport=self._transport,
            timeout=_SECONDS,
            trust_env=False,
        )


def _renewal(token: Mapping[str, Any], *, asked_offline: bool) -> Renewal | None:
    """What came along for asking again. A scope that is not repeated is the one that was asked for."""
    secret = token.get("refresh_token")
    if not isinstance(secret, str) or not secret:
        return None
    scope = token.get("scope")
    outlives = OFFLINE in scope.split() if isinstance(scope, str) else asked_offline
    return Renewal(secret=secret, outlives=outlives)


def _authed_at(claim: object) -> datetime | None:
    """When the provider says that it authenticated the person; None where it does not say.

    Raises:
        LoginRefused: it is no time
    """
    if claim is None:
        return None
    # True is a number to Python, and what is no time at all was there to be believed.
    if not isinstance(claim, bool) and isinstance(claim, int | float) and 0 < claim < _LAST_TIME:
        return datetime.fromtimestamp(claim, UTC)
    raise LoginRefused("The identity provider's answer was not believed: auth_time is no time")


def _unreachable(error: BaseException) -> Unavailable:
    message = f"The identity provider cannot be asked at the moment: {type(error).__name__}"
    return Unavailable(message, code="identity_provider_unreachable")


def _groups(claim: object) -> frozenset[str]:
    """The groups of a claim; what is no list of texts names none."""
    if isinstance(claim, str):
        return frozenset({claim})
    if not isinstance(claim, list):
        return frozenset()
    named = cast("list[object]", claim)[:MOST_GROUPS]
    return frozenset(group for group in named if isinstance(group, str))
