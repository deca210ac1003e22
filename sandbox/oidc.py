"""An OpenID provider for one client: discovery, authorization code with PKCE, signed ID tokens, its keys.

Whoever asks picks whom to be: it is a sandbox. `claims` lets it say something else than it should, `down` not answer.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Annotated, Any
from urllib.parse import unquote_plus, urlencode

from fastapi import APIRouter, Depends, Form, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from joserfc import jwt
from joserfc.jwk import RSAKey

PATH = "/oidc"
CLIENT_ID = "jiebang"
CLIENT_SECRET = "sandbox"  # noqa: S105 - the sandbox's own
CODE_SECONDS = 60
TOKEN_SECONDS = 300


@dataclass(frozen=True)
class _Grant:
    """What a code stands for."""

    subject: str
    nonce: str
    challenge: str
    redirect_uri: str
    until: float


class SandboxProvider:
    """Add its `router` to an application that answers at `url`."""

    def __init__(self, url: str, redirect_uri: str, people: Sequence[str]) -> None:
        self.issuer = url + PATH
        self.claims: Mapping[str, Any] = {}
        self.down = False
        self._people = people
        self._redirect_uri = redirect_uri
        self._grants: dict[str, _Grant] = {}
        self._key: RSAKey | None = None
        self.router = APIRouter(prefix=PATH, dependencies=[Depends(self._up)])
        self.router.add_api_route("/.well-known/openid-configuration", self._configuration, methods=["GET"])
        self.router.add_api_route("/authorize", self._authorize, methods=["GET"], response_model=None)
        self.router.add_api_route("/token", self._token, methods=["POST"])
        self.router.add_api_route("/jwks", self._jwks, methods=["GET"])

    @property
    def key(self) -> RSAKey:
        """What it signs with; made when first needed."""
        if self._key is None:
            self.rotate()
        assert self._key
        return self._key

    def rotate(self) -> None:
        """Sign with a fresh key; the one before is good no more."""
        self._key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)

    async def _up(self) -> None:
        if self.down:
            raise HTTPException(503)

    async def _configuration(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    async def _jwks(self) -> dict[str, Any]:
        return {"keys": [self.key.as_dict(private=False)]}

    async def _authorize(self, request: Request) -> Response:
        """Ask who it is; with `login_hint` that is said already."""
        asked = dict(request.query_params)
        proper = {
            "client_id": CLIENT_ID,
            "redirect_uri": self._redirect_uri,
            "response_type": "code",
            "code_challenge_method": "S256",
        }
        if any(asked.get(name) != value for name, value in proper.items()) or "openid" not in asked.get("scope", ""):
            raise HTTPException(400, "not a request of our client")
        if not all(asked.get(name) for name in ("state", "nonce", "code_challenge")):
            raise HTTPException(400, "state, nonce and code_challenge are needed")
        who = asked.pop("login_hint", "")
        if who not in self._people:
            links = [
                f'<li><a href="?{escape(urlencode({**asked, "login_hint": one}))}">{escape(one)}</a></li>'
                for one in self._people
            ]
            return HTMLResponse(
                f"<!doctype html><title>Sandbox</title><h1>Who are you?</h1><ul>{''.join(links)}</ul>"
            )
        code = secrets.token_urlsafe(24)
        self._grants[code] = _Grant(
            who, asked["nonce"], asked["code_challenge"], asked["redirect_uri"], time.time() + CODE_SECONDS
        )
        return RedirectResponse(f"{self._redirect_uri}?{urlencode({'code': code, 'state': asked['state']})}", 302)

    async def _token(
        self,
        request: Request,
        grant_type: Annotated[str, Form()],
        code: Annotated[str, Form()],
        redirect_uri: Annotated[str, Form()],
        code_verifier: Annotated[str, Form()],
    ) -> dict[str, Any]:
        """A code, once, for who it stands for."""
        if not _is_client(request.headers.get("authorization", "")):
            raise HTTPException(401, "invalid_client")
        grant = self._grants.pop(code, None)
        challenge = urlsafe_b64encode(hashlib.sha256(code_verifier.encode()).digest()).decode().rstrip("=")
        fits = grant is not None and grant.redirect_uri == redirect_uri and grant.challenge == challenge
        if grant_type != "authorization_code" or grant is None or not fits or time.time() > grant.until:
            raise HTTPException(400, "invalid_grant")
        now, access = int(time.time()), secrets.token_urlsafe(24)
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "sub": grant.subject,
            "nonce": grant.nonce,
            "iat": now,
            "exp": now + TOKEN_SECONDS,
        }
        header = {"alg": "RS256", "kid": self.key.kid}
        id_token = jwt.encode(header, {**claims, **self.claims}, self.key, algorithms=["RS256"])
        return {"access_token": access, "token_type": "Bearer", "expires_in": TOKEN_SECONDS, "id_token": id_token}


def _is_client(authorization: str) -> bool:
    scheme, _, word = authorization.partition(" ")
    try:
        client_id, _, secret = b64decode(word).decode().partition(":")
    except ValueError:
        return False
    known = hmac.compare_digest(unquote_plus(secret).encode(), CLIENT_SECRET.encode())
    return scheme.lower() == "basic" and unquote_plus(client_id) == CLIENT_ID and known
