"""Taking cases in: one transaction writes the case, its person and its first event; then the engine is started.

The submission is durable before Temporal hears of it, so nobody's request is ever lost: what could not be started at
once is started by the sweep.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import Connection, func, insert, select, update
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from domain import renewal
from domain.case import CaseKind, Event, kind_of
from domain.refusal import Refusal, RefusalCode
from domain.registry import Registry
from gateway.starting import STARTS
from store import papers, vault
from store.database import Database
from store.ids import new_case_id
from store.keys import KeyRing
from store.ledger import Append, append, parse, read
from store.tables import running, submissions
from workflows.clockwork import TASK_QUEUE

log = structlog.get_logger()

START_SECONDS = timedelta(seconds=5)
CONNECT_AND_START_SECONDS = 8.0
"""The first call connects, which no RPC timeout bounds: a silent network must not hold up who submits."""
ALARM_AFTER = timedelta(minutes=1)
MOST_AT_ONCE = 100
"""Cases one sweep tries to start."""

MOST_STARTING = 64
"""Starts under way at once; what comes while so many wait for a slow engine is left to the sweep."""


@dataclass(frozen=True)
class Wish:
    """A renewal as it was asked for, its person still in clear. `wording` is the request, canonically.

    `channel` is the one the holder came through, and whose the key is; without one both are the carrier's. `spend`
    uses up what the wish rests on for its case, in the same transaction.
    """

    key: str
    wording: str
    person: vault.Person
    activated_at: datetime
    apps: Sequence[str] | None
    identity: renewal.IdentityProof
    channel: str | None = None
    spend: Callable[[Connection, str], Refusal | None] = lambda _connection, _case: None


@dataclass(frozen=True)
class Opening:
    """A case about to be opened: who asks under which key, its first event, its person, and what has to be so.

    `also` runs in the same transaction, before anything is written: what it takes (a proof, a slot, the number) is
    taken together with the opening or not at all. Its refusal is the opening's. `papers` are the texts that the
    first event names by their ids; they are locked away with the person.
    """

    partner: str
    key: str
    wording: str
    kind: CaseKind
    case: str
    first: Event
    person: vault.Person | None
    also: Callable[[Connection], Refusal | None] = lambda _connection: None
    papers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Admitted:
    """The case of a wish; `again` when the same key brought it before."""

    case: str
    again: bool


class Intake:
    """The door between a request and the workflow."""

    def __init__(self, database: Database, keys: KeyRing, registry: Registry, client: Client) -> None:
        self._database = database
        self._keys = keys
        self._registry = registry
        self._client = client
        self._starting = 0

    async def submit(self, carrier: str, wish: Wish) -> Admitted | Refusal:
        """Record a renewal and start its workflow; the same idempotency key gives the same case.

        The key comes first: a repetition is answered whatever has become of the registry or the identity check.
        """
        partner = wish.channel or carrier
        if earlier := await self.earlier(partner, wish.key, wish.wording):
            return earlier
        apps = self._registry.select(wish.apps)
        if isinstance(apps, Refusal):
            return apps
        command = renewal.Submit(
            case=new_case_id(),
            carrier=carrier,
            channel=wish.channel,
            masked_number=wish.person.number.mask(),
            activated_at=wish.activated_at,
            apps=apps,
            identity=wish.identity,
        )
        decision = renewal.submit(command, datetime.now(UTC), self._registry.renewal)
        if isinstance(decision, Refusal):
            return decision
        (submitted,) = decision
        return await self.open(
            Opening(
                partner=partner,
                key=wish.key,
                wording=wish.wording,
                kind=CaseKind.RENEWAL,
                case=command.case,
                first=submitted,
                person=wish.person,
                also=lambda c: self._hold_number(c, wish, command.case),
            )
        )

    async def open(self, opening: Opening) -> Admitted | Refusal:
        """Record a case with all that belongs to its opening, then start its workflow."""
        admitted = await self._database.write(lambda c: self._admit(c, opening))
        if isinstance(admitted, Admitted):
            structlog.contextvars.bind_contextvars(case=admitted.case)
        if isinstance(admitted, Admitted) and not admitted.again:
            await self._start(opening.kind, opening.case, opening.first)
        return admitted

    async def earlier(self, partner: str, key: str, wording: str) -> Admitted | Refusal | None:
        """What the key brought before; None if it is new."""
        return await self._database.read(lambda c: self._earlier(c, partner, key, wording))

    def _admit(self, connection: Connection, opening: Opening) -> Admitted | Refusal:
        if earlier := self._earlier(connection, opening.partner, opening.key, opening.wording):
            return earlier
        if refusal := opening.also(connection):
            return refusal
        case = opening.case
        row = {
            "partner": opening.partner,
            "key": self._kept(opening.key),
            "digest": self._digest(opening.wording),
            "case_id": case,
        }
        connection.execute(insert(submissions), {**row, "submitted_at": opening.first.at, "started": False})
        if opening.person is not None:
            vault.put(connection, self._keys, case, opening.person)
        for paper, text in opening.papers.items():
            papers.put(connection, self._keys, case, text, paper)
        append(connection, self._keys, Append(case, opening.kind, "submit", (opening.first,)))
        return Admitted(case, again=False)

    def _hold_number(self, connection: Connection, wish: Wish, case: str) -> Refusal | None:
        """One running renewal per number."""
        number = self._keys.token("number", wish.person.number.e164)
        if connection.execute(select(running).where(running.c.number_token == number)).one_or_none():
            return _running()
        if refusal := wish.spend(connection, case):
            return refusal
        connection.execute(insert(running), {"number_token": number, "case_id": case})
        return None

    def _earlier(self, connection: Connection, partner: str, key: str, wording: str) -> Admitted | Refusal | None:
        here = (submissions.c.partner == partner, submissions.c.key == self._kept(key))
        found = connection.execute(select(submissions).where(*here)).one_or_none()
        if found is None:
            return None
        return Admitted(found.case_id, again=True) if found.digest == self._digest(wording) else _key_reused()

    def _kept(self, key: str) -> str:
        """A partner's own key may say anything; only a digest of it is kept."""
        return self._keys.token("idempotency-key", key)

    def _digest(self, wording: str) -> str:
        return self._keys.token("submission", wording)

    async def _start(self, kind: CaseKind, case: str, first: Event) -> bool:
        """Start the workflow; False when the engine cannot take it now (the sweep will try again)."""
        start = STARTS[kind]
        if self._starting >= MOST_STARTING:
            log.warning("not_started_yet", case=case, status="CROWDED")
            return False
        self._starting += 1
        try:
            async with asyncio.timeout(CONNECT_AND_START_SECONDS):
                await self._client.start_workflow(
                    start.run,
                    start.order(first, self._registry),
                    id=case,
                    task_queue=TASK_QUEUE,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                    rpc_timeout=START_SECONDS,
                )
        except WorkflowAlreadyStartedError:
            log.info("started_before", case=case)
        except (RPCError, TimeoutError) as error:
            status = error.status.name if isinstance(error, RPCError) else "NO_ANSWER"
            log.warning("not_started_yet", case=case, status=status)
            return False
        finally:
            self._starting -= 1
        await self._database.write(lambda c: _mark_started(c, case))
        return True

    async def sweep(self) -> int:
        """Start what was recorded but not started; return how many were."""
        now = datetime.now(UTC)
        waiting = await self._database.read(lambda c: _not_started(c, now - START_SECONDS))
        started = 0
        for case, since in waiting:
            try:
                started += await self._start_recorded(case)
            except Exception as error:  # noqa: BLE001 - one bad case never holds up the others
                log.error("case_not_started", case=case, error=type(error).__name__)
            if now - since > ALARM_AFTER:
                log.error("case_waits_for_the_engine", case=case, since=since.isoformat())
        return started

    async def _start_recorded(self, case: str) -> bool:
        (first, *_) = parse(await self._database.read(lambda c: read(c, case)))
        return await self._start(kind_of(case), case, first)


