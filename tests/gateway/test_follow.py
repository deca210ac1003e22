"""Following a case by its reference and a code: a token for that one case, and nothing to learn for anybody else."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from activities.ports import HolderAnswer, HolderVerdict
from domain import citizen
from domain.case import CaseKind
from domain.complaint import ComplaintStatus
from domain.dispute import DisputeStatus
from domain.query import AnswerState, QueryStatus
from domain.renewal import ENDED, NotEligible, RenewalStatus
from domain.unbind import ItemState
from store import clients, vault
from store.database import Database
from store.tables import vault as vault_table
from tests.gateway.conftest import Doors
from tests.gateway.test_complaints import taken
from tests.gateway.test_disputes import opened, reached
from tests.gateway.test_queries import CODE, asked, everybody_says, proven
from tests.house import DAY, TAIL
from tests.support import eventually
from tests.workflows.test_dispute import LABEL, detail

CHANNEL, OTHER = "mini-program", "other-channel"
UNKNOWN = "Q0123456789AB"


async def follow(doors: Doors, reference: str, channel: str = CHANNEL, key: str = "", **body: Any) -> httpx.Response:
    """Begin to follow a case."""
    doors.sent += 1
    wanted = {"reference": reference, "id_tail": TAIL.value, "origin": f"f-{doors.sent}", **body}
    headers = {**doors.bearer(channel), "idempotency-key": key or f"follow-{doors.sent}"}
    return await doors.http.post("/v1/follows", json=wanted, headers=headers)


async def enter(doors: Doors, check: str, code: str, channel: str = CHANNEL) -> httpx.Response:
    """Enter the code."""
    path = f"/v1/follows/{check}/code"
    return await doors.http.post(path, json={"code": code}, headers=doors.bearer(channel))


async def code_of(doors: Doors, check: str) -> str:
    """The code of a check, once the phone has it."""
    texts = doors.house.centre.texts
    (found, *_) = await eventually(lambda: [CODE.search(text) for text in texts if check in text])
    assert found
    await eventually(lambda: "code_sent" in doors.house.events(check))
    return found[1]


async def token(doors: Doors, reference: str, channel: str = CHANNEL) -> dict[str, str]:
    """A citizen's token, as a header."""
    begun = await follow(doors, reference, channel)
    assert begun.status_code == 202, begun.text
    check = begun.json()["check"]
    answer = await enter(doors, check, await code_of(doors, check), channel)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    said = answer.json()
    assert set(said) == {"token", "expires_in", "case"} and said["case"] == reference
    assert 1700 < said["expires_in"] <= 1800
    return {"authorization": f"Bearer {said['token']}"}


async def my_case(doors: Doors, whose: dict[str, str], do: str = "") -> Any:
    """The citizen's own case, or what became of it."""
    path = f"/v1/my-case{do}"
    answer = await (doors.http.post(path, headers=whose) if do else doors.http.get(path, headers=whose))
    assert answer.status_code == 200, answer.text
    return answer.json()


