"""`DisputeWorkflow`: from the claim to its end, through every hand it may go through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select
from temporalio.testing import WorkflowEnvironment

from activities.ports import Unavailable
from domain import casework, dispute, unbind
from domain.case import Actor, ActorKind, CaseKind, LinkKind
from domain.casework import DecisionKind
from domain.dispute import Choose, ClaimReason, DisputeStatus, Settle, Settlement, TakeUp, Unsolved, Wanted, Withdraw
from domain.proof import Method, Proof
from domain.question import Account, Answering, Detail
from domain.refusal import Refusal, RefusalCode
from gateway.intake import Admitted, Opening
from store import papers
from store.database import Database
from store.ids import new_case_id
from store.keys import KeyRing
from store.ledger import Append, append, parse, read
from store.projection import load_state
from store.tables import work_items
from store.vault import Person
from tests.house import DAY, NUMBER, TAIL, House
from tests.support import eventually
from tests.workflows.test_real_server import SOON, real_server
from workflows.dispute import DisputeWorkflow
from workflows.messages import Act, Conclusion, Done

HOUR = timedelta(hours=1)
PAPER = "P0123456789AB"
CHEN = Actor(kind=ActorKind.CASE_WORKER, code="worker-chen")
LIN = Actor(kind=ActorKind.CASE_WORKER, code="worker-lin")
INVESTIGATION = "X0123456789AB"
LABEL, OTHERS_LABEL = "微**户", "原**主"
Reply = Callable[[Mapping[str, Any]], Any]


# ── what people do ───────────────────────────────────────────────────────────────────────────────────


def detail(*ages: int) -> Reply:
    """A party that finds one account per age in days, newest handle first: `a0`, `a1` …"""

    def says(asked: Mapping[str, Any]) -> Any:
        bound = [(datetime.now(UTC) - age * DAY).isoformat() for age in ages]
        accounts = [
            {"ref": f"a{n}", "label": LABEL if ages[n] < 60 else OTHERS_LABEL, "bound_at": at}
            for n, at in enumerate(bound)
        ]
        return {"type": "detail", "accounts": {app: accounts for app in asked["apps"]}}

    return says


def own_check(asked: Mapping[str, Any]) -> Any:
    """A party that sends the citizen through its own check."""
    return {"type": "own_check", "link": "https://push-0.example/check/h7Kq"}


async def open_dispute(house: House, *apps: str, **words: Any) -> str:
    """A dispute as the gateway opens it."""
    case, now = new_case_id(CaseKind.DISPUTE), datetime.now(UTC)
    owners = {app: house.registry.owner(app) for app in apps}
    proof = Proof(
        check=new_case_id(CaseKind.IDENTITY),
        method=Method.CODE_AND_ID_TAIL,
        carrier="carrier",
        activated_at=now - 60 * DAY,
        verified_at=now,
    )
    claims = tuple(
        Wanted(
            app=app,
            party=owner.code,
            name=house.registry.app(app).name,
            hotline=owner.hotline,
            reason=ClaimReason.NOT_MINE,
        )
        for app, owner in owners.items()
    )
    submission = dispute.Submit(
        case=case, channel="mini-program", masked_number=NUMBER.mask(), identity=proof, claims=claims, **words
    )
    decision = dispute.submit(submission, now, house.registry.dispute)
    assert not isinstance(decision, Refusal), decision
    opening = Opening(
        partner="mini-program",
        key=case,
        wording=case,
        kind=CaseKind.DISPUTE,
        case=case,
        first=decision[0],
        person=Person(NUMBER, TAIL),
    )
    admitted = await house.intake.open(opening)
    assert isinstance(admitted, Admitted), admitted
    return case


async def say(house: House, case: str, update: str, command: Any) -> Done:
    return await house.desk.say(case, update, command, Done)


async def taken(house: House, case: str, update: str, command: Any) -> None:
    done = await say(house, case, update, command)
    assert done.refusal is None and done.changed, done


async def act(house: House, case: str, command: Any) -> None:
    await taken(house, case, "act", Act(command=command))


def choice(**apps: Mapping[str, str]) -> Choose:
    """`push_0_app={"a0": "cancel"}`."""
    return Choose.model_validate({"choices": {app.replace("_", "-"): dict(wishes) for app, wishes in apps.items()}})


async def answer(house: House, case: str, app: str, outcome: str, part: int = 0, **more: Any) -> Any:
    """An enterprise answers its work item."""
    item = item_of(house, case, app, part)
    command = unbind.Answer(item=item.id, enterprise=item.enterprise, outcome=outcome, **more)  # type: ignore[arg-type]
    return await house.command(command)


# ── what can be seen ─────────────────────────────────────────────────────────────────────────────────


def state(house: House, case: str) -> dispute.State:
    found: dispute.State = house.database.read_now(lambda c: load_state(c, CaseKind.DISPUTE, case))
    return found


def states(house: House, case: str) -> dict[str, str]:
    return {app: claim.state.value for app, claim in state(house, case).claims.items()}


def items(house: House, case: str, part: int = 0) -> dict[str, unbind.Item]:
    where = work_items.c.case_id == f"{case}-unbind-{part}"
    rows = house.database.read_now(lambda c: c.execute(select(work_items.c.data).where(where)).scalars().all())
    return {item.app: item for item in (unbind.Item.model_validate_json(row) for row in rows)}


def item_of(house: House, case: str, app: str, part: int = 0) -> unbind.Item:
    return items(house, case, part)[app]


def told(house: House, case: str) -> list[str]:
    """What the citizen was told, in order."""
    events = parse(house.database.read_now(lambda c: read(c, case)))
    return [event.message for event in events if event.type == "told"]


async def reached(house: House, case: str, **wanted: str) -> None:
    """`push_0_app="choosing"`."""
    there = {app.replace("_", "-"): state_ for app, state_ in wanted.items()}
    await eventually(lambda: states(house, case) == there)


async def delivered(house: House, case: str, part: int = 0) -> None:
    await eventually(lambda: "noticed" in house.events(f"{case}-unbind-{part}"))


async def closed(house: House, case: str, status: DisputeStatus = DisputeStatus.CLOSED) -> None:
    await eventually(lambda: state(house, case).status is status)
    await eventually(lambda: state(house, case).owed == ())


async def unbinding(house: House, **wishes: str) -> str:
    """A dispute on one app whose enterprise has been told what is wanted."""
    house.webhooks.answers.setdefault("push-0", detail(1))
    case = await open_dispute(house, "push-0-app")
    await reached(house, case, push_0_app="choosing")
    await taken(house, case, "choose", choice(push_0_app=wishes or {"a0": "unbind"}))
    await delivered(house, case)
    return case


# ── scenarios ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_dispute_from_detail_to_done(house: House, skipping: WorkflowEnvironment) -> None:
    house.webhooks.answers = {"push-0": detail(1, 2), "push-1": detail(3)}
    async with house.working():
        case = await open_dispute(house, "push-0-app", "push-1-app")
        await reached(house, case, push_0_app="choosing", push_1_app="choosing")
        asked = [body["data"]["questions"][0] for _, _, body in house.webhooks.posts]
        assert [(one["kind"], one["identity_checked"]) for one in asked] == [("detail", True)] * 2
        wishes = choice(push_0_app={"a0": "cancel", "a1": "keep"}, push_1_app={"a0": "unbind"})
        await taken(house, case, "choose", wishes)
        assert not (await say(house, case, "choose", wishes)).changed
        await delivered(house, case)
        (shared,) = [body["data"]["work_items"][0] for who, _, body in house.webhooks.posts[2:] if who == "push-0"]
        assert shared["accounts"] == [{"ref": "a0", "action": "cancel"}], "what is kept is not theirs to know"
        await answer(house, case, "push-0-app", "cancelled")
        await reached(house, case, push_0_app="done", push_1_app="unbinding")
        await answer(house, case, "push-1-app", "unbound")
        await closed(house, case)
        assert told(house, case) == ["dispute_opened", "dispute_choose", "dispute_closed"]
        assert "已解决2" in house.centre.texts[-1] and case in house.centre.texts[-1]
        await skipping.sleep(40 * DAY)
        done = await house.client.get_workflow_handle_for(DisputeWorkflow.run, case).result()
        assert done.status == "closed"
    kinds = [kind for kind in house.events(case) if kind != "told"]
    assert kinds == ["opened", "questions_put", "heard", "detail_given", "chosen", "solved", "solved", "closed"]
    house.verify()


async def test_no_takeover(house: House) -> None:
    """A new holder may unbind a former holder's account, never see or cancel it (domain.md)."""
    house.webhooks.answers = {"push-0": detail(1, 400)}
    async with house.working():
        case = await open_dispute(house, "push-0-app")
        await reached(house, case, push_0_app="choosing")
        (question,) = state(house, case).questions.values()
        assert isinstance(question.answer, Detail)
        own, former = question.answer.accounts["push-0-app"]
        assert (own.own, former.own, former.label) == (True, False, None)
        assert own.label is not None
        label = own.label
        assert house.database.read_now(lambda c: papers.get(c, house.keys, case, label)) == LABEL
        for wish in ("cancel", "keep"):
            done = await say(house, case, "choose", choice(push_0_app={"a0": "keep", "a1": wish}))
            assert done.refusal and done.refusal.code is RefusalCode.FORMER_HOLDERS
        await taken(house, case, "choose", choice(push_0_app={"a0": "keep", "a1": "unbind"}))
        await delivered(house, case)
        old = datetime.now(UTC) - 400 * DAY
        refused = await answer(house, case, "push-0-app", "cancelled", bound_at=old)
        assert refused.refusal and refused.refusal.code is RefusalCode.NOT_ASKED_TO_CANCEL
        assert (await answer(house, case, "push-0-app", "unbound", bound_at=old)).changed
        await closed(house, case)
    house.verify()


