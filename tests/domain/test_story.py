"""Every event of every kind can be told, and the drawn tables are the ones the code goes by."""

from __future__ import annotations

import re
import string
import typing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain import casework, dispute, question, story, unbind
from domain.case import SYSTEM, Actor, ActorKind, CaseKind, Linked, LinkKind, Told
from domain.messages import MessageKey
from runtime import cases_doc
from tests.samples import event_types

AT = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)
CHEN = Actor(kind=ActorKind.CASE_WORKER, code="worker-chen")
PAPER = "P0123456789AB"


def named(sentence: str) -> str:
    """The type of event a sentence is for."""
    return re.split(r":| by ", sentence)[0]


EVERY = [(kind, event) for kind in CaseKind for event in event_types(kind)]


@pytest.mark.parametrize(("kind", "event"), EVERY, ids=lambda value: getattr(value, "__name__", str(value)))
def test_every_event_has_a_sentence_that_can_be_filled_in(kind: CaseKind, event: type[Any]) -> None:
    word = event.model_fields["type"].default
    own = [template for name, template in story.STORY.get(kind, {}).items() if named(name) == word]
    templates = own or [template for name, template in story.SHARED.items() if name == word]
    assert templates, f"{kind}: no sentence for {word} in domain/story.py"
    for template in templates:
        for _, field, _, _ in string.Formatter().parse(template):
            if field and field.startswith("e."):
                assert field.split(".")[1] in event.model_fields, f"{kind} {word}: no field {field}"
            elif field:
                assert field in story.WORDS, f"{kind} {word}: no word {field}"


@pytest.mark.parametrize("notice", unbind.Notice)
def test_every_notice_has_its_sentence(notice: unbind.Notice) -> None:
    item = "W" + "0" * 20
    event = unbind.Noticed(at=AT, notice=notice, enterprise="tencent", items=(item,))
    assert story.tell(CaseKind.UNBIND, event).startswith("tencent was ")


def test_no_sentence_is_left_over() -> None:
    types = {kind: {event.model_fields["type"].default for event in event_types(kind)} for kind in CaseKind}
    for kind, sentences in story.STORY.items():
        assert {named(sentence) for sentence in sentences} <= types[kind], kind
    assert set(story.SHARED) <= set().union(*types.values())
    used = {
        field
        for sentences in (*story.STORY.values(), story.SHARED)
        for template in sentences.values()
        for _, field, _, _ in string.Formatter().parse(template)
        if field and not field.startswith("e.")
    }
    assert used == set(story.WORDS)


@pytest.mark.parametrize("kind", CaseKind)
def test_every_status_that_is_no_end_says_what_is_next(kind: CaseKind) -> None:
    table = cases_doc.MODULES[kind].TRANSITIONS
    leaving = {before.value for before, _ in table}
    ended = {status for status in leaving if status in ("closed", "withdrawn")}
    assert leaving - ended <= set(story.NEXT[kind])


def test_every_table_of_words_is_complete() -> None:
    assert set(story.SAID) == set(MessageKey) - {MessageKey.CODE}
    assert set(story.LINKS) == set(LinkKind)
    assert set(story.DECISIONS) == set(casework.DecisionKind)
    assert set(story.CLAIM_NEXT) == set(dispute.ClaimState) - dispute.OVER


def asked(party: str, **more: Any) -> question.Question:
    words = {"kind": question.QuestionKind.COUNTS, "apps": ("qq",), "asked_at": AT, "due_at": AT + timedelta(days=2)}
    return question.Question(id="A" + "0" * 20, party=party, **{**words, **more})