async def every(seconds: float, what: str, job: Callable[[], Awaitable[object]]) -> None:
    """Run a sweep again and again; what goes wrong is logged and tried at the next turn."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await job()
        except Exception as error:  # noqa: BLE001 - a sweep outlives everything it meets
            log.error("sweep_failed", sweep=what, error=type(error).__name__)


def _mark_started(connection: Connection, case: str) -> None:
    connection.execute(update(submissions).where(submissions.c.case_id == case), {"started": True})


def _not_started(connection: Connection, before: datetime) -> list[tuple[str, datetime]]:
    """Some of them, in no order: those that fail again and again must not hold up the rest."""
    rows = connection.execute(
        select(submissions.c.case_id, submissions.c.submitted_at)
        .where(submissions.c.started.is_(False), submissions.c.submitted_at < before)
        .order_by(func.random())
        .limit(MOST_AT_ONCE)
    )
    return [(row.case_id, row.submitted_at) for row in rows]


def _key_reused() -> Refusal:
    return Refusal(
        code=RefusalCode.KEY_REUSED,
        field="Idempotency-Key",
        sentence="This key came before with another request.",
        remedy="Use a new key for a new request, the same body for a repetition.",
    )


def _running() -> Refusal:
    return Refusal(
        code=RefusalCode.RENEWAL_RUNNING,
        field="number",
        sentence="A renewal of this number is running.",
        remedy="Wait for its summary, or withdraw it first.",
    )
