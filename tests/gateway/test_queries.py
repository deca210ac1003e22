"""Queries through the door: proof and slot together or not at all, and what a channel sees of its own."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, select

from domain import number
from domain.case import CaseKind
from domain.query import QueryStatus
from domain.refusal import Refusal
from domain.registry import Channel, QueryPolicy
from store import numbers, slots
from store.ids import new_case_id
from store.ledger import Append, append
from store.projection import load_state
from store.tables import slots as held
from store.tables import submissions
from tests.gateway.conftest import Doors
from tests.house import DAY, NUMBER, TAIL
from tests.support import eventually

CODE = re.compile(r"验证码([0-9]{6})")


async def proven(
    doors: Doors, channel: str = "mini-program", purpose: str = "query", number: str = NUMBER.national
) -> str:
    """A verified identity check, as a citizen goes through it."""
    doors.sent += 1
    body = {"number": number, "id_tail": TAIL.value, "purpose": purpose, "origin": f"session-{doors.sent}"}
    headers = {**doors.bearer(channel), "idempotency-key": f"check-{doors.sent}"}
    before = len(doors.house.centre.texts)
    begun = await doors.http.post("/v1/identity-checks", json=body, headers=headers)
    assert begun.status_code == 202, begun.text
    check = str(begun.json()["check"])
    texts = doors.house.centre.texts
    (code, *_) = await eventually(lambda: [found for text in texts[before:] if (found := CODE.search(text))])
    await eventually(lambda: "code_sent" in doors.house.events(check))
    path = f"/v1/identity-checks/{check}/code"
    entered = await doors.http.post(path, json={"code": code[1]}, headers=doors.bearer(channel))
    assert entered.status_code == 200, entered.text
    await eventually(lambda: "verified" in doors.house.events(check))
    return check


async def ask(doors: Doors, check: str, key: str = "", channel: str = "mini-program", **body: Any) -> httpx.Response:
    """A query."""
    doors.sent += 1
    headers = {**doors.bearer(channel), "idempotency-key": key or f"query-{doors.sent}"}
    return await doors.http.post("/v1/queries", json={"check": check, **body}, headers=headers)


async def asked(doors: Doors, check: str, **body: Any) -> str:
    """A query that is taken, and everybody asked."""
    answer = await ask(doors, check, **body)
    assert answer.status_code == 202, answer.text
    case = str(answer.json()["case"])
    await eventually(lambda: "heard" in doors.house.events(case))
    return case


async def shown(doors: Doors, case: str, channel: str = "mini-program") -> dict[str, Any]:
    answer = await doors.http.get(f"/v1/queries/{case}", headers=doors.bearer(channel))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def status(doors: Doors, case: str) -> QueryStatus:
    found: QueryStatus = doors.house.database.read_now(lambda c: load_state(c, CaseKind.QUERY, case)).status
    return found


def says(n: int) -> Any:
    return lambda question: {"type": "counts", "counts": dict.fromkeys(question["apps"], n)}


def everybody_says(doors: Doors, n: int) -> None:
    doors.house.webhooks.answers = {code: says(n) for code in ("push-0", "push-1", "carrier")}


def all_push(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to be waited for."""
    for code in ("pull-0", "mail-0"):
        profile = doors.house.registry.enterprise(code)
        monkeypatch.setitem(profile.__dict__, "channel", Channel.PUSH)
    everybody_says(doors, 1)
    doors.house.webhooks.answers |= {code: says(0) for code in ("pull-0", "mail-0")}


async def test_a_query_from_the_check_to_the_result(doors: Doors) -> None:
    everybody_says(doors, 2)
    case = await asked(doors, await proven(doors), language="en")
    view = await shown(doors, case)
    assert view["status"] == "asking" and view["target"] == "accounts" and view["number"] == "138****8000"
    assert [(one["app"], one["state"], one["count"]) for one in view["counts"]] == [
        ("push-0-app", "counted", 2),
        ("push-1-app", "counted", 2),
        ("pull-0-app", "pending", None),
        ("mail-0-app", "pending", None),
    ]
    assert view["next"] == {"step": "result", "at": view["deadline_at"]} and view["free_at"] is None
    for code in ("pull-0", "mail-0"):
        page = (await doors.http.get("/v1/questions", headers=doors.bearer(code))).json()
        (question,) = page["questions"]
        said = await doors.say(
            code, f"/v1/questions/{question['id']}/answer", {"type": "counts", "counts": {f"{code}-app": 0}}
        )
        assert said.json() == {"question": question["id"], "changed": True}
    await eventually(lambda: status(doors, case) is QueryStatus.RESULT_SENT)
    view = await shown(doors, case)
    assert view["total"] == 4 and view["silent"] == [] and view["delivered"] is True
    assert view["next"]["step"] == "close" and view["counts"][3]["count"] == 0
    reported, free_at = (datetime.fromisoformat(view[name]) for name in ("reported_at", "free_at"))
    assert free_at == reported + DAY
    assert doors.house.centre.texts[-1] == (
        "[Jiebang] Number 138****8000: internet accounts found: 4 (push-0 2, push-1 2). Apps without any: 2. "
        f"Reference {case}."
    )
    assert "13800138000" not in str(view) and TAIL.value not in str(view)
    doors.house.verify()


