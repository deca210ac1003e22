"""Signing in through the OpenID provider: there, back again, and in as the account its subject is linked to."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy import Connection

from gateway import sessions, sign_in
from gateway.auth import Using
from gateway.pages.page import Opened, Page
from gateway.pages.words import N_
from gateway.people import CALLBACK
from gateway.provider import NotProven, Provider, ProviderAway
from gateway.services import Services
from gateway.sessions import Live
from store import accounts, trail
from store.trail import NOBODY, Did, Entry

router = APIRouter(tags=["sign-in"], include_in_schema=False)

WAY_COOKIE = "jiebang-oidc"
WAY = timedelta(minutes=10)
"""How long somebody may take at the provider."""

NONE = N_("There is no OpenID provider here. Please sign in with account and password.")
AWAY = N_("The OpenID provider cannot be reached at the moment. Please try again later.")
NOT_PROVEN = N_(
    "You were not signed in: it took too long, was changed on the way, or was refused. Please sign in again."
)
UNKNOWN = N_("Nobody has linked you to an account of this system. Please ask an administrator.")


@router.get("/sign-in/oidc")
async def leave(request: Request, services: Using, page: Opened, next: str = "") -> Response:
    """To the provider."""
    if services.people.provider is None:
        return _refused(page, 404, NONE)
    way: dict[str, Any] = {}
    request.scope["session"] = way  # where the client library keeps state, nonce and PKCE verifier
    try:
        response = await services.people.provider.redirect(request)
    except ProviderAway:
        return _refused(page, 503, AWAY)
    way |= {"next": sign_in.local(next), "until": (datetime.now(UTC) + WAY).timestamp()}
    word = urlsafe_b64encode(json.dumps(way).encode()).decode()
    sessions.give(response, services, WAY_COOKIE, word, int(WAY.total_seconds()))
    response.headers["cache-control"] = "no-store"
    return response


@router.get(CALLBACK)
async def come_back(request: Request, services: Using, page: Opened) -> Response:
    """From the provider; whatever comes of it, nobody comes back the same way twice."""
    provider = services.people.provider
    response = await _arrived(page, provider) if provider else _refused(page, 404, NONE)
    sessions.take_away(response, services, WAY_COOKIE)
    return response


async def _arrived(page: Page, provider: Provider) -> Response:
    request, services = page.request, page.services
    way = _way(request, services)
    request.scope["session"] = way
    try:
        subject = await provider.subject(request)
    except ProviderAway:
        return _refused(page, 503, AWAY)
    except NotProven:
        return _refused(page, 400, NOT_PROVEN)
    live = await services.database.write(lambda c: _judged(c, request, services, provider.issuer, subject))
    if live is None:
        return _refused(page, 403, UNKNOWN)
    onward = sign_in.landing(live.session.role, str(way.get("next", "")))
    return sign_in.let_in(RedirectResponse(onward, 303), services, live)


def _judged(connection: Connection, request: Request, services: Services, issuer: str, subject: str) -> Live | None:
    account = accounts.linked_to(connection, services.keys, issuer, subject)
    if account is None:
        now = services.people.now()
        trail.note(connection, Entry(now, NOBODY, Did.SIGN_IN_FAILED, detail="subject not linked"))
        return None
    return sign_in.begin(connection, request, services, account, "openid")


def _way(request: Request, services: Services) -> dict[str, Any]:
    """What was remembered when this browser left for the provider; nothing once it took too long."""
    word = sessions.read(request, services, WAY_COOKIE)
    way: dict[str, Any] = json.loads(urlsafe_b64decode(word)) if word else {}
    return way if way and datetime.now(UTC).timestamp() < way["until"] else {}


def _refused(page: Page, status: int, sentence: str) -> HTMLResponse:
    response = page.draw("sign_in_refused.html", status, sentence=page._(sentence))
    if status == 503:
        response.headers["retry-after"] = "30"
    return response