COUNTS = question.Counts(counts={"qq": 2})
EVENTS = {
    "Took the case on.": casework.Claimed(at=AT, actor=CHEN, assignee="worker-chen"),
    "Gave the case to worker-lin.": casework.Claimed(at=AT, actor=CHEN, assignee="worker-lin"),
    "Proposed to set the enterprise's answer aside (qq); somebody else has to approve.": casework.Proposed(
        at=AT, actor=CHEN, what=casework.DecisionKind.OVERRIDE, about="qq", reason=PAPER
    ),
    "Approved what worker-lin proposed: this result (citizen right).": casework.Approved(
        at=AT,
        actor=CHEN,
        what=casework.DecisionKind.CONCLUDE,
        about="citizen_right",
        reason=PAPER,
        decided_by="worker-lin",
    ),
    "The citizen was told how it ended (short message, delivered).": Told(
        at=AT, message="dispute_closed", step="1", delivered=True
    ),
    "It led to X0123456789AB.": Linked(at=AT, to="X0123456789AB", how=LinkKind.LED_TO),
    "Asked: tencent.": question.QuestionsPut(at=AT, round="1", questions=(asked("tencent"),)),
    "Answered at once: tencent; could not be reached: down-01; will answer later: slow-01.": question.Heard(
        at=AT,
        round="1",
        questions=(
            asked("tencent", answer=COUNTS),
            asked("down-01", failure="http_503"),
            asked("slow-01"),
        ),
    ),
    "Said how many accounts there are: qq.": question.Answered(at=AT, question="A" + "0" * 20, answer=COUNTS),
    "Declined: no account.": question.Answered(
        at=AT, question="A" + "0" * 20, answer=question.Declined(reason=question.DeclineReason.NO_ACCOUNT)
    ),
    "A case worker has to see to it by 2026-11-22 09:00: qq.": dispute.DeskAsked(at=AT, apps=("qq",), due_at=AT),
    "Said that it is not solved; a case worker has to see to it by 2026-11-22 09:00: qq.": dispute.DeskAsked(
        at=AT, actor=Actor(kind=ActorKind.CITIZEN), apps=("qq",), due_at=AT
    ),
    "Done: qq unbound, kuaishou not found.": dispute.Solved(
        at=AT, outcomes={"qq": unbind.ItemState.UNBOUND, "kuaishou": unbind.ItemState.NOT_FOUND}
    ),
    "Done: unbound 7.": dispute.Solved(
        at=AT, outcomes={f"app-{number}": unbind.ItemState.UNBOUND for number in range(7)}
    ),
    "Chose what is to become of the accounts (qq: unbind 2, keep 1); carried out in D0123456789AB-unbind-0.": (
        dispute.Chosen(
            at=AT,
            part="D0123456789AB-unbind-0",
            choices={"qq": {"a": dispute.Wish.UNBIND, "b": dispute.Wish.KEEP, "c": dispute.Wish.UNBIND}},
        )
    ),
}


@pytest.mark.parametrize("sentence", EVENTS)
def test_sentences_as_they_read(sentence: str) -> None:
    assert story.tell(CaseKind.DISPUTE, EVENTS[sentence]) == sentence


def test_a_proposal_and_a_pause_go_before_what_is_next() -> None:
    proposal = casework.Proposal(
        what=casework.DecisionKind.CONCLUDE, about="inconclusive", reason=PAPER, by="worker-chen", at=AT
    )
    due = AT + timedelta(days=15)

    class Some(typing.NamedTuple):
        """As much of a state as is looked at."""

        status: Any
        work: casework.Work

    def next_of(**words: Any) -> story.Next:
        status = next(iter(cases_doc.MODULES[CaseKind.COMPLAINT].TRANSITIONS))[0]
        return story.next_step(CaseKind.COMPLAINT, Some(status, casework.Work(due_at=due, **words)))

    plain, at = next_of()
    assert plain and at == due
    assert next_of(proposal=proposal)[0] == f"Somebody else approves or rejects what worker-chen proposed. {plain}"
    assert next_of(paused_at=AT) == (f"The clock stands since 2026-11-22 09:00 until it is resumed. {plain}", None)


def test_evidence_can_be_read_and_a_masked_account_cannot() -> None:
    evidence = question.Evidence(statement=PAPER, attachments=("P0123456789AC",))
    heard = question.Heard(at=AT, round="1", questions=(asked("tencent", answer=evidence), asked("jd")))
    said = question.Answered(at=AT, question="A" + "0" * 20, answer=evidence)
    assert story.readable(heard) == story.readable(said) == (PAPER, "P0123456789AC")
    account = question.Account(ref="a", own=True, label=PAPER)
    detail = question.Answered(at=AT, question="A" + "0" * 20, answer=question.Detail(accounts={"qq": (account,)}))
    link = question.Answered(at=AT, question="A" + "0" * 20, answer=question.OwnCheck(link=PAPER))
    assert not story.readable(detail) and not story.readable(link)


def test_who() -> None:
    assert story.who(CHEN) == "case worker worker-chen" and story.who(SYSTEM) == "system"


def test_the_document_is_current() -> None:
    assert cases_doc.FILE.read_text() == cases_doc.text(), "run `python -m runtime.cases_doc`"
