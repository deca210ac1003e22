"""Complaints through the doors: a proof spent once, where it went, what is next, another way by a case worker."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from domain.case import CaseKind
from domain.complaint import ComplaintStatus, State
from store import papers
from store.projection import load_state
from tests.gateway.conftest import Doors
from tests.gateway.test_casework import act
from tests.gateway.test_investigations import record
from tests.gateway.test_queries import proven
from tests.house import CARRIER, NUMBER
from tests.support import eventually

TEXT = "企业说办好了，可我王小明还能收到验证码"


async def complain(
    doors: Doors, check: str, key: str = "", channel: str = "mini-program", **changed: Any
) -> httpx.Response:
    """A complaint."""
    doors.sent += 1
    body = {"check": check, "kind": "not_done", "apps": ["push-0-app"], "text": TEXT, **changed}
    headers = {**doors.bearer(channel), "idempotency-key": key or f"complaint-{doors.sent}"}
    return await doors.http.post("/v1/complaints", json=body, headers=headers)


async def taken(doors: Doors, **changed: Any) -> str:
    """One that went on as another case."""
    answer = await complain(doors, await proven(doors, purpose="complaint"), **changed)
    assert answer.status_code == 202, answer.text
    case = str(answer.json()["case"])
    await eventually(lambda: "linked" in doors.house.events(case))
    return case


async def shown(doors: Doors, case: str, channel: str = "mini-program") -> dict[str, Any]:
    answer = await doors.http.get(f"/v1/complaints/{case}", headers=doors.bearer(channel))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def state(doors: Doors, case: str) -> State:
    found: State = doors.house.database.read_now(lambda c: load_state(c, CaseKind.COMPLAINT, case))
    return found


async def test_not_done_from_the_check_to_the_close(doors: Doors) -> None:
    about = await doors.running()
    case = await taken(doors, about=about, language="en")
    view = await shown(doors, case)
    assert (view["status"], view["kind"], view["about"]) == ("in_investigation", "not_done", about)
    assert (view["number"], view["apps"], view["ending"]) == ("138****8000", ["push-0-app"], None)
    assert "investigated" in view["next"]
    (follow_up,) = view["follow_ups"]
    assert (follow_up["kind"], follow_up["outcome"]) == ("investigation", "")

    other = follow_up["case"]
    joined = await record(doors, other)
    assert (joined["opened_from"], joined["links"][0]) == (case, case)
    assert joined["question"] == TEXT, "a case worker reads what the citizen wrote"
    await eventually(lambda: "heard" in doors.house.events(other))
    (question,) = (await doors.http.get("/v1/questions", headers=doors.bearer("push-0"))).json()["questions"]
    assert question["text"] is None, "the party does not"
    evidence = {"type": "evidence", "statement": "done on 2 March"}
    assert (await doors.say("push-0", f"/v1/questions/{question['id']}/answer", evidence)).status_code == 200
    assert (await act(doors, "worker-chen", other, "claim")).status_code == 200
    decided = {"decision": "conclude", "about": "citizen_right", "reason": "the codes prove it"}
    assert (await act(doors, "worker-chen", other, "propose", **decided)).status_code == 200
    assert (await act(doors, "worker-lin", other, "approve")).status_code == 200

    await eventually(lambda: state(doors, case).status is ComplaintStatus.CLOSED)
    view = await shown(doors, case)
    assert (view["ending"], view["follow_ups"][0]["outcome"]) == ("concluded", "citizen_right")
    assert view["ended_at"] and "30 days" in view["next"]
    doors.house.verify()


async def test_still_bound_goes_on_with_the_proof_it_came_with(doors: Doors) -> None:
    case = await taken(doors, kind="still_bound", apps=["push-0-app", "carrier-cards"])
    view = await shown(doors, case)
    (follow_up,) = view["follow_ups"]
    assert (view["status"], follow_up["kind"]) == ("in_dispute", "dispute")
    assert "异议" in view["next"]
    await eventually(lambda: "heard" in doors.house.events(follow_up["case"]))
    disputed = doors.house.database.read_now(lambda c: load_state(c, CaseKind.DISPUTE, follow_up["case"]))
    assert disputed.identity == state(doors, case).identity
    assert set(disputed.claims) == {"push-0-app", "carrier-cards"}
    doors.house.verify()


async def test_a_case_worker_sends_it_another_way(doors: Doors) -> None:
    case = await taken(doors, kind="still_bound")
    body = {"to": "investigation", "reason": "王小明的企业坚持已办"}
    path = f"/v1/complaints/{case}/route"
    for who in ("mini-program", "push-0", "carrier"):
        assert (await doors.http.post(path, json=body, headers=doors.bearer(who))).status_code == 403
    sent = await doors.http.post(path, json=body, headers=doors.bearer("worker-chen"))
    assert (sent.status_code, sent.json()["changed"]) == (200, True)
    await eventually(lambda: state(doors, case).status is ComplaintStatus.IN_INVESTIGATION)
    assert [one["kind"] for one in (await shown(doors, case))["follow_ups"]] == ["dispute", "investigation"]
    again = await doors.http.post(path, json=body, headers=doors.bearer("worker-lin"))
    assert (again.status_code, again.json()["changed"]) == (200, False)
    nowhere = await doors.http.post(
        path.replace(case, "C000000000000"), json=body, headers=doors.bearer("worker-chen")
    )
    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "unknown_case")
    strange = await doors.http.post(path, json={**body, "to": "court"}, headers=doors.bearer("worker-chen"))
    assert (strange.status_code, strange.json()["field"]) == (422, "to")
    rows = doors.house.database.read_now(lambda c: c.exec_driver_sql("SELECT data FROM ledger").scalars().all())
    assert not any(secret in row for row in rows for secret in (TEXT, "王小明", NUMBER.national))


async def test_only_its_own_channel_sees_it(doors: Doors) -> None:
    case = await taken(doors)
    for who, status in (("push-0", 403), ("carrier", 403), ("worker-chen", 403)):
        answer = await doors.http.get(f"/v1/complaints/{case}", headers=doors.bearer(who))
        assert answer.status_code == status
    nobody = await doors.http.get("/v1/complaints/C000000000000", headers=doors.bearer("mini-program"))
    assert (nobody.status_code, nobody.json()["code"]) == (404, "unknown_case")


async def test_a_proof_is_spent_once_and_for_nothing_else(doors: Doors) -> None:
    check = await proven(doors, purpose="complaint")
    answers = await asyncio.gather(*(complain(doors, check, "same") for _ in range(4)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["case"] for answer in answers}) == 1
    assert (await complain(doors, check, "same")).headers["idempotent-replayed"] == "true"
    other = await complain(doors, check, "same", text="another")
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    spent = await complain(doors, check)
    assert (spent.status_code, spent.json()["code"]) == (409, "proof_used")
    for_a_query = await complain(doors, await proven(doors, purpose="query"))
    assert (for_a_query.status_code, for_a_query.json()["code"]) == (409, "wrong_purpose")
    unknown = await complain(doors, "K000000000000")
    assert unknown.status_code == 404


async def test_a_repetition_at_the_same_time_is_the_same_case(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks for its key before the first is there, and at the proof after that has spent it."""
    check, real = await proven(doors, purpose="complaint"), doors.house.intake.earlier
    first = await complain(doors, check, "same")
    looked: list[str] = []

    async def too_early(partner: str, key: str, wording: str) -> Any:
        looked.append(key)
        return await real(partner, key, wording) if len(looked) > 1 else None

    monkeypatch.setattr(doors.house.intake, "earlier", too_early)
    again = await complain(doors, check, "same")
    assert (again.status_code, again.json()) == (202, first.json()) and len(looked) == 2


