"""The pages at 100,000 cases, next to a constant page: `python -m bench.pages [--database sqlite|postgresql]`.

The real stack is started over an empty database, a carrier hands one renewal in, and its rows are multiplied. Then the
gateway is started anew over them, people sign in, and one after the other every page is asked for, each so many times.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import statistics
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.engine import make_url

from bench.gateway import renewal, token_of
from bench.parts import answering, postgres
from domain.access import Role
from domain.question import Counts, Question, QuestionKind
from domain.unbind import Item, ItemState, Outcome
from gateway import sessions as cookies
from gateway.pages.visit import COOKIE as VISIT
from gateway.pages.visit import Visit
from runtime.credentials import SANDBOX_CLERKS
from runtime.stack import HOUSE, Stack, free_port
from store import sessions
from store.database import Database
from store.keys import KeyRing
from store.projection import item_values, question_values
from store.queues import Sort
from store.tables import accounts, case_parties, cases, metadata, questions, work_items, worklist

OUT = HOUSE / "var" / "bench-pages"
CASES = 100_000
CHUNK = 2_000
TIMES = 100
CLERKS_SHARE = 0.2
"""Of all work items and questions, those of the enterprise whose clerk is asked."""

CLERK, CLERKS = next(iter(SANDBOX_CLERKS)), "tencent"

HOUR = timedelta(hours=1)
WORKERS = ("", "", "worker-chen", "worker-lin", "supervisor-wu", *(f"worker-{n}" for n in range(20)))
DATABASES = ("sqlite", "postgresql")
OPEN = {"renewal": "running", "query": "asking", "unbind": "open"}
"""The status of a case that is open."""


@dataclass(frozen=True)
class Asked:
    """A page and who asks for it."""

    name: str
    path: str
    cookies: Mapping[str, str]


@dataclass(frozen=True)
class Took:
    """Milliseconds for the middle request and for 95 in 100, bytes of an answer, and how many failed."""

    p50: float
    p95: float
    bytes: int
    failed: int


# ── 100,000 cases ────────────────────────────────────────────────────────────────────────────────────


def fill(database: Database, enterprises: list[str], clerks: str, first: str, many: int = CASES) -> None:
    """Half of them renewals with a work item each, half queries with a question each; most are closed, some are late."""
    rows = database.read_now(lambda c: _first(c, first))
    for begin in range(0, many, CHUNK):
        chunk = _chunk(random.Random(begin), range(begin, begin + CHUNK), enterprises, clerks, rows)
        database.write_now(lambda c: [c.execute(insert(table), made) for table, made in chunk.items() if made])  # noqa: B023


def _first(connection: Connection, case: str) -> dict[str, Any]:
    """The rows of a real renewal, of its unbind request, and of one of its work items."""
    found = select(cases.c.data).where(cases.c.case_id.in_([case, f"{case}-unbind-0"])).order_by(cases.c.case_id)
    renewed, unbound = connection.execute(found).scalars()
    item = connection.execute(select(work_items.c.data).where(work_items.c.case_id == f"{case}-unbind-0")).scalars()
    asked = json.dumps({**json.loads(renewed), "identity": None})
    return {
        "renewal": renewed,
        "query": asked,
        "unbind": unbound,
        "item": Item.model_validate_json(item.first() or ""),
    }


def _chunk(
    chance: random.Random, numbers: range, enterprises: list[str], clerks: str, first: Mapping[str, Any]
) -> dict[Any, list[dict[str, Any]]]:
    found: dict[Any, list[dict[str, Any]]] = {
        table: [] for table in (cases, worklist, case_parties, work_items, questions)
    }
    for number in numbers:
        at = datetime.now(UTC) - timedelta(days=chance.uniform(0, 90))
        party = clerks if chance.random() < CLERKS_SHARE else chance.choice(enterprises)
        open_, late = chance.random() < 0.15, chance.random() < 0.1
        kind = "renewal" if number % 2 else "query"
        case = f"{'R' if number % 2 else 'Q'}{number:012}"
        due = datetime.now(UTC) + chance.uniform(-10, 20) * 24 * HOUR if open_ else None
        found[cases].append(_case(case, kind, at, first[kind]))
        found[worklist].append(
            {
                "case_id": case,
                "kind": kind,
                "status": OPEN[kind] if open_ else "closed",
                "open": open_,
                "waiting": chance.choice(["case_worker", "party", "citizen", "nobody"]) if open_ else "nobody",
                "assignee": chance.choice(WORKERS) if open_ else "",
                "due_at": due,
                "due_order": due or datetime(9999, 1, 1, tzinfo=UTC),
                "paused": False,
                "escalated": chance.random() < 0.02,
                "opened_at": at,
                "closed_at": None if open_ else at + 100 * HOUR,
                "masked_number": f"13{number % 10}****{number % 10000:04}",
            }
        )
        found[case_parties].append({"case_id": case, "party": party})
        if number % 2:
            found[cases].append(_case(f"{case}-unbind-0", "unbind", at, first["unbind"]))
            item = _item(first["item"], f"W{number:020}", party, at, chance, open_, late)
            values = {"item_id": item.id, "case_id": f"{case}-unbind-0", "cursor": number}
            found[work_items].append({**values, **item_values(item)})
        else:
            question = Question(
                id=f"A{number:020}",
                kind=QuestionKind.COUNTS,
                party=party,
                apps=("wechat",),
                asked_at=at,
                due_at=at + 48 * HOUR,
                answer=None if open_ else Counts(counts={"wechat": 1}),
                answered_at=None if open_ else at + chance.uniform(1, 60) * HOUR,
            )
            values = {"question_id": question.id, "case_id": case, "cursor": number}
            found[questions].append({**values, **question_values(question)})
    return found


def _case(case: str, kind: str, at: datetime, data: str) -> dict[str, Any]:
    moments = {"opened_at": at, "changed_at": at}
    return {"case_id": case, "kind": kind, "status": OPEN[kind], "seq": 1, "seal": "bench", "data": data, **moments}


def _item(
    first: Item, name: str, enterprise: str, at: datetime, chance: random.Random, open_: bool, late: bool
) -> Item:
    due = at + 120 * HOUR
    gone = open_ and due < datetime.now(UTC)
    took = chance.uniform(121, 200) if late else chance.uniform(0.2, 119)
    return first.model_copy(
        update={
            "id": name,
            "enterprise": enterprise,
            "opened_at": at,
            "remind_at": due - 24 * HOUR,
            "due_at": due,
            "acknowledged_at": None if open_ else at + chance.uniform(0.1, 20) * HOUR,
            "overdue_at": due if gone or (late and not open_) else None,
            "state": ItemState.OVERDUE if gone else ItemState.DELIVERED if open_ else ItemState.UNBOUND,
            "outcome": None if open_ else Outcome.UNBOUND,
            "answered_at": None if open_ else at + took * HOUR,
            "version": 0 if open_ else 1,
        }
    )


# ── people ───────────────────────────────────────────────────────────────────────────────────────────


def signed_in(database: Database, keys: KeyRing, account: str, role: Role, tenant: str = "") -> dict[str, str]:
    """The cookie of somebody who signed in."""
    session_id, _ = database.write_now(lambda c: sessions.begin(c, account, role, datetime.now(UTC), tenant))
    return _cookie(keys, cookies.COOKIE, session_id)


def visiting(keys: KeyRing, case: str) -> dict[str, str]:
    """The cookie of a citizen who has proven that a case is theirs."""
    visit = Visit(origin="bench")
    visit.may_see(case, datetime.now(UTC) + HOUR)
    return _cookie(keys, VISIT, urlsafe_b64encode(visit.model_dump_json().encode()).decode())


def _cookie(keys: KeyRing, name: str, value: str) -> dict[str, str]:
    return {name: cookies._signer(keys, name).sign(value).decode()}


def pages(case: str, worker: dict[str, str], clerk: dict[str, str], citizen: dict[str, str]) -> list[Asked]:
    """What is measured."""
    anybody = ("/", "/follow", "/hotlines", "/renewal", "/renewal/apps", "/dispute")
    desk = {
        "": "the queue",
        "?queue=overdue": "overdue",
        "?queue=mine": "mine",
        "?queue=unassigned&kind=query": "unassigned queries",
        "?enterprise=tencent": "of an enterprise",
        "?number=138****0008": "of a masked number",
        "?status=closed": "closed",
        "?assignee=worker-lin": "of a worker",
        **{f"?queue=all&sort={sort}": f"all, sorted {sort}" for sort in Sort},
    }
    wide = (datetime.now(UTC) - timedelta(days=360)).date()
    staff = {
        **{f"/desk{query}": f"/desk: {name}" for query, name in desk.items()},
        f"/desk/case/{case}": "/desk/case/…",
        "/overview": "/overview",
        f"/overview?from={wide}": "/overview: a year",
        "/overview/enterprises": "/overview/enterprises",
        "/overview/attainment": "/overview/attainment",
        "/overview/enterprises.svg": "/overview/enterprises.svg",
        "/overview/attainment.svg": "/overview/attainment.svg",
    }
    own = {f"/case/{case}": "/case/…"}
    clerks = {path: path for path in ("/work", "/work-figures", "/work/questions")}
    return [
        *(Asked(path, path, {}) for path in anybody),
        *(Asked(name, path, citizen) for path, name in own.items()),
        *(Asked(name, path, worker) for path, name in staff.items()),
        *(Asked(name, path, clerk) for path, name in clerks.items()),
    ]


# ── measuring ────────────────────────────────────────────────────────────────────────────────────────


def measured(url: str, asked: Asked, times: int = TIMES) -> Took:
    """One request after the other, after one that is not counted."""
    took: list[float] = []
    failed, size = 0, 0
    headers = {"accept": "text/html", "cookie": "; ".join(f"{name}={value}" for name, value in asked.cookies.items())}
    with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=60) as client:
        for number in range(times + 1):
            began = time.perf_counter()
            try:
                answer = client.get(asked.path)
                failed, size = failed + (answer.status_code != 200), len(answer.content)
            except httpx.HTTPError:
                failed += 1
            if number:
                took.append((time.perf_counter() - began) * 1000)
            client.cookies.clear()
    return Took(statistics.median(took), statistics.quantiles(took, n=20)[-1], size, failed)


def second_page(url: str, asked: Asked) -> str:
    """Where the desk's queue goes on; empty if it does not."""
    cookie = {"cookie": "; ".join(f"{name}={value}" for name, value in asked.cookies.items()), "accept": "text/html"}
    text = httpx.get(url + asked.path, headers=cookie, trust_env=False, timeout=60).text
    _, found, rest = text.partition("after=")
    return f"/desk?after={rest.partition(chr(34))[0].partition('&')[0]}" if found else ""


