"""Sessions in cookies: signed, for this site only, and no unsafe request counts unless it is from a page of ours."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from fastapi import Request, Response
from itsdangerous import BadSignature, Signer

from domain.access import CLERK, SCOPES
from gateway.caller import Caller
from gateway.people import People
from gateway.problems import ProblemError, fail
from gateway.services import Services
from store import sessions
from store.keys import KeyRing
from store.sessions import Session

COOKIE = "jiebang"
CLIENT = "session"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
OF_OURS = frozenset({"same-origin", "none"})
"""What a browser says of requests from our own pages, and of those its user made by hand."""

FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
HEADER, FIELD = "x-csrf-token", "csrf"


@dataclass(frozen=True)
class Live:
    """A session that is alive, and its id, which only its cookie knows."""

    session_id: str
    session: Session

    def csrf(self, keys: KeyRing) -> str:
        """What requests of this session have to carry besides its cookie."""
        return keys.token("csrf/session", self.session_id)

    @property
    def caller(self) -> Caller:
        """Who is signed in; of a clerk, the enterprise they work for."""
        if self.session.tenant:
            return Caller(self.session.tenant, self.session.role, CLERK, CLIENT)
        return Caller(self.session.account, self.session.role, SCOPES[self.session.role], CLIENT)


async def of_cookie(request: Request, services: Services) -> Caller | None:
    """Who is signed in, by the cookie of the request; None without one.

    Raises a problem for a session that is over, and for an unsafe request that is not from a page of ours.
    """
    if services.people.cookie(COOKIE) not in request.cookies:
        return None
    live = await of(request, services)
    if live is None:
        raise fail(401, "session_ended", "Your session has ended.", "Sign in again at /sign-in.")
    if request.method not in SAFE:
        await check(request, services, live)
    return live.caller


async def of(request: Request, services: Services) -> Live | None:
    """The session of a request if it is alive; it goes on for as long again. Looked up once for each request."""
    if not hasattr(request.state, "live"):
        request.state.live = await _of(request, services)
    live: Live | None = request.state.live
    return live


async def _of(request: Request, services: Services) -> Live | None:
    session_id = read(request, services, COOKIE)
    now = services.people.now()
    session = await services.database.read(lambda c: sessions.find(c, session_id, now)) if session_id else None
    if session is None:
        return None
    if now - session.seen_at >= sessions.SEEN_EVERY:
        await services.database.write(lambda c: sessions.seen(c, session, now))
    return Live(session_id, session)


async def check(request: Request, services: Services, live: Live) -> None:
    """Raises a problem unless the request comes from a page of ours, with this session's token."""
    check_origin(request, services.people)
    sent = request.headers.get(HEADER, "")
    if not sent and request.headers.get("content-type", "").startswith(FORMS):
        sent = str((await request.form()).get(FIELD, ""))
    if not hmac.compare_digest(sent.encode(), live.csrf(services.keys).encode()):
        remedy = f"Send `csrf` of GET /v1/me as {HEADER}, or as the field {FIELD} of a form."
        raise _forged("The request does not carry your session's token.", remedy)


def check_origin(request: Request, people: People) -> None:
    """Raises a problem if a browser says that another site's page made the request."""
    origin = request.headers.get("origin")
    if origin is not None and origin.lower() != people.origin:
        raise _forged("The request comes from a page of another site.", f"Open {people.origin} and try again there.")
    if request.headers.get("sec-fetch-site", "none") not in OF_OURS:
        raise _forged("The request comes from a page of another site.", f"Open {people.origin} and try again there.")


def _forged(sentence: str, remedy: str) -> ProblemError:
    return fail(403, "csrf", sentence, remedy)


# ── cookies ──────────────────────────────────────────────────────────────────────────────────────────


def give(response: Response, services: Services, name: str, value: str, seconds: int | None = None) -> None:
    """A signed cookie for this site only, which no script can read; without `seconds` until the browser is closed."""
    people = services.people
    signed = _signer(services.keys, name).sign(value).decode()
    response.set_cookie(
        people.cookie(name), signed, seconds, path="/", secure=people.secure, httponly=True, samesite="lax"
    )


def read(request: Request, services: Services, name: str) -> str:
    """What a cookie of ours carries; empty without one, and if we did not sign it."""
    try:
        signed = request.cookies.get(services.people.cookie(name), "")
        return _signer(services.keys, name).unsign(signed).decode()
    except (BadSignature, ValueError):
        return ""


def take_away(response: Response, services: Services, name: str) -> None:
    """Let the browser forget a cookie."""
    people = services.people
    response.delete_cookie(people.cookie(name), path="/", secure=people.secure, httponly=True, samesite="lax")


def _signer(keys: KeyRing, name: str) -> Signer:
    """Signs with the ring's current key, and knows the older ones."""
    ring = [keys.secret("cookie", key_id) for key_id in keys.keys if key_id != keys.current]
    current = keys.secret("cookie")
    return Signer([*ring, current], salt=name, key_derivation="hmac", digest_method=hashlib.sha256)
