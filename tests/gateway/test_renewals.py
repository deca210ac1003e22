"""Carriers' doors: what is taken, what is refused and how it is said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from temporalio.client import WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from domain import renewal
from domain.case import CaseKind
from domain.renewal import RenewalStatus
from gateway.pressure import MOST_BYTES
from store.ledger import Append, append
from store.tables import ledger, submissions
from tests.gateway.conftest import Doors
from tests.house import registry
from tests.support import eventually

TOMORROW = (datetime.now(UTC) + timedelta(days=1)).isoformat()
LAST_WEEK = (datetime.now(UTC) - timedelta(days=7)).isoformat()
OLD_PROOF = {"checked_by": "x", "method": "face", "checked_at": LAST_WEEK}

REFUSED = [
    ({"number": "12800138000"}, 422, "malformed", "number"),
    ({"number": "1380013800"}, 422, "malformed", "number"),
    ({"number": 13800138000}, 422, "malformed", "number"),
    ({"id_tail": "99123X"}, 422, "malformed", "id_tail"),
    ({"apps": ["no-such-app"]}, 422, "unknown_app", "apps"),
    ({"apps": []}, 422, "no_apps", "apps"),
    ({"apps": [f"app-{n}" for n in range(5000)]}, 422, "unknown_app", "apps"),
    ({"activated_at": TOMORROW}, 422, "activation_in_future", "activated_at"),
    ({"activated_at": "2026-08-01T10:00:00"}, 422, "malformed", "activated_at"),
    ({"activated_at": "1989-12-31T23:59:59+08:00"}, 422, "malformed", "activated_at"),
    ({"identity": {**OLD_PROOF, "checked_by": "张三"}}, 422, "malformed", "identity.checked_by"),
    ({"identity": {**OLD_PROOF, "checked_by": "11010519491231002X"}}, 422, "malformed", "identity.checked_by"),
    ({"identity": {**OLD_PROOF, "checked_by": "clerk-13800138000"}}, 422, "malformed", "identity.checked_by"),
    ({"identity": {**OLD_PROOF, "checked_by": "x" * 81}}, 422, "malformed", "identity.checked_by"),
    ({"identity": OLD_PROOF}, 422, "identity_not_proven", "identity.checked_at"),
    ({"identity": {**OLD_PROOF, "method": "guess"}}, 422, "malformed", "identity.method"),
    ({"name": "张三"}, 422, "malformed", "name"),
]


@pytest.mark.parametrize(("changed", "status", "code", "field"), REFUSED, ids=lambda value: str(value)[:30])
async def test_bad_request_is_refused_with_its_field(
    idle: Doors, changed: dict[str, Any], status: int, code: str, field: str
) -> None:
    answer = await idle.submit(**changed)
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, problem["code"], problem["field"]) == (status, code, field)
    assert problem["detail"] and problem["remedy"]
    assert "13800138000" not in answer.text and "张三" not in answer.text and "110105" not in answer.text


async def test_rubbish_and_too_much_are_turned_away(idle: Doors) -> None:
    headers = {**idle.bearer("carrier"), "idempotency-key": "k", "content-type": "application/json"}
    rubbish = await idle.http.post("/v1/renewals", content=b"{not json", headers=headers)
    assert (rubbish.status_code, rubbish.json()["code"]) == (400, "malformed")
    large = await idle.http.post("/v1/renewals", content=b"x" * (MOST_BYTES + 1), headers=headers)
    assert (large.status_code, large.json()["code"]) == (413, "too_large")

    async def trickle() -> Any:
        for _ in range(MOST_BYTES // 65536 + 2):
            yield b"x" * 65536

    chunked = await idle.http.post("/v1/renewals", content=trickle(), headers=headers)
    assert chunked.status_code == 413
    no_key = await idle.http.post("/v1/renewals", json=idle.request(), headers=idle.bearer("carrier"))
    assert (no_key.status_code, no_key.json()["field"]) == (422, "Idempotency-Key")


async def test_only_carriers_and_only_their_own(doors: Doors) -> None:
    nobody = await doors.http.post("/v1/renewals", json=doors.request(), headers={"idempotency-key": "k"})
    assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, "Bearer")
    assert (await doors.submit(carrier="push-0")).status_code == 403
    case = await doors.running()
    for path, method in ((f"/v1/renewals/{case}", "GET"), (f"/v1/renewals/{case}/withdraw", "POST")):
        answer = await doors.http.request(method, path, headers=doors.bearer("other-carrier"))
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_case")
    unknown = await doors.http.get("/v1/renewals/R000000000000", headers=doors.bearer("carrier"))
    assert unknown.json()["detail"].replace("R000000000000", case) == answer.json()["detail"]


async def test_renewal_is_followed_to_its_summary(doors: Doors) -> None:
    case = await doors.running(apps=["push-0-app", "pull-0-app"])
    for code in ("push-0", "pull-0"):
        assert (await doors.answer(code, doors.house.item(case, code).id, outcome="unbound")).status_code == 200
    await eventually(lambda: doors.house.status(case) is RenewalStatus.SUMMARY_SENT)
    view = (await doors.http.get(f"/v1/renewals/{case}", headers=doors.bearer("carrier"))).json()
    assert view["counts"] == {"unbound": 2} and view["number"] == "138****8000"
    assert {app["app"] for app in view["apps"]} == {"push-0-app", "pull-0-app"}
    late = await doors.http.post(f"/v1/renewals/{case}/withdraw", headers=doors.bearer("carrier"))
    assert (late.status_code, late.json()["code"]) == (409, "too_late_to_withdraw")


async def test_same_key_at_the_same_time_gives_one_case(doors: Doors) -> None:
    body = doors.request()
    headers = {**doors.bearer("carrier"), "idempotency-key": "same"}
    answers = await asyncio.gather(*(doors.http.post("/v1/renewals", json=body, headers=headers) for _ in range(12)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["case"] for answer in answers}) == 1
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 11
    second = await doors.submit("another")
    assert (second.status_code, second.json()["code"]) == (409, "renewal_running")


async def test_same_key_gives_the_same_case_whatever_has_changed_since(idle: Doors) -> None:
    body, headers = idle.request(apps=["push-0-app"]), {**idle.bearer("carrier"), "idempotency-key": "late"}
    first = await idle.http.post("/v1/renewals", json=body, headers=headers)
    today = registry(push=0)
    too_old = today.renewal.model_copy(update={"identity_valid": timedelta(0)})
    idle.house.intake._registry = today.model_copy(update={"renewal": too_old})
    again = await idle.http.post("/v1/renewals", json=body, headers=headers)
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    other = await idle.http.post("/v1/renewals", json={**body, "number": "13800138001"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")


@asynccontextmanager
async def engine_down(idle: Doors) -> AsyncIterator[None]:
    """While no workflow can be started."""

    async def down(*_: Any, **__: Any) -> Any:
        raise RPCError("unavailable", RPCStatusCode.UNAVAILABLE, b"")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(idle.house.client, "start_workflow", down)
        yield


async def test_submission_outlives_an_engine_that_is_down(idle: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    house = idle.house
    async with engine_down(idle):
        answer = await idle.submit()
    assert answer.status_code == 202
    case = answer.json()["case"]
    assert house.events(case) == ["submitted"]
    monkeypatch.setattr("gateway.intake.START_SECONDS", timedelta(0))
    assert await house.intake.sweep() == 1
    assert await house.intake.sweep() == 0
    async with house.working():
        await eventually(lambda: house.status(case) is RenewalStatus.RUNNING)


async def test_one_bad_case_does_not_hold_up_the_sweep(idle: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    async with engine_down(idle):
        bad, _ = [(await idle.submit(number=f"1380013800{n}")).json()["case"] for n in range(2)]
    monkeypatch.setattr("gateway.intake.START_SECONDS", timedelta(0))
    monkeypatch.setattr("gateway.intake.MOST_AT_ONCE", 1)
    damaged = update(ledger).where(ledger.c.case_id == bad).values(data="{}")
    await idle.house.database.write(lambda c: c.execute(damaged).rowcount)
    waiting = select(submissions.c.case_id).where(submissions.c.started.is_(False))
    for _ in range(60):  # each takes one of the two by chance
        await idle.house.intake.sweep()
    assert await idle.house.database.read(lambda c: c.execute(waiting).scalars().all()) == [bad]


async def test_withdrawal_tells_an_ended_renewal_from_a_lost_workflow(idle: Doors) -> None:
    async with engine_down(idle):
        case = (await idle.submit()).json()["case"]
    path = f"/v1/renewals/{case}/withdraw"
    lost = await idle.http.post(path, headers=idle.bearer("carrier"))
    assert (lost.status_code, lost.json()["code"]) == (503, "engine_busy")
    order = Append(case, CaseKind.RENEWAL, "test-closes", (renewal.Closed(at=datetime.now(UTC)),))
    await idle.house.database.write(lambda c: append(c, idle.house.keys, order))
    ended = await idle.http.post(path, headers=idle.bearer("carrier"))
    assert (ended.status_code, ended.json()["code"]) == (409, "case_closed")


async def test_withdrawal_that_fails_in_the_engine_may_be_repeated(
    idle: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = (await idle.submit()).json()["case"]

    class Failing:
        async def execute_update(self, *_: object) -> None:
            raise WorkflowUpdateFailedError(RuntimeError())

    monkeypatch.setattr(idle.house.client, "get_workflow_handle_for", lambda *_: Failing())
    answer = await idle.http.post(f"/v1/renewals/{case}/withdraw", headers=idle.bearer("carrier"))
    assert (answer.status_code, answer.json()["code"]) == (503, "engine_busy")
