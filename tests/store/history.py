"""A ledger as real cases leave it behind: renewals with their unbind requests, in every way they can go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import Connection, Table, insert, select

from domain import renewal, unbind
from domain.case import CaseKind, Event
from domain.privacy import IdTail, PhoneNumber
from domain.refusal import Refusal
from domain.registry import RenewalPolicy
from domain.renewal import Verdict
from domain.unbind import ItemState, Notice, Outcome, Reason
from store import vault
from store.database import Database
from store.keys import KeyRing
from store.ledger import Append, append
from store.tables import running
from store.vault import Person
from tests.strategies import DAY, HOUR, T0, deadline, item_id, opening, submission

DONE = "R00000000DNE0"
WITHDRAWN = "R000000WTHDR0"
WAITING = "R0000000WAT00"
PERSON = Person(PhoneNumber("13800138000"), IdTail("01123X"))


class Writer:
    """Lines step after step up, deciding as the workflows do; `flush` writes them."""

    def __init__(self, keys: KeyRing) -> None:
        self.keys = keys
        self._jobs: list[Callable[[Connection], object]] = []
        self._steps = 0
        self._renewals: dict[str, renewal.State] = {}
        self._requests: dict[str, unbind.State] = {}

    def write(self, case: str, kind: CaseKind, *events: Event) -> None:
        """One step."""
        self._steps += 1
        order = Append(case, kind, f"step-{self._steps}", events)
        self._jobs.append(lambda c, keys=self.keys: append(c, keys, order))
        for event in events:
            if kind is CaseKind.RENEWAL:
                self._renewals[case] = renewal.evolve(self._renewals.get(case), event)
            else:
                self._requests[case] = unbind.evolve(self._requests.get(case), event)

    def flush(self, database: Database) -> None:
        """All of it in one transaction."""
        database.write_now(lambda c: [job(c) for job in self._jobs])

    def submit(self, case: str, at: datetime, apps: tuple[str, ...]) -> None:
        """A renewal begins: its person, its mark on the number, its first event."""
        token = {"number_token": f"token-{case}", "case_id": case}
        self._jobs.append(lambda c, keys=self.keys: vault.put(c, keys, case, PERSON))
        self._jobs.append(lambda c: c.execute(insert(running), token))
        decision = renewal.submit(submission(at=at, case=case, apps=apps), at, RenewalPolicy())
        assert not isinstance(decision, Refusal)
        self.write(case, CaseKind.RENEWAL, *decision)

    def renewal(self, case: str, command: renewal.Command, at: datetime) -> None:
        """What a renewal decides."""
        decision = renewal.decide(self._renewals[case], command, at, RenewalPolicy())
        assert decision and not isinstance(decision, Refusal), decision
        self.write(case, CaseKind.RENEWAL, *decision)

    def request(self, part: str, commands: Sequence[unbind.ItemCommand | unbind.Withdraw], at: datetime) -> None:
        """What an unbind request decides, in one step."""
        events: list[Event] = []
        state = self._requests[part]
        for command in commands:
            decision = unbind.decide(state, command, at, deadline(T0 + 8 * DAY))
            assert decision and not isinstance(decision, Refusal), decision
            for event in decision:
                state = unbind.evolve(state, event)
                events.append(event)
        self.write(part, CaseKind.UNBIND, *events)


def answer(
    number: int, owner: str, outcome: Outcome, reason: Reason | None = None, amends: int | None = None
) -> unbind.Answer:
    """An answer for a test's work item."""
    return unbind.Answer(item=item_id(number), enterprise=owner, outcome=outcome, reason=reason, amends=amends)