async def test_own_accounts_may_go_whenever_they_were_bound(house: House) -> None:
    async with house.working():
        case = await unbinding(house, a0="unbind")
        item = item_of(house, case, "push-0-app")
        assert item.choices == (unbind.Choice(ref="a0", action=unbind.Action.UNBIND),)
        newer = item.boundary + DAY
        assert (await answer(house, case, "push-0-app", "unbound", bound_at=newer)).changed
        await closed(house, case)
    house.verify()


async def test_dispute_ladder_to_investigation(house: House) -> None:
    """refused → hotline → unsolved → case worker → two people → refused again → investigation → concluded → closed."""
    async with house.working():
        case = await unbinding(house)
        await answer(house, case, "push-0-app", "rejected", reason="out_of_scope")
        await reached(house, case, push_0_app="hotline")
        await eventually(lambda: told(house, case)[-1:] == ["dispute_refused"])
        assert "不在受理范围" in house.centre.texts[-1]
        await taken(house, case, "unsolved", Unsolved(app="push-0-app"))
        assert states(house, case) == {"push-0-app": "with_case_worker"}

        await act(house, case, casework.Claim(actor=CHEN))
        override = casework.Propose(actor=CHEN, what=DecisionKind.OVERRIDE, about="push-0-app", reason=PAPER)
        await act(house, case, override)
        alone = await say(house, case, "act", Act(command=casework.Approve(actor=CHEN)))
        assert alone.refusal and alone.refusal.code is RefusalCode.SAME_PERSON
        await act(house, case, casework.Approve(actor=LIN))
        await delivered(house, case, 1)
        assert item_of(house, case, "push-0-app", 1).choices == item_of(house, case, "push-0-app").choices
        await answer(house, case, "push-0-app", "rejected", part=1, reason="out_of_scope")
        await reached(house, case, push_0_app="hotline")

        await taken(house, case, "unsolved", Unsolved(app="push-0-app"))
        await act(house, case, casework.Link(to=INVESTIGATION, how=LinkKind.LED_TO))
        assert states(house, case) == {"push-0-app": "investigating"}
        handle = house.client.get_workflow_handle_for(DisputeWorkflow.run, case)
        await handle.signal(DisputeWorkflow.concluded, Conclusion(case=INVESTIGATION, outcome="citizen_right"))
        await closed(house, case)
        claim = state(house, case).claims["push-0-app"]
        assert (claim.state, claim.conclusion) == ("settled", "citizen_right")
        assert state(house, case).work.links == (INVESTIGATION,)
        assert told(house, case)[-1] == "dispute_closed"
    house.verify()


