"""Investigations through the doors: opened from a case, evidence by the parties' own door, one record, two people."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from domain.case import CaseKind
from domain.investigation import Result, TaskState
from store import vault
from store.ids import new_case_id
from store.projection import load_state
from store.vault import Person
from tests.gateway.conftest import Doors
from tests.gateway.test_casework import act
from tests.house import NUMBER
from tests.support import eventually

QUESTION = "张先生的号码何时解绑？"
STATEMENT = "2026年3月2日应机主王小明要求解绑"
TWO: dict[str, list[str]] = {"push-0": ["push-0-app"], "pull-0": []}


async def begin(doors: Doors, origin: str, key: str = "", who: str = "worker-chen", **changed: Any) -> httpx.Response:
    """An investigation from a case."""
    doors.sent += 1
    body = {"from_case": origin, "parties": TWO, "question": QUESTION, **changed}
    headers = {**doors.bearer(who), "idempotency-key": key or f"investigation-{doors.sent}"}
    return await doors.http.post("/v1/investigations", json=body, headers=headers)


async def begun(doors: Doors, origin: str, **changed: Any) -> str:
    """One whose parties were asked."""
    answer = await begin(doors, origin, **changed)
    assert answer.status_code == 202, answer.text
    case = str(answer.json()["case"])
    await eventually(lambda: "heard" in doors.house.events(case))
    return case


async def record(doors: Doors, case: str, who: str = "worker-chen") -> dict[str, Any]:
    answer = await doors.http.get(f"/v1/investigations/{case}", headers=doors.bearer(who))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def asked(doors: Doors, party: str) -> dict[str, Any]:
    """A party's one open question."""
    answer = await doors.http.get("/v1/questions", headers=doors.bearer(party))
    (question,) = answer.json()["questions"]
    return dict(question)


async def test_from_a_renewal_to_the_decision(doors: Doors) -> None:
    said = {"type": "evidence", "statement": STATEMENT, "attachments": ["doc-17"]}
    doors.house.webhooks.answers = {"push-0": lambda _question: said}
    origin = await doors.running()
    case = await begun(doors, origin)
    question = await asked(doors, "pull-0")
    assert (question["kind"], question["apps"], question["text"]) == ("evidence", ["pull-0-app"], QUESTION)

    view = await record(doors, case)
    assert (view["status"], view["opened_from"], view["links"]) == ("open", origin, [origin])
    assert (view["question"], view["number"]) == (QUESTION, "138****8000")
    first, second = view["parties"]
    assert (first["party"], first["state"], first["statement"]) == ("push-0", "answered", STATEMENT)
    assert (first["attachments"], first["late"], first["failure"]) == (["doc-17"], False, "")
    assert first["answered_at"] and first["due_at"] == second["due_at"] == question["due_at"].replace("+00:00", "Z")
    assert (second["state"], second["statement"], second["answered_at"]) == ("asked", None, None)
    story = (await doors.http.get(f"/v1/cases/{origin}", headers=doors.bearer("worker-chen"))).json()
    assert story["links"] == [case], "linked both ways"

    propose = {"decision": "conclude", "about": Result.CITIZEN_RIGHT, "reason": "the books say so"}
    assert (await act(doors, "worker-chen", case, "claim")).status_code == 200
    early = await act(doors, "worker-chen", case, "propose", **propose)
    assert (early.status_code, early.json()["code"]) == (409, "not_your_turn") and "pull-0" in early.json()["detail"]
    declined = await doors.say(
        "pull-0", f"/v1/questions/{question['id']}/answer", {"type": "declined", "reason": "no_account"}
    )
    assert declined.status_code == 200, declined.text
    strange = await act(doors, "worker-chen", case, "propose", **{**propose, "about": "guilty"})
    assert (strange.status_code, strange.json()["field"]) == (422, "about")
    assert (await act(doors, "worker-chen", case, "propose", **propose)).status_code == 200
    proposal = (await record(doors, case))["proposal"]
    assert (proposal["result"], proposal["by"]) == ("citizen_right", "worker-chen")
    assert proposal["reason"] == "the books say so"
    alone = await act(doors, "worker-chen", case, "approve")
    assert (alone.status_code, alone.json()["code"]) == (409, "same_person")
    assert (await act(doors, "supervisor-wu", case, "approve")).status_code == 200
    await eventually(lambda: "closed" in doors.house.events(case))
    view = await record(doors, case, "worker-lin")
    assert (view["status"], view["result"], view["proposal"]) == ("closed", "citizen_right", None)
    assert view["decided_at"] and view["ended_at"] and view["parties"][1]["declined"] == "no_account"
    assert (await doors.http.get("/v1/questions", headers=doors.bearer("pull-0"))).json()["questions"] == []
    doors.house.verify()


