"""Parties' questions: the list, the answer, and everything a hostile or careless party may try."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from domain import query
from domain.case import CaseKind, Told
from domain.query import QueryStatus, Target
from domain.question import Answered, Answering, Detail, Heard, Question, QuestionKind
from gateway.desk import AnswerDesk
from store import papers, vault
from store.ids import question_id
from store.ledger import Append, append
from store.projection import load_state
from store.tables import papers as papers_table
from tests.gateway.conftest import Doors
from tests.gateway.test_queries import says
from tests.house import CARRIER, DAY, NUMBER, TAIL
from tests.support import eventually
from tests.workflows.test_query import opened
from workflows.messages import Done

UNKNOWN = "A" + "0" * 20


async def running(doors: Doors, target: Target = Target.ACCOUNTS) -> str:
    """A query whose parties have been asked."""
    case = await opened(doors.house, target)
    await eventually(lambda: state(doors, case).asked)
    return case


def state(doors: Doors, case: str) -> query.State:
    found: query.State = doors.house.database.read_now(lambda c: load_state(c, CaseKind.QUERY, case))
    return found


def question_to(doors: Doors, case: str, party: str) -> str:
    asked = state(doors, case).question_to(party)
    assert asked is not None
    return asked.id


def counts(n: int, app: str = "pull-0-app") -> dict[str, Any]:
    return {"type": "counts", "counts": {app: n}}


async def say(doors: Doors, party: str, question: str, body: Any, **how: Any) -> httpx.Response:
    """A party answers."""
    return await doors.say(party, f"/v1/questions/{question}/answer", body, **how)


async def listed(doors: Doors, party: str, **params: Any) -> dict[str, Any]:
    answer = await doors.http.get("/v1/questions", params=params, headers=doors.bearer(party))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def append_events(doors: Doors, case: str, step: str, *events: Any) -> None:
    order = Append(case, CaseKind.QUERY, step, events)
    await doors.house.database.write(lambda c: append(c, doors.house.keys, order))


# ── the list ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_party_sees_its_own_questions_and_no_person(doors: Doors) -> None:
    case = await running(doors)
    page = await listed(doors, "pull-0")
    (question,) = page["questions"]
    asked = state(doors, case).question_to("pull-0")
    assert asked is not None and page["next"] is None
    assert question["id"] == asked.id and question["kind"] == "counts" and question["apps"] == ["pull-0-app"]
    assert question["subject"]["token"] == doors.house.keys.enterprise_token("pull-0", NUMBER.e164)
    assert question["subject"]["number"] is None and question["identity_checked"] is True
    assert datetime.fromisoformat(question["due_at"]) == state(doors, case).deadline_at
    said = json.dumps(page)
    assert case not in said and NUMBER.national not in said and TAIL.value not in said


async def test_a_carrier_finds_its_card_question_with_its_own_contract(doors: Doors) -> None:
    await running(doors, Target.CARDS)
    (question,) = (await listed(doors, CARRIER))["questions"]
    assert question["apps"] == ["carrier-cards"]
    assert (question["subject"]["number"], question["subject"]["id_tail"]) == (NUMBER.e164, TAIL.value)
    assert (await say(doors, CARRIER, question["id"], counts(3, "carrier-cards"))).json()["changed"]
    assert (await listed(doors, "other-carrier")) == {"questions": [], "next": None}
    for who in ("mini-program", "worker-chen"):
        assert (await doors.http.get("/v1/questions", headers=doors.bearer(who))).status_code == 403


async def test_pages_follow_the_cursor(doors: Doors) -> None:
    cases = [await running(doors)]
    for _ in range(2):
        await doors.house.database.write(lambda c: c.exec_driver_sql("DELETE FROM slots"))
        cases.append(await running(doors))
    ids = [question_to(doors, case, "pull-0") for case in cases]
    first = await listed(doors, "pull-0", limit=2)
    assert [one["id"] for one in first["questions"]] == ids[:2] and first["next"]
    second = await listed(doors, "pull-0", limit=2, after=first["next"])
    assert [one["id"] for one in second["questions"]] == ids[2:] and second["next"] is None
    await say(doors, "pull-0", ids[0], counts(0))
    assert [one["id"] for one in (await listed(doors, "pull-0"))["questions"]] == ids[1:]
    bad = await doors.http.get(f"/v1/questions?after={10**20}", headers=doors.bearer("pull-0"))
    assert (bad.status_code, bad.json()["code"]) == (422, "malformed")


async def test_closed_and_forgotten_cases_are_listed_no_more(doors: Doors) -> None:
    case = await running(doors)
    question = question_to(doors, case, "pull-0")
    at = datetime.now(UTC)
    await doors.house.database.write(lambda c: vault.purge_after(c, case, at - DAY))
    assert await doors.house.database.write(lambda c: vault.purge(c, at)) == 1
    assert (await listed(doors, "pull-0"))["questions"] == []
    gone = await say(doors, "pull-0", question, counts(1))
    assert (gone.status_code, gone.json()["code"]) == (410, "forgotten")


# ── answers ──────────────────────────────────────────────────────────────────────────────────────────


async def test_an_answer_counts_once(doors: Doors) -> None:
    case = await running(doors)
    question = question_to(doors, case, "pull-0")
    assert (await say(doors, "pull-0", question, counts(2))).json() == {"question": question, "changed": True}
    assert query.counted(state(doors, case))["pull-0-app"] == 2
    again = await say(doors, "pull-0", question, counts(2))
    assert (again.status_code, again.json()["changed"]) == (200, False)
    contradicting = await say(doors, "pull-0", question, counts(3))
    assert (contradicting.status_code, contradicting.json()["code"]) == (409, "already_answered")
    assert doors.house.events(case).count("party_answered") == 1
    doors.house.verify()


async def test_foreign_and_unknown_questions_are_refused_in_the_same_words(doors: Doors) -> None:
    case = await running(doors)
    foreign = question_to(doors, case, "push-0")
    answers = [await say(doors, "pull-0", one, counts(2, "push-0-app")) for one in (foreign, UNKNOWN)]
    assert {one.status_code for one in answers} == {404}
    said = [one.text.replace(foreign, "…").replace(UNKNOWN, "…") for one in answers]
    assert said[0] == said[1] and answers[0].json()["code"] == "unknown_question"
    assert query.counted(state(doors, case)) == {}


BAD_ANSWERS = [
    ({"type": "counts", "counts": {"pull-0-app": -1}}, "malformed"),
    ({"type": "counts", "counts": {"pull-0-app": 10_001}}, "malformed"),
    ({"type": "counts", "counts": {"13800138000": 1}}, "malformed"),
    ({"type": "counts", "counts": {"pull-0-app": "many"}}, "malformed"),
    ({"type": "counts", "counts": {"pull-0-app": 1}, "note": "x"}, "malformed"),
    ({"type": "detail", "accounts": {"pull-0-app": [{"ref": "13800138000", "label": "x"}]}}, "malformed"),
    ({"type": "own_check", "link": "javascript:alert(1)"}, "malformed"),
    ({"type": "gossip"}, "malformed"),
    ({}, "malformed"),
    ("{rubbish", "malformed"),
    ("[" * 100_000, "malformed"),
    (counts(1, "push-0-app"), "answer_does_not_fit"),
    ({"type": "counts", "counts": {}}, "answer_does_not_fit"),
    ({"type": "declined", "reason": "no_account"}, "answer_does_not_fit"),
    ({"type": "detail", "accounts": {"pull-0-app": []}}, "answer_does_not_fit"),
    ({"type": "evidence", "statement": "x"}, "answer_does_not_fit"),
]


async def test_bad_answers_change_nothing_and_leave_nothing(doors: Doors) -> None:
    case = await running(doors)
    question = question_to(doors, case, "pull-0")
    for body, code in BAD_ANSWERS:
        answer = await say(doors, "pull-0", question, body)
        assert (answer.status_code, answer.json()["code"]) == (422, code), (body, answer.text)
        assert "13800138000" not in answer.text
    malformed = await doors.say("pull-0", "/v1/questions/A1/answer", counts(1))
    assert malformed.status_code == 422
    assert (query.counted(state(doors, case)), paper_count(doors)) == ({}, 0)
    assert (await say(doors, "pull-0", question, counts(1))).status_code == 200


async def test_signature_must_be_the_party_s_own_and_fresh(doors: Doors) -> None:
    case = await running(doors)
    path = f"/v1/questions/{question_to(doors, case, 'pull-0')}/answer"
    raw = json.dumps(counts(1)).encode()
    forged = {**doors.signed("push-1", raw), **doors.bearer("pull-0")}
    changed = doors.signed("pull-0", json.dumps(counts(2)).encode())
    old = doors.signed("pull-0", raw, at=datetime.now(UTC) - timedelta(minutes=6))
    for headers in (forged, changed, old, doors.bearer("pull-0")):
        answer = await doors.http.post(path, content=raw, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "bad_signature")
    assert query.counted(state(doors, case)) == {}


async def test_a_replayed_answer_is_refused_once_it_was_taken(doors: Doors) -> None:
    case = await running(doors)
    path = f"/v1/questions/{question_to(doors, case, 'pull-0')}/answer"
    raw = json.dumps(counts(1)).encode()
    headers = doors.signed("pull-0", raw)
    assert (await doors.http.post(path, content=raw, headers=headers)).status_code == 200
    replay = await doors.http.post(path, content=raw, headers=headers)
    assert (replay.status_code, replay.json()["code"]) == (409, "replayed")


async def test_answers_at_the_same_time_are_taken_once(doors: Doors) -> None:
    case = await running(doors)
    question = question_to(doors, case, "pull-0")
    said = await asyncio.gather(*(say(doors, "pull-0", question, counts(n % 2)) for n in range(8)))
    assert {one.status_code for one in said} == {200, 409}
    assert sum(one.status_code == 200 and one.json()["changed"] for one in said) == 1
    assert doors.house.events(case).count("party_answered") == 1
    doors.house.verify()


async def test_a_closed_case_takes_no_answer(doors: Doors) -> None:
    case = await running(doors)
    question = question_to(doors, case, "pull-0")
    at = datetime.now(UTC)
    await append_events(doors, case, "test-reports", query.Reported(at=at, counts={}, silent=("pull-0-app",)))
    await append_events(doors, case, "test-closes", query.Closed(at=at))
    assert state(doors, case).status is QueryStatus.REPORTED, "not told yet, so not closed yet"
    told = Told(at=at, message="query_result", step="query_result-2")
    await append_events(doors, case, "query_result-2", told)
    await append_events(doors, case, "test-closes-2", query.Closed(at=at))
    assert state(doors, case).status is QueryStatus.CLOSED
    assert (await listed(doors, "pull-0"))["questions"] == []
    answer = await say(doors, "pull-0", question, counts(1))
    assert (answer.status_code, answer.json()["code"]) == (409, "case_closed")


async def test_a_lost_workflow_is_our_fault(doors: Doors) -> None:
    case = await running(doors)
    question = question_to(doors, case, "pull-0")
    await doors.house.client.get_workflow_handle(case).terminate("an accident")
    answer = await say(doors, "pull-0", question, counts(1))
    assert (answer.status_code, answer.json()["code"]) == (503, "engine_busy")


# ── what is personal ─────────────────────────────────────────────────────────────────────────────────

DETAIL = {
    "type": "detail",
    "accounts": {
        "pull-0-app": [
            {"ref": "a1", "label": "微**户", "bound_at": datetime.now(UTC).isoformat()},
            {"ref": "a2", "label": "张**号", "bound_at": (datetime.now(UTC) - 90 * DAY).isoformat()},
        ]
    },
}


def paper_count(doors: Doors) -> int:
    wanted = select(func.count()).select_from(papers_table)
    return int(doors.house.database.read_now(lambda c: c.execute(wanted).scalar_one()))


async def detail_wanted(doors: Doors, kind: QuestionKind = QuestionKind.DETAIL) -> tuple[str, str]:
    """A question with personal answers in a case's ledger, of which its workflow knows nothing (yet)."""
    case = await running(doors)
    at = datetime.now(UTC)
    question = Question(
        id=question_id(doors.house.keys, case, kind.value, "pull-0"),
        kind=kind,
        party="pull-0",
        apps=("pull-0-app",),
        asked_at=at,
        due_at=at + DAY,
    )
    await append_events(doors, case, "test-asks", Heard(at=at, round="ask-9", questions=(question,)))
    return case, question.id