async def test_an_investigation_says_itself_that_it_was_opened(house: House) -> None:
    house.webhooks.answers = {"push-0": lambda _asked: {"type": "declined", "reason": "out_of_scope"}}
    async with house.working():
        case = await open_dispute(house, "push-0-app")
        await reached(house, case, push_0_app="hotline")
        await taken(house, case, "unsolved", Unsolved(app="push-0-app"))
        handle = house.client.get_workflow_handle_for(DisputeWorkflow.run, case)
        await handle.signal(DisputeWorkflow.linked, casework.Link(to=INVESTIGATION, how=LinkKind.LED_TO))
        await reached(house, case, push_0_app="investigating")
    house.verify()


async def test_exempt(house: House) -> None:
    """Told with the reason, the law it rests on and what can be done; the case stays open for the citizen's word."""
    async with house.working():
        case = await unbinding(house)
        await answer(house, case, "push-0-app", "exempt", reason="legal_hold")
        await reached(house, case, push_0_app="hotline")
        claim = state(house, case).claims["push-0-app"]
        why = dispute.explanation(claim, state(house, case).language)
        assert why and "第三十二条" in why.law and why.remedy
        await eventually(lambda: "依法保全" in house.centre.texts[-1])
        assert state(house, case).status is DisputeStatus.OPEN
        assert (await answer(house, case, "push-0-app", "unbound", amends=1)).changed
        await closed(house, case)
        assert states(house, case) == {"push-0-app": "done"}
    house.verify()


