"""`QueryWorkflow`: the good day, the silent apps, the late answer, the message that does not arrive, the crash."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.testing import WorkflowEnvironment

from activities.contracts import AskParties
from activities.parties import Parties
from activities.ports import Refused, Unavailable
from activities.records import Records
from domain import casework, query, question
from domain.case import Actor, ActorKind, CaseKind, LinkKind
from domain.casework import Waiting
from domain.messages import Language
from domain.proof import Method, Proof
from domain.query import QueryStatus, Target
from domain.question import Answering, Counts, Heard
from domain.refusal import Refusal, RefusalCode
from gateway.intake import Admitted, Opening
from store import projection, slots
from store.ids import new_case_id
from store.ledger import Append
from store.vault import Person
from tests.house import CARRIER, DAY, NUMBER, TAIL, House
from tests.support import eventually
from workflows.messages import Act, Conclusion, Done
from workflows.query import QueryWorkflow

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
WORKER = Actor(kind=ActorKind.CASE_WORKER, code="worker-chen")
PAPER = "P0123456789AB"
DOWN = Unavailable("http_503", "down")


def says(n: int) -> Any:
    """An enterprise that counts `n` accounts in every app it is asked about, at once."""
    return lambda asked: {"type": "counts", "counts": dict.fromkeys(asked["apps"], n)}


async def opened(house: House, target: Target = Target.ACCOUNTS) -> str:
    """A query as the gateway opens it, its slot included."""
    at = datetime.now(UTC)
    proof = Proof(
        check=new_case_id(CaseKind.IDENTITY),
        method=Method.CODE_AND_ID_TAIL,
        carrier=CARRIER,
        activated_at=at - 60 * DAY,
        verified_at=at,
    )
    command = query.Submit(
        case=new_case_id(CaseKind.QUERY),
        channel="mini-program",
        target=target,
        masked_number=NUMBER.mask(),
        language=Language.ZH,
        identity=proof,
    )
    submitted = query.submit(command, at, house.registry)
    assert not isinstance(submitted, Refusal)
    token, case = house.keys.token("number", NUMBER.e164), submitted.case
    admitted = await house.intake.open(
        Opening(
            partner="mini-program",
            key=case,
            wording=case,
            kind=CaseKind.QUERY,
            case=case,
            first=submitted,
            person=Person(NUMBER, TAIL),
            also=lambda c: refused(slots.take(c, token, target.value, case, at), target),
        )
    )
    assert isinstance(admitted, Admitted), admitted
    return case


def refused(taken: slots.Taken | None, target: Target) -> Refusal | None:
    return query.refuse_slot(target, taken.until) if taken else None


def state(house: House, case: str) -> query.State:
    """The read model."""
    found: query.State = house.database.read_now(lambda c: projection.load_state(c, CaseKind.QUERY, case))
    return found


async def until(house: House, case: str, status: QueryStatus) -> query.State:
    await eventually(lambda: state(house, case).status is status)
    return state(house, case)


async def answers(house: House, case: str, party: str, counts: Mapping[str, int]) -> Done:
    """A party answers through its door."""
    asked = state(house, case).question_to(party)
    assert asked is not None
    command = Answering(question=asked.id, party=party, answer=Counts(counts=counts))
    return await house.desk.say(case, "answer", command, Done)


async def act(house: House, case: str, command: Any) -> Done:
    return await house.desk.say(case, "act", Act(command=command), Done)


async def commands(house: House, case: str) -> list[str]:
    """What the workflow has asked of the outside and of our database so far."""
    history = await house.client.get_workflow_handle(case).fetch_history()
    names = {
        EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED: lambda e: (
            e.activity_task_scheduled_event_attributes.activity_type.name
        ),
        EventType.EVENT_TYPE_MARKER_RECORDED: lambda e: "local",
    }
    return [names[event.event_type](event) for event in history.events if event.event_type in names]


# ── the good day ─────────────────────────────────────────────────────────────────────────────────────


async def test_happy_query(house: House, skipping: WorkflowEnvironment) -> None:
    house.webhooks.answers = {"push-0": says(2), "push-1": says(0), "pull-0": says(0)}
    async with house.working():
        case = await opened(house)
        await eventually(lambda: state(house, case).asked)
        assert state(house, case).status is QueryStatus.ASKING, "the one that pulls has not answered"
        assert (await answers(house, case, "pull-0", {"pull-0-app": 0})).changed
        done = await until(house, case, QueryStatus.RESULT_SENT)
        assert house.centre.texts == [
            f"【解绑】您的号码138****8000共查到2个互联网账号：push-0 2。另有2个应用没有账号。编号{case}。"
        ]
        assert done.delivered and done.silent == () and done.reported_at and done.free_at
        assert done.free_at == done.reported_at + DAY
        assert await commands(house, case) == ["ask_parties", "local", "local", "tell_citizen"]
        assert house.webhooks.told("push-0") == ["questions.asked"] and not house.webhooks.told("pull-0")
        await skipping.sleep(8 * DAY)
        closed = await until(house, case, QueryStatus.CLOSED)
        assert closed.ended_at and len(house.centre.texts) == 1
    assert house.events(case) == [
        "submitted",
        "questions_put",
        "heard",
        "party_answered",
        "reported",
        "told",
        "closed",
    ]
    house.verify()


async def test_ideal_path_is_one_activity_for_all_and_one_for_the_message(house: House) -> None:
    house.webhooks.answers = {"push-0": says(2), "push-1": says(0)}
    house.registry = house.registry.model_validate(
        house.registry.model_dump() | {"enterprises": [e.model_dump() for e in house.registry.enterprises[:2]]}
    )
    house.__post_init__()
    async with house.working():
        case = await opened(house)
        await until(house, case, QueryStatus.RESULT_SENT)
        assert await commands(house, case) == ["ask_parties", "local", "tell_citizen"]
    house.verify()


async def test_card_query(house: House) -> None:
    house.webhooks.answers = {CARRIER: says(3)}
    async with house.working():
        case = await opened(house, Target.CARDS)
        done = await until(house, case, QueryStatus.RESULT_SENT)
    assert dict(done.counts) == {"carrier-cards": 3}
    assert "机主名下共查到3张电话卡：运营商3。" in house.centre.texts[0]
    ((_, _, body),) = house.webhooks.posts
    asked = body["data"]["questions"][0]
    assert asked["subject"]["number"] == NUMBER.e164 and asked["subject"]["id_tail"] == TAIL.value
    house.verify()


async def test_accounts_and_cards_run_side_by_side(house: House) -> None:
    async with house.working():
        await opened(house)
        await opened(house, Target.CARDS)
        with pytest.raises(AssertionError, match="query_running"):
            await opened(house)


# ── silence ──────────────────────────────────────────────────────────────────────────────────────────


async def test_partial_at_48_h(house: House, skipping: WorkflowEnvironment) -> None:
    house.webhooks.answers = {"push-0": says(2)}
    house.webhooks.failing["push-1"] = DOWN
    async with house.working():
        case = await opened(house)
        await skipping.sleep(2 * DAY - MINUTE)
        assert state(house, case).status is QueryStatus.ASKING and not house.centre.texts
        rounds = state(house, case).asked
        assert 25 < rounds < 40, "asked again for two days, less and less often"
        assert house.webhooks.told("push-0") == ["questions.asked"], "who has answered is left alone"
        await skipping.sleep(2 * MINUTE)
        partial = await until(house, case, QueryStatus.RESULT_SENT)
        assert partial.silent == ("push-1-app", "pull-0-app") and dict(partial.counts) == {"push-0-app": 2}
        assert "未反馈：push-1、pull-0。" in house.centre.texts[0] and "没有账号" not in house.centre.texts[0]

        await skipping.sleep(DAY)
        assert state(house, case).asked == rounds, "nobody is called after the result"
        assert (await answers(house, case, "push-1", {"push-1-app": 1})).changed
        await skipping.sleep(HOUR)
        assert len(house.centre.texts) == 1, "late answers travel together"
        await answers(house, case, "pull-0", {"pull-0-app": 0})
        await eventually(lambda: len(house.centre.texts) == 2)
        assert house.centre.texts[1].startswith("【解绑】结果更新：") and "未反馈" not in house.centre.texts[1]
        assert not (await answers(house, case, "push-1", {"push-1-app": 1})).changed
        done = await until(house, case, QueryStatus.RESULT_SENT)
        assert done.free_at == partial.free_at
        await skipping.sleep(8 * DAY)
        await until(house, case, QueryStatus.CLOSED)
    assert house.events(case).count("supplemented") == 1 and len(house.centre.texts) == 2
    house.verify()


async def test_supplement_at_the_end_of_the_late_window(house: House, skipping: WorkflowEnvironment) -> None:
    house.webhooks.answers = {"push-0": says(2)}
    async with house.working():
        case = await opened(house)
        await skipping.sleep(2 * DAY + MINUTE)
        await until(house, case, QueryStatus.RESULT_SENT)
        await answers(house, case, "push-1", {"push-1-app": 1})
        await skipping.sleep(7 * DAY)
        await until(house, case, QueryStatus.CLOSED)
        assert len(house.centre.texts) == 2 and "未反馈：pull-0。" in house.centre.texts[1]
    assert house.events(case)[-4:] == ["party_answered", "supplemented", "told", "closed"]
    house.verify()


async def test_a_silent_enterprise_holds_nobody_up_for_ever(house: House, skipping: WorkflowEnvironment) -> None:
    """Nobody ever answers: the result says so, and the case ends."""
    for code in ("push-0", "push-1"):
        house.webhooks.failing[code] = DOWN
    async with house.working():
        case = await opened(house)
        await skipping.sleep(10 * DAY)
        await until(house, case, QueryStatus.CLOSED)
        assert (
            len(house.centre.texts) == 1 and "暂无应用反馈。未反馈：push-0、push-1、pull-0。" in house.centre.texts[0]
        )
    house.verify()


async def test_an_endpoint_that_recovers_is_asked_in_a_minute(house: House, skipping: WorkflowEnvironment) -> None:
    house.webhooks.answers = {"push-0": says(2), "push-1": says(1)}
    house.webhooks.failing_once["push-1"] = DOWN
    async with house.working():
        case = await opened(house)
        await eventually(lambda: state(house, case).asked == 1)
        await answers(house, case, "pull-0", {"pull-0-app": 0})
        await skipping.sleep(MINUTE + timedelta(seconds=5))
        done = await until(house, case, QueryStatus.RESULT_SENT)
        assert done.asked == 2 and dict(done.counts) == {"push-0-app": 2, "push-1-app": 1, "pull-0-app": 0}
    house.verify()


# ── the message ──────────────────────────────────────────────────────────────────────────────────────


async def test_sms_undelivered_twice(house: House, skipping: WorkflowEnvironment) -> None:
    house.webhooks.answers = {"push-0": says(2), "push-1": says(1)}
    house.centre.undelivered = 2
    async with house.working():
        case = await opened(house)
        await eventually(lambda: state(house, case).asked)
        await answers(house, case, "pull-0", {"pull-0-app": 0})
        await eventually(lambda: len(house.centre.texts) == 1)
        assert state(house, case).status is QueryStatus.REPORTED
        await skipping.sleep(3 * HOUR)
        done = await until(house, case, QueryStatus.RESULT_SENT)
        assert done.delivered is True and len(set(house.centre.texts)) == 1 and len(house.centre.texts) == 3
        await skipping.sleep(3 * HOUR)
        assert len(house.centre.texts) == 3, "delivered once, and nothing after that"
    assert house.events(case).count("told") == 1
    house.verify()


async def test_a_barred_phone_is_a_case_worker_s_matter(house: House, skipping: WorkflowEnvironment) -> None:
    house.centre.undelivered = 100
    house.webhooks.answers = {"push-0": says(2), "push-1": says(1)}
    async with house.working():
        case = await opened(house)
        await eventually(lambda: state(house, case).asked)
        await answers(house, case, "pull-0", {"pull-0-app": 0})
        await eventually(lambda: len(house.centre.texts) == 1)
        await skipping.sleep(5 * HOUR)
        done = await until(house, case, QueryStatus.UNDELIVERED)
        assert query.standing(done).waiting is Waiting.CASE_WORKER and done.delivered is False
        assert len(house.centre.texts) == 3
        await skipping.sleep(8 * DAY)
        await until(house, case, QueryStatus.CLOSED)
    house.verify()


async def test_a_supplement_reaches_whom_the_result_did_not(house: House, skipping: WorkflowEnvironment) -> None:
    house.centre.failing = Refused("sms_bad_destination", "no such number")
    house.webhooks.answers = {"push-0": says(2), "push-1": says(1)}
    async with house.working():
        case = await opened(house)
        await skipping.sleep(2 * DAY + MINUTE)
        await until(house, case, QueryStatus.UNDELIVERED)
        house.centre.failing = None
        await answers(house, case, "pull-0", {"pull-0-app": 4})
        done = await until(house, case, QueryStatus.RESULT_SENT)
        assert done.delivered and len(house.centre.texts) == 1 and "pull-0 4" in house.centre.texts[0]
    house.verify()


# ── crashes ──────────────────────────────────────────────────────────────────────────────────────────


def before_the_record(monkeypatch: pytest.MonkeyPatch, crashed: list[str]) -> None:
    """The worker dies when everybody was asked and nothing is written."""
    real = Parties._record

    def dies_once(self: Parties, *args: Any) -> Heard:
        if crashed:
            return real(self, *args)
        crashed.append("before")
        raise RuntimeError("killed")

    monkeypatch.setattr(Parties, "_record", dies_once)


def after_the_record(monkeypatch: pytest.MonkeyPatch, crashed: list[str]) -> None:
    """The worker dies when everything is written and the server has not heard of it."""
    real = Parties.ask_parties

    @wraps(real)  # with its activity definition
    async def dies_once(self: Parties, order: AskParties) -> Heard:
        heard = await real(self, order)
        if crashed:
            return heard
        crashed.append("after")
        raise RuntimeError("killed")

    monkeypatch.setattr(Parties, "ask_parties", dies_once)


@pytest.mark.parametrize("dies", [before_the_record, after_the_record])
async def test_worker_killed_mid_fan_out(house: House, monkeypatch: pytest.MonkeyPatch, dies: Any) -> None:
    """Everybody is asked again, which says nothing new; nothing is heard or told twice."""
    crashed: list[str] = []
    dies(monkeypatch, crashed)
    house.webhooks.answers = {"push-0": says(2), "push-1": says(1)}
    async with house.working():
        case = await opened(house)
        await eventually(lambda: state(house, case).asked and len(house.webhooks.told("push-1")) == 2)
        await answers(house, case, "pull-0", {"pull-0-app": 0})
        await until(house, case, QueryStatus.RESULT_SENT)
    assert crashed and house.webhooks.told("push-0") == house.webhooks.told("push-1") == ["questions.asked"] * 2
    ids = {(partner, message) for partner, message, _ in house.webhooks.posts}
    assert len(ids) == 2, "the same message again, which an enterprise knows by its id"
    assert house.events(case) == ["submitted", "questions_put", "heard", "party_answered", "reported", "told"]
    assert len(house.centre.texts) == 1
    house.verify()


async def test_a_forgotten_report_is_recalled_and_told_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report is in the ledger, the workflow does not know: it is told all the same, by the state alone."""
    real, lied = Records._append, []

    async def once_unknown(self: Records, order: Append) -> bool:
        same = await real(self, order)
        if any(event.type == "reported" for event in order.events) and not lied:
            lied.append(order.step)
            return False
        return same

    monkeypatch.setattr(Records, "_append", once_unknown)
    house.webhooks.answers = {"push-0": says(2), "push-1": says(1)}
    async with house.working():
        case = await opened(house)
        await eventually(lambda: state(house, case).asked)
        await answers(house, case, "pull-0", {"pull-0-app": 0})
        await until(house, case, QueryStatus.RESULT_SENT)
    assert lied and len(house.centre.texts) == 1 and house.events(case).count("reported") == 1
    house.verify()


