"""The re-issue certificate: what it says, and that nothing about it can be changed unnoticed."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from domain import number, unbind
from domain.case import Actor, ActorKind, CaseKind, Event
from domain.number import Fact
from domain.privacy import PhoneNumber
from domain.refusal import Refusal
from domain.registry import NumberPolicy
from domain.unbind import ItemState, Outcome, Reason
from store import certificate, vault
from store.certificate import Certificate, NotReleased
from store.database import Database
from store.keys import KeyRing
from store.ledger import Append, append
from store.tables import ledger
from store.vault import Person
from tests.strategies import DAY, HOUR, T0, item_id, opening

CASE = "N0123456789AB"
PART = f"{CASE}-unbind-0"
CARRIER = "china-mobile"
APPS = tuple(f"app-{n}" for n in range(7))
OWNERS = ("alpha", "alpha", "beta", "beta", "gamma", "gamma", "delta")
SUPERVISOR = Actor(kind=ActorKind.SUPERVISOR, code="wu")

ANSWERS: list[tuple[Outcome, Reason | None]] = [
    (Outcome.UNBOUND, None),
    (Outcome.CANCELLED, None),
    (Outcome.NOT_FOUND, Reason.NO_BINDING),
    (Outcome.KEPT, Reason.HOLDER_CONFIRMED),
    (Outcome.EXEMPT, Reason.LEGAL_HOLD),
    (Outcome.REJECTED, Reason.OUT_OF_SCOPE),
]
"""The last app never answers."""


class Books:
    """A number and its unbind request, written as the workflows do."""

    def __init__(self, database: Database, keys: KeyRing) -> None:
        self.database, self.keys = database, keys
        self.steps = 0
        self.state: number.State
        self.request: unbind.State

    def write(self, case: str, kind: CaseKind, *events: Event) -> None:
        self.steps += 1
        order = Append(case, kind, f"step-{self.steps}", events)
        self.database.write_now(lambda c: append(c, self.keys, order))

    def open(self) -> None:
        opened = number.open_number(CASE, "138****8000", self.report(Fact.ACTIVATION, -9), T0, NumberPolicy())
        assert not isinstance(opened, Refusal)
        self.database.write_now(lambda c: vault.put(c, self.keys, CASE, Person(PhoneNumber("13800138000"))))
        self.state = number.evolve(None, opened[0])
        self.write(CASE, CaseKind.NUMBER, *opened)

    def report(self, fact: Fact, days: float) -> number.Report:
        event = f"{fact.value.upper()}{'ABCDEFGHIJ'[int(abs(days)) % 10]}".ljust(26, "Z")[:26]
        return number.Report(carrier=CARRIER, event=event, fact=fact, occurred_at=T0 + days * DAY)

    def do(self, command: number.Command, days: float) -> None:
        decision = number.decide(self.state, command, T0 + days * DAY)
        assert decision and not isinstance(decision, Refusal), decision
        for event in decision:
            self.state = number.evolve(self.state, event)
        self.write(CASE, CaseKind.NUMBER, *decision)

    def ask(self, days: float, part: str, first: int = 0) -> None:
        """The batch begins."""
        self.do(number.StartBatch(apps=APPS), days)
        opened = opening(OWNERS, case=part, at=T0 + days * DAY, first=first)
        named = tuple(new.model_copy(update={"app": app}) for new, app in zip(opened.items, APPS, strict=True))
        opened = opened.model_copy(update={"items": named})
        self.request = unbind.evolve(None, opened)
        self.write(part, CaseKind.UNBIND, opened)

    def answer(self, place: int, outcome: Outcome, reason: Reason | None, part: str = PART, **more: Any) -> None:
        answer = unbind.Answer(
            item=item_id(place), enterprise=OWNERS[place % 100], outcome=outcome, reason=reason, **more
        )
        decision = unbind.decide(self.request, answer, T0 + 9 * DAY)
        assert decision and not isinstance(decision, Refusal), decision
        for event in decision:
            self.request = unbind.evolve(self.request, event)
        self.write(part, CaseKind.UNBIND, *decision)

    def release(self, days: float) -> None:
        self.do(number.Override(actor=SUPERVISOR, reason="P0123456789AB"), days)
        self.do(number.Release(carrier=CARRIER), days)

    def issue(self, life: int | None = None) -> Certificate:
        return self.database.read_now(lambda c: certificate.issue(c, self.keys, CASE, life))

    def verify(self, one: Any, keys: KeyRing | None = None) -> str:
        return self.database.read_now(lambda c: certificate.verify(c, keys or self.keys, one))


@pytest.fixture
def books(database: Database, keys: KeyRing) -> Books:
    """A number that was cancelled, asked about, answered for but for one app, and released by an override."""
    made = Books(database, keys)
    made.open()
    made.do(made.report(Fact.CANCELLATION, 0), 0)
    made.ask(7, PART)
    for place, (outcome, reason) in enumerate(ANSWERS):
        made.answer(place, outcome, reason)
    states = {app: made.request.items[item_id(n)].state for n, app in enumerate(APPS)}
    made.do(number.Hear(outcomes={PART: {**states, "app-6": ItemState.OVERDUE}}), 13)
    made.release(91)
    return made


def test_it_says_what_became_of_every_app(books: Books) -> None:
    issued = books.issue()
    words = ["unbound", "cancelled", "not_found", "kept", "exempt", "rejected", "unreported"]
    assert dict(issued.apps) == dict(zip(APPS, words, strict=True))
    assert dict(issued.counts) == dict.fromkeys(words, 1)
    assert (issued.case, issued.number, issued.life) == (CASE, "138****8000", 1)
    assert (issued.cancelled_at, issued.released_at) == (T0, T0 + 91 * DAY)
    assert issued.override and issued.released_to == CARRIER
    assert issued == books.issue(1), "the same every time"
    assert books.verify(issued.model_dump(mode="json")) == ""


CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"case": "N0000000000AB"}, "ledger.seq"),
    ({"number": "139****9000"}, "number"),
    ({"life": 2}, "life"),
    ({"cancelled_at": "2026-09-02T02:00:00Z"}, "cancelled_at"),
    ({"released_at": "2026-09-02T02:00:00Z"}, "released_at"),
    ({"released_to": "china-telecom"}, "released_to"),
    ({"override": False}, "override"),
    ({"apps": {}}, "apps.app-0"),
    ({"counts": {"unbound": 7}}, "counts.cancelled"),
    ({"ledger": {"position": 1, "seq": 1, "seal": "k1:00"}}, "ledger.seq"),
    ({"seal": "k1:00"}, "seal"),
    ({"seal": ""}, "seal"),
    ({"seal": "k9:00"}, "seal"),
    ({"more": 1}, "more"),
    ({"life": "one"}, "life"),
    ({"case": "X"}, "case"),
]


@pytest.mark.parametrize(("changed", "field"), CHANGES, ids=lambda value: str(value)[:40])
def test_a_change_is_named(books: Books, changed: dict[str, Any], field: str) -> None:
    said = books.verify({**books.issue().model_dump(mode="json"), **changed})
    assert said.startswith(f"{field}:") or said.startswith(f"{field}."), said


def test_a_place_in_the_ledger_is_checked_too(books: Books) -> None:
    genuine = books.issue().model_dump(mode="json")
    for field, value in (("position", 3), ("seal", "k1:11")):
        said = books.verify({**genuine, "ledger": {**genuine["ledger"], field: value}})
        assert said.startswith(f"ledger.{field}: "), said


def test_one_of_another_house_is_none_of_ours(books: Books) -> None:
    genuine = books.issue()
    forged = genuine.model_copy(update={"seal": certificate._sealed(KeyRing.new(), genuine)})
    assert books.verify(forged.model_dump(mode="json")) == "seal: it does not fit the certificate"


def test_what_comes_later_does_not_change_it(books: Books) -> None:
    before = books.issue()
    books.answer(6, Outcome.UNBOUND, None)
    books.answer(0, Outcome.CANCELLED, None, amends=1)
    books.do(books.report(Fact.REISSUE, 92), 92)
    books.do(books.report(Fact.CANCELLATION, 103), 103)
    assert books.issue() == before
    books.ask(110, f"{CASE}-unbind-1", first=100)
    books.release(111)
    later = books.issue()
    assert (later.life, later.apps["app-0"]) == (2, "unreported")
    assert books.issue(1) == before
    for one in (before, later):
        assert books.verify(one.model_dump(mode="json")) == ""


def test_it_outlives_a_rotation_of_the_keys(books: Books) -> None:
    before = books.issue()
    rotated = books.keys.rotated()
    assert books.verify(before.model_dump(mode="json"), rotated) == ""
    books.keys = rotated
    assert books.issue().seal.startswith("k2:")
    assert books.verify(books.issue().model_dump(mode="json")) == ""


@pytest.mark.parametrize("case", [CASE, PART])
def test_a_changed_ledger_shows(books: Books, case: str) -> None:
    genuine = books.issue().model_dump(mode="json")
    here = (ledger.c.case_id == case, ledger.c.seq == 1)
    books.database.write_now(lambda c: c.execute(update(ledger).where(*here).values(at=T0 + HOUR)))
    assert "seal does not fit" in books.verify(genuine)


def test_what_was_not_released_is_not_certified(books: Books, database: Database, keys: KeyRing) -> None:
    with pytest.raises(NotReleased):
        books.issue(2)
    with pytest.raises(NotReleased):
        database.read_now(lambda c: certificate.issue(c, keys, "N0000000000AB"))