async def test_an_enterprise_that_takes_its_word_back(house: House) -> None:
    async with house.working():
        case = await unbinding(house)
        await answer(house, case, "push-0-app", "unbound")
        await closed(house, case)
        await answer(house, case, "push-0-app", "rejected", reason="data_incomplete", amends=1)
        await reached(house, case, push_0_app="hotline")
        assert state(house, case).status is DisputeStatus.OPEN
    house.verify()


async def test_one_result_is_not_held_back_by_a_silent_enterprise(
    house: House, skipping: WorkflowEnvironment
) -> None:
    house.webhooks.answers = {"push-0": detail(1), "push-1": detail(1)}
    async with house.working():
        case = await open_dispute(house, "push-0-app", "push-1-app")
        await reached(house, case, push_0_app="choosing", push_1_app="choosing")
        await taken(house, case, "choose", choice(push_0_app={"a0": "unbind"}, push_1_app={"a0": "unbind"}))
        await delivered(house, case)
        assert set(items(house, case)) == {"push-0-app", "push-1-app"}, "one child per round of choices"
        await answer(house, case, "push-0-app", "exempt", reason="funds_remain")
        await reached(house, case, push_0_app="hotline", push_1_app="unbinding")
        await skipping.sleep(5 * DAY + HOUR)
        await reached(house, case, push_0_app="hotline", push_1_app="with_case_worker")
    house.verify()


async def test_withdrawal_before_acknowledgement(house: House) -> None:
    house.webhooks.answers = {"push-0": detail(1), "push-1": detail(1)}
    async with house.working():
        case = await open_dispute(house, "push-0-app", "push-1-app", "pull-0-app")
        await reached(house, case, push_0_app="choosing", push_1_app="choosing", pull_0_app="asking_detail")
        await taken(house, case, "choose", choice(push_0_app={"a0": "unbind"}, push_1_app={"a0": "unbind"}))
        await delivered(house, case)
        item = item_of(house, case, "push-0-app")
        await house.command(unbind.Acknowledge(item=item.id, enterprise="push-0"))
        await taken(house, case, "withdraw", Withdraw())
        assert states(house, case) == {
            "push-0-app": "unbinding",
            "push-1-app": "withdrawn",
            "pull-0-app": "withdrawn",
        }
        await eventually(lambda: house.webhooks.told("push-1")[-1] == "work_items.withdrawn")
        again = await say(house, case, "withdraw", Withdraw())
        assert (again.refusal, again.changed) == (None, False)
        await answer(house, case, "push-0-app", "unbound")
        await closed(house, case)
    house.verify()