async def test_an_answer_before_the_round_is_over_waits_for_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The question is in the party's list as soon as it is in the ledger; the workflow hears of it a moment later."""
    real = Parties.ask_parties
    early: list[asyncio.Task[Done]] = []

    @wraps(real)  # with its activity definition
    async def slow_to_return(self: Parties, order: AskParties) -> Heard:
        heard = await real(self, order)
        early.append(asyncio.create_task(answers(house, order.case, "pull-0", {"pull-0-app": 7})))
        await asyncio.sleep(0.5)
        return heard

    monkeypatch.setattr(Parties, "ask_parties", slow_to_return)
    house.webhooks.answers = {"push-0": says(2), "push-1": says(1)}
    async with house.working():
        case = await opened(house)
        done = await until(house, case, QueryStatus.RESULT_SENT)
        assert dict(done.counts)["pull-0-app"] == 7 and (await early[0]).changed
    house.verify()


# ── case work and other cases ────────────────────────────────────────────────────────────────────────


async def test_case_work_on_a_query(house: House, skipping: WorkflowEnvironment) -> None:
    house.webhooks.answers = {"push-0": says(2)}
    async with house.working():
        case = await opened(house)
        await eventually(lambda: state(house, case).asked)
        assert (await act(house, case, casework.Claim(actor=WORKER))).changed
        assert (await act(house, case, casework.Pause(actor=WORKER, reason=PAPER))).changed
        await skipping.sleep(3 * DAY)
        assert state(house, case).status is QueryStatus.ASKING
        await act(house, case, casework.Resume(actor=WORKER))
        await skipping.sleep(2 * DAY)
        await until(house, case, QueryStatus.RESULT_SENT)
        refusal = (await act(house, case, casework.Reopen(actor=WORKER, reason=PAPER))).refusal
        assert refusal and refusal.code is RefusalCode.TOO_LATE_TO_REOPEN
    house.verify()


