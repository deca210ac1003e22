"""Identity checks: the code that only the phone and a keyed digest know, and the carriers' word on the ID tail."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import Connection
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.contracts import CodeHandled, Confirmed, ConfirmHolder, ForgetCode, JudgeCode, SendCode
from activities.outside import outside
from activities.ports import CarrierRegistry, HolderAnswer, HolderVerdict, PortError, SmsCentre, Unavailable
from domain import identity
from domain.case import CaseKind
from domain.messages import TEXTS, MessageKey
from domain.refusal import Refusal
from domain.registry import Registry
from store import codes, slots
from store import messages as sms
from store.database import Database
from store.ids import sms_reference
from store.keys import KeyRing
from store.ledger import Append, append
from store.messages import MessageState
from store.projection import load_state
from store.vault import NotInVault, Person, get

log = structlog.get_logger()

CODE_DIGITS = 6
ASK_SECONDS = 8.0
"""How long one carrier may take to answer; then it counts as not reached this time."""

CONFIRMING = "confirming"
"""The slot of the check whose carriers are being asked: of checks of one number at the same time, one guesses."""

LEASE = timedelta(seconds=20)
"""Longer than asking takes; a worker that died holds nobody up for longer."""

NO_SUCH_CASE = "no_such_case"
"""Why no code was sent in a check that follows a case which is not there, or not this person's."""

NOBODY = identity.Hear(answers={}, everybody=False)


