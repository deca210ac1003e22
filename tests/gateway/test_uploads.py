"""Uploads of batches: how they are written, how much of them is taken, and lines that have to wait."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from gateway import pressure, uploads
from gateway.desk import EngineBusy
from gateway.intake import Wish
from store import batches
from store.tables import batch_lines
from store.tables import batches as batch_rows
from tests.gateway.conftest import Doors
from tests.gateway.uploading import (
    CSV,
    NDJSON,
    NOW,
    PATH,
    SINCE,
    begun,
    cases,
    get,
    good,
    kept,
    line,
    lines,
    number,
    rest,
    send,
    worker,
)
from tests.house import CARRIER
from tests.support import eventually


async def test_csv(idle: Doors) -> None:
    header = b"\xef\xbb\xbfchecked_by,number,method,checked_at,activated_at,apps,id_tail\r\n"
    now = NOW.isoformat()
    rows = [
        f"counter-7,{number(1)},counter,{now},{SINCE},push-0-app pull-0-app,01123x",
        f'"counter-7",+86 {number(2)},counter,{now},"{SINCE}",,',
        f"counter-7,{number(3)},counter,{now}",
        f"张三,{number(4)},counter,{now},{SINCE},,",
        f"counter-7,{number(5)},guess,{now},{SINCE},,",
        f'counter-7,"{number(6)},counter,{now},{SINCE},,',
    ]
    taken = await send(idle, header + "\r\n".join(rows).encode() + b"\r\n", media=CSV)
    batch = taken.json()["batch"]
    assert taken.json()["format"] == "csv" and taken.json()["lines"] == 6
    await worker(idle).sweep()
    found = await lines(idle, batch)
    assert [one["state"] for one in found] == ["accepted"] * 2 + ["refused"] * 4
    assert [one["problem"]["field"] for one in found[2:]] == ["", "checked_by", "method", ""]
    assert "identity" not in found[3]["problem"]["detail"] and "张三" not in json.dumps(found, ensure_ascii=False)
    apps = (await idle.http.get(found[0]["status_url"], headers=idle.bearer(CARRIER))).json()
    assert apps["number"] == "139****0001"
    for wrong in (b"number,id_tail\n", b"13900000001,x\n", header.replace(b"apps", b"number"), b'"a\n'):
        answer = await send(idle, wrong, "new", CSV)
        assert (answer.status_code, answer.json()["code"]) == (422, "malformed")
        assert number(1) not in answer.text
    assert len((await get(idle, ""))["batches"]) == 1, "a wrong header begins no batch"


async def test_limits(idle: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("MOST_LINES", 5), ("KEPT_LINES", 2), ("MOST_BYTES", 3000)):
        monkeypatch.setattr(uploads, name, value)
    long = await send(idle, good(range(7)))
    batch = (await get(idle, ""))["batches"][0]["batch"]
    assert (long.status_code, long.json()["code"]) == (413, "too_many_lines")
    assert f"first 5 lines are kept in batch {batch}" in long.json()["detail"] and batch in long.json()["remedy"]
    assert (await rest(idle, batch, 5, b"")).json()["state"] == "running", "what came before can go on"
    big = await send(idle, b"x" * 400 + b"\n" + b"y" * 4000, "big")
    assert (big.status_code, big.json()["code"]) == (413, "too_large")
    for body, media, status, code in (
        (b"", NDJSON, 422, "no_lines"),
        (b"[]", "application/json", 415, "wrong_media_type"),
    ):
        answer = await send(idle, body, "none", media)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    empty = await send(idle, b"", "empty", whole=False)
    assert (empty.status_code, empty.json()["lines"]) == (202, 0)
    assert (await rest(idle, empty.json()["batch"], 0, b"")).json()["code"] == "no_lines"
    monkeypatch.setattr(batches, "MOST_OPEN", 2)
    many = await send(idle, line(8), "many")
    assert (many.status_code, many.json()["code"]) == (429, "too_many_batches") and many.headers["retry-after"]
    later = datetime.now(UTC) - timedelta(hours=25)
    idle.house.database.write_now(lambda c: c.execute(update(batch_rows), {"received_at": later}))
    await worker(idle).abandon()
    await worker(idle).sweep()
    states = {one["batch"]: (one["state"], bool(one["finished_at"])) for one in (await get(idle, ""))["batches"]}
    assert states[empty.json()["batch"]] == ("cancelled", True) and states[batch] == ("done", True)


async def test_a_line_that_cannot_be_done_waits(idle: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = (await send(idle, good(range(20)))).json()["batch"]
    submit, error = idle.house.intake.submit, EngineBusy()

    async def failing(carrier: str, wish: Wish) -> Any:
        if wish.person.number.national == number(3) and error is not None:
            raise error
        return await submit(carrier, wish)

    monkeypatch.setattr(idle.house.intake, "submit", failing)
    await worker(idle).sweep()
    counts = (await get(idle, f"/{batch}"))["counts"]
    assert (counts["accepted"], counts["waiting"]) == (7, 13), "with the engine away, the others wait too"
    error = RuntimeError("a fault of this line alone")
    await worker(idle).sweep()
    counts = (await get(idle, f"/{batch}"))["counts"]
    assert (counts["accepted"], counts["waiting"]) == (19, 1)
    long_ago = datetime.now(UTC) - timedelta(hours=2)
    idle.house.database.write_now(lambda c: c.execute(update(batch_lines), {"tried_at": long_ago}))
    with capture_logs() as logs:
        await worker(idle).sweep()
    alarm = next(one for one in logs if one["event"] == "batch_line_cannot_be_done")
    assert (alarm["log_level"], alarm["batch"], alarm["line"]) == ("error", batch, 4)
    error = None
    await worker(idle).sweep()
    assert (await get(idle, f"/{batch}"))["state"] == "done" and cases(idle) == 20


async def test_lines_are_kept_while_they_come_in(idle: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "KEPT_LINES", 2)
    seen = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield good(range(5))
        await seen.wait()
        yield good(range(5, 6))

    headers = {**idle.bearer(CARRIER), "idempotency-key": "slow", "content-type": NDJSON}
    answer = asyncio.create_task(idle.http.post(PATH, content=slowly(), headers=headers))
    await eventually(lambda: kept(idle) == [4])
    seen.set()
    assert (await answer).json()["lines"] == 6
    # one that stands still is told so, and goes on later
    monkeypatch.setattr(pressure, "PROGRESS_SECONDS", 0.2)
    reader, writer = await begun(idle, good(range(5)) + b"{", "still")
    said = (await reader.read()).decode()
    writer.close()
    assert " 408 " in said and '"too_slow"' in said and "The first 5 lines are kept in batch B" in said
    assert (await send(idle, good(range(6)), "still")).json()["lines"] == 6
