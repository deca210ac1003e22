"""Signing in through an OpenID provider, a real one on a socket, and all that is not the proof it should be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi import FastAPI
from joserfc.jwk import RSAKey

from gateway.people import CALLBACK
from gateway.provider import Provider
from runtime import settings
from runtime.settings import SettingsError
from sandbox.oidc import CLIENT_ID, CLIENT_SECRET, SandboxProvider
from sandbox.server import HttpServer
from store import accounts
from store.database import Database
from store.keys import KeyRing
from store.trail import Did
from tests.gateway.desk_site import WORKER, Site, site

SUBJECT, STRANGER = "chen@example.org", "stranger@example.org"


@dataclass
class Both:
    """Our site and the provider, who know each other."""

    desk: Site
    provider: SandboxProvider

    async def leave(self, browser: httpx.AsyncClient | None = None, who: str = SUBJECT, **query: str) -> str:
        """To the provider, and its answer: where it sends the browser back to."""
        there = await (browser or self.desk.browser).get("/sign-in/oidc", params=query)
        assert there.status_code == 302, there.text
        async with httpx.AsyncClient(trust_env=False) as outside:
            back = await outside.get(f"{there.headers['location']}&login_hint={who}")
        assert back.status_code == 302, back.text
        return str(back.headers["location"])

    async def through(self, who: str = SUBJECT) -> httpx.Response:
        """There and back."""
        return await self.desk.browser.get(await self.leave(who=who))


@asynccontextmanager
async def both(database: Database, keys: KeyRing, **changed: Any) -> AsyncIterator[Both]:
    """Chen is linked."""
    server = HttpServer("127.0.0.1")
    async with site(database, keys, **changed) as desk:
        provider = SandboxProvider(server.url, desk.url + CALLBACK, [SUBJECT, STRANGER])
        app = FastAPI()
        app.include_router(provider.router)
        await server.start(app)
        known = Provider(provider.issuer, CLIENT_ID, CLIENT_SECRET, desk.url + CALLBACK)
        object.__setattr__(desk.services.people, "provider", known)
        who = (WORKER, provider.issuer, SUBJECT, "operator:test")
        database.write_now(lambda c: accounts.link(c, keys, *who, desk.clock()))
        yield Both(desk, provider)
        await server.close()


@pytest.fixture
async def linked(database: Database, keys: KeyRing) -> AsyncIterator[Both]:
    """The site with a provider."""
    async with both(database, keys) as found:
        yield found


async def test_a_person_comes_in_through_the_provider(linked: Both) -> None:
    browser = linked.desk.browser
    assert "/sign-in/oidc?next=/v1/me" in (await browser.get("/sign-in", params={"next": "/v1/me"})).text
    asked = parse_qs(urlsplit((await browser.get("/sign-in/oidc")).headers["location"]).query)
    assert asked["code_challenge_method"] == ["S256"] and asked["nonce"] and asked["state"]
    back = await browser.get(await linked.leave(next="/v1/me"))
    assert (back.status_code, back.headers["location"]) == (303, "/v1/me"), back.text
    me = (await browser.get("/v1/me")).json()
    assert (me["code"], me["role"], me["client"]) == (WORKER, "case_worker", "session")
    assert [one.detail for one in linked.desk.noted(action=Did.SIGNED_IN)] == ["openid"]
    rows = linked.desk.services.database.read_now(
        lambda c: c.exec_driver_sql("SELECT oidc_subject FROM accounts").scalars().all()
    )
    assert not any(SUBJECT in (row or "") for row in rows)

    linked.provider.rotate()
    assert (await linked.through()).status_code == 303  # its new key is looked for
    linked.desk.services.database.write_now(
        lambda c: accounts.disable(c, WORKER, "operator:root", linked.desk.clock())
    )
    assert (await browser.get("/v1/me")).json()["code"] == "session_ended"
    assert (await linked.through()).status_code == 403


async def test_somebody_nobody_linked_stays_out(linked: Both) -> None:
    refused = await linked.through(STRANGER)
    assert refused.status_code == 403 and "未与本系统的账号关联" in refused.text
    assert "jiebang" not in linked.desk.browser.cookies
    (noted,) = linked.desk.noted(action=Did.SIGN_IN_FAILED)
    assert (noted.actor, noted.about) == ("nobody", "") and STRANGER not in noted.detail


CHANGED: list[Mapping[str, Any]] = [
    {"nonce": "another"},
    {"iss": "https://evil.example"},
    {"aud": "another-client"},
    {"aud": ["another-client"], "azp": CLIENT_ID},
    {"exp": 1_700_000_000},
]
"""What an ID token must not say."""


async def test_what_is_no_proof_lets_nobody_in(linked: Both) -> None:
    browser = linked.desk.browser
    for claims in CHANGED:
        linked.provider.claims = claims
        assert (await linked.through()).status_code == 400, claims
    linked.provider.claims = {}

    back = await linked.leave()
    changed = back.replace("state=", "state=x")
    assert (await browser.get(changed)).status_code == 400
    assert (await browser.get(back)).status_code == 400  # the way is over, whatever came of it

    theirs = await linked.leave()
    async with linked.desk.another() as victim:  # whom somebody makes follow their own way back
        assert (await victim.get(theirs)).status_code == 400
        await linked.leave(victim)
        assert (await victim.get(theirs)).status_code == 400
    assert (await browser.get(f"{CALLBACK}?error=access_denied&state=x")).status_code == 400

    assert (await linked.through()).status_code == 303
    linked.provider._key = RSAKey.generate_key(2048, {"kid": linked.provider.key.kid, "alg": "RS256"})
    assert (await linked.through()).status_code == 400  # a key under the name of the one that is known


async def test_while_the_provider_is_away_a_sentence_says_so(linked: Both) -> None:
    linked.provider.down = True
    away = await linked.desk.browser.get("/sign-in/oidc")
    assert away.status_code == 503 and away.headers["retry-after"] and "暂时无法访问" in away.text
    linked.provider.down = False
    back = await linked.leave()
    linked.provider.down = True
    assert (await linked.desk.browser.get(back)).status_code == 503
    linked.provider.down = False
    assert (await linked.through()).status_code == 303


async def test_without_local_accounts_passwords_are_not_taken(database: Database, keys: KeyRing) -> None:
    async with both(database, keys, local_accounts=False) as linked:
        refused = await linked.desk.sign_in()
        assert (refused.status_code, refused.json()["code"]) == (403, "no_local_accounts")
        page = (await linked.desk.browser.get("/sign-in")).text
        assert 'name="password"' not in page and "/sign-in/oidc" in page
        assert (await linked.through()).status_code == 303


async def test_without_a_provider_there_is_no_way_to_it(database: Database, keys: KeyRing) -> None:
    async with site(database, keys) as desk:
        assert "/sign-in/oidc" not in (await desk.browser.get("/sign-in")).text
        for path in ("/sign-in/oidc", CALLBACK):
            assert (await desk.browser.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"JIEBANG_LOCAL_ACCOUNTS": "false"}, "JIEBANG_LOCAL_ACCOUNTS: .*nobody could sign in"),
        ({"JIEBANG_OIDC_ISSUER": "https://id.example"}, "JIEBANG_OIDC_CLIENT_ID: .*register"),
        ({"JIEBANG_OIDC_ISSUER": "http://id.example"}, "JIEBANG_OIDC_ISSUER: .*https"),
    ],
)
def test_settings_that_let_nobody_or_anybody_in(given: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        settings.load(given)
