"""The case workers' search and export, and two people at one case."""

from __future__ import annotations

import asyncio
import csv
import io
from itertools import product
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, delete, insert, select, update

from domain.case import CaseKind
from domain.casework import Waiting
from domain.privacy import PhoneNumber
from gateway import export
from store import audit, lists, queues, saved
from store.database import Database
from store.keys import KeyRing
from store.keyset import Place
from store.lists import Own
from store.projection import NEVER
from store.queues import ORDERS, Queue, Search, Sort
from store.tables import audit_entries, case_parties, worklist
from store.vault import Person
from store.vault import put as put_person
from tests.gateway.conftest import Doors
from tests.gateway.test_casework import act
from tests.gateway.test_lists import ON_SQLITE, put, row
from tests.house import CARRIER
from tests.store.history import DONE, WAITING, WITHDRAWN, contents, write_history
from tests.strategies import DAY, HOUR, T0

ME = "worker-chen"
NOW = T0 + 5 * DAY


def cases_of_every_sort() -> list[dict[str, Any]]:
    """Open and closed ones, due and not, taken and not."""
    found = []
    for n, (open_, kind, who) in enumerate(
        product((True, False), (CaseKind.QUERY, CaseKind.DISPUTE, CaseKind.RENEWAL), ("", ME, "worker-lin"))
    ):
        due = T0 + n * HOUR if n % 3 else None
        found.append(
            row(
                kind,
                T0 + (n // 4) * HOUR,
                open=open_,
                status="open" if open_ else "closed",
                assignee=who,
                due_at=due,
                due_order=due or NEVER,
                closed_at=None if open_ else T0 + DAY,
                waiting="case_worker" if n % 2 else "citizen",
                masked_number=f"138****800{n % 4}",
            )
        )
    return found


def fill(database: Database, rows: list[dict[str, Any]], **parties: list[str]) -> None:
    def job(connection: Connection) -> None:
        if rows:
            connection.execute(insert(worklist), rows)
        known = [{"case_id": case, "party": party} for party, cases in parties.items() for case in cases]
        if known:
            connection.execute(insert(case_parties), known)

    database.write_now(job)


def every_page(database: Database, search: Search, sort: Sort, limit: int = 3) -> list[str]:
    """Page after page."""
    seen: list[str] = []
    after: Place | None = None

    def page(connection: Connection) -> list[Any]:
        return queues.page(connection, search, ME, NOW, sort, after, limit)

    while rows := database.read_now(page):
        seen += [one.case_id for one in rows]
        after = queues.place(rows[-1], sort)
    return seen


def test_every_search_in_every_order(database: Database) -> None:
    rows = cases_of_every_sort()
    some = [one["case_id"] for one in rows[::2]]
    fill(database, rows, tencent=some, alipay=some[:2])
    open_ = [one for one in rows if one["open"]]
    looked_for: list[tuple[Search, list[dict[str, Any]]]] = [
        (Search(), open_),
        (Search(queue=Queue.ALL), rows),
        (Search(queue=Queue.MINE), [one for one in open_ if one["assignee"] == ME]),
        (Search(queue=Queue.OVERDUE), [one for one in open_ if one["due_at"]]),
        (Search(queue=Queue.ALL, kind=CaseKind.QUERY), [one for one in rows if one["kind"] == "query"]),
        (Search(queue=Queue.ALL, reference=rows[5]["case_id"]), [rows[5]]),
        (Search(queue=Queue.ALL, number="138****8001"), rows[1::4]),
        (Search(queue=Queue.ALL, enterprise="tencent"), rows[::2]),
        (Search(queue=Queue.ALL, enterprise="alipay", status="open"), [one for one in rows[:3:2] if one["open"]]),
        (
            Search(assignee="worker-lin", waiting=Waiting.CITIZEN),
            [one for one in open_ if one["assignee"] == "worker-lin" and one["waiting"] == "citizen"],
        ),
        (Search(queue=Queue.ALL, due_after=T0 + 4 * HOUR, due_before=T0 + 8 * HOUR), [rows[4], rows[5], rows[7]]),
    ]
    for search, expected in looked_for:
        for sort, order in ORDERS.items():
            name = order.at.name
            stands = sorted(expected, key=lambda one: (one[name], one["case_id"]), reverse=order.descending)
            assert every_page(database, search, sort) == [one["case_id"] for one in stands], (search, sort)
        assert database.read_now(lambda c, search=search: queues.count(c, search, ME, NOW, 100)) == len(expected)


PLANS = [
    (Search(), Sort.DUE, "ix_worklist_open_due"),
    (Search(), Sort.DUE_LAST, "ix_worklist_open_due"),
    (Search(queue=Queue.ALL), Sort.DUE, "ix_worklist_due"),
    (Search(queue=Queue.ALL), Sort.NEWEST, "ix_worklist_opened"),
    (Search(queue=Queue.MINE), Sort.DUE, "ix_worklist_queue"),
    (Search(), Sort.NEWEST, "ix_worklist_open_opened"),
    (Search(queue=Queue.UNASSIGNED), Sort.DUE, "ix_worklist_unassigned"),
    (Search(queue=Queue.ESCALATED), Sort.DUE, "ix_worklist_escalated"),
    (Search(queue=Queue.PAUSED), Sort.DUE_LAST, "ix_worklist_paused"),
    (Search(queue=Queue.WAITING_FOR_CITIZEN), Sort.DUE, "ix_worklist_waiting"),
    (Search(queue=Queue.ALL, number="138****0001"), Sort.NEWEST, "ix_worklist_number"),
    (Search(queue=Queue.ALL, enterprise="rare"), Sort.NEWEST, "worklist"),
    (Search(queue=Queue.ALL, enterprise="usual"), Sort.NEWEST, "ix_worklist_opened"),
    (Search(queue=Queue.ALL, reference="Q0123456789AB"), Sort.NEWEST, "worklist"),
]


def test_indexes_are_used(database: Database) -> None:
    """Over many cases, from a place in the middle: nothing is read from end to end, and nothing sorted but few rows."""
    many = [
        row(
            CaseKind.QUERY,
            T0 + n * HOUR,
            open=n % 5 == 0,
            assignee=ME if n % 50 == 0 else "",
            due_order=T0 + n * HOUR,
        )
        | {"masked_number": f"138****{n:04}", "waiting": "citizen" if n % 20 == 0 else "party"}
        for n in range(3000)
    ]
    put(database, "mini-program", *many)
    fill(database, [], rare=[many[7]["case_id"]], usual=[one["case_id"] for one in many])
    database.write_now(lambda c: c.exec_driver_sql("ANALYZE"))
    middle = Place(T0 + 1500 * HOUR, many[1500]["case_id"])
    for search, sort, index in PLANS:
        found = database.read_now(lambda c, search=search: queues._found(c, search, ME, NOW))
        wanted = ORDERS[sort].page(found, middle, 50)
        few = bool(search.number or search.enterprise == "rare" or search.reference)
        plan = database.read_now(lambda c, wanted=wanted, few=few: explained(c, wanted, few))
        assert index in plan and not any(word in plan for word in ("SCAN worklist\n", "Seq Scan on worklist")), plan
        if not few:
            assert "TEMP B-TREE" not in plan and "Sort Key" not in plan, plan

    own = lists.NEWEST.page(lists._wanted(Own("mini-program", CaseKind.QUERY)), middle, 50)
    plan = database.read_now(lambda c: explained(c, own, few=False))
    assert "ix_submissions_listed" in plan and "TEMP B-TREE" not in plan and "Sort Key" not in plan, plan


def test_queues_are_counted_so_far_and_no_further(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "MOST_COUNTED", 3)
    fill(database, [row(CaseKind.QUERY, T0 + n * HOUR, open=True, assignee=ME if n < 2 else "") for n in range(9)])
    counted = database.read_now(lambda c: queues.counts(c, ME, NOW))
    assert counted.keys() == {*Queue} - {Queue.ALL}
    assert (counted[Queue.OPEN], counted[Queue.MINE], counted[Queue.PAUSED]) == (4, 2, 0)


def explained(connection: Connection, wanted: Any, few: bool) -> str:
    """How the database would go about it; PostgreSQL is kept from sorting where there may be many."""
    if connection.dialect.name == "postgresql" and not few:
        connection.exec_driver_sql("SET LOCAL enable_sort = off")
        connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
    text = wanted.compile(connection.engine, compile_kwargs={"literal_binds": True})
    how = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    rows = connection.exec_driver_sql(f"{how} {str(text).replace('%', '%%')}").all()
    return "".join(f"{one[-1]}\n" for one in rows)


def test_the_ledger_gives_what_is_searched_by(database: Database, keys: KeyRing) -> None:
    write_history(database, keys)
    read = contents(worklist, case_parties)
    before = database.read_now(read)
    found = {
        case: set(parties)
        for case, parties in database.read_now(lambda c: queues.parties(c, [DONE, WAITING, WITHDRAWN])).items()
    }
    carrier = "china-mobile"
    assert found == {DONE: {"alpha", "beta", carrier}, WITHDRAWN: {"alpha", "beta", carrier}, WAITING: {carrier}}
    rows = {one.case_id: one for one in database.read_now(lambda c: c.execute(select(worklist)).all())}
    assert rows[DONE].masked_number == "138****8000" and rows[DONE].closed_at and rows[WAITING].closed_at is None

    for damage in (
        delete(case_parties).where(case_parties.c.case_id == DONE, case_parties.c.party == "beta"),
        insert(case_parties).values(case_id=WAITING, party="alpha"),
        insert(case_parties).values(case_id="R000000000000", party="alpha"),
        update(worklist).values(masked_number="139****8000"),
        update(worklist).values(due_order=T0),
        update(worklist).values(closed_at=T0),
    ):
        database.write_now(lambda c, damage=damage: c.execute(damage))  # type: ignore[misc]
        with pytest.raises(audit.Difference, match="run rebuild"):
            database.read_now(lambda c: audit.verify(c, keys))
        database.write_now(audit.rebuild)
        assert database.read_now(read) == before
    database.read_now(lambda c: audit.verify(c, keys))
    database.write_now(lambda c: queues.counts(c, ME, NOW))


# ── through the doors ────────────────────────────────────────────────────────────────────────────────


async def search(doors: Doors, who: str = ME, **query: Any) -> httpx.Response:
    return await doors.http.get("/v1/cases", params=query, headers=doors.bearer(who))


def references(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one["case"] for one in answer.json()["cases"]]


@ON_SQLITE
async def test_the_search_through_its_door(idle: Doors) -> None:
    rows = cases_of_every_sort()
    fill(idle.house.database, rows, tencent=[rows[-1]["case_id"]])
    closed = rows[-1]["case_id"]
    assert references(await search(idle, reference=closed.lower())) == [closed]
    assert references(await search(idle, reference=f"{closed}-unbind-3")) == [closed]
    assert references(await search(idle, enterprise="tencent")) == [closed]
    assert references(await search(idle, enterprise="tencent", queue="open")) == []
    assert closed in references(await search(idle, number="138****8001"))
    page = await search(idle, sort="-opened", limit=5, queue="all")
    rest = await search(idle, sort="-opened", limit=100, queue="all", after=page.json()["next"])
    assert len(references(page) + references(rest)) == len(rows) == len({*references(page), *references(rest)})
    assert rest.json()["next"] is None
    assert (await search(idle, sort="opened", after=page.json()["next"])).json()["field"] == "after"
    for number in ("13800138000", "+86 138-0013-8000", "8613800138000"):
        refused = await search(idle, number=number)
        assert (refused.status_code, refused.json()["code"]) == (422, "number_in_url")
        assert "8000" not in refused.text.replace("138****8000", "")
    for wrong in ({"number": "138"}, {"reference": "13800138000"}, {"enterprise": "A B"}, {"due_after": "tomorrow"}):
        refused = await search(idle, **wrong)
        assert (refused.status_code, refused.json()["field"]) == (422, next(iter(wrong)))
    for who in (CARRIER, "push-0", "mini-program"):
        assert (await search(idle, who)).status_code == 403


@ON_SQLITE
async def test_cases_of_a_number(idle: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    """The masked form is that of many numbers; the vault tells them apart, and a forgotten person is not found."""
    monkeypatch.setattr("gateway.search.LOOKED_AT", 2)
    rows = [row(CaseKind.QUERY, T0 + n * HOUR) for n in range(5)]
    fill(idle.house.database, rows)
    whose = ["13800138000", "13811118000", "13800138000", "13822228000"]
    for one, number in zip(rows, whose, strict=False):
        person = Person(PhoneNumber(number), None)
        await idle.house.database.write(
            lambda c, one=one, person=person: put_person(c, idle.house.keys, one["case_id"], person)
        )
    seen: list[str] = []
    body = {"number": "138 0013 8000"}
    while True:
        answer = await idle.http.post("/v1/cases/find", json=body, headers=idle.bearer(ME))
        seen += references(answer)
        if answer.json()["next"] is None:
            break
        body["after"] = answer.json()["next"]
    assert seen == [rows[2]["case_id"], rows[0]["case_id"]]
    wrong = await idle.http.post("/v1/cases/find", json={"number": "138"}, headers=idle.bearer(ME))
    assert (wrong.status_code, wrong.json()["field"]) == (422, "number")


@ON_SQLITE
async def test_an_export_is_a_table_and_leaves_a_line(idle: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "BATCH", 4)
    rows = [*cases_of_every_sort(), row(CaseKind.QUERY, T0 + DAY, assignee="=HYPERLINK(1)")]
    fill(idle.house.database, rows, alipay=[rows[0]["case_id"]], tencent=[rows[0]["case_id"]])
    path, who = "/v1/cases/export.csv", idle.bearer("worker-lin")
    answer = await idle.http.get(path, params={"queue": "all", "number": ""}, headers=who)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"] and answer.content.startswith(b"\xef\xbb\xbf")
    header, *lines = csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))
    table = [dict(zip(header, line, strict=True)) for line in lines]
    stands = sorted(rows, key=lambda one: (one["opened_at"], one["case_id"]))
    assert [line["reference"] for line in table] == [one["case_id"] for one in stands]
    (first,) = [line for line in table if line["reference"] == rows[0]["case_id"]]
    assert (first["enterprises"], first["number"], first["closed"]) == ("alipay tencent", "138****8000", "")
    assert [line["assignee"] for line in table if "HYPER" in line["assignee"]] == ["'=HYPERLINK(1)"]

    monkeypatch.setattr(export, "MOST_ROWS", 3)
    refused = await idle.http.get(path, headers=who)
    assert (refused.status_code, refused.json()["code"]) == (422, "too_many_rows")
    few = await idle.http.get(
        path, params={"number": "138****8003", "kind": "renewal"}, headers=idle.bearer("auditor-qian")
    )
    assert len(few.text.splitlines()) == 3
    notes = await idle.house.database.read(lambda c: c.execute(select(audit_entries)).all())
    assert [(one.actor, one.action, one.detail) for one in notes] == [
        ("case_worker:worker-lin", "exported", f"rows={len(rows)} queue=all"),
        ("auditor:auditor-qian", "exported", "rows=2 queue=all kind=renewal number=given"),
    ]
    for stranger in (CARRIER, "mini-program", "admin-zhao"):
        assert (await idle.http.get(path, headers=idle.bearer(stranger))).status_code == 403