def said(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a problem."""
    return answer.status_code, answer.json()["code"]


async def test_every_kind_in_one_shape(doors: Doors) -> None:
    everybody_says(doors, 2)
    renewal = await doors.running()
    question = await asked(doors, await proven(doors), language="en")
    doors.house.webhooks.answers = {"push-0": detail(1, 400)}
    dispute, _ = await opened(doors)
    await reached(doors, dispute, "choosing")
    complaint = await taken(doors, about=renewal)
    seen = {}
    for case in (renewal, question, dispute, complaint):
        whose = await token(doors, case, OTHER if case == renewal else CHANNEL)
        seen[case] = view = await my_case(doors, whose)
        assert (view["case"], view["number"], view["ended_at"]) == (case, "138****8000", None)
        assert view["what"]["zh"] and view["what"]["en"] and view["next"]["what"]["zh"] and view["next"]["at"]
        assert view["happened"] and all(line["what"]["zh"] and line["what"]["en"] for line in view["happened"])
        assert not re.search("worker|Asked: ", str(view["happened"])), "who was asked is nobody's business"
        assert all(app["name"] and app["what"]["zh"] and app["state"] for app in view["apps"])
        for path in (f"/v1/queries/{question}", f"/v1/disputes/{dispute}", "/v1/apps", "/v1/work-items"):
            assert said(await doors.http.get(path, headers=whose)) == (403, "not_allowed")
    assert {view["kind"] for view in seen.values()} == {"renewal", "query", "dispute", "complaint"}
    assert [app["count"] for app in seen[question]["apps"]] == [2, 2, None, None]
    (claim,) = seen[dispute]["apps"]
    assert [one["label"] for one in claim["accounts"]] == [LABEL, None], "masked, and only one's own"
    assert seen[complaint]["links"] and not seen[complaint]["may_withdraw"] and seen[dispute]["may_withdraw"]

    refused = await doors.http.post("/v1/my-case/withdraw", headers=await token(doors, question))
    assert said(refused) == (409, "cannot_withdraw")
    for case in (dispute, renewal):
        assert not (await my_case(doors, await token(doors, case), "/withdraw"))["may_withdraw"]
        await eventually(lambda: "withdrawn" in doors.house.events(case))  # noqa: B023
    doors.house.verify()


async def test_nobody_learns_whether_there_is_such_a_case(doors: Doors, database: Database) -> None:
    case = await asked(doors, await proven(doors))
    gone = await asked(doors, await proven(doors, number="13900139000"))
    past = datetime.now(UTC) - DAY

    def forget(connection: Any) -> int:
        connection.execute(update(vault_table).where(vault_table.c.case_id == gone), {"purge_after": past})
        return vault.purge(connection, datetime.now(UTC))

    assert database.write_now(forget) == 1
    texts = doors.house.centre.texts
    before = len(texts)
    tries: dict[str, tuple[str, dict[str, Any]]] = {
        "theirs": (case, {}),
        "unknown": (UNKNOWN, {}),
        "another channel's": (case, {"channel": OTHER}),
        "forgotten": (gone, {}),
        "a wrong ID tail": (case, {"id_tail": "01124X"}),
        "a renewal nobody handed in": ("R0123456789AB", {}),
    }
    told = {}
    for what, (reference, how) in tries.items():
        channel = how.get("channel", CHANNEL)
        begun = await follow(doors, reference, **how, origin=f"o-{len(told)}")
        told[what] = await as_told(doors, channel, begun, tries=2 if len(told) > 1 else 6)
        again = await follow(doors, reference, **how, origin=f"o-{len(told) - 1}")
        told[what].append((*said(again), 0 < int(again.headers["retry-after"]) <= 60))
    await eventually(lambda: len(texts) > before)
    assert len(texts) == before + 1, "nobody but the person of the case got a short message"
    theirs = told["theirs"]
    assert [one[1] for one in theirs[2:]] == ["wrong_code"] * 4 + ["locked"] * 2 + ["wait_before_sending"]
    assert told["unknown"] == theirs
    for what, heard in told.items():
        assert (heard[:4], heard[-1]) == (theirs[:4], theirs[-1]), what

    for other in (await doors.running(), "R0123456789AC"):  # of the same number or not, waiting does not tell
        assert (await follow(doors, other, origin="o-0")).status_code == 202

    for wrong in ("K0123456789AB", f"{case}-unbind-0", "Q1", "13800138000"):
        answer = await follow(doors, wrong)
        assert said(answer) == (422, "malformed") and wrong not in answer.text
    ordinary = await doors.http.post(
        "/v1/identity-checks",
        json={"number": "13800138000", "id_tail": TAIL.value, "purpose": "follow", "origin": "o"},
        headers={**doors.bearer(CHANNEL), "idempotency-key": "ordinary"},
    )
    assert said(await enter(doors, ordinary.json()["check"], "123456")) == (404, "unknown_case")
    doors.house.verify()


async def as_told(doors: Doors, channel: str, begun: httpx.Response, tries: int) -> list[Any]:
    """All that can be learnt of a follow with codes that are wrong: without references and times."""
    check = begun.json()["check"]
    await eventually(lambda: "code_sent" in doors.house.events(check))
    path = f"/v1/identity-checks/{check}"
    view = (await doors.http.get(path, headers=doors.bearer(channel))).json()
    plain = {name: bool(value) if name.endswith(("_at", "_until")) else value for name, value in view.items()}
    first = (begun.status_code, sorted(begun.headers), shape(begun))
    texts = "".join(text for text in doors.house.centre.texts if check in text)
    wrong = "271829" if "271828" in texts else "271828"
    heard = [await enter(doors, check, wrong, channel) for _ in range(tries)]
    return [first, {**plain, "check": ""}, *((*said(one), one.text.replace(check, "")) for one in heard)]


def shape(answer: httpx.Response) -> dict[str, int]:
    """Names and lengths."""
    return {name: len(value) for name, value in answer.json().items()}


async def test_a_token_ends_with_its_client_and_is_nobody_elses(
    doors: Doors, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.clients.REMEMBERED_SECONDS", 0.0)
    case = await doors.running()
    begun = await follow(doors, case, key="once", origin="s")
    again = await follow(doors, case, key="once", origin="s")
    check = begun.json()["check"]
    assert again.json()["check"] == check and again.headers["idempotent-replayed"] == "true"
    code = await code_of(doors, check)
    first, lost = await enter(doors, check, code), await enter(doors, check, code)
    assert first.status_code == lost.status_code == 200, "an answer that was lost can be asked for again"
    wrong = "271828" if code != "271828" else "314159"
    assert said(await enter(doors, check, wrong)) == (409, "code_used")
    assert said(await enter(doors, check, code, OTHER)) == (404, "unknown_case")
    whose = {"authorization": f"Bearer {first.json()['token']}"}
    assert (await my_case(doors, whose))["kind"] == "renewal"

    newer = datetime.now(UTC) + timedelta(minutes=1)  # somebody else's by now: the contract is newer than the renewal
    doors.house.carriers.verdict = HolderAnswer(HolderVerdict.MATCH, newer)
    check = (await follow(doors, case)).json()["check"]
    assert said(await enter(doors, check, await code_of(doors, check))) == (404, "unknown_case")

    client = doors.clients[CHANNEL].client_id
    database.write_now(lambda c: clients.revoke(c, client, "admin-zhao", datetime.now(UTC)))
    assert said(await doors.http.get("/v1/my-case", headers=whose)) == (401, "not_signed_in")


def test_every_status_has_words() -> None:
    statuses = {
        CaseKind.QUERY: (QueryStatus, {QueryStatus.CLOSED}),
        CaseKind.DISPUTE: (DisputeStatus, set()),
        CaseKind.RENEWAL: (RenewalStatus, ENDED),
    }
    for kind, (words, ends) in statuses.items():
        assert set(citizen.STATUS[kind]) == set(words)
        assert set(citizen.NEXT[kind]) == set(words) - ends
    assert set(citizen.STATUS[CaseKind.COMPLAINT]) == set(ComplaintStatus)
    assert set(citizen.NOT_ELIGIBLE) == set(NotEligible)
    assert set(citizen.ITEMS) == set(ItemState) and set(citizen.ANSWERS) == set(AnswerState)