async def test_nothing_about_a_person_outside_the_vault(doors: Doors) -> None:
    doors.house.webhooks.answers = {"push-0": lambda _q: {"type": "evidence", "statement": STATEMENT}}
    case = await begun(doors, await doors.running())
    everything = " UNION ALL ".join(f"SELECT data FROM {table}" for table in ("ledger", "cases", "questions"))
    rows = doors.house.database.read_now(lambda c: c.exec_driver_sql(everything).scalars().all())
    assert any(case in row for row in rows)
    assert not any(secret in row for row in rows for secret in (QUESTION, STATEMENT, NUMBER.national, "王小明"))


async def test_the_record_outlives_the_person(doors: Doors) -> None:
    doors.house.webhooks.answers = {"push-0": lambda _q: {"type": "evidence", "statement": STATEMENT}}
    case = await begun(doors, await doors.running())
    gone = doors.house.database.write
    await gone(lambda c: c.exec_driver_sql(f"DELETE FROM vault WHERE case_id = '{case}'").rowcount)
    view = await record(doors, case)
    assert (view["question"], view["parties"][0]["state"]) == (None, TaskState.ANSWERED)
    assert view["parties"][0]["statement"] is None


@pytest.mark.parametrize(
    ("changed", "status", "code", "field"),
    [
        ({"parties": {}}, 422, "no_apps", "parties"),
        ({"parties": {"nobody": []}}, 422, "unknown_app", "parties"),
        ({"parties": {"push-0": ["push-1-app"]}}, 422, "unknown_app", "parties"),
        ({"parties": {"Push 0": []}}, 422, "malformed", "parties.*.[key]"),
        ({"question": ""}, 422, "malformed", "question"),
        ({"question": "x" * 2001}, 422, "malformed", "question"),
        ({"language": "fr"}, 422, "malformed", "language"),
        ({"from_case": "R000000000000"}, 404, "unknown_case", "from_case"),
        ({"from_case": "K000000000000"}, 422, "malformed", "from_case"),
        ({"from_case": "X000000000000"}, 422, "malformed", "from_case"),
        ({"name": "王小明"}, 422, "malformed", "name"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_bad_request_is_refused_with_its_field(
    idle: Doors, changed: dict[str, Any], status: int, code: str, field: str
) -> None:
    origin = (await idle.submit()).json()["case"]
    answer = await begin(idle, origin, **changed)
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["field"]) == (status, code, field)
    assert problem["detail"] and problem["remedy"] and "王小明" not in answer.text


async def test_a_part_of_a_renewal_is_the_renewal(idle: Doors) -> None:
    origin = (await idle.submit()).json()["case"]
    case = (await begin(idle, f"{origin}-unbind-0")).json()["case"]
    state = idle.house.database.read_now(lambda c: load_state(c, CaseKind.INVESTIGATION, case))
    assert state.opened_from == origin
    person = idle.house.database.read_now(lambda c: vault.get(c, idle.house.keys, case))
    assert isinstance(person, Person) and person.number == NUMBER


async def test_a_forgotten_person_cannot_be_investigated(idle: Doors) -> None:
    origin = (await idle.submit()).json()["case"]
    await idle.house.database.write(lambda c: c.exec_driver_sql("DELETE FROM vault").rowcount)
    answer = await begin(idle, origin)
    assert (answer.status_code, answer.json()["code"]) == (410, "forgotten")


async def test_the_same_key_gives_the_same_case(idle: Doors) -> None:
    origin = (await idle.submit()).json()["case"]
    answers = await asyncio.gather(*(begin(idle, origin, "same") for _ in range(6)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["case"] for answer in answers}) == 1
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 5
    await idle.house.database.write(lambda c: c.exec_driver_sql("DELETE FROM vault").rowcount)
    assert (await begin(idle, origin, "same")).status_code == 202, "whatever has become of its origin"
    other = await begin(idle, origin, "same", question="another")
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    assert (await begin(idle, origin, "same", who="worker-lin")).status_code == 410, "a key is one person's"


@pytest.mark.parametrize("who", ["mini-program", "push-0", "carrier"])
async def test_for_case_workers_only(idle: Doors, who: str) -> None:
    origin = (await idle.submit()).json()["case"]
    assert (await begin(idle, origin, who=who)).status_code == 403
    case = (await begin(idle, origin)).json()["case"]
    assert (await idle.http.get(f"/v1/investigations/{case}", headers=idle.bearer(who))).status_code == 403


@pytest.mark.parametrize("make", [new_case_id, lambda: new_case_id(CaseKind.INVESTIGATION)])
async def test_no_such_investigation(idle: Doors, make: Any) -> None:
    answer = await idle.http.get(f"/v1/investigations/{make()}", headers=idle.bearer("worker-chen"))
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_case")
