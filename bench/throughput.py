"""The three-step case of every contender, one after the other, each in a process of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.house import build
from bench.measure import Servers
from bench.meter import cpu_of
from bench.parts import part
from bench.plan import Timing

CASES = 160
ROUNDS = 3
CLOCKS = Timing(60, 0, 1)


@dataclass
class Throughput:
    """One contender's figures."""

    who: str
    cases_per_second: float
    worker_cpu_ms: float
    server_cpu_ms: float
    rounds: list[float]


def _sqlite(_servers: Servers, folder: Path, _round: int) -> str:
    return f"sqlite:///{folder}/dbos.db"


def _postgres(servers: Servers, _folder: Path, number: int) -> str:
    return servers.postgres_uri.replace("/postgres?", f"/steps{number}?")


WHO: dict[str, str | Callable[[Servers, Path, int], str]] = {
    "ours, no sandbox": "ours-unsandboxed",
    "ours": "ours",
    "bare engine": "bare",
    "bare engine, no sandbox": "bare-unsandboxed",
    "DBOS, SQLite": _sqlite,
    "DBOS, PostgreSQL": _postgres,
}


async def measure(servers: Servers, rounds: int = ROUNDS) -> list[dict[str, object]]:
    """Round after round, so that a slow minute of the machine hits everybody; the middle round counts."""
    found: dict[str, list[tuple[float, float, float]]] = {who: [] for who in WHO}
    for number in range(rounds):
        for who in WHO:
            found[who].append(await asyncio.to_thread(_one, who, servers, number))
    results = []
    for who, figures in found.items():
        middle = sorted(figures)[len(figures) // 2]
        results.append(asdict(Throughput(who, *middle, rounds=[one[0] for one in figures])))
    return results


def _one(who: str, servers: Servers, number: int) -> tuple[float, float, float]:
    folder = servers.folder / f"steps-{who.replace(', ', '-').replace(' ', '-')}-{number}"
    build(folder, 1, CLOCKS, servers.partner_port)
    word = WHO[who]
    asked = word if isinstance(word, str) else word(servers, folder, number)
    pid = servers.postgres_pid if word is _postgres else servers.temporal_pid
    with part(folder, "bench.steps", asked, folder, CASES) as process:
        before = cpu_of(pid)
        process.tell("go")
        said = json.loads(process.hear())
        server = 0.0 if word is _sqlite else cpu_of(pid) - before
    return CASES / said["wall"], said["cpu"] / CASES * 1000, server / CASES * 1000
