"""Carriers' batches: what an upload becomes, line by line, however it arrives and whoever dies in between."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.engine import make_url

from gateway import batch_work, uploads
from store import batches
from store.tables import batch_lines
from tests.gateway.conftest import Doors
from tests.gateway.uploading import (
    CSV,
    PATH,
    TOMORROW,
    broken_off,
    cases,
    get,
    good,
    line,
    lines,
    number,
    rest,
    send,
    worker,
)
from tests.house import CARRIER


def files(url: str) -> bytes:
    """Everything a SQLite database has written."""
    path = Path(make_url(url).database or "")
    return b"".join(file.read_bytes() for file in path.parent.glob(path.name + "*"))


async def test_every_line_has_an_outcome_of_its_own(idle: Doors, database_url: str) -> None:
    bad = {
        b"{not json": ("malformed", ""),
        b"": ("malformed", ""),
        b"\xff\xfe": ("malformed", ""),
        b"[1]": ("malformed", ""),
        line(99, id_tail="99123X"): ("malformed", "id_tail"),
        line(99, number="12800138000"): ("malformed", "number"),
        line(99, **{number(99): "x"}): ("malformed", "*"),
        line(99, activated_at=TOMORROW): ("activation_in_future", "activated_at"),
        line(99, apps=["x" + number(99)]): ("unknown_app", "apps"),
        line(3): ("renewal_running", "number"),
        b"x" * (uploads.MOST_LINE_BYTES + 1): ("too_large", ""),
    }
    body = good(range(30)) + b"\r\n".join(bad)
    taken = await send(idle, body)
    batch, view = taken.json()["batch"], taken.json()
    assert (taken.status_code, taken.headers["upload-offset"]) == (202, "41")
    assert taken.headers["location"] == view["status_url"] == f"{PATH}/{batch}"
    assert view["state"] == "running" and view["counts"]["waiting"] == 33 and view["counts"]["refused"] == 8
    written = files(database_url)
    await worker(idle).sweep()
    view = await get(idle, f"/{batch}")
    assert view["state"] == "done" and view["finished_at"] and view["lines"] == 41
    assert view["counts"] == {"waiting": 0, "accepted": 30, "refused": 11, "cancelled": 0}
    accepted = await lines(idle, batch, state="accepted")
    assert [one["line"] for one in accepted] == list(range(1, 31)) and len({one["case"] for one in accepted}) == 30
    case = await idle.http.get(accepted[7]["status_url"], headers=idle.bearer(CARRIER))
    assert case.json()["number"] == "139****0007"
    refused = await lines(idle, batch, state="refused")
    said = [(one["problem"]["code"], one["problem"]["field"]) for one in refused]
    assert said == list(bad.values()) and all(one["problem"]["remedy"] for one in refused)
    assert [one["line"] for one in await lines(idle, batch)] == list(range(1, 42))
    boxes = select(func.count()).select_from(batch_lines).where(batch_lines.c.box.is_not(None))
    assert idle.house.database.read_now(lambda c: c.execute(boxes).scalar_one()) == 0
    if idle.house.database.dialect == "sqlite":
        written += files(database_url)
        assert b"****0007" in written and not any(number(n).encode() in written for n in (*range(30), 99))
        assert b"12800138000" not in written and b"99123X" not in written


async def test_broken_upload_is_resumed(idle: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "KEPT_LINES", 4)
    whole = good(range(12))
    cut = len(good(range(7))) + 50
    left = await broken_off(idle, whole[:cut], "broken")
    batch = left["batch"]
    assert (await get(idle, f"/{batch}"))["lines"] == 7 and left["state"] == "receiving"
    await worker(idle).sweep()
    assert cases(idle) == 0, "nothing of it is worked on before it is whole"
    elsewhere = await rest(idle, batch, 6, b"")
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (409, "wrong_offset")
    assert elsewhere.headers["upload-offset"] == "7"
    parts = whole.splitlines(keepends=True)
    part = await rest(idle, batch, 7, b"".join(parts[7:9]), whole=False)
    assert (part.status_code, part.json()["state"], part.headers["upload-offset"]) == (200, "receiving", "9")
    again = await send(idle, whole[:cut], "broken", whole=False)
    assert (again.status_code, again.json()["code"]) == (409, "key_reused"), "half a line is other content"
    done = await rest(idle, batch, 9, b"".join(parts[9:]))
    assert (done.json()["state"], done.json()["lines"]) == ("running", 12)
    closed = await rest(idle, batch, 12, parts[0])
    assert (closed.status_code, closed.json()["code"]) == (409, "batch_complete")
    same = await send(idle, whole, "broken")
    assert (same.json()["batch"], same.headers["idempotent-replayed"]) == (batch, "true")
    # another one, taken up by sending it all again
    left = await broken_off(idle, good(range(20, 25)) + b"{", "other")
    again = await send(idle, good(range(20, 30)), "other")
    assert (again.json()["batch"], again.json()["lines"], again.json()["state"]) == (left["batch"], 10, "running")
    await worker(idle).sweep()
    assert [one["state"] for one in await lines(idle, batch)] == ["accepted"] * 12 and cases(idle) == 22


async def test_same_key(idle: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "KEPT_LINES", 3)
    body = good(range(10))
    first = body.splitlines(keepends=True)
    taken = await asyncio.gather(*(send(idle, body) for _ in range(5)))
    assert {one.status_code for one in taken} == {202} and len({one.json()["batch"] for one in taken}) == 1
    assert sum("idempotent-replayed" in one.headers for one in taken) == 4
    batch = taken[0].json()["batch"]
    assert [one["line"] for one in await lines(idle, batch)] == list(range(1, 11))
    others = [body + line(10), b"".join(first[:9]), line(11) + b"\n" + b"".join(first[1:])]
    for other in others:
        answer = await send(idle, other)
        assert (answer.status_code, answer.json()["code"]) == (409, "key_reused")
    head = b"number,activated_at,checked_by,method,checked_at\n"
    assert (await send(idle, head + b"x\n", media=CSV)).json()["code"] == "key_reused"
    part = await send(idle, b"".join(first[:4]), whole=False)
    assert (part.status_code, part.json()["lines"]) == (202, 10), "its beginning again is a repetition too"
    await worker(idle).sweep()
    again = await send(idle, body)
    assert (again.json()["batch"], again.json()["state"]) == (batch, "done") and cases(idle) == 10
    theirs = await send(idle, good(range(50, 51)), carrier="other-carrier")
    assert theirs.json()["batch"] != batch, "a key is its carrier's"


async def test_whoever_dies_between_case_and_mark(idle: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = (await send(idle, good(range(20)))).json()["batch"]
    with monkeypatch.context() as dying:
        dying.setattr(batches, "settle", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await worker(idle).sweep()
    assert cases(idle) == batch_work.AT_ONCE and (await get(idle, f"/{batch}"))["counts"]["waiting"] == 20
    cancelled = await idle.http.post(f"{PATH}/{batch}/cancel", headers=idle.bearer(CARRIER))
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    await asyncio.gather(worker(idle).sweep(), worker(idle).sweep())
    view = await get(idle, f"/{batch}")
    assert view["counts"] == {"waiting": 0, "accepted": 8, "refused": 0, "cancelled": 12} and view["finished_at"]
    assert cases(idle) == 8, "what may have a case is seen through, the rest is not begun"
    await send(idle, good(range(30, 50)), "two")
    await asyncio.gather(worker(idle).sweep(), worker(idle).sweep())
    newest = (await get(idle, "", limit=1))["batches"][0]
    found = await lines(idle, newest["batch"])
    assert newest["state"] == "done" and cases(idle) == 28 and len({one["case"] for one in found}) == 20


async def test_cancel_and_foreign_eyes(idle: Doors) -> None:
    batch = (await send(idle, good(range(3)), whole=False)).json()["batch"]
    other = {"carrier": "other-carrier"}
    nobody, foreign = [await get(idle, f"/{one}", **other) for one in ("B000000000000", batch)]
    assert foreign["code"] == "unknown_batch" and str(foreign).replace(batch, "B000000000000") == str(nobody)
    assert (await get(idle, f"/{batch}/lines", **other))["code"] == "unknown_batch"
    assert (await get(idle, "", **other))["batches"] == []
    theirs = idle.bearer("other-carrier")
    for method, path in (("POST", f"{PATH}/{batch}/cancel"), ("PATCH", f"{PATH}/{batch}")):
        answer = await idle.http.request(method, path, headers={**theirs, "upload-offset": "3"})
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_batch")
    assert (await send(idle, b"", carrier="push-0")).status_code == 403
    for _ in range(2):
        cancelled = await idle.http.post(f"{PATH}/{batch}/cancel", headers=idle.bearer(CARRIER))
        assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert (await rest(idle, batch, 3, line(3))).json()["code"] == "batch_complete"
    again = await send(idle, good(range(4)))
    assert (again.status_code, again.json()["code"]) == (409, "batch_cancelled")
    await worker(idle).sweep()
    assert (await get(idle, f"/{batch}"))["counts"]["cancelled"] == 3 and cases(idle) == 0
    done = (await send(idle, good(range(5, 6)), "done")).json()["batch"]
    await worker(idle).sweep()
    late = await idle.http.post(f"{PATH}/{done}/cancel", headers=idle.bearer(CARRIER))
    assert (late.status_code, late.json()["code"]) == (409, "batch_done")
    pages = [await get(idle, "", limit=1)]
    pages.append(await get(idle, "", limit=1, after=pages[0]["next"]))
    assert [page["batches"][0]["batch"] for page in pages] == [done, batch]