async def test_an_answer_repeated_or_refused_leaves_no_more_papers(
    doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, question = await detail_wanted(doors)
    for _ in range(3):
        early = await say(doors, "pull-0", question, DETAIL)
        assert early.status_code == 503, "the case will know of its question in a moment"
        assert paper_count(doors) == 1, "said again, kept once; the former holder's label not at all"
    taken: list[Answering] = []

    async def takes(self: AnswerDesk, of: str, update: str, order: Answering, form: type) -> Done:
        taken.append(order)
        answered = Answered(at=datetime.now(UTC), question=order.question, answer=order.answer)
        await append_events(doors, of, "test-answered", answered)
        return Done(status="asking", changed=True)

    monkeypatch.setattr(AnswerDesk, "say", takes)
    assert (await say(doors, "pull-0", question, DETAIL)).json()["changed"] is True
    assert (await say(doors, "pull-0", question, DETAIL)).json()["changed"] is False
    other = {**DETAIL, "accounts": {"pull-0-app": [{**DETAIL["accounts"]["pull-0-app"][0], "label": "李**号"}]}}  # type: ignore[index]
    refused = await say(doors, "pull-0", question, other)
    assert (refused.status_code, refused.json()["code"]) == (409, "already_answered")
    assert len(taken) == 1 and paper_count(doors) == 1
    (answer,) = [one.answer for one in taken]
    assert isinstance(answer, Detail)
    own, former = answer.accounts["pull-0-app"]
    assert own.own and own.label and not former.own and former.label is None
    assert doors.house.database.read_now(lambda c: papers.get(c, doors.house.keys, case, own.label)) == "微**户"
    rows = doors.house.database.read_now(lambda c: c.exec_driver_sql("SELECT data FROM ledger").scalars().all())
    assert not any("微" in row or "户" in row for row in rows)
    doors.house.verify()


async def test_an_own_check_may_be_followed_by_the_detail(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    _, question = await detail_wanted(doors)

    async def takes(self: AnswerDesk, of: str, update: str, order: Answering, form: type) -> Done:
        answered = Answered(at=datetime.now(UTC), question=order.question, answer=order.answer)
        await append_events(doors, of, f"test-{order.answer.type}", answered)
        return Done(status="asking", changed=True)

    monkeypatch.setattr(AnswerDesk, "say", takes)
    link = {"type": "own_check", "link": "https://pull-0.example/check?s=1"}
    assert (await say(doors, "pull-0", question, link)).json()["changed"] is True
    assert (await say(doors, "pull-0", question, link)).json()["changed"] is False
    assert question in [one["id"] for one in (await listed(doors, "pull-0"))["questions"]], "still to be answered"
    assert (await say(doors, "pull-0", question, DETAIL)).json()["changed"] is True
    assert paper_count(doors) == 2


async def test_a_question_in_words_is_listed_with_its_words(doors: Doors) -> None:
    case = await running(doors)
    at, keys = datetime.now(UTC), doors.house.keys
    text = await doors.house.database.write(lambda c: papers.put(c, keys, case, "何时绑定、何时解绑？"))
    question = Question(
        id=question_id(keys, case, "evidence", "pull-0"),
        kind=QuestionKind.EVIDENCE,
        party="pull-0",
        apps=("pull-0-app",),
        text=text,
        asked_at=at,
        due_at=at + DAY,
    )
    await append_events(doors, case, "test-asks", Heard(at=at, round="ask-9", questions=(question,)))
    questions = {one["kind"]: one["text"] for one in (await listed(doors, "pull-0"))["questions"]}
    assert questions == {"counts": None, "evidence": "何时绑定、何时解绑？"}


async def test_hostile_enterprise_in_a_query(doors: Doors) -> None:
    """Forged, replayed, foreign, contradicting: the citizen's result is what the right parties said first."""
    doors.house.webhooks.answers = {"push-0": says(2), "push-1": says(0)}
    case = await running(doors)
    for code, n in (("pull-0", 1), ("mail-0", 0)):
        question = question_to(doors, case, code)
        stolen = await say(doors, "push-1", question, counts(9, f"{code}-app"))
        raw = json.dumps(counts(9, f"{code}-app")).encode()
        forged = {**doors.signed("push-1", raw), **doors.bearer(code)}
        fake = await doors.http.post(f"/v1/questions/{question}/answer", content=raw, headers=forged)
        assert (stolen.status_code, fake.status_code) == (404, 401)
        assert (await say(doors, code, question, counts(n, f"{code}-app"))).status_code == 200
        assert (await say(doors, code, question, counts(9, f"{code}-app"))).status_code == 409
    contradicting = await say(doors, "push-0", question_to(doors, case, "push-0"), counts(9, "push-0-app"))
    assert contradicting.status_code == 409
    await eventually(lambda: state(doors, case).status is QueryStatus.RESULT_SENT)
    assert "共查到3个互联网账号：push-0 2、pull-0 1。" in doors.house.centre.texts[-1]
    doors.house.verify()