def write_history(database: Database, keys: KeyRing, more_keys: KeyRing | None = None) -> None:
    """Three renewals side by side: one done, one withdrawn, one the carrier does not know of yet.

    With `more_keys` the second half is written with those.
    """
    w = Writer(keys)
    part, other = f"{DONE}-unbind-0", f"{WITHDRAWN}-unbind-0"
    w.submit(DONE, T0, ("app-0", "app-1", "app-2"))
    w.submit(WAITING, T0, ("app-0",))
    w.renewal(DONE, renewal.Hear(verdict=Verdict.YES), T0)
    w.renewal(WAITING, renewal.Hear(verdict=Verdict.UNKNOWN), T0)
    w.renewal(DONE, renewal.Start(parts=(part,)), T0)
    w.write(part, CaseKind.UNBIND, opening(("alpha", "beta", "alpha"), case=part))
    told = ((item_id(0), item_id(2)), "alpha"), ((item_id(1),), "beta")
    for items, owner in told:
        w.write(part, CaseKind.UNBIND, unbind.Noticed(at=T0, notice=Notice.REQUEST, enterprise=owner, items=items))
    w.submit(WITHDRAWN, T0 + HOUR, ("app-0", "app-1"))
    w.request(
        part,
        [
            unbind.Acknowledge(item=item_id(0), enterprise="alpha"),
            answer(2, "alpha", Outcome.KEPT, Reason.BOUND_AFTER_BOUNDARY),
            unbind.Extend(item=item_id(1), enterprise="beta", by=3 * DAY, reason="盘点"),
        ],
        T0 + HOUR,
    )
    w.keys = more_keys or keys
    w.renewal(WITHDRAWN, renewal.Hear(verdict=Verdict.YES), T0 + HOUR)
    w.renewal(WITHDRAWN, renewal.Start(parts=(other,)), T0 + HOUR)
    w.write(other, CaseKind.UNBIND, opening(("alpha", "beta"), case=other, first=3, at=T0 + HOUR))
    failed = unbind.NoticeFailed(
        at=T0 + HOUR, notice=Notice.REQUEST, enterprise="beta", items=(item_id(4),), code="x", try_after=T0 + DAY
    )
    w.write(other, CaseKind.UNBIND, failed)
    w.renewal(WITHDRAWN, renewal.Withdraw(), T0 + 2 * HOUR)
    w.request(other, [unbind.Withdraw()], T0 + 2 * HOUR)
    w.write(other, CaseKind.UNBIND, unbind.Closed(at=T0 + 2 * HOUR))
    gone = dict.fromkeys(("app-3", "app-4"), ItemState.WITHDRAWN)
    w.renewal(WITHDRAWN, renewal.Report(outcomes=gone), T0 + 2 * HOUR)
    w.request(part, [answer(0, "alpha", Outcome.UNBOUND), answer(0, "alpha", Outcome.CANCELLED, amends=1)], T0 + DAY)
    w.write(part, CaseKind.UNBIND, unbind.WentOverdue(at=T0 + 8 * DAY, items=(item_id(1),)))
    first = {"app-0": ItemState.CANCELLED, "app-1": ItemState.OVERDUE, "app-2": ItemState.KEPT}
    w.renewal(DONE, renewal.Report(outcomes=first), T0 + 8 * DAY)
    w.write(DONE, CaseKind.RENEWAL, renewal.SummarySent(at=T0 + 8 * DAY, summary=1, delivered=True))
    w.write(DONE, CaseKind.RENEWAL, renewal.ResultSent(at=T0 + 8 * DAY, summary=1))
    w.request(part, [answer(1, "beta", Outcome.NOT_FOUND)], T0 + 9 * DAY)
    w.renewal(DONE, renewal.Report(outcomes={**first, "app-1": ItemState.NOT_FOUND}), T0 + 9 * DAY)
    w.write(DONE, CaseKind.RENEWAL, renewal.NotTold(at=T0 + 16 * DAY, who="holder", summary=2, code="sms_timeout"))
    w.write(part, CaseKind.UNBIND, unbind.Closed(at=T0 + 38 * DAY))
    w.renewal(DONE, renewal.Close(), T0 + 38 * DAY)
    w.flush(database)


def contents(*tables: Table) -> Callable[[Connection], list[list[tuple[object, ...]]]]:
    """A job that reads everything these tables hold, by primary key."""

    def job(connection: Connection) -> list[list[tuple[object, ...]]]:
        return [
            [tuple(row) for row in connection.execute(select(t).order_by(*t.primary_key.columns))] for t in tables
        ]

    return job
