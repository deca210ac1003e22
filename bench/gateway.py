"""The doors under load, next to the same doors answering a constant: `python -m bench.gateway`.

Both are served by uvicorn with the gateway's own settings, one process each, one after the other on the same machine;
the same client asks both. What the difference costs is tokens, limits, the database and, where a case begins, the engine.
"""

from __future__ import annotations

import asyncio
import json
import platform
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import httpx
import uvicorn
from fastapi import FastAPI, Request
from rich.console import Console
from rich.table import Table

from bench.parts import answering
from runtime.access import ClientAuth
from runtime.stack import HOUSE, Stack, free_port

OUT = HOUSE / "var" / "bench-gateway"
REQUESTS = 400
AT_ONCE = 16
FIRST_NUMBER = 13700000000


@dataclass(frozen=True)
class Door:
    """One kind of request: who asks, how, and what (made anew for every one)."""

    name: str
    role: str
    method: str
    path: str
    body: Callable[[int], dict[str, Any] | None] = lambda _n: None


@dataclass(frozen=True)
class Figures:
    """What came of a number of requests: per second, and milliseconds for the middle one and for 95 in 100."""

    per_second: float
    p50: float
    p95: float
    failed: int


def renewal(number: int) -> dict[str, Any]:
    """A renewal over one app, of a number of its own."""
    now = datetime.now(UTC)
    return {
        "number": str(FIRST_NUMBER + number),
        "activated_at": (now - timedelta(days=60)).isoformat(),
        "apps": ["qq"],
        "identity": {"checked_by": "bench", "method": "counter", "checked_at": now.isoformat()},
    }


def doors(case: str) -> Sequence[Door]:
    """What is measured."""
    return (
        Door("who am I", "carriers", "GET", "/v1/me"),
        Door("hand a renewal in", "carriers", "POST", "/v1/renewals", renewal),
        Door("follow a renewal", "carriers", "GET", f"/v1/renewals/{case}"),
        Door("list renewals, 50", "carriers", "GET", "/v1/renewals?limit=50"),
        Door("pull work items", "enterprises", "GET", "/v1/work-items?limit=50"),
        Door("a queue's page, 50", "case_workers", "GET", "/v1/cases?limit=50"),
        Door("a case's story", "case_workers", "GET", f"/v1/cases/{case}"),
    )


async def measured(client: aiohttp.ClientSession, url: str, door: Door, token: str, first: int) -> Figures:
    """So many requests at one door, so many at once."""
    took: list[float] = []
    failed = 0
    waiting = iter(range(first, first + REQUESTS))

    async def ask() -> None:
        nonlocal failed
        for number in waiting:
            headers = {"authorization": f"Bearer {token}", "idempotency-key": uuid4().hex}
            began = time.perf_counter()
            async with client.request(
                door.method, url + door.path, json=door.body(number), headers=headers
            ) as answer:
                await answer.read()
                failed += answer.status >= 400
            took.append((time.perf_counter() - began) * 1000)

    began = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(AT_ONCE)))
    seconds = time.perf_counter() - began
    return Figures(REQUESTS / seconds, statistics.median(took), statistics.quantiles(took, n=20)[-1], failed)


def token_of(stack: Stack, role: str) -> str:
    """An access token of the first of a role."""
    one = next(iter(json.loads(stack.credentials.read_text())[role].values()))
    auth = ClientAuth(stack.api, one["client_id"], one["client_secret"])
    answer = httpx.get(f"{stack.api}/v1/me", auth=auth, trust_env=False)
    return answer.request.headers["authorization"].removeprefix("Bearer ")


def constant(sizes: dict[str, Any]) -> FastAPI:
    """Every path answers what the real door answered once."""
    app = FastAPI()

    @app.api_route("/{path:path}", methods=["GET", "POST"])
    async def answer(path: str, request: Request) -> Any:
        await request.body()
        return sizes[f"{request.method} /{path}"]

    return app


def serve(port: int, file: Path) -> None:
    """The process of the constant doors."""
    uvicorn.run(
        constant(json.loads(file.read_text())), host="127.0.0.1", port=port, log_level="error", access_log=False
    )


async def measure(url: str, wanted: Sequence[Door], tokens: dict[str, str], first: int) -> dict[str, Figures]:
    """All doors, one after the other."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as client:
        found = {}
        for number, door in enumerate(wanted):
            found[door.name] = await measured(client, url, door, tokens[door.role], first + number * REQUESTS)
        return found


def run(console: Console) -> dict[str, Any]:
    """Both in one run."""
    shutil.rmtree(OUT, ignore_errors=True)
    with Stack(OUT) as stack:
        tokens = {role: token_of(stack, role) for role in ("carriers", "enterprises", "case_workers")}
        begin = {"authorization": f"Bearer {tokens['carriers']}", "idempotency-key": "first"}
        first = httpx.post(f"{stack.api}/v1/renewals", json=renewal(0), headers=begin, trust_env=False)
        wanted = doors(first.raise_for_status().json()["case"])
        console.print("the gateway …")
        real = asyncio.run(measure(stack.api, wanted, tokens, 1))
        answers = {}
        for door in wanted:
            headers = {"authorization": f"Bearer {tokens[door.role]}", "idempotency-key": uuid4().hex}
            said = httpx.request(
                door.method, stack.api + door.path, json=door.body(10**6), headers=headers, trust_env=False
            )
            answers[f"{door.method} {door.path.partition('?')[0]}"] = said.json()
    file, port = OUT / "answers.json", free_port()
    file.write_text(json.dumps(answers))
    with answering(port, "bench.gateway", port, file) as url:
        console.print("the constant …")
        idle = asyncio.run(measure(url, wanted, tokens, 1))
    return {
        "machine": f"{platform.machine()}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}",
        "doors": {name: {"gateway": vars(real[name]), "constant": vars(idle[name])} for name in real},
    }


def main() -> None:
    """The command."""
    if len(sys.argv) == 3:
        serve(int(sys.argv[1]), Path(sys.argv[2]))
        return
    console = Console(width=120)
    found = run(console)
    (OUT / "results.json").write_text(json.dumps(found, indent=1))
    table = Table("door", "req/s", "p50 ms", "p95 ms", "constant req/s", "p50 ms", "p95 ms", "ratio p50", "failed")
    for name, both in found["doors"].items():
        ours, bare = both["gateway"], both["constant"]
        cells = [f"{one[key]:.1f}" for one in (ours, bare) for key in ("per_second", "p50", "p95")]
        table.add_row(name, *cells, f"{ours['p50'] / bare['p50']:.1f}", str(ours["failed"]))
    console.print(table)
    console.print(f"{REQUESTS} requests each, {AT_ONCE} at once; {found['machine']}; figures in {OUT}/results.json")


if __name__ == "__main__":
    main()
