"""Who is asking: an access token names the client; what enterprises send is signed besides (Standard Webhooks)."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Security
from fastapi.openapi.models import OAuthFlowClientCredentials, OAuthFlows
from fastapi.security import OAuth2, SecurityScopes
from sqlalchemy import Connection, delete, insert, select
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from domain.access import SCOPES, WORDS, Scope
from gateway import sessions, tokens
from gateway.caller import Caller
from gateway.limits import Window
from gateway.problems import fail
from gateway.services import Services
from store.clients import Client
from store.tables import seen_messages

REMEMBERED = timedelta(minutes=15)
"""Longer than a signature is accepted (5 minutes either way)."""


def services(request: Request) -> Services:
    """What the application was built with."""
    found: Services = request.app.state.services
    return found


Using = Annotated[Services, Depends(services)]

bearer = OAuth2(
    scheme_name="oauth2",
    description="`POST /oauth/token` with your client id and secret gives a bearer token for ten minutes",
    flows=OAuthFlows(
        clientCredentials=OAuthFlowClientCredentials(
            tokenUrl="/oauth/token", scopes={scope.value: WORDS[scope] for scope in Scope}
        )
    ),
    auto_error=False,
)


async def caller(
    request: Request,
    wanted: SecurityScopes,
    services: Using,
    authorization: Annotated[str | None, Depends(bearer)],
) -> Caller:
    """Who is calling, if they may do what the route asks for: by an access token, or by the cookie of a session."""
    if authorization:
        found = await _of_token(request, services, authorization)
    else:
        found = await sessions.of_cookie(request, services)
    if found is None:
        raise fail(
            401,
            "not_signed_in",
            "The request carries no valid token.",
            "Get one from POST /oauth/token and send it as Authorization: Bearer.",
        )
    request.state.caller = found
    await services.limits.take(Window.CLIENT, found.client, found.code, found.case)
    if missing := [scope for scope in wanted.scopes if scope not in found.scopes]:
        raise fail(
            403,
            "not_allowed",
            f"This needs the scope {missing[0]}, which a {found.role.value.replace('_', ' ')} "
            f"{'may have but this token has not' if Scope(missing[0]) in SCOPES[found.role] else 'never has'}.",
            "Ask with a client that has it; GET /v1/me tells what yours has.",
        )
    return found


def may(scope: Scope) -> Any:
    """The dependency of a route: a caller who may do this. `Annotated[Caller, may(Scope.RENEWALS_READ)]`."""
    return Security(caller, scopes=[scope.value])


async def _of_token(request: Request, services: Services, authorization: str) -> Caller | None:
    scheme, _, token = authorization.partition(" ")
    access = tokens.read(services.keys, token, datetime.now(UTC)) if scheme.lower() == "bearer" else None
    client = await services.clients.alive(access.client) if access else None
    if access is None or client is None:
        return None
    check_certificate(request, services, client)
    scopes = access.scopes & (SCOPES[access.role] if access.case else client.scopes)
    return Caller(access.tenant, access.role, scopes, access.client, access.case)


def check_certificate(request: Request, services: Services, client: Client) -> None:
    """Whether a client that has to come with its certificate does (RFC 9440, set by the proxy we trust)."""
    if not client.certificate:
        return
    shown = _thumbprint(request.headers.get("client-cert", "")) if services.limits.of_proxy(request.scope) else ""
    if not hmac.compare_digest(shown, client.certificate):
        raise fail(
            401,
            "certificate_needed",
            "This client has to come with its client certificate.",
            "Connect with mutual TLS through the proxy, with the certificate the client was made for.",
        )


def _thumbprint(header: str) -> str:
    """SHA-256 (hex) of the certificate in a `Client-Cert` header; empty for none."""
    word = header.strip()
    if not (word.startswith(":") and word.endswith(":") and len(word) > 2):
        return ""
    try:
        return hashlib.sha256(b64decode(word[1:-1], validate=True)).hexdigest()
    except ValueError:
        return ""


class Signed:
    """A signed message of an enterprise; `taken()` once its effect is recorded, so that a replay is refused.

    `message_id` is a keyed digest of the sender's own, which may say anything.
    """

    def __init__(self, services: Services, partner: Caller, message_id: str, digest: str, body: bytes) -> None:
        self._services = services
        self._message_id = message_id
        self._digest = digest
        self.partner = partner
        self.body = body

    async def taken(self) -> None:
        """Remember the message. A crash before this lets the sender repeat it, which changes nothing."""
        await self._services.database.write(
            lambda c: _remember(c, self.partner.code, self._message_id, self._digest, datetime.now(UTC))
        )


async def signed(
    request: Request,
    partner: Annotated[Caller, may(Scope.WORK_ANSWER)],
    services: Using,
    webhook_id: Annotated[
        str, Header(max_length=120, description="Unique per message, the same at every retry")
    ] = "",
    webhook_timestamp: Annotated[str, Header(description="Unix seconds, at most 5 minutes off")] = "",
    webhook_signature: Annotated[str, Header(description="`v1,` and base64 HMAC-SHA-256, Standard Webhooks")] = "",
) -> Signed:
    """Check the signature over the raw body, its time, and that it was not taken before."""
    body = await request.body()
    headers = {
        "webhook-id": webhook_id,
        "webhook-timestamp": webhook_timestamp,
        "webhook-signature": webhook_signature,
    }
    if not _fits(await services.signing.secrets(partner.code, datetime.now(UTC)), body, headers):
        raise fail(
            401,
            "bad_signature",
            "The signature does not fit, or its time is more than 5 minutes off.",
            "Sign webhook-id, webhook-timestamp and the raw body with your secret (Standard Webhooks).",
        )
    said = f"{request.method} {request.url.path} {hashlib.sha256(body).hexdigest()}"
    digest, kept_id = services.keys.token("message", said), services.keys.token("message-id", webhook_id)
    taken = await services.database.read(lambda c: _taken(c, partner.code, kept_id))
    if taken == digest:
        raise fail(
            409,
            "replayed",
            "This message was taken before.",
            "Nothing needs to be done; to say something new, use a new webhook-id.",
        )
    if taken is not None:
        raise fail(
            422,
            "webhook_id_reused",
            "Another message with this webhook-id was taken before; this one was not.",
            "Send it again with a webhook-id of its own, signed anew.",
            "webhook-id",
        )
    return Signed(services, partner, kept_id, digest, body)


SignedMessage = Annotated[Signed, Depends(signed)]


def _fits(secrets: Iterable[str], body: bytes, headers: dict[str, str]) -> bool:
    """Whether one of the sender's keys made the signature."""
    for secret in secrets:
        try:
            Webhook(secret).verify(body, headers, json_parse=False)
        except (WebhookVerificationError, ValueError):
            continue
        return True
    return False


def _taken(connection: Connection, partner: str, message_id: str) -> str | None:
    """The digest of what was taken under this id; None if nothing was."""
    known = select(seen_messages.c.digest).where(
        seen_messages.c.partner == partner, seen_messages.c.message_id == message_id
    )
    return connection.execute(known).scalar_one_or_none()


def _remember(connection: Connection, partner: str, message_id: str, digest: str, now: datetime) -> None:
    if _taken(connection, partner, message_id) is None:
        row = {"partner": partner, "message_id": message_id, "digest": digest, "seen_at": now}
        connection.execute(insert(seen_messages), row)


def forget_old(connection: Connection, now: datetime) -> int:
    """Drop what no signature can be valid for any more; return how many."""
    return connection.execute(delete(seen_messages).where(seen_messages.c.seen_at < now - REMEMBERED)).rowcount