async def test_withdrawal_of_everything(house: House) -> None:
    async with house.working():
        case = await unbinding(house)
        await taken(house, case, "withdraw", Withdraw())
        await closed(house, case, DisputeStatus.WITHDRAWN)
        assert item_of(house, case, "push-0-app").state == "withdrawn"
        assert "已撤回1" in house.centre.texts[-1]
    house.verify()


async def test_withdrawal_quicker_than_the_enterprise_is_told(house: House) -> None:
    house.webhooks.answers = {"push-0": detail(1)}
    house.webhooks.failing["push-1"] = Unavailable("http_503", "down")
    async with house.working():
        case = await open_dispute(house, "push-0-app")
        await reached(house, case, push_0_app="choosing")
        house.webhooks.failing["push-0"] = Unavailable("http_503", "down")
        await taken(house, case, "choose", choice(push_0_app={"a0": "unbind"}))
        await taken(house, case, "withdraw", Withdraw())
        await closed(house, case, DisputeStatus.WITHDRAWN)
    house.verify()


async def test_withdrawal_too_late(house: House) -> None:
    async with house.working():
        case = await unbinding(house)
        item = item_of(house, case, "push-0-app")
        await house.command(unbind.Acknowledge(item=item.id, enterprise="push-0"))
        done = await say(house, case, "withdraw", Withdraw())
        assert done.refusal and done.refusal.code is RefusalCode.TOO_LATE_TO_WITHDRAW
        assert states(house, case) == {"push-0-app": "unbinding"}
    house.verify()


async def test_overdue_and_late_success(house: House, skipping: WorkflowEnvironment) -> None:
    async with house.working():
        case = await unbinding(house)
        await skipping.sleep(5 * DAY + HOUR)
        await reached(house, case, push_0_app="with_case_worker")
        await eventually(lambda: told(house, case)[-1:] == ["dispute_hotline"])
        assert [to for to, _, _ in house.mailer.mails] == ["desk@us.example"]
        assert state(house, case).work.due_at is not None
        await skipping.sleep(10 * DAY)
        assert (await answer(house, case, "push-0-app", "unbound")).changed
        await closed(house, case)
        assert states(house, case) == {"push-0-app": "done"}
    house.verify()


async def test_citizen_silent(house: House, skipping: WorkflowEnvironment) -> None:
    house.webhooks.answers = {"push-0": detail(1)}
    async with house.working():
        case = await open_dispute(house, "push-0-app")
        await reached(house, case, push_0_app="choosing")
        await skipping.sleep(3 * DAY + HOUR)
        await eventually(lambda: told(house, case)[-1:] == ["dispute_remind"])
        await skipping.sleep(4 * DAY)
        await eventually(lambda: told(house, case).count("dispute_remind") == 2)
        await skipping.sleep(7 * DAY)
        await closed(house, case)
        assert told(house, case)[-1] == "dispute_silent" and "dispute_closed" not in told(house, case)
        late = await say(house, case, "choose", choice(push_0_app={"a0": "keep"}))
        assert late.refusal and late.refusal.code is RefusalCode.CASE_CLOSED

        await skipping.sleep(29 * DAY)
        await taken(house, case, "take_up", TakeUp())
        await taken(house, case, "choose", choice(push_0_app={"a0": "keep"}))
        await closed(house, case)
        await skipping.sleep(31 * DAY)
        await house.client.get_workflow_handle_for(DisputeWorkflow.run, case).result()
    house.verify()