async def test_silent_apps_are_named(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = QueryPolicy(answer_within=timedelta(seconds=1), ask_again_first=timedelta(days=1))
    monkeypatch.setitem(doors.house.registry.__dict__, "query", policy)
    everybody_says(doors, 1)
    case = await asked(doors, await proven(doors))
    await eventually(lambda: status(doors, case) is QueryStatus.RESULT_SENT)
    view = await shown(doors, case)
    assert view["silent"] == ["pull-0", "mail-0"] and view["total"] == 2
    assert [one["state"] for one in view["counts"]] == ["counted", "counted", "no_reply", "no_reply"]
    assert view["counts"][2]["count"] is None, "no answer is never shown as 0"
    assert view["next"]["step"] == "supplement" and view["next"]["at"]


async def test_same_key_same_case_and_another_body_is_refused(doors: Doors) -> None:
    check = await proven(doors)
    first = await ask(doors, check, key="k")
    again = await ask(doors, check, key="k")
    assert (first.status_code, again.status_code) == (202, 202) and again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true" and "idempotent-replayed" not in first.headers
    assert first.headers["location"] == first.json()["status_url"] == f"/v1/queries/{first.json()['case']}"
    other = await ask(doors, check, key="k", target="cards")
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")


async def test_a_proof_opens_one_query(doors: Doors) -> None:
    check = await proven(doors)
    await asked(doors, check)
    again = await ask(doors, check, target="cards")
    assert (again.status_code, again.json()["code"]) == (409, "proof_used")
    wrong = await ask(doors, await proven(doors, purpose="dispute", number="13800138001"))
    assert (wrong.status_code, wrong.json()["code"]) == (409, "wrong_purpose")


async def test_foreign_and_unknown_checks_are_refused_in_the_same_words(doors: Doors) -> None:
    check = await proven(doors)
    foreign = await ask(doors, check, channel="other-channel")
    unknown = await ask(doors, new_case_id(CaseKind.IDENTITY))
    assert foreign.status_code == unknown.status_code == 404
    drop = {"detail"}
    assert {k: v for k, v in foreign.json().items() if k not in drop} == {
        k: v for k, v in unknown.json().items() if k not in drop
    }
    assert (await ask(doors, check)).status_code == 202, "the proof is its own channel's still"


async def test_one_running_and_one_result_a_day(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    all_push(doors, monkeypatch)
    monkeypatch.setitem(doors.house.webhooks.failing, "push-1", RuntimeError("a bug of theirs"))
    case = await asked(doors, await proven(doors))
    later = await proven(doors)
    running = await ask(doors, later)
    assert (running.status_code, running.json()["code"]) == (409, "query_running")

    question = question_to(doors, case, "push-1")
    body = {"type": "counts", "counts": {"push-1-app": 0}}
    assert (await doors.say("push-1", f"/v1/questions/{question}/answer", body)).status_code == 200
    await eventually(lambda: status(doors, case) is QueryStatus.RESULT_SENT)
    refused = await ask(doors, later)
    assert (refused.status_code, refused.json()["code"]) == (429, "one_result_a_day")
    free_at = datetime.fromisoformat((await shown(doors, case))["free_at"])
    assert re.search(r"from \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \(Beijing\)", refused.json()["remedy"])
    assert 86_000 < int(refused.headers["retry-after"]) <= 86_400
    assert "proof_spent" not in doors.house.events(later), "a refused opening leaves the proof unspent"
    assert (await ask(doors, later, target="cards")).status_code == 202, "the other kind has a slot of its own"

    for until, code in ((free_at, 429), (datetime.now(UTC), 202)):
        await doors.house.database.write(lambda c, until=until: slots.hold(c, case, until))  # type: ignore[misc]
        assert (await ask(doors, await proven(doors))).status_code == code
    doors.house.verify()


def question_to(doors: Doors, case: str, party: str) -> str:
    """A party's question."""
    state = doors.house.database.read_now(lambda c: load_state(c, CaseKind.QUERY, case))
    return str(state.question_to(party).id)


async def test_of_two_at_once_one_gets_the_slot_and_the_other_keeps_its_proof(doors: Doors) -> None:
    checks = [await proven(doors) for _ in range(3)]
    said = await asyncio.gather(*(ask(doors, check) for check in checks))
    assert sorted(one.status_code for one in said) == [202, 409, 409]
    spent = ["proof_spent" in doors.house.events(check) for check in checks]
    assert spent == [one.status_code == 202 for one in said]

    def rows(connection: Connection) -> tuple[int, int]:
        taken = connection.execute(select(held).where(held.c.what == "accounts")).all()
        opened = connection.execute(select(submissions).where(submissions.c.case_id.like("Q%"))).all()
        return len(taken), len(opened)

    assert doors.house.database.read_now(rows) == (1, 1)
    doors.house.verify()


async def test_cancelled_number(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    check = await proven(doors)
    life = reported(doors, number.Fact.CANCELLATION)
    monkeypatch.setitem(doors.house.registry.carrier("carrier").__dict__, "hotline", "10086")
    refused = await ask(doors, check)
    assert (refused.status_code, refused.json()["code"]) == (409, "cancelled_number")
    assert "运营商 10086" in refused.json()["remedy"]
    assert "proof_spent" not in doors.house.events(check)
    reported(doors, number.Fact.REISSUE, life)
    assert (await ask(doors, check)).status_code == 202, "its next holder may ask"


def reported(doors: Doors, fact: number.Fact, life: str = "") -> str:
    """What a carrier reports of the number, in its ledger; its case."""
    at, keys = datetime.now(UTC), doors.house.keys
    report = number.Report(
        carrier="carrier", event=numbers.event_id(keys, "carrier", fact), fact=fact, occurred_at=at
    )
    case = life or new_case_id(CaseKind.NUMBER)

    def write(connection: Connection) -> None:
        if life:
            decision = number.decide(load_state(connection, CaseKind.NUMBER, case), report, at)
        else:
            numbers.hold(connection, keys, NUMBER, case)
            decision = number.open_number(case, NUMBER.mask(), report, at, doors.house.registry.number)
        assert not isinstance(decision, Refusal), decision
        append(connection, keys, Append(case, CaseKind.NUMBER, fact.value, decision))

    doors.house.database.write_now(write)
    return case


async def test_a_channel_sees_its_own_queries_only(doors: Doors) -> None:
    case = await asked(doors, await proven(doors))
    said = []
    for path in (f"/v1/queries/{case}", f"/v1/queries/{new_case_id(CaseKind.QUERY)}"):
        answer = await doors.http.get(path, headers=doors.bearer("other-channel"))
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_case")
        said.append(answer.json()["remedy"])
    assert len(set(said)) == 1
    for who in ("carrier", "push-0", "worker-chen"):
        assert (await doors.http.get(f"/v1/queries/{case}", headers=doors.bearer(who))).status_code == 403
        assert (await ask(doors, new_case_id(CaseKind.IDENTITY), channel=who)).status_code == 403


BAD_BODIES = [
    ({"check": "K1"}, "check"),
    ({"check": "K0123456789AB", "target": "everything"}, "target"),
    ({"check": "K0123456789AB", "language": "fr"}, "language"),
    ({"check": "K0123456789AB", "number": "13800138000"}, "number"),
    ({}, "check"),
]


@pytest.mark.parametrize(("body", "field"), BAD_BODIES, ids=lambda value: str(value)[:30])
async def test_what_does_not_fit_names_its_field_and_repeats_nothing(
    idle: Doors, body: dict[str, Any], field: str
) -> None:
    headers = {**idle.bearer("mini-program"), "idempotency-key": "k"}
    answer = await idle.http.post("/v1/queries", json=body, headers=headers)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert "13800138000" not in answer.text
    keyless = await idle.http.post("/v1/queries", json=body, headers=idle.bearer("mini-program"))
    assert keyless.status_code == 422
