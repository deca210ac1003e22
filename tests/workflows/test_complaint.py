"""`ComplaintWorkflow`: to a dispute, to an investigation, another way, linked both ways, closed by what comes of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from activities.records import Records
from domain import casework, complaint, dispute, investigation
from domain.case import CaseKind, LinkKind
from domain.complaint import ComplaintKind, ComplaintStatus, Ending, FollowUp, Way
from domain.investigation import InvestigationStatus, Result
from domain.messages import Language
from domain.proof import Method, Proof
from domain.refusal import Refusal, RefusalCode
from gateway.intake import Admitted, Opening
from store import vault
from store.ids import new_case_id, new_paper_id
from store.ledger import Append
from store.vault import Person
from tests.house import CARRIER, DAY, NUMBER, TAIL, House
from tests.support import eventually
from tests.workflows import test_investigation as investigations
from tests.workflows.test_investigation import CHEN, LIN, NO, PAPER, act, answers, any_state, evidence, links, told
from workflows.complaint import ComplaintWorkflow
from workflows.messages import Conclusion, Done

HOUR = timedelta(hours=1)
TEXT = "They say it is unbound. I still get their codes on 138 0013 8000."


async def complain(
    house: House, kind: ComplaintKind, about: str | None = None, apps: tuple[str, ...] = ("push-0-app",)
) -> str:
    """A complaint as the gateway opens it."""
    at, text = datetime.now(UTC), new_paper_id()
    proof = Proof(
        check=new_case_id(CaseKind.IDENTITY),
        method=Method.CODE_AND_ID_TAIL,
        carrier=CARRIER,
        activated_at=at - 60 * DAY,
        verified_at=at,
    )
    command = complaint.Take(
        case=new_case_id(CaseKind.COMPLAINT),
        channel="mini-program",
        masked_number=NUMBER.mask(),
        language=Language.ZH,
        kind=kind,
        about=about,
        text=text,
        identity=proof,
        apps=apps,
    )
    decision = complaint.take(command, at, house.registry)
    assert not isinstance(decision, Refusal), decision
    admitted = await house.intake.open(
        Opening(
            partner="mini-program",
            key=command.case,
            wording=command.case,
            kind=CaseKind.COMPLAINT,
            case=command.case,
            first=decision[0],
            person=Person(NUMBER, TAIL),
            papers={text: TEXT},
        )
    )
    assert isinstance(admitted, Admitted), admitted
    return command.case


def state(house: House, case: str) -> complaint.State:
    found: complaint.State = any_state(house, case)
    return found


async def followed(house: House, case: str, way: Way, number: int = 1) -> str:
    """The case a complaint went on as."""

    def there() -> FollowUp | None:
        known = state(house, case).follow_ups
        return known[number - 1] if len(known) >= number else None

    found = await eventually(there)
    assert found is not None and found.way is way
    return found.case


async def route(house: House, case: str, way: Way) -> Done:
    return await house.desk.say(case, "route", complaint.Route(actor=CHEN, way=way, reason=PAPER), Done)


async def closed(house: House, case: str) -> complaint.State:
    await eventually(lambda: state(house, case).status is ComplaintStatus.CLOSED)
    return state(house, case)


async def linked_both_ways(house: House, case: str, other: str) -> None:
    """Each names the other in its ledger, once: the complaint by an event, its follow-up in the first one it has."""
    await eventually(lambda: (other, LinkKind.LED_TO) in links(house, case))
    assert links(house, case).count((other, LinkKind.LED_TO)) == 1
    assert any_state(house, other).opened_from == case
    assert any_state(house, other).work.links[0] == case


async def test_not_done_becomes_an_investigation(house: House, skipping: WorkflowEnvironment) -> None:
    async with house.working():
        about = (await house.renew()).id
        case = await complain(house, ComplaintKind.NOT_DONE, about, ("push-0-app", "pull-0-app"))
        other = await followed(house, case, Way.INVESTIGATION)
        await linked_both_ways(house, case, other)
        await eventually(lambda: links(house, about) == [(case, LinkKind.LED_TO)])
        assert state(house, case).status is ComplaintStatus.IN_INVESTIGATION
        assert state(house, case).work.links == (about, other)
        assert house.database.read_now(lambda c: vault.get(c, house.keys, other)) == Person(NUMBER, TAIL)

        await investigations.asked(house, other)
        asked = [body for _, _, body in house.webhooks.posts if body["type"] == "questions.asked"]
        assert asked and all("text" not in q for body in asked for q in body["data"]["questions"])
        assert "138 0013 8000" not in str(house.webhooks.posts), "what the citizen wrote is for case workers only"

        assert (await answers(house, other, "push-0", await evidence(house, other, "done on 2 March"))).changed
        assert (await answers(house, other, "pull-0", NO)).changed
        await investigations.decided(house, other)
        done = await closed(house, case)
        assert (done.ending, done.follow_ups[0].outcome) == (Ending.CONCLUDED, Result.CITIZEN_RIGHT)
        await eventually(lambda: told(house, case) == ["complaint_taken", "complaint_closed"])
        assert [text for text in house.centre.texts if case in text and other in text], "it says whose result to read"
        assert told(house, other) == ["investigation_opened", "investigation_decided"]
    house.verify()


async def test_still_bound_becomes_a_dispute(house: House, skipping: WorkflowEnvironment) -> None:
    """The same proof, no second identity check: the party is asked for the accounts at once."""
    async with house.working():
        case = await complain(house, ComplaintKind.STILL_BOUND, apps=("push-0-app", "push-1-app"))
        other = await followed(house, case, Way.DISPUTE)
        await linked_both_ways(house, case, other)
        assert state(house, case).status is ComplaintStatus.IN_DISPUTE
        disputed: dispute.State = any_state(house, other)
        assert disputed.identity == state(house, case).identity
        assert {claim.reason for claim in disputed.claims.values()} == {dispute.ClaimReason.ASKED_BEFORE}
        await eventually(lambda: "questions.asked" in house.webhooks.told("push-0"))

        withdrawn = await house.desk.say(other, "withdraw", dispute.Withdraw(), Done)
        assert withdrawn.refusal is None
        done = await closed(house, case)
        assert done.follow_ups == (FollowUp(case=other, way=Way.DISPUTE, outcome=dispute.Ending.WITHDRAWN),)
        await eventually(lambda: told(house, case) == ["complaint_taken", "complaint_closed"])
    house.verify()


async def test_the_overdue_investigation_of_a_complaint(house: House, skipping: WorkflowEnvironment) -> None:
    async with house.working():
        case = await complain(house, ComplaintKind.WRONG_ACCOUNT)
        other = await followed(house, case, Way.INVESTIGATION)
        await skipping.sleep(15 * DAY + HOUR)
        await investigations.reached(house, other, InvestigationStatus.OVERDUE)
        assert state(house, case).status is ComplaintStatus.IN_INVESTIGATION, "it is still being seen to"
        await investigations.decided(house, other, Result.INCONCLUSIVE)
        assert (await closed(house, case)).follow_ups[0].outcome == Result.INCONCLUSIVE
    house.verify()


async def test_sent_another_way(house: House, skipping: WorkflowEnvironment) -> None:
    async with house.working():
        case = await complain(house, ComplaintKind.STILL_BOUND)
        first = await followed(house, case, Way.DISPUTE)
        assert (await route(house, case, Way.DISPUTE)).changed is False
        assert (await route(house, case, Way.INVESTIGATION)).changed
        second = await followed(house, case, Way.INVESTIGATION, 2)
        assert first != second
        for other in (first, second):
            await linked_both_ways(house, case, other)
        assert state(house, case).status is ComplaintStatus.IN_INVESTIGATION

        await house.desk.say(first, "withdraw", dispute.Withdraw(), Done)
        await eventually(lambda: state(house, case).follow_ups[0].outcome)
        assert state(house, case).ended_at is None, "another one sees to it now"
        await skipping.sleep(7 * DAY + HOUR)
        await investigations.decided(house, second, Result.ENTERPRISE_RIGHT)
        done = await closed(house, case)
        assert [one.outcome for one in done.follow_ups] == ["withdrawn", "enterprise_right"]
        late = await route(house, case, Way.DISPUTE)
        assert late.refusal and late.refusal.code is RefusalCode.CASE_CLOSED
    house.verify()


async def test_an_investigation_merged_into_another_gives_the_complaint_back(
    house: House, skipping: WorkflowEnvironment
) -> None:
    async with house.working():
        case = await complain(house, ComplaintKind.NOT_DONE)
        other = await followed(house, case, Way.INVESTIGATION)
        going_on = await investigations.investigate(house)
        await act(house, going_on, casework.Link(to=other, how=LinkKind.MERGED_FROM))
        assert (await act(house, other, casework.Merge(actor=CHEN, into=going_on))).status == "closed"
        await eventually(lambda: state(house, case).status is ComplaintStatus.TAKEN)
        assert state(house, case).follow_ups[0].outcome == investigation.MERGED
        assert complaint.standing(state(house, case)).waiting is casework.Waiting.CASE_WORKER
        assert (await route(house, case, Way.INVESTIGATION)).changed
        await followed(house, case, Way.INVESTIGATION, 2)
    house.verify()


async def test_refused_by_two_people_and_reopened(house: House, skipping: WorkflowEnvironment) -> None:
    async with house.working():
        case = await complain(house, ComplaintKind.NOT_DONE)
        await followed(house, case, Way.INVESTIGATION)
        refuse = casework.Propose(actor=CHEN, what=casework.DecisionKind.REFUSE, reason=PAPER)
        await act(house, case, casework.Claim(actor=CHEN))
        assert (await act(house, case, refuse)).changed
        own = await act(house, case, casework.Approve(actor=CHEN))
        assert own.refusal and own.refusal.code is RefusalCode.SAME_PERSON
        assert (await act(house, case, casework.Approve(actor=LIN))).changed
        assert (await closed(house, case)).ending is Ending.REFUSED
        await eventually(lambda: told(house, case) == ["complaint_taken", "complaint_closed"])
        assert "未予支持" in [text for text in house.centre.texts if case in text][-1]

        await skipping.sleep(20 * DAY)
        assert (await act(house, case, casework.Reopen(actor=LIN, reason=PAPER))).status == "taken"
        assert (await route(house, case, Way.DISPUTE)).changed
        await linked_both_ways(house, case, await followed(house, case, Way.DISPUTE, 2))
    house.verify()


async def test_over_thirty_days_after_its_end(house: House, skipping: WorkflowEnvironment) -> None:
    """Not with a follow-up that ends after it: the test server cannot skip time any more then; a real one can."""
    async with house.working():
        one, other = [await complain(house, ComplaintKind.NOT_DONE) for _ in range(2)]
        follow_up = await followed(house, one, Way.INVESTIGATION)
        await act(house, other, casework.Link(to=one, how=LinkKind.MERGED_FROM))
        assert (await act(house, one, casework.Merge(actor=CHEN, into=other))).status == "closed"
        await skipping.sleep(29 * DAY)
        assert (await act(house, one, casework.Note(actor=CHEN, note=PAPER))).changed, "still there"
        await skipping.sleep(2 * DAY)
        handle = house.client.get_workflow_handle_for(ComplaintWorkflow.run, one)
        assert (await handle.result()).status is ComplaintStatus.CLOSED
        assert any_state(house, follow_up).ended_at is None, "it goes on without it"
        await investigations.decided(house, follow_up)
    house.verify()


async def test_a_word_from_a_case_that_is_none_of_its_own_is_dropped(house: House) -> None:
    async with house.working():
        case = await complain(house, ComplaintKind.STILL_BOUND)
        await followed(house, case, Way.DISPUTE)
        handle = house.client.get_workflow_handle_for(ComplaintWorkflow.run, case)
        stranger = Conclusion(case=new_case_id(CaseKind.DISPUTE), outcome="solved")
        await handle.signal(ComplaintWorkflow.concluded, stranger)
        assert (await act(house, case, casework.Claim(actor=CHEN))).changed
        assert state(house, case).status is ComplaintStatus.IN_DISPUTE
    house.verify()


@pytest.mark.parametrize("forgotten", ["followed_up", "closed"])
async def test_what_the_workflow_forgot_is_done_once(
    house: House, skipping: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch, forgotten: str
) -> None:
    """The worker died after the write: there is one follow-up and one message all the same."""
    real: Any = Records._append
    lied: list[str] = []

    async def once_unknown(self: Records, order: Append) -> bool:
        same: bool = await real(self, order)
        if order.kind is CaseKind.COMPLAINT and any(e.type == forgotten for e in order.events) and not lied:
            lied.append(order.step)
            return False
        return same

    monkeypatch.setattr(Records, "_append", once_unknown)
    async with house.working():
        case = await complain(house, ComplaintKind.NOT_DONE)
        other = await followed(house, case, Way.INVESTIGATION)
        await skipping.sleep(7 * DAY + HOUR)
        await investigations.decided(house, other)
        await closed(house, case)
        await eventually(lambda: told(house, case) == ["complaint_taken", "complaint_closed"])
        assert lied and len(state(house, case).follow_ups) == 1
        assert all(house.events(case).count(kind) == 1 for kind in ("followed_up", "concluded", "closed"))
    house.verify()