def constant(port: int, file: Path) -> None:
    """The process of the constant page."""
    app, text = FastAPI(), file.read_text()

    @app.get("/{path:path}", response_class=HTMLResponse)
    async def answer(path: str) -> str:
        return text

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", access_log=False)


@contextmanager
def database_of(kind: str) -> Iterator[dict[str, str]]:
    """The stack's setting for a database of this kind."""
    if kind == "sqlite":
        yield {}
        return
    with postgres(OUT / "postgres") as (_, uri):
        url = make_url(uri).set(drivername="postgresql+psycopg")
        yield {"JIEBANG_DATABASE_URL": url.render_as_string(hide_password=False)}


def run(console: Console, kind: str, many: int, times: int) -> dict[str, Took]:
    """Every page on one kind of database."""
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    with database_of(kind) as settings, Stack(OUT / "stack", environment=settings) as stack:
        config = stack.settings
        begin = {"authorization": f"Bearer {token_of(stack, 'carriers')}", "idempotency-key": "first"}
        body = {**renewal(0), "apps": ["wechat", "qq", "taobao"]}
        first = httpx.post(f"{stack.api}/v1/renewals", json=body, headers=begin, trust_env=False, timeout=60)
        case = str(first.raise_for_status().json()["case"])
        enterprises = [one.code for one in config.registry_data.enterprises]
        with closing(Database(config.database_url)) as database:
            _wait(database, case)
            for part in ("worker", "world", "gateway"):  # the world's enterprises would answer all they find
                stack.kill(part)
            console.print(f"{kind}: {many:,} cases …")
            began = time.monotonic()
            fill(database, enterprises, CLERKS, case, many)
            if kind == "postgresql":
                database.write_now(_vacuumed)
            console.print(f"filled in {time.monotonic() - began:.0f} s")
            stack.start("gateway")
            keys = config.key_ring
            worker = signed_in(database, keys, "supervisor-wu", Role.SUPERVISOR)
            clerk = _clerk(database, keys)
            asked = pages(case, worker, clerk, visiting(keys, case))
            _until_counted(stack.api, worker)
            if there := second_page(stack.api, Asked("", "/desk?queue=all", worker)):
                asked.append(Asked("/desk: second page", f"{there}&queue=all", worker))
            found = {one.name: measured(stack.api, one, times) for one in asked}
        text = httpx.get(f"{stack.api}/hotlines", trust_env=False, timeout=60, headers={"accept": "text/html"}).text
    file, port = OUT / "page.html", free_port()
    file.write_text(text)
    with answering(port, "bench.pages", "--constant", port, file) as url:
        found["a constant page"] = measured(url, Asked("", "/", {}), times)
    return found