async def test_paused_clock(house: House, skipping: WorkflowEnvironment) -> None:
    house.webhooks.answers = {"push-0": detail(1)}
    async with house.working():
        case = await open_dispute(house, "push-0-app")
        await reached(house, case, push_0_app="choosing")
        await act(house, case, casework.Pause(actor=CHEN, reason=PAPER))
        await skipping.sleep(20 * DAY)
        assert states(house, case) == {"push-0-app": "choosing"}
        assert told(house, case) == ["dispute_opened", "dispute_choose"]
        await act(house, case, casework.Resume(actor=CHEN))
        await skipping.sleep(3 * DAY + HOUR)
        await eventually(lambda: told(house, case)[-1:] == ["dispute_remind"])
    house.verify()


async def test_own_check(house: House, skipping: WorkflowEnvironment) -> None:
    """The enterprise's link reaches the citizen only; its detail comes when they have passed."""
    house.webhooks.answers = {"push-0": own_check}
    async with house.working():
        case = await open_dispute(house, "push-0-app")
        await reached(house, case, push_0_app="own_check")
        await eventually(lambda: told(house, case)[-1:] == ["dispute_own_check"])
        rows = house.database.read_now(lambda c: c.exec_driver_sql("SELECT data FROM ledger").scalars().all())
        assert not any("example/check" in row for row in rows)
        (question,) = state(house, case).questions.values()
        found = Detail(accounts={"push-0-app": (Account(ref="a0", own=False),)})
        await taken(house, case, "answer", Answering(question=question.id, party="push-0", answer=found))
        await reached(house, case, push_0_app="choosing")
    house.verify()


async def test_a_party_that_never_answers_and_one_that_is_down(house: House, skipping: WorkflowEnvironment) -> None:
    house.webhooks.answers = {"push-1": detail(1)}
    house.webhooks.failing["push-1"] = Unavailable("http_503", "down")
    async with house.working():
        case = await open_dispute(house, "pull-0-app", "push-1-app")
        await eventually(lambda: len(state(house, case).questions) == 2)
        await skipping.sleep(HOUR)
        assert house.events(case).count("heard") > 2
        del house.webhooks.failing["push-1"]
        await skipping.sleep(6 * HOUR)
        await reached(house, case, pull_0_app="asking_detail", push_1_app="choosing")
        await skipping.sleep(5 * DAY)
        await reached(house, case, pull_0_app="with_case_worker", push_1_app="choosing")
        await act(house, case, casework.Claim(actor=CHEN))
        solved = Settle(actor=CHEN, app="pull-0-app", settlement=Settlement.SOLVED, reason=PAPER)
        await taken(house, case, "settle", solved)
        assert states(house, case)["pull-0-app"] == "settled"
    house.verify()


async def test_card_dispute(house: House) -> None:
    """A card the citizen does not know: their own, however old, and the carrier cancels it (S0 S1)."""
    house.webhooks.answers = {"carrier": detail(1, 400)}
    async with house.working():
        case = await open_dispute(house, "carrier-cards")
        await reached(house, case, carrier_cards="choosing")
        (question,) = state(house, case).questions.values()
        assert isinstance(question.answer, Detail)
        assert [card.own for card in question.answer.accounts["carrier-cards"]] == [True, True]
        await taken(house, case, "choose", choice(carrier_cards={"a0": "keep", "a1": "cancel"}))
        await delivered(house, case)
        subject = house.webhooks.posts[-1][2]["data"]["work_items"][0]["subject"]
        assert (subject["number"], subject["id_tail"]) == (NUMBER.e164, TAIL.value), "the carrier's own contract"
        await answer(house, case, "carrier-cards", "cancelled")
        await closed(house, case)
    house.verify()


async def test_case_worker_reopens_what_is_done(house: House) -> None:
    async with house.working():
        case = await unbinding(house)
        await answer(house, case, "push-0-app", "unbound")
        await closed(house, case)
        await act(house, case, casework.Reopen(actor=CHEN, reason=PAPER))
        assert states(house, case) == {"push-0-app": "with_case_worker"}
        await act(house, case, casework.Claim(actor=CHEN))
        await act(
            house,
            case,
            casework.Propose(actor=CHEN, what=DecisionKind.REFUSE, about="push-0-app", reason=PAPER),
        )
        await act(house, case, casework.Approve(actor=LIN))
        await closed(house, case)
        assert "未支持1" in house.centre.texts[-1]
    house.verify()


