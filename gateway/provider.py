"""Signing in through an OpenID provider: authorization code with PKCE, state and nonce (OpenID Connect Core).

The provider says who somebody is, never what they may do here.
"""

from __future__ import annotations

import warnings
from functools import cached_property
from typing import Any

import httpx
import structlog
from authlib.common.errors import AuthlibBaseError
from fastapi import Request
from fastapi.responses import RedirectResponse
from joserfc.errors import JoseError

log = structlog.get_logger()

TIMEOUT_SECONDS = 10.0
CLOCKS_DIFFER_SECONDS = 60

ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
"""A provider may sign with a key pair only: no `none`, nothing keyed with a shared secret."""

METADATA = frozenset({"issuer", "authorization_endpoint", "token_endpoint", "jwks_uri"})
SIGNS_WITH = "id_token_signing_alg_values_supported"


class ProviderAway(Exception):
    """The provider does not answer, or answers nonsense: later it may be back."""


class NotProven(Exception):
    """The provider, or who claims to come from it, did not prove who they are."""


class Provider:
    """One OpenID provider, as this site is registered with it."""

    def __init__(self, issuer: str, client_id: str, client_secret: str, callback: str) -> None:
        self.issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._callback = callback

    @cached_property
    def _client(self) -> Any:
        """Made when somebody first comes: loading the library takes a quarter of a second."""
        from authlib.deprecate import AuthlibDeprecationWarning

        with warnings.catch_warnings(action="ignore", category=AuthlibDeprecationWarning):
            from authlib.integrations.starlette_client import OAuth  # would rather have another httpx
        return OAuth().register(
            "provider",
            client_id=self._client_id,
            client_secret=self._client_secret,
            server_metadata_url=f"{self.issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs={"scope": "openid", "code_challenge_method": "S256", "timeout": TIMEOUT_SECONDS},
        )

    async def redirect(self, request: Request) -> RedirectResponse:
        """To the provider; what has to be remembered until somebody comes back is in `request.session` then.

        Raises ProviderAway.
        """
        try:
            await self._ready()
            response: RedirectResponse = await self._client.authorize_redirect(request, self._callback)
        except (httpx.HTTPError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise _away(error) from error
        return response

    async def subject(self, request: Request) -> str:
        """Who has come back, in the provider's words. Raises ProviderAway, NotProven."""
        wanted = {
            "iss": {"essential": True, "values": [self.issuer]},
            "aud": {"essential": True, "values": [self._client_id]},
        }
        try:
            await self._ready()
            token = await self._client.authorize_access_token(
                request, claims_options=wanted, leeway=CLOCKS_DIFFER_SECONDS
            )
            return str(token["userinfo"]["sub"])
        except (JoseError, AuthlibBaseError) as error:
            log.warning("not_proven", error=type(error).__name__)
            raise NotProven from error
        except (httpx.HTTPError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise _away(error) from error

    async def _ready(self) -> None:
        """Read what the provider says of itself, once, and take from it what is meant to be said there."""
        known: dict[str, Any] = await self._client.load_server_metadata()
        if known["issuer"] != self.issuer:
            self._client.server_metadata = {}
            raise ValueError("another issuer")
        signs = [word for word in known.get(SIGNS_WITH, ()) if word in ALGORITHMS]
        kept = {key: value for key, value in known.items() if key in METADATA | {"jwks", "_loaded_at"}}
        self._client.server_metadata = {**kept, SIGNS_WITH: signs or ["RS256"]}


def _away(error: Exception) -> ProviderAway:
    log.warning("provider_away", error=type(error).__name__)
    return ProviderAway()
