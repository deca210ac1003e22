"""What a carrier's program does with batches."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from sqlalchemy import func, select

from gateway.batch_work import BatchWork
from store import batches
from store.tables import submissions
from tests.gateway.conftest import Doors
from tests.house import CARRIER
from tests.support import eventually

NDJSON, CSV = "application/x-ndjson", "text/csv; charset=utf-8"
PATH = "/v1/renewal-batches"
NOW = datetime.now(UTC)
TOMORROW, SINCE = (NOW + timedelta(days=1)).isoformat(), (NOW - timedelta(days=60)).isoformat()
PROOF = {"checked_by": "counter-7", "method": "counter", "checked_at": NOW.isoformat()}


def number(n: int) -> str:
    """Somebody's number."""
    return f"139{n:08}"


def line(n: int, **changed: Any) -> bytes:
    """A line of NDJSON about a number of its own."""
    return json.dumps({"number": number(n), "activated_at": SINCE, "identity": PROOF, **changed}).encode()


def good(numbers: Sequence[int]) -> bytes:
    """A whole upload of proper lines."""
    return b"".join(line(n) + b"\n" for n in numbers)


async def send(
    doors: Doors, body: bytes, key: str = "k", media: str = NDJSON, carrier: str = CARRIER, whole: bool = True
) -> httpx.Response:
    """Upload a batch."""
    headers = {"idempotency-key": key, "content-type": media, "upload-complete": "?1" if whole else "?0"}
    return await doors.http.post(PATH, content=body, headers={**doors.bearer(carrier), **headers})


async def rest(doors: Doors, batch: str, offset: int, body: bytes, whole: bool = True) -> httpx.Response:
    """Upload what is missing."""
    headers = {"upload-offset": str(offset), "upload-complete": "?1" if whole else "?0"}
    return await doors.http.patch(f"{PATH}/{batch}", content=body, headers={**doors.bearer(CARRIER), **headers})


async def get(doors: Doors, path: str, carrier: str = CARRIER, **query: Any) -> dict[str, Any]:
    """What a carrier reads."""
    found = await doors.http.get(PATH + path, params=query, headers=doors.bearer(carrier))
    return dict(found.json())


async def lines(doors: Doors, batch: str, **query: Any) -> list[dict[str, Any]]:
    """All lines of a batch, a few at a time."""
    found: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = await get(doors, f"/{batch}/lines", limit=15, after=after, **query)
        found += page["lines"]
        after = page["next"]
    return found


def worker(doors: Doors) -> BatchWork:
    """What works on batches in a gateway."""
    return BatchWork(doors.house.database, doors.house.keys, doors.house.intake)


def cases(doors: Doors) -> int:
    """How many renewals were recorded."""
    return doors.house.database.read_now(lambda c: c.execute(select(func.count(submissions.c.key))).scalar_one())


def kept(doors: Doors) -> list[int]:
    """How many lines of each batch are kept, the newest first."""
    return [row.lines for row in doors.house.database.read_now(lambda c: batches.page(c, CARRIER, None, None, 9))]


async def begun(doors: Doors, body: bytes, key: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """An upload that says it is longer than it is."""
    reader, writer = await asyncio.open_connection(doors.http.base_url.host, doors.http.base_url.port)
    head = {**doors.bearer(CARRIER), "host": "x", "content-type": NDJSON, "content-length": "1000000"}
    words = "".join(f"{name}: {value}\r\n" for name, value in {**head, "idempotency-key": key}.items())
    writer.write(f"POST {PATH} HTTP/1.1\r\n{words}\r\n".encode() + body)
    await writer.drain()
    return reader, writer


async def broken_off(doors: Doors, body: bytes, key: str) -> dict[str, Any]:
    """The connection dies in the middle of a line, once the first lines are kept; the batch as it is then."""
    known = len(kept(doors))
    _, writer = await begun(doors, body, key)
    await eventually(lambda: len(kept(doors)) > known)
    writer.close()
    whole = body.count(b"\n")
    await eventually(lambda: kept(doors)[0] == whole)
    return dict((await get(doors, "", state="receiving"))["batches"][0])