async def test_a_merged_query_tells_nothing_and_gives_its_slot_back(house: House) -> None:
    async with house.working():
        case = await opened(house)
        await eventually(lambda: state(house, case).asked)
        await act(house, case, casework.Merge(actor=WORKER, into=new_case_id(CaseKind.QUERY)))
        assert (await house.client.get_workflow_handle_for(QueryWorkflow.run, case).result()).status == "closed"
        assert not house.centre.texts
        await opened(house)
    house.verify()


async def test_a_case_that_followed_is_remembered(house: House) -> None:
    dispute = new_case_id(CaseKind.DISPUTE)
    async with house.working():
        case = await opened(house)
        await eventually(lambda: state(house, case).asked)
        for _ in range(2):
            await house.client.get_workflow_handle_for(QueryWorkflow.run, case).signal(
                QueryWorkflow.concluded, Conclusion(case=dispute, outcome="closed")
            )
        await act(house, case, casework.Link(to=dispute, how=LinkKind.LED_TO))
        await eventually(lambda: state(house, case).work.links == (dispute,))
    assert house.events(case).count("linked") == 1
    house.verify()


async def test_hostile_answers_change_nothing(house: House) -> None:
    house.webhooks.answers = {"push-0": says(2), "push-1": lambda _: {"type": "declined", "reason": "out_of_scope"}}
    async with house.working():
        case = await opened(house)
        await eventually(lambda: state(house, case).asked)
        misfit = state(house, case).question_to("push-1")
        assert misfit and misfit.answer is None and misfit.failure == "answer_does_not_fit"
        contradicting = await answers(house, case, "push-0", {"push-0-app": 9})
        assert contradicting.refusal and contradicting.refusal.code is RefusalCode.ALREADY_ANSWERED
        foreign = state(house, case).question_to("pull-0")
        assert foreign is not None
        stolen = Answering(question=foreign.id, party="push-1", answer=Counts(counts={"pull-0-app": 9}))
        done = await house.desk.say(case, "answer", stolen, Done)
        assert done.refusal == question.refuse_unknown(foreign.id)
        assert query.counted(state(house, case)) == {"push-0-app": 2}
    house.verify()
