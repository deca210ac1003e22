"""What nobody should do, done to the running stack: too much at once, the same key at once, bodies too large or too slow.

Nothing is doubled, nothing is lost, and everybody is told what to do.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import httpx
import pytest

from domain.access import Role
from tests.doors.conftest import Everybody

PARALLEL = 1000
KEYS = 120
"""Of the thousand requests some come with the same key and the same body."""


def body(number: int, at: datetime) -> dict[str, Any]:
    """A renewal of a number of its own, over one app; the same at every repetition."""
    return {
        "number": str(13600000000 + number),
        "activated_at": (at - timedelta(days=60)).isoformat(),
        "apps": ["qq"],
        "identity": {"checked_by": "counter-7", "method": "counter", "checked_at": at.isoformat()},
    }


async def handed_in(client: aiohttp.ClientSession, number: int, at: datetime, codes: Counter[int]) -> str:
    """A renewal's case, however often it has to be asked for: only what says so is asked again, when it says so."""
    for _ in range(60):
        headers = {"idempotency-key": f"key-{number}"}
        async with client.post("/v1/renewals", json=body(number, at), headers=headers) as answer:
            said = await answer.json(content_type=None)
        codes[answer.status] += 1
        if answer.status == 202:
            return str(said["case"])
        assert answer.status in (429, 503), said
        assert answer.content_type == "application/problem+json"
        await asyncio.sleep(min(float(answer.headers["retry-after"]), 2.0))
    raise AssertionError("never taken")


async def thousand(everybody: Everybody, at: datetime) -> tuple[list[str], Counter[int]]:
    """A thousand at the same moment. (Not by httpx, whose pool looks through all connections at every request.)"""
    codes: Counter[int] = Counter()
    async with aiohttp.ClientSession(
        everybody.stack.api,
        headers={"authorization": f"Bearer {everybody.token(Role.CARRIER)}"},
        connector=aiohttp.TCPConnector(limit=PARALLEL),
        timeout=aiohttp.ClientTimeout(60),
    ) as client:
        wanted = (handed_in(client, n % KEYS, at, codes) for n in range(PARALLEL))
        return list(await asyncio.gather(*wanted)), codes


def listed(everybody: Everybody) -> list[str]:
    """All cases of the carrier, page by page."""
    found: list[str] = []
    after = ""
    with httpx.Client(base_url=everybody.stack.api, auth=everybody.clients[Role.CARRIER], trust_env=False) as client:
        while True:
            page = client.get("/v1/renewals", params={"limit": 100} | ({"after": after} if after else {})).json()
            found += [one["case"] for one in page["cases"]]
            if not (after := page["next"]):
                return found


@pytest.mark.timeout(240)
def test_a_thousand_at_once_and_what_is_too_large_or_too_slow(everybody: Everybody) -> None:
    at = datetime.now(UTC)
    cases, codes = asyncio.run(thousand(everybody, at))
    assert len(set(cases)) == KEYS and codes[202] == PARALLEL, codes
    by_number: dict[int, set[str]] = {}
    for number, case in enumerate(cases):
        by_number.setdefault(number % KEYS, set()).add(case)
    assert all(len(one) == 1 for one in by_number.values()), "a key was good for two cases"
    assert sorted(listed(everybody)) == sorted(set(cases)), "what was taken is there, and nothing else"

    with httpx.Client(base_url=everybody.stack.api, auth=everybody.clients[Role.CARRIER], trust_env=False) as client:
        large = client.post("/v1/renewals", content=b"x" * 10_000_000, headers={"idempotency-key": "large"})
        assert (large.status_code, large.json()["code"]) == (413, "too_large")
        other = client.post(
            "/v1/renewals", json=body(1, at) | {"apps": ["wechat"]}, headers={"idempotency-key": "key-1"}
        )
        assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    assert_slow_bodies_are_cut(everybody)


def assert_slow_bodies_are_cut(everybody: Everybody) -> None:
    """Many that drip do not keep others out, and are cut off."""
    host, port = "127.0.0.1", everybody.stack.ports.gateway
    head = (
        f"POST /v1/renewals HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {everybody.token(Role.CARRIER)}\r\n"
        "idempotency-key: slow\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n{"
    )
    slow = [socket.create_connection((host, port), timeout=60) for _ in range(50)]
    for one in slow:
        one.sendall(head.encode())
    began = time.monotonic()
    assert httpx.get(f"{everybody.stack.api}/healthz", trust_env=False, timeout=10).status_code == 200
    renewals = httpx.get(
        f"{everybody.stack.api}/v1/renewals", auth=everybody.clients[Role.CARRIER], trust_env=False, timeout=10
    )
    assert renewals.status_code == 200, "others are served meanwhile"
    for one in slow:
        said = one.recv(2000).decode()
        assert said.startswith(("HTTP/1.1 408", "HTTP/1.1 503")), said
        one.close()
    assert time.monotonic() - began < 60, "they were cut off, not waited for"