@pytest.mark.parametrize(
    ("changed", "status", "code", "field"),
    [
        ({"apps": []}, 422, "no_apps", "apps"),
        ({"apps": ["no-such-app"]}, 422, "unknown_app", "apps"),
        ({"kind": "unhappy"}, 422, "malformed", "kind"),
        ({"text": ""}, 422, "malformed", "text"),
        ({"text": "x" * 2001}, 422, "malformed", "text"),
        ({"language": "fr"}, 422, "malformed", "language"),
        ({"about": "R000000000000"}, 404, "unknown_case", "about"),
        ({"about": "nonsense"}, 422, "malformed", "about"),
        ({"name": "王小明"}, 422, "malformed", "name"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_bad_request_is_refused_and_spends_nothing(
    doors: Doors, changed: dict[str, Any], status: int, code: str, field: str
) -> None:
    check = await proven(doors, purpose="complaint")
    problem = (await complain(doors, check, **changed)).json()
    assert (problem["status"], problem["code"], problem["field"]) == (status, code, field)
    assert problem["detail"] and problem["remedy"] and "王小明" not in str(problem)
    assert (await complain(doors, check)).status_code == 202


async def test_about_a_case_of_another_number_or_a_former_holder(doors: Doors) -> None:
    """What is known to nobody, to another and to a former holder of the number are refused in the same words."""
    others = await doors.running(number="13800138001", apps=["push-0-app"])
    formers = await doors.running(id_tail="02123X", apps=["push-0-app"])
    check = await proven(doors, purpose="complaint")
    said = {(await complain(doors, check, about=case)).text for case in (others, formers, check, "R000000000000")}
    assert len(said) == 1 and "unknown_case" in said.pop()


async def test_what_the_citizen_wrote_is_in_the_vault(doors: Doors) -> None:
    case = await taken(doors)
    found = state(doors, case)
    keys, read = doors.house.keys, doors.house.database.read_now
    assert read(lambda c: papers.get(c, keys, case, found.text)) == TEXT
    assert found.identity.carrier == CARRIER
    story = (await doors.http.get(f"/v1/cases/{case}", headers=doors.bearer("worker-chen"))).json()
    assert any(line["note"] == TEXT for line in story["lines"])
