"""The site as people at the case desk see it, on a real socket, with a clock that can be put forward."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Annotated, Any, cast

import httpx
from fastapi import Depends, FastAPI
from pyotp import TOTP

from domain.access import Role
from gateway import oidc, problems, sign_in, trail
from gateway.auth import caller
from gateway.caller import Caller
from gateway.limits import Limits
from gateway.people import People
from gateway.services import Services
from store import accounts
from store.accounts import Credentials
from store.clients import Clients
from store.database import Database
from store.keys import KeyRing
from store.trail import Noted, Wanted, page
from tests.serving import serving

WORKER, AUDITOR = "worker-chen", "auditor-he"
HANDED = Credentials.new()
"""Everybody's: making them takes 50 ms."""


@dataclass
class Clock:
    """What time it is."""

    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.at

    def passes(self, by: timedelta) -> None:
        """Later."""
        self.at += by


@dataclass
class Site:
    """The site, and a browser in front of it."""

    url: str
    services: Services
    browser: httpx.AsyncClient
    clock: Clock

    def one_time_code(self, steps: int = 0) -> str:
        """What the authenticator application shows, or showed some steps of 30 s ago."""
        return str(TOTP(HANDED.totp_secret).at(self.clock.at + steps * timedelta(seconds=30)))

    def words(self, account: str = WORKER, **changed: str) -> dict[str, str]:
        """What somebody signs in with."""
        right = {"account": account, "password": HANDED.password, "one_time_code": self.one_time_code()}
        return {**right, **changed}

    async def sign_in(self, account: str = WORKER, browser: httpx.AsyncClient | None = None, **changed: str) -> Any:
        """As a program does."""
        return await (browser or self.browser).post("/sign-in", json=self.words(account, **changed))

    async def signed_in(self, account: str = WORKER, browser: httpx.AsyncClient | None = None) -> str:
        """Signed in with a code nobody used before; the session's token against forged requests."""
        self.clock.passes(timedelta(seconds=60))
        answer = await self.sign_in(account, browser)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["csrf"])

    async def form(self, browser: httpx.AsyncClient | None = None, **query: str) -> dict[str, str]:
        """The hidden fields of the page."""
        shown = await (browser or self.browser).get("/sign-in", params=query)
        return hidden(shown.text)

    def another(self) -> httpx.AsyncClient:
        """Another browser; the test closes it."""
        return httpx.AsyncClient(base_url=self.url, trust_env=False)

    def noted(self, **wanted: Any) -> list[Noted]:
        """The audit trail, the oldest first."""
        return list(self.services.database.read_now(lambda c: page(c, Wanted(**wanted), None, 1000)))[::-1]


def hidden(text: str) -> dict[str, str]:
    """The hidden fields of a page."""
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', text))


@asynccontextmanager
async def site(database: Database, keys: KeyRing, **changed: Any) -> AsyncIterator[Site]:
    """The doors for people, and one that changes something: `POST /v1/probe`."""
    app, clock = FastAPI(), Clock()
    problems.install(app)
    for router in (sign_in.router, oidc.router, trail.router):
        app.include_router(router)

    @app.post("/v1/probe")
    async def probe(who: Annotated[Caller, Depends(caller)]) -> str:
        return who.code

    def people(connection: Any) -> None:
        for code, role in ((WORKER, Role.CASE_WORKER), (AUDITOR, Role.AUDITOR)):
            accounts.add(connection, keys, code, role, HANDED, "operator:test", clock())

    database.write_now(people)
    async with serving(app) as url, httpx.AsyncClient(base_url=url, trust_env=False) as browser:
        known = People(**{"public_url": url, "now": clock, **changed})
        used = SimpleNamespace(
            database=database,
            keys=keys,
            clients=Clients(database),
            people=known,
            limits=Limits(),
        )
        services = app.state.services = cast(Services, used)
        yield Site(url, services, browser, clock)
