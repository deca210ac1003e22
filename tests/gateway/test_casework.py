"""Case work through the doors: queues, actions one by one and in bulk, two people for a decision, the story."""

from __future__ import annotations

from typing import Any

import httpx

from tests.gateway.conftest import Doors
from tests.support import eventually

SECRET = "王小明说他不认识这个账号"


async def act(doors: Doors, who: str, case: str, action: str, **words: Any) -> httpx.Response:
    """An action of a case worker."""
    body = {"action": action, **words}
    return await doors.http.post(f"/v1/cases/{case}/act", json=body, headers=doors.bearer(who))


async def listed(doors: Doors, who: str, queue: str, **query: Any) -> list[str]:
    """The cases of a queue."""
    answer = await doors.http.get("/v1/cases", params={"queue": queue, **query}, headers=doors.bearer(who))
    assert answer.status_code == 200, answer.text
    return [one["case"] for one in answer.json()["cases"]]


async def test_claim_release_assign(doors: Doors) -> None:
    case = await doors.running(apps=["push-0-app"])
    assert case in await listed(doors, "worker-chen", "open")
    assert (await act(doors, "worker-chen", case, "claim")).json() == {
        "case": case,
        "status": "running",
        "changed": True,
    }
    assert not (await act(doors, "worker-chen", case, "claim")).json()["changed"]
    other = await act(doors, "worker-lin", case, "claim")
    assert (other.status_code, other.json()["code"]) == (409, "claimed_by_another")
    assert await listed(doors, "worker-chen", "mine") == [case] and await listed(doors, "worker-lin", "mine") == []
    assert (await act(doors, "worker-lin", case, "release")).status_code == 409
    assert (await act(doors, "worker-lin", case, "assign", to="worker-lin")).status_code == 403
    assert (await act(doors, "supervisor-wu", case, "assign", to="worker-lin")).status_code == 200
    assert await listed(doors, "worker-lin", "mine") == [case]
    counts = (await doors.http.get("/v1/queues", headers=doors.bearer("worker-lin"))).json()
    assert counts["mine"] == 1 and counts["open"] == 1 and counts["escalated"] == 0
    assert (await act(doors, "worker-lin", case, "escalate", reason="the enterprise is silent")).status_code == 200
    assert await listed(doors, "supervisor-wu", "escalated") == [case]
    doors.house.verify()


async def test_what_is_written_is_kept_in_the_vault_and_told_to_case_workers(doors: Doors) -> None:
    case = await doors.running(apps=["push-0-app"])
    done = await act(doors, "worker-chen", case, "note", text=SECRET, attachments=["doc-17"])
    assert done.status_code == 200
    story = (await doors.http.get(f"/v1/cases/{case}", headers=doors.bearer("worker-lin"))).json()
    (line,) = [line for line in story["lines"] if line["note"]]
    assert line["note"] == f"{SECRET} / doc-17" and line["who"] == "case worker worker-chen"
    assert story["number"] == "138****8000" and story["waiting"] == "party" and "answer" in story["next"]
    rows = doors.house.database.read_now(lambda c: c.exec_driver_sql("SELECT data FROM ledger").scalars().all())
    assert not any(SECRET in row or "doc-17" in row for row in rows)


async def test_bulk_says_which_were_not_done_and_why(doors: Doors) -> None:
    cases = [await doors.running(number=f"1380013800{n}", apps=["push-0-app"]) for n in range(3)]
    await act(doors, "worker-lin", cases[1], "claim")
    body = {"cases": [*cases, "R000000000000"], "action": {"action": "claim"}}
    done = (await doors.http.post("/v1/cases/act", json=body, headers=doors.bearer("worker-chen"))).json()
    assert (done["done"], done["of"]) == (2, 4)
    why = {one["case"]: one["problem"]["code"] for one in done["not_done"]}
    assert why == {cases[1]: "claimed_by_another", "R000000000000": "unknown_case"}


async def test_a_renewal_takes_no_decision_and_no_merger(doors: Doors) -> None:
    one, other = [await doors.running(number=f"1380013801{n}", apps=["push-0-app"]) for n in range(2)]
    for action, words in (
        ("propose", {"decision": "refuse", "reason": "no binding was ever there"}),
        ("merge", {"into": other}),
        ("pause", {"reason": "waiting"}),
    ):
        refused = await act(doors, "worker-chen", one, action, **words)
        assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")


async def test_strangers_and_nonsense(doors: Doors) -> None:
    case = await doors.running(apps=["push-0-app"])
    for who in ("mini-program", "push-0", "carrier"):
        assert (await act(doors, who, case, "claim")).status_code == 403
        assert (await doors.http.get(f"/v1/cases/{case}", headers=doors.bearer(who))).status_code == 403
    assert (await act(doors, "worker-chen", case, "dance")).status_code == 422
    assert (await act(doors, "worker-chen", case, "pause", reason="")).status_code == 422
    assert (await act(doors, "worker-chen", "R000000000000", "claim")).status_code == 404
    assert (await act(doors, "worker-chen", f"{case}-unbind-0", "claim")).json()["code"] == "no_case_work"
    query = {"queue": "open", "after": "%%%"}
    bad = await doors.http.get("/v1/cases", params=query, headers=doors.bearer("worker-chen"))
    assert (bad.status_code, bad.json()["field"]) == (422, "after")


async def test_pages_of_a_queue(doors: Doors) -> None:
    cases = {await doors.running(number=f"1380013802{n}", apps=["push-0-app"]) for n in range(3)}
    await eventually(lambda: len(cases) == 3)
    seen: list[str] = []
    after = ""
    while True:
        answer = await doors.http.get(
            "/v1/cases", params={"limit": 2, "after": after}, headers=doors.bearer("worker-chen")
        )
        seen += [one["case"] for one in answer.json()["cases"]]
        after = answer.json()["next"]
        if after is None:
            break
    assert len(seen) == 3 and set(seen) == cases