def _vacuumed(connection: Connection) -> None:
    for table in metadata.sorted_tables:
        connection.exec_driver_sql(f"ANALYZE {table.name}")


def _clerk(database: Database, keys: KeyRing) -> dict[str, str]:
    """A clerk of the enterprise that has most to do."""

    def tencents(connection: Connection) -> None:
        connection.execute(update(accounts).where(accounts.c.code == CLERK).values(tenant=CLERKS))

    database.write_now(tencents)
    return signed_in(database, keys, CLERK, Role.ENTERPRISE, CLERKS)


def _wait(database: Database, case: str) -> None:
    """Until the renewal's enterprises are told."""
    told = select(func.count()).select_from(work_items).where(work_items.c.case_id == f"{case}-unbind-0")
    until = time.monotonic() + 120
    while not database.read_now(lambda c: c.execute(told).scalar_one()):
        if time.monotonic() > until:
            raise SystemExit("the renewal did not go on: see the stack's logs")
        time.sleep(0.2)


def _until_counted(url: str, worker: dict[str, str]) -> None:
    until = time.monotonic() + 300
    cookie = {"cookie": "; ".join(f"{name}={value}" for name, value in worker.items())}
    while httpx.get(f"{url}/v1/overview", headers=cookie, trust_env=False, timeout=60).status_code != 200:
        if time.monotonic() > until:
            raise SystemExit("the overview was not counted")
        time.sleep(0.2)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--database", choices=DATABASES, action="append")
    parser.add_argument("--cases", type=int, default=CASES)
    parser.add_argument("--times", type=int, default=TIMES)
    parser.add_argument("--constant", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.constant:
        constant(int(given.constant[0]), Path(given.constant[1]))
        return
    console = Console(width=120)
    kinds = given.database or DATABASES
    found = {kind: run(console, kind, given.cases, given.times) for kind in kinds}
    table = Table("page", *(f"{kind} {word}" for kind in kinds for word in ("p50 ms", "p95 ms")), "bytes", "failed")
    for name in found[kinds[0]]:
        took = [found[kind][name] for kind in kinds if name in found[kind]]
        cells = [f"{value:.1f}" for one in took for value in (one.p50, one.p95)]
        table.add_row(name, *cells, f"{took[0].bytes:,}", str(sum(one.failed for one in took)))
    console.print(table)
    console.print(
        f"{given.cases:,} cases, {given.times} requests each, one after the other; {os.cpu_count()} cores, "
        f"{platform.machine()}, Python {platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}"
    )


if __name__ == "__main__":
    main()
