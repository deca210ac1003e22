"""The gateway on a real socket, in front of a real Temporal server and worker."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection
from standardwebhooks.webhooks import Webhook
from temporalio.testing import WorkflowEnvironment

from domain.access import Role
from gateway import app as gateway_app
from gateway import tokens
from runtime import engine
from runtime.credentials import Issued, with_keys
from store import clients
from store.clients import Client
from store.database import Database
from store.keys import KeyRing
from tests.gateway.documented import documented
from tests.house import CARRIER, House, binary, registry
from tests.serving import serving
from tests.support import eventually

PARTNERS = [(CARRIER, Role.CARRIER), ("other-carrier", Role.CARRIER)]
PARTNERS += [(code, Role.ENTERPRISE) for code in ("push-0", "push-1", "pull-0", "mail-0")]
PARTNERS += [("mini-program", Role.CHANNEL), ("other-channel", Role.CHANNEL)]
PARTNERS += [(code, Role.CASE_WORKER) for code in ("worker-chen", "worker-lin")]
PARTNERS += [("supervisor-wu", Role.SUPERVISOR), ("auditor-qian", Role.AUDITOR), ("admin-zhao", Role.ADMINISTRATOR)]


@dataclass
class Doors:
    """The gateway as its callers see it."""

    house: House
    http: httpx.AsyncClient
    issued: dict[str, Issued]
    clients: dict[str, Client]
    tokens: dict[str, str] = field(default_factory=dict)
    sent: int = field(default=0)

    def bearer(self, code: str) -> dict[str, str]:
        """A partner's access token as a header."""
        if code not in self.tokens:
            client = self.clients[code]
            access = tokens.Access(client.client_id, client.tenant, client.role, client.scopes)
            self.tokens[code] = tokens.mint(self.house.keys, access, datetime.now(UTC))
        return {"authorization": f"Bearer {self.tokens[code]}"}

    def request(self, **changed: Any) -> dict[str, Any]:
        """A proper renewal request, with some fields changed."""
        now = datetime.now(UTC)
        proof = {"checked_by": "counter-7", "method": "counter", "checked_at": now.isoformat()}
        body = {"number": "13800138000", "activated_at": (now - timedelta(days=60)).isoformat(), "identity": proof}
        return {**body, **changed}

    async def submit(self, key: str = "", carrier: str = CARRIER, **changed: Any) -> httpx.Response:
        """Hand a renewal in."""
        self.sent += 1
        headers = {**self.bearer(carrier), "idempotency-key": key or f"key-{self.sent}"}
        return await self.http.post("/v1/renewals", json=self.request(**changed), headers=headers)

    async def running(self, **changed: Any) -> str:
        """A renewal whose enterprises have been told."""
        case = (await self.submit(**changed)).json()["case"]
        await eventually(lambda: "noticed" in self.house.events(f"{case}-unbind-0"))
        return str(case)

    def signed(self, code: str, body: bytes, message_id: str = "", at: datetime | None = None) -> dict[str, str]:
        """Headers of a signed message of an enterprise."""
        self.sent += 1
        message_id, at = message_id or f"msg-{self.sent}", at or datetime.now(UTC)
        signature = Webhook(self.issued[code].secret).sign(message_id, at, body.decode())
        stamp = str(int(at.timestamp()))
        signs = {"webhook-id": message_id, "webhook-timestamp": stamp, "webhook-signature": signature}
        return {**self.bearer(code), **signs, "content-type": "application/json"}

    async def say(self, code: str, path: str, body: Any = None, **how: Any) -> httpx.Response:
        """A signed message of an enterprise; `body` is JSON, or NDJSON if it is a list."""
        rows = body if isinstance(body, list) else [body or {}]
        raw = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows).encode()
        return await self.http.post(path, content=raw, headers=self.signed(code, raw, **how))

    async def answer(self, code: str, item: str, **body: Any) -> httpx.Response:
        """An enterprise answers one of its items."""
        return await self.say(code, f"/v1/work-items/{item}/answer", body)

    async def listed(self, code: str, **query: Any) -> dict[str, Any]:
        """A page of an enterprise's open work items."""
        found = await self.http.get("/v1/work-items", params=query, headers=self.bearer(code))
        return dict(found.json())


@pytest.fixture
async def idle(database: Database, keys: KeyRing) -> AsyncIterator[Doors]:
    """The gateway without a worker behind it, on the quick test server."""
    converter, path = engine.data_converter(keys), binary("temporal-test-server")
    server = await WorkflowEnvironment.start_time_skipping(test_server_existing_path=path, data_converter=converter)
    async with server, before(server, database, keys) as doors:
        yield doors


@pytest.fixture
async def idle_dev(database: Database, keys: KeyRing) -> AsyncIterator[Doors]:
    """The same on the real server, which alone gives a dead worker's tasks to a new one."""
    converter, path = engine.data_converter(keys), binary("temporal")
    server = await WorkflowEnvironment.start_local(
        dev_server_existing_path=path, data_converter=converter, dev_server_log_level="error"
    )
    async with server, before(server, database, keys) as doors:
        yield doors


@asynccontextmanager
async def before(server: WorkflowEnvironment, database: Database, keys: KeyRing) -> AsyncIterator[Doors]:
    """The gateway before a server."""
    house = House(server.client, database, keys, registry(mail=1))
    app = gateway_app.bare()
    app.state.services = house.services
    hooks = {"response": [documented()]}
    client = httpx.AsyncClient(trust_env=False, timeout=30, verify=False, event_hooks=hooks)
    async with serving(app) as url, client as http:
        http.base_url = url
        yield Doors(house, http, *hand_out(database, keys))


def hand_out(database: Database, keys: KeyRing) -> tuple[dict[str, Issued], dict[str, Client]]:
    """Credentials for everybody, and their clients."""
    now = datetime.now(UTC)

    def issue(connection: Connection, code: str, role: Role) -> Issued:
        return with_keys(connection, keys, code, role, clients.issue(connection, code, role, now), now)

    issued = database.write_now(lambda c: {code: issue(c, code, role) for code, role in PARTNERS})
    return issued, {client.tenant: client for client in database.read_now(clients.listed)}


@pytest.fixture
async def doors(idle: Doors) -> AsyncIterator[Doors]:
    """The gateway with a worker behind it."""
    async with idle.house.working():
        yield idle