async def test_everything_on_the_ledger_is_without_personal_data(house: House) -> None:
    house.webhooks.answers = {"push-0": detail(1, 400)}
    async with house.working():
        case = await open_dispute(house, "push-0-app", "carrier-cards")
        await reached(house, case, push_0_app="choosing", carrier_cards="asking_detail")
        await taken(house, case, "choose", choice(push_0_app={"a0": "cancel", "a1": "unbind"}))
        await delivered(house, case)
    rows = house.database.read_now(lambda c: c.exec_driver_sql("SELECT data FROM ledger").scalars().all())
    for secret in (NUMBER.national, TAIL.value, LABEL, OTHERS_LABEL):
        assert not any(secret in row for row in rows)


async def test_the_case_it_was_opened_from_hears_how_it_ended(house: House) -> None:
    """From a complaint: linked at the start, told at the end; one that is gone holds nothing up."""
    async with house.working():
        house.webhooks.answers = {"push-0": detail(1)}
        origin = await open_dispute(house, "push-1-app")  # any case whose workflow knows `linked` and `concluded`
        case = await open_dispute(house, "push-0-app", opened_from=origin)
        await reached(house, case, push_0_app="choosing")
        assert state(house, case).work.links == (origin,)
        await eventually(lambda: state(house, origin).work.links == (case,))
        await taken(house, case, "choose", choice(push_0_app={"a0": "keep"}))
        await closed(house, case)
        history = await house.client.get_workflow_handle(origin).fetch_history()
        signals = [
            event.workflow_execution_signaled_event_attributes.signal_name
            for event in history.events
            if event.HasField("workflow_execution_signaled_event_attributes")
        ]
        assert signals == ["linked", "concluded"]
    house.verify()


async def test_a_dispute_beyond_one_history(database: Database, keys: KeyRing) -> None:
    """A fresh history with the same state: nothing is asked, told or begun twice, and the old child still reports."""
    async with real_server(database, keys, *SOON) as house:
        case = await unbinding(house)
        handle = house.client.get_workflow_handle_for(DisputeWorkflow.run, case)
        first = (await handle.describe()).run_id
        for _ in range(12):
            await act(house, case, casework.Note(actor=CHEN, note=PAPER))
        assert (await handle.describe()).run_id != first, "the history was renewed"
        await answer(house, case, "push-0-app", "rejected", reason="out_of_scope")
        await reached(house, case, push_0_app="hotline")
        await taken(house, case, "withdraw", Withdraw())
        await closed(house, case, DisputeStatus.WITHDRAWN)
        events = house.events(case)
        assert (events.count("heard"), events.count("chosen"), events.count("noted")) == (1, 1, 12)
        assert told(house, case) == ["dispute_opened", "dispute_choose", "dispute_refused", "dispute_closed"]
        assert house.webhooks.told("push-0") == ["questions.asked", "work_items.requested"]
        house.verify()


async def test_what_a_crash_left_in_the_ledger_is_done_and_told(house: House) -> None:
    """A worker died between writing a choice and remembering it: the next word recalls it, and its child begins."""
    house.webhooks.answers = {"push-0": detail(1)}
    async with house.working():
        case = await open_dispute(house, "push-0-app")
        await eventually(lambda: told(house, case) == ["dispute_opened", "dispute_choose"])
        rows = house.database.read_now(lambda c: read(c, case))
        last = max(int(row.step.removeprefix("decide-")) for row in rows if row.step.startswith("decide-"))
        wishes = choice(push_0_app={"a0": "unbind"})
        chosen = dispute.decide(state(house, case), wishes, datetime.now(UTC))
        assert not isinstance(chosen, Refusal)
        lost = Append(case, CaseKind.DISPUTE, f"decide-{last + 1}", chosen)
        house.database.write_now(lambda c: append(c, house.keys, lost))
        assert not (await say(house, case, "choose", wishes)).changed
        await delivered(house, case)
        await answer(house, case, "push-0-app", "unbound")
        await closed(house, case)
        assert house.events(case).count("chosen") == 1
    house.verify()