@ON_SQLITE
async def test_of_two_people_at_one_version_one_wins(doors: Doors) -> None:
    case = await doors.running(apps=["push-0-app"])
    path, who = f"/v1/cases/{case}", doors.bearer(ME)
    told = await doors.http.get(path, headers=who)
    tag = told.headers["etag"]
    assert tag == f'"{len(doors.house.events(case))}"'
    same = await doors.http.get(path, headers={**who, "if-none-match": f'"0", W/{tag}'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)

    async def note(text: str, **headers: str) -> httpx.Response:
        return await doors.http.post(f"{path}/act", json={"action": "note", "text": text}, headers={**who, **headers})

    answers = await asyncio.gather(*(note(f"note {n}", **{"if-match": tag}) for n in range(6)))
    assert sorted(one.status_code for one in answers) == [200, 412, 412, 412, 412, 412]
    lost = next(one for one in answers if one.status_code == 412)
    assert lost.json()["code"] == "changed_meanwhile"
    newer = (await doors.http.get(path, headers={**who, "if-none-match": tag})).headers["etag"]
    assert lost.headers["etag"] == newer == f'"{len(doors.house.events(case))}"' != tag
    for stale in (tag, f"W/{newer}", '"x"', "nonsense"):
        assert (await note("late", **{"if-match": stale})).status_code == 412, stale
    assert (await note("in time", **{"if-match": f'"0", {newer}'})).status_code == 200
    assert (await note("any", **{"if-match": "*"})).status_code == 200
    assert (await act(doors, ME, case, "claim")).status_code == 200
    assert doors.house.events(case).count("noted") == 3

    body = {"from_case": case, "parties": {"push-0": ["push-0-app"]}, "question": "When was it unbound?"}
    opened = await doors.http.post("/v1/investigations", json=body, headers={**who, "idempotency-key": "one"})
    record = await doors.http.get(opened.json()["status_url"], headers=who)
    same = await doors.http.get(record.url, headers={**who, "if-none-match": record.headers["etag"]})
    assert same.status_code == 304 or same.headers["etag"] != record.headers["etag"]
    doors.house.verify()


# ── searches that are kept ───────────────────────────────────────────────────────────────────────────


@ON_SQLITE
async def test_searches_are_kept_for_oneself(idle: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved, "MOST", 2)

    async def keep(name: str, query: str, who: str = ME) -> httpx.Response:
        return await idle.http.put(
            "/v1/saved-searches", json={"name": name, "query": query}, headers=idle.bearer(who)
        )

    async def kept(who: str = ME) -> list[tuple[str, str]]:
        answer = await idle.http.get("/v1/saved-searches", headers=idle.bearer(who))
        return [(one["name"], one["query"]) for one in answer.json()["searches"]]

    assert (await keep("late", "sort=-due&kind=dispute&status=")).status_code == 204
    assert (await keep(" late ", "kind=dispute&queue=overdue&due_after=2026-11-20T08:00:00%2B08:00")).is_success
    assert await kept() == [("late", "queue=overdue&kind=dispute&due_after=2026-11-20T00%3A00%3A00Z")]
    (_, query) = (await kept())[0]
    assert (await idle.http.get(f"/v1/cases?{query}", headers=idle.bearer(ME))).status_code == 200
    assert (await keep("all", "")).is_success
    full = await keep("more", "kind=query")
    assert (full.status_code, full.json()["code"]) == (409, "too_many_searches")
    assert await kept("worker-lin") == []
    for query in (
        "number=138****8000",
        "number=13800138000",
        "kind=danced",
        "limit=5",
        "after=x",
        "kind",
        "kind=x;y",
    ):
        refused = await keep("wrong", query)
        assert (refused.status_code, refused.json()["field"]) == (422, "query")
    for name in ("", "  ", "13800138000", "a" * 41, "Mrs 138-0013 8000"):
        assert (await keep(name, "")).status_code == 422
    for _ in range(2):
        gone = await idle.http.delete("/v1/saved-searches", params={"name": "late"}, headers=idle.bearer(ME))
        assert gone.status_code == 204
    assert await kept() == [("all", "")]
