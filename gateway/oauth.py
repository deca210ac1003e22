"""The token endpoint (OAuth 2, RFC 6749 section 4.4): client credentials in, a short-lived access token out.

Its errors are problems like all others; their `code` is RFC 6749's `error` word where that has one.
"""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime
from typing import Annotated, Literal
from urllib.parse import unquote_plus

from fastapi import APIRouter, Form, Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from domain.access import Scope
from gateway import tokens
from gateway.auth import Using, check_certificate
from gateway.problems import fail
from store.clients import Client

router = APIRouter(tags=["access"])

MOST_CHARACTERS = 200


class TokenRequest(BaseModel):
    """What a client asks with; its id and secret here or, better, as HTTP Basic."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={"examples": [{"grant_type": "client_credentials", "scope": "renewals:read"}]},
    )

    grant_type: Literal["client_credentials"]
    scope: str = Field("", max_length=1000, description="Separated by spaces; left out: all the client has")
    client_id: str = Field("", max_length=MOST_CHARACTERS)
    client_secret: str = Field("", max_length=MOST_CHARACTERS)


class Token(BaseModel):
    """An access token."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "access_token": "eyJhbGciOi…",
                    "token_type": "Bearer",
                    "expires_in": 600,
                    "scope": "renewals:read renewals:write",
                }
            ]
        }
    )

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the type's name
    expires_in: int = Field(description="Seconds")
    scope: str


@router.post("/oauth/token")
async def issue_token(
    asked: Annotated[TokenRequest, Form()],
    request: Request,
    response: Response,
    services: Using,
    authorization: Annotated[str | None, Header(description="Basic, the client's id and secret")] = None,
) -> Token:
    """Get an access token with a client's id and secret."""
    client_id, secret = _basic(authorization) if authorization else (asked.client_id, asked.client_secret)
    client = await services.clients.authenticated(client_id, secret)
    if client is None:
        raise fail(
            401,
            "invalid_client",
            "There is no such client, its secret is another, or it was revoked.",
            "Check client id and secret; whoever runs this system can make you a new client.",
        )
    check_certificate(request, services, client)
    scopes = _scopes(client, asked.scope)
    access = tokens.Access(client.client_id, client.tenant, client.role, scopes)
    response.headers.update({"cache-control": "no-store", "pragma": "no-cache"})
    return Token(
        access_token=tokens.mint(services.keys, access, datetime.now(UTC)),
        expires_in=int(tokens.LIFETIME.total_seconds()),
        scope=" ".join(sorted(scopes)),
    )


def _basic(authorization: str) -> tuple[str, str]:
    """Id and secret of an HTTP Basic header, form-encoded as RFC 6749 (2.3.1) wants it; nothing for another one."""
    scheme, _, word = authorization.partition(" ")
    try:
        client_id, _, secret = b64decode(word.strip(), validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return (unquote_plus(client_id), unquote_plus(secret)) if scheme.lower() == "basic" else ("", "")


def _scopes(client: Client, asked: str) -> frozenset[Scope]:
    wanted = set(asked.split())
    if beyond := sorted(wanted - client.scopes):
        known = [word for word in beyond if word in {scope.value for scope in Scope}]
        raise fail(
            400,
            "invalid_scope",
            f"This client may not have {known[0]}." if known else "There is no such scope.",
            f"It may have: {' '.join(sorted(client.scopes))}.",
        )
    return frozenset(scope for scope in client.scopes if scope in wanted) if wanted else client.scopes