class IdentityChecks:
    """Codes and confirmations."""

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        registry: Registry,
        centre: SmsCentre,
        carrier_registry: CarrierRegistry,
    ) -> None:
        self._database = database
        self._keys = keys
        self._registry = registry
        self._centre = centre
        self._carrier_registry = carrier_registry

    # ── the code ─────────────────────────────────────────────────────────────────────────────────────

    @activity.defn(name="send_code")
    async def send_code(self, order: SendCode) -> CodeHandled:
        """See `contracts.send_code`. The code lives in this call and in the short message, nowhere else."""
        at: datetime = activity.info().current_attempt_scheduled_time
        code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
        step = f"code-{order.serial}"
        person = await self._database.read(lambda c: self._person(c, order.case))
        kept = codes.digest(self._keys, order.case, order.serial, code) if person else codes.NONE
        sent = await self._database.write(lambda c: self._keep(c, order, step, kept, at))
        if person is None:
            return await self._database.write(lambda c: self._not_sent(c, order, step, sent, NO_SUCH_CASE, at))
        state: identity.State = await self._database.read(lambda c: load_state(c, CaseKind.IDENTITY, order.case))
        minutes = state.policy.code_valid // timedelta(minutes=1)
        text = TEXTS[MessageKey.CODE][state.language].format(case=order.case, code=code, minutes=minutes)
        failure = ""
        async with outside():
            try:
                ids = await self._centre.submit(person.number.e164, text, sms_reference(order.case, step))
            except PortError as error:
                failure = error.code
                if isinstance(error, Unavailable) and at < order.give_up_at:
                    raise
        if failure:
            log.warning("code_not_sent", case=order.case, code=failure)
            return await self._database.write(lambda c: self._not_sent(c, order, step, sent, failure, at))
        await self._database.write(lambda c: sms.submitted(c, order.case, step, ids))
        return CodeHandled(sent=sent)

    @activity.defn(name="judge_code")
    async def judge_code(self, order: JudgeCode) -> bool:
        """See `contracts.judge_code`."""
        return await self._database.read(lambda c: codes.fits(c, order.case, order.digest))

    @activity.defn(name="forget_code")
    async def forget_code(self, order: ForgetCode) -> None:
        """See `contracts.forget_code`."""
        await self._database.write(lambda c: codes.forget(c, order.case))

    def _person(self, connection: Connection, case: str) -> Person | None:
        """None for a check that follows a case which is nobody's: no code of it is sent, and none is right."""
        try:
            return get(connection, self._keys, case)
        except NotInVault:
            state: identity.State = load_state(connection, CaseKind.IDENTITY, case)
            if state.follows is None:
                raise
            return None

    def _keep(self, connection: Connection, order: SendCode, step: str, kept: str, at: datetime) -> identity.CodeSent:
        """Only the digest of the code that is about to leave counts from here on, whatever left before."""
        codes.put(connection, order.case, kept, at)
        sms.intend(connection, order.case, step, sms_reference(order.case, step), at)
        event = identity.CodeSent(at=at, serial=order.serial)
        (recorded,) = append(connection, self._keys, Append(order.case, CaseKind.IDENTITY, step, (event,)))
        assert isinstance(recorded, identity.CodeSent)
        return recorded

    def _not_sent(
        self,
        connection: Connection,
        order: SendCode,
        step: str,
        sent: identity.CodeSent,
        failure: str,
        at: datetime,
    ) -> CodeHandled:
        sms.mark(connection, order.case, step, MessageState.FAILED)
        event = identity.CodeNotSent(at=at, serial=order.serial, code=failure)
        recorded = Append(order.case, CaseKind.IDENTITY, f"{step}-not-sent", (event,))
        (not_sent,) = append(connection, self._keys, recorded)
        assert isinstance(not_sent, identity.CodeNotSent)
        return CodeHandled(sent=sent, not_sent=not_sent)

    # ── the carriers ─────────────────────────────────────────────────────────────────────────────────

    @activity.defn(name="confirm_holder")
    async def confirm_holder(self, order: ConfirmHolder) -> Confirmed:
        """See `contracts.confirm_holder`."""
        at: datetime = activity.info().current_attempt_scheduled_time
        person = await self._database.read(lambda c: get(c, self._keys, order.case))
        number = self._keys.token("number", person.number.e164)
        heard = await self._database.write(lambda c: self._begin(c, order.case, number, at))
        if heard is None:
            async with outside():
                heard = await self._ask(order.case, person)
        if isinstance(heard, identity.Hear) and at >= order.give_up_at:
            heard = heard.model_copy(update={"give_up": True})
        command = heard
        confirmed = await self._database.write(lambda c: self._conclude(c, order.case, number, command, at))
        if confirmed is None:
            raise ApplicationError("the carriers cannot be asked now", type="carriers_unavailable")
        return confirmed

    def _begin(
        self, connection: Connection, case: str, number: str, at: datetime
    ) -> identity.Cool | identity.Hear | None:
        """What keeps the carriers from being asked: a mismatch in the last 24 hours, or a check of the same number."""
        cooling = slots.look(connection, number, slots.MISMATCH, at)
        if cooling and cooling.until and cooling.case != case:
            return identity.Cool(free_at=cooling.until)
        now = datetime.now(UTC)
        other = slots.look(connection, number, CONFIRMING, now)
        if other and other.case != case:
            return NOBODY
        slots.block(connection, number, CONFIRMING, case, now + LEASE)
        return None

    async def _ask(self, case: str, person: Person) -> identity.Hear:
        """All carriers at once, until one says that it is so."""
        carriers = [carrier.code for carrier in self._registry.carriers if carrier.takes_part]
        asking = [asyncio.create_task(self._asked(case, carrier, person)) for carrier in carriers]
        heard: dict[str, HolderAnswer] = {}
        try:
            for next_one in asyncio.as_completed(asking):
                carrier, answer = await next_one
                if answer is not None:
                    heard[carrier] = answer
                    if answer.verdict is HolderVerdict.MATCH:
                        break
        finally:
            for task in asking:
                task.cancel()
        return identity.Hear(
            answers={code: heard[code].verdict for code in carriers if code in heard},
            activated_at={code: one.activated_at for code, one in heard.items() if one.activated_at},
            everybody=len(heard) == len(carriers),
        )

    async def _asked(self, case: str, carrier: str, person: Person) -> tuple[str, HolderAnswer | None]:
        """One carrier; its trouble is nobody else's. A match without a date is no answer: the boundary is missing."""
        assert person.id_tail is not None
        try:
            async with asyncio.timeout(ASK_SECONDS):
                answer = await self._carrier_registry.confirm(carrier, person.number, person.id_tail)
        except PortError as error:
            code = error.code
        except TimeoutError:
            code = "too_slow"
        except Exception as error:  # noqa: BLE001 - a fault with one carrier must not stop the others
            code = type(error).__name__
        else:
            if answer.verdict is not HolderVerdict.MATCH or answer.activated_at is not None:
                return carrier, answer
            code = "activation_missing"
        log.warning("holder_not_confirmed", case=case, carrier=carrier, code=code)
        return carrier, None

    def _conclude(
        self, connection: Connection, case: str, number: str, heard: identity.Cool | identity.Hear, at: datetime
    ) -> Confirmed | None:
        """The outcome and what it costs, in one transaction; None to ask again. A second try changes nothing."""
        slots.hold(connection, case, datetime.now(UTC))
        decision = identity.decide(load_state(connection, CaseKind.IDENTITY, case), heard, at)
        assert not isinstance(decision, Refusal)
        recorded = append(connection, self._keys, Append(case, CaseKind.IDENTITY, "confirm", decision))
        if not recorded:
            return None
        confirmed = Confirmed.model_validate({"outcome": recorded[0]})
        if isinstance(confirmed.outcome, identity.Mismatched) and confirmed.outcome.free_at:
            slots.block(connection, number, slots.MISMATCH, case, confirmed.outcome.free_at)
        return confirmed
