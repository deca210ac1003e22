"""Who is asking: a bearer token names the partner; what an enterprise sends is signed besides (Standard Webhooks)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Depends, Header, Request
from sqlalchemy import Connection, delete, insert, select
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from gateway.problems import fail
from gateway.services import Services
from runtime.partners import Partner, PartnerKind
from store.tables import seen_messages

REMEMBERED = timedelta(minutes=15)
"""Longer than a signature is accepted (5 minutes either way)."""


def services(request: Request) -> Services:
    """What the application was built with."""
    found: Services = request.app.state.services
    return found


def _partner(services: Services, authorization: str | None, *kinds: PartnerKind) -> Partner:
    scheme, _, token = (authorization or "").partition(" ")
    partner = services.partners.by_token(token) if scheme.lower() == "bearer" and token else None
    if partner is None:
        raise fail(
            401,
            "not_signed_in",
            "The request carries no valid token.",
            "Send Authorization: Bearer with your partner token.",
        )
    if partner.kind not in kinds:
        doors = " or a ".join(kind.value.replace("_", " ") for kind in kinds)
        raise fail(403, "not_allowed", f"This is a door for a {doors}.", "Use the token of such a partner.")
    return partner


Using = Annotated[Services, Depends(services)]
Authorization = Annotated[str | None, Header(description="Bearer, and the partner's token")]


def door(*kinds: PartnerKind) -> Callable[..., Partner]:
    """Who may come in: the dependency of a route for these kinds of partners."""

    def who(services: Using, authorization: Authorization = None) -> Partner:
        return _partner(services, authorization, *kinds)

    return who


AsCarrier = Annotated[Partner, Depends(door(PartnerKind.CARRIER))]
AsEnterprise = Annotated[Partner, Depends(door(PartnerKind.ENTERPRISE))]
AsParty = Annotated[Partner, Depends(door(PartnerKind.ENTERPRISE, PartnerKind.CARRIER))]
"""An enterprise, or a carrier as the owner of phone cards."""
AsChannel = Annotated[Partner, Depends(door(PartnerKind.CHANNEL))]
AsStaff = Annotated[Partner, Depends(door(PartnerKind.CASE_WORKER, PartnerKind.SUPERVISOR))]
AsSupervisor = Annotated[Partner, Depends(door(PartnerKind.SUPERVISOR))]


class Signed:
    """A signed message of an enterprise; `taken()` once its effect is recorded, so that a replay is refused.

    `message_id` is a keyed digest of the sender's own, which may say anything.
    """

    def __init__(self, services: Services, partner: Partner, message_id: str, digest: str, body: bytes) -> None:
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
    partner: AsParty,
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
    try:
        Webhook(partner.secret).verify(body, headers, json_parse=False)
    except (WebhookVerificationError, ValueError):
        raise fail(
            401,
            "bad_signature",
            "The signature does not fit, or its time is more than 5 minutes off.",
            "Sign webhook-id, webhook-timestamp and the raw body with your secret (Standard Webhooks).",
        ) from None
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
