"""`IdentityCheckWorkflow`: whoever holds the phone and knows the ID tail gets a proof; nobody else gets or spoils one."""

from __future__ import annotations

import asyncio
import hashlib
import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from google.protobuf.message import Message
from sqlalchemy import select
from temporalio.api.common.v1 import Payload
from temporalio.testing import ActivityEnvironment, WorkflowEnvironment

from activities.contracts import ConfirmHolder
from activities.identity import IdentityChecks
from activities.ports import HolderAnswer, HolderVerdict, Refused, Unavailable
from domain import identity
from domain.case import Actor, ActorKind, CaseKind
from domain.identity import IdentityStatus
from domain.privacy import IdTail, PhoneNumber
from domain.proof import Method, Purpose
from domain.refusal import Refusal, RefusalCode
from domain.registry import load
from gateway.desk import CaseEnded
from gateway.identity import opening, presented
from gateway.intake import Admitted, Intake
from runtime import engine
from store import codes, proofs, slots
from store.ids import new_case_id
from store.ledger import Append, append
from store.projection import load_state
from store.tables import codes as codes_table
from store.tables import metadata
from store.tables import slots as slots_table
from store.vault import Person
from tests.house import CARRIER, NUMBER, TAIL, FakeCarriers, FakeCentre, House, registry
from tests.support import eventually
from workflows.messages import Done, TryCode

CHANNEL = "mini-program"
OTHER_TAIL = IdTail("019999")
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
WORKER = Actor(kind=ActorKind.CASE_WORKER, code="worker-chen")


class Checks:
    """What citizens, strangers and attesters do with identity checks."""

    def __init__(self, house: House, skipping: WorkflowEnvironment) -> None:
        self.house = house
        self.skipping = skipping
        self._opened = 0

    async def open(
        self,
        number: PhoneNumber = NUMBER,
        tail: IdTail = TAIL,
        origin: str = "",
        purpose: Purpose = Purpose.QUERY,
        **more: Any,
    ) -> str | Refusal:
        """A check as the gateway opens it, at the server's time."""
        self._opened += 1
        key = f"check-{self._opened}"
        command = identity.Open(
            case=new_case_id(CaseKind.IDENTITY),
            channel=CHANNEL,
            number=number.mask(),
            purpose=purpose,
            actor=Actor(kind=ActorKind.CHANNEL, code=CHANNEL),
            **more,
        )
        first = identity.open_check(command, await self.now(), self.house.registry.identity)
        assert isinstance(first, identity.Opened)
        person = Person(number, tail)
        wanted = opening(self.house.keys, CHANNEL, key, key, first, person, origin or f"session-{self._opened}")
        admitted = await self.house.intake.open(wanted)
        return admitted.case if isinstance(admitted, Admitted) else admitted

    async def opened(self, **how: Any) -> str:
        """A check that is opened, its code sent."""
        before = len(self.house.centre.texts)
        check = await self.open(**how)
        assert isinstance(check, str), check
        await eventually(lambda: len(self.house.centre.texts) > before)
        return check

    def codes(self, check: str) -> list[str]:
        """The codes a check's number got."""
        texts = [text for text in self.house.centre.texts if check in text]
        return [re.findall(r"[0-9]{6}", text)[0] for text in texts]

    def code(self, check: str) -> str:
        """The last one."""
        return self.codes(check)[-1]

    async def enter(self, check: str, code: str) -> Done:
        """Enter a code as the gateway passes it on."""
        digests = tuple(codes.digest(self.house.keys, check, serial, code) for serial in (1, 2, 3))
        return await self.house.desk.say(check, "try_code", TryCode(digests=digests), Done)

    async def wrong(self, check: str) -> Done:
        """Enter a wrong one."""
        right = self.codes(check)
        return await self.enter(check, next(c for c in ("000000", "000001", "000002", "000003") if c not in right))

    async def resend(self, check: str) -> Done:
        """Ask for another one."""
        return await self.house.desk.say(check, "send_again", identity.Resend(), Done)

    async def attest(self, check: str, actor: Actor, matched: bool = True) -> Done:
        """Attest another way."""
        return await self.house.desk.say(check, "attest", identity.Attest(actor=actor, matched=matched), Done)

    async def verified(self, **how: Any) -> str:
        """A check with its right code entered."""
        check = await self.opened(**how)
        assert (await self.enter(check, self.code(check))).status == "verified"
        return check

    async def now(self) -> datetime:
        """The server's time."""
        return (await self.skipping.get_current_time()).astimezone(UTC)

    def state(self, check: str) -> identity.State:
        """The read model."""
        state: identity.State = self.house.database.read_now(lambda c: load_state(c, CaseKind.IDENTITY, check))
        return state

    def status(self, check: str) -> IdentityStatus:
        """Where it stands."""
        return self.state(check).status

    async def becomes(self, check: str, status: IdentityStatus) -> identity.State:
        """The check as soon as it stands there."""
        await eventually(lambda: self.status(check) is status)
        return self.state(check)

    def rows(self) -> int:
        """How many codes are kept."""
        return len(self.house.database.read_now(lambda c: c.execute(select(codes_table)).all()))


@pytest.fixture
def checks(house: House, skipping: WorkflowEnvironment) -> Checks:
    """Identity checks in the house."""
    return Checks(house, skipping)


def code_of(done: Done) -> RefusalCode | None:
    """Why not."""
    return done.refusal.code if done.refusal else None


# ── the good day ─────────────────────────────────────────────────────────────────────────────────────


async def test_happy_check(house: House, checks: Checks) -> None:
    async with house.working():
        check = await checks.opened()
        text = house.centre.texts[0]
        assert "5分钟" in text and check in text and len(text) <= 70
        done = await checks.enter(check, checks.code(check))
        assert (done.status, done.changed, done.refusal) == ("verified", True, None)
    state = checks.state(check)
    assert state.carrier == CARRIER and state.activated_at and state.verified_at
    assert house.events(check) == ["opened", "code_sent", "code_accepted", "verified"]
    assert len(house.centre.texts) == house.carriers.confirmed == 1
    house.verify()


async def test_a_check_in_english(house: House, checks: Checks) -> None:
    async with house.working():
        await checks.opened(language="en")
    assert "valid for 5 minutes" in house.centre.texts[0] and len(house.centre.texts[0]) <= 160


async def test_it_ends_by_itself_and_leaves_nothing_of_the_code(
    house: House, checks: Checks, skipping: WorkflowEnvironment
) -> None:
    async with house.working():
        check = await checks.verified()
        assert checks.rows() == 1, "the same origin has to wait a minute, whatever came of the check"
        await skipping.sleep(MINUTE)
        await eventually(lambda: checks.rows() == 0)
        ended = await house.client.get_workflow_handle(check, result_type=identity.State).result()
    assert ended == checks.state(check)
    house.verify()


# ── code abuse ───────────────────────────────────────────────────────────────────────────────────────


async def test_code_abuse_wrong_five_times(house: House, checks: Checks, skipping: WorkflowEnvironment) -> None:
    async with house.working():
        check = await checks.opened()
        said = [await checks.wrong(check) for _ in range(5)]
        assert [code_of(done) for done in said] == [RefusalCode.WRONG_CODE] * 4 + [RefusalCode.LOCKED]
        assert [done.refusal.sentence for done in said if done.refusal][:4] == [
            "The code is wrong; 4 tries are left.",
            "The code is wrong; 3 tries are left.",
            "The code is wrong; 2 tries are left.",
            "The code is wrong; 1 try is left.",
        ]
        assert code_of(await checks.enter(check, checks.code(check))) is RefusalCode.LOCKED
        assert code_of(await checks.resend(check)) is RefusalCode.LOCKED
        assert (checks.state(check).tries, checks.status(check)) == (5, IdentityStatus.LOCKED)
        assert house.carriers.confirmed == 0
        assert await checks.verified(origin="another"), "a locked check costs the number nothing"
    house.verify()


async def test_code_abuse_reused(house: House, checks: Checks) -> None:
    async with house.working():
        check = await checks.verified()
        for _ in range(2):
            done = await checks.enter(check, checks.code(check))
            assert (done.changed, code_of(done)) == (False, RefusalCode.CODE_USED)
        assert code_of(await checks.wrong(check)) is RefusalCode.CODE_USED
        assert code_of(await checks.resend(check)) is RefusalCode.CODE_USED
        other = await checks.opened(origin="other")
        assert code_of(await checks.enter(other, checks.code(check))) is RefusalCode.WRONG_CODE, (
            "a code is good for its own check only"
        )
    assert house.events(check).count("verified") == 1
    house.verify()


async def test_code_abuse_expired(house: House, checks: Checks, skipping: WorkflowEnvironment) -> None:
    async with house.working():
        in_time, late = await checks.opened(origin="a"), await checks.opened(origin="b")
        await skipping.sleep(4 * MINUTE + 45 * SECOND)
        assert (await checks.enter(in_time, checks.code(in_time))).status == "verified"
        await skipping.sleep(15 * SECOND)
        await checks.becomes(late, IdentityStatus.EXPIRED)
        await eventually(lambda: checks.rows() == 0)
        with pytest.raises(CaseEnded):
            await checks.enter(late, checks.code(late))
    assert house.events(late) == ["opened", "code_sent", "expired"]
    house.verify()


async def test_code_abuse_racing_tries_in_parallel(house: House, checks: Checks) -> None:
    async with house.working():
        check = await checks.opened()
        said = await asyncio.gather(*(checks.wrong(check) for _ in range(9)))
        refused = [code_of(done) for done in said]
        assert (refused.count(RefusalCode.WRONG_CODE), refused.count(RefusalCode.LOCKED)) == (4, 5)
        assert house.events(check).count("wrong_code") == checks.state(check).tries == 5

        check = await checks.opened(origin="second")
        said = await asyncio.gather(
            *(checks.enter(check, checks.code(check)) for _ in range(6)), *(checks.wrong(check) for _ in range(3))
        )
        assert [done.changed for done in said].count(True) == 1
        assert house.events(check).count("code_accepted") == house.events(check).count("verified") == 1
    house.verify()


async def test_code_abuse_an_older_code(house: House, checks: Checks, skipping: WorkflowEnvironment) -> None:
    async with house.working():
        check = await checks.opened()
        assert code_of(await checks.resend(check)) is RefusalCode.WAIT_BEFORE_SENDING
        for sent in (2, 3):
            await skipping.sleep(MINUTE)
            assert (await checks.resend(check)).changed
            assert code_of(await checks.resend(check)) is RefusalCode.WAIT_BEFORE_SENDING
            await eventually(lambda n=sent: len(checks.codes(check)) == n)  # type: ignore[misc]
        await skipping.sleep(MINUTE)
        assert code_of(await checks.resend(check)) is RefusalCode.TOO_MANY_CODES
        first, _, last = checks.codes(check)
        if first != last:
            assert code_of(await checks.enter(check, first)) is RefusalCode.WRONG_CODE
        assert (await checks.enter(check, last)).status == "verified"
    assert house.events(check)[:6] == ["opened", "code_sent", "code_asked", "code_sent", "code_asked", "code_sent"]
    house.verify()


async def test_code_abuse_racing_resends(house: House, checks: Checks, skipping: WorkflowEnvironment) -> None:
    async with house.working():
        check = await checks.opened()
        await skipping.sleep(MINUTE)
        said = await asyncio.gather(*(checks.resend(check) for _ in range(8)))
        assert [done.changed for done in said].count(True) == 1
        await eventually(lambda: len(checks.codes(check)) == 2)
        assert (await checks.enter(check, checks.code(check))).status == "verified"
    house.verify()


async def test_a_crash_after_sending_leaves_one_code_that_works(
    house: House, checks: Checks, skipping: WorkflowEnvironment
) -> None:
    """What left before the crash (or before the centre's answer was lost) counts no more."""
    house.centre = Losing(times=1)
    async with house.working():
        check = await checks.opened()
        await eventually(lambda: len(checks.codes(check)) == 2)
        first, second = checks.codes(check)
        if first != second:
            assert code_of(await checks.enter(check, first)) is RefusalCode.WRONG_CODE
        assert (await checks.enter(check, second)).status == "verified"
    assert house.events(check).count("code_sent") == 1
    house.verify()


# ── the minute between codes, and strangers ──────────────────────────────────────────────────────────


async def test_a_minute_between_codes_of_one_origin(
    house: House, checks: Checks, skipping: WorkflowEnvironment
) -> None:
    async with house.working():
        first = await checks.verified(origin="a")
        refused = await checks.open(origin="a")
        assert isinstance(refused, Refusal) and refused.code is RefusalCode.WAIT_BEFORE_SENDING
        assert re.search(r"sent in (5[0-9]|60) s", refused.sentence)
        assert await checks.opened(origin="a", number=PhoneNumber("13900139000")), "another number"
        assert await checks.opened(origin="b"), "another origin"
        await skipping.sleep(MINUTE)
        assert await checks.opened(origin="a") != first
        racing = await asyncio.gather(*(checks.open(origin="c") for _ in range(5)))
        assert sum(isinstance(one, str) for one in racing) == 1
    house.verify()


async def test_lock_out_attack(house: House, checks: Checks) -> None:
    """Fifty attempts by a stranger with every trick but the phone leave the owner's check possible."""
    async with house.working():
        for n in range(50):
            check = await checks.opened(tail=OTHER_TAIL if n % 2 else TAIL, origin=f"stranger-{n}")
            if n % 5 == 0:
                await asyncio.gather(*(checks.wrong(check) for _ in range(5)))
                assert checks.status(check) is IdentityStatus.LOCKED
        number = house.keys.token("number", NUMBER.e164)
        taken = house.database.read_now(lambda c: c.execute(select(slots_table)).all())
        assert taken == [] and house.carriers.confirmed == 0
        mine = await checks.verified(origin="my own phone")
        found = house.database.read_now(
            lambda c: proofs.look(c, house.keys, mine, Purpose.QUERY, checks.state(mine).verified_at or LONG_AGO)
        )
        assert isinstance(found, proofs.Found) and found.person == Person(NUMBER, TAIL)
        assert house.database.read_now(lambda c: slots.look(c, number, slots.MISMATCH, LONG_AGO)) is None
    house.verify()


# ── mismatch and cool-down ───────────────────────────────────────────────────────────────────────────


async def test_id_mismatch_costs_24_hours(house: House, checks: Checks, skipping: WorkflowEnvironment) -> None:
    async with house.working():
        check = await checks.opened(tail=OTHER_TAIL)
        assert (await checks.enter(check, checks.code(check))).status == "mismatch"
        blocked = checks.state(check)
        assert blocked.ended_at and blocked.free_at == blocked.ended_at + 24 * HOUR

        soon = await checks.opened()
        assert (await checks.enter(soon, checks.code(soon))).status == "cooling_down"
        assert checks.state(soon).free_at == blocked.free_at, "trying again does not make it longer"
        assert house.carriers.confirmed == 1, "no carrier is asked"

        await skipping.sleep(blocked.free_at - await checks.now() - 30 * SECOND)
        before = await checks.opened()
        assert (await checks.enter(before, checks.code(before))).status == "cooling_down"
        after = await checks.opened()
        await skipping.sleep(30 * SECOND)
        assert (await checks.enter(after, checks.code(after))).status == "verified"
        assert await checks.verified(number=PhoneNumber("13900139000"))
    house.verify()


async def test_id_mismatch_at_23_59_59_and_24_00_00(house: House, checks: Checks) -> None:
    """To the second: the same activity, at exactly these times."""
    async with house.working():
        check = await checks.opened(tail=OTHER_TAIL)
        await checks.enter(check, checks.code(check))
        free_at = checks.state(check).free_at
        assert free_at
        early, due = await checks.opened(origin="early"), await checks.opened(origin="due")
    for one in (early, due):
        accepted = identity.CodeAccepted(at=free_at - MINUTE, serial=1)
        house.database.write_now(
            lambda c, x=one, e=accepted: append(c, house.keys, Append(x, IDENTITY, "by-hand", (e,)))
        )  # type: ignore[misc]
    assert (await confirmed_at(house, early, free_at - SECOND)) == identity.CoolingDown(
        at=free_at - SECOND, free_at=free_at
    )
    assert isinstance(await confirmed_at(house, due, free_at), identity.Verified)
    assert (await confirmed_at(house, due, free_at + HOUR)).at == free_at, (
        "a second try after a crash changes nothing"
    )
    house.verify()


class Patient(FakeCarriers):
    """A carrier that answers only when a condition holds, so that a race is one."""

    def __init__(self, until: Callable[[], bool]) -> None:
        super().__init__()
        self.until = until

    async def confirm(self, carrier: str, number: PhoneNumber, id_tail: IdTail) -> HolderAnswer:
        await eventually(self.until)
        return await super().confirm(carrier, number, id_tail)


async def test_of_checks_at_the_same_time_one_guesses(house: House, checks: Checks) -> None:
    """Eight checks opened beside each other are not eight guesses of the ID tail."""
    opened: list[str] = []
    house.carriers = Patient(lambda: all(checks.status(one) is not IdentityStatus.CODE_SENT for one in opened))
    async with house.working():
        opened += [await checks.opened(tail=IdTail(f"01000{n}"), origin=f"o{n}") for n in range(8)]
        said = await asyncio.gather(*(checks.enter(one, checks.code(one)) for one in opened))
        await eventually(lambda: all(checks.state(one).ended_at for one in opened), limit=30)
        assert sorted(str(checks.status(one)) for one in opened) == ["cooling_down"] * 7 + ["mismatch"]
        assert house.carriers.confirmed == 1 and not any(done.refusal for done in said)
    house.verify()


async def test_cancelled_number(house: House, checks: Checks) -> None:
    house.registry = registry(extra='hotline = "10086"')
    house.intake = Intake(house.database, house.keys, house.registry, house.client)
    house.carriers.verdict = HolderAnswer(HolderVerdict.CANCELLED)
    async with house.working():
        check = await checks.opened()
        assert (await checks.enter(check, checks.code(check))).status == "cancelled_number"
        house.carriers.verdict = None
        assert await checks.verified(origin="later"), "it costs no 24 hours"
    refusal = identity.outcome(checks.state(check), house.registry)
    assert refusal and refusal.code is RefusalCode.CANCELLED_NUMBER and "运营商 10086" in refusal.remedy
    house.verify()


# ── the carriers ─────────────────────────────────────────────────────────────────────────────────────


class Several(FakeCarriers):
    """Several carriers, each with its own answer; one that hangs has none."""

    def __init__(self, **verdicts: HolderAnswer | Exception | None) -> None:
        super().__init__()
        self.verdicts = verdicts

    async def confirm(self, carrier: str, number: PhoneNumber, id_tail: IdTail) -> HolderAnswer:
        self.confirmed += 1
        verdict = self.verdicts[carrier]
        if verdict is None:
            await asyncio.sleep(3600)
        if isinstance(verdict, Exception):
            raise verdict
        assert verdict is not None
        return verdict


def several(house: House, **verdicts: HolderAnswer | Exception | None) -> Several:
    """These carriers instead of the one, and one more that does not take part."""
    lines = [f'[[carriers]]\ncode = "{code}"\nname = "{code}"' for code in (*verdicts, "idle")]
    taking_part = [line + '\nendpoint = "http://c"\nresults = "http://c/r"' for line in lines[:-1]]
    enterprises = '[[enterprises]]\ncode = "ent"\nname = "e"\napps = [{ code = "e-app", name = "e" }]'
    house.registry = load("\n".join(['version = "test"', *taking_part, lines[-1], enterprises]))
    house.intake = Intake(house.database, house.keys, house.registry, house.client)
    house.carriers = carriers = Several(**verdicts)
    return carriers


SINCE = datetime(2026, 1, 5, tzinfo=UTC)
MATCH = HolderAnswer(HolderVerdict.MATCH, SINCE)
MISMATCH, CANCELLED, NOT_OURS = (
    HolderAnswer(verdict) for verdict in (HolderVerdict.MISMATCH, HolderVerdict.CANCELLED, HolderVerdict.NOT_OURS)
)
DOWN = Unavailable("http_503", "down")


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ({"ca": NOT_OURS, "cb": MATCH, "cc": NOT_OURS}, "verified"),
        ({"ca": MISMATCH, "cb": MATCH}, "verified"),
        ({"ca": DOWN, "cb": MATCH}, "verified"),
        ({"ca": RuntimeError("a bug"), "cb": MATCH}, "verified"),
        ({"ca": MISMATCH, "cb": CANCELLED}, "cancelled_number"),
        ({"ca": DOWN, "cb": CANCELLED}, "cancelled_number"),
        ({"ca": NOT_OURS, "cb": MISMATCH}, "mismatch"),
        ({"ca": DOWN, "cb": MISMATCH}, "mismatch"),
        ({"ca": NOT_OURS, "cb": NOT_OURS}, "mismatch"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(_word(v) for v in value.values()),
)
async def test_what_several_carriers_say(
    house: House, checks: Checks, answers: dict[str, HolderAnswer | Exception | None], status: str
) -> None:
    carriers = several(house, **answers)
    async with house.working():
        check = await checks.opened()
        assert (await checks.enter(check, checks.code(check))).status == status
    state = checks.state(check)
    assert carriers.confirmed == len(answers)
    assert (state.carrier, state.activated_at) == (("cb", SINCE) if status == "verified" else (None, None))
    house.verify()


def _word(answer: HolderAnswer | Exception | None) -> str:
    return answer.verdict.value if isinstance(answer, HolderAnswer) else type(answer).__name__


async def test_a_hanging_carrier_holds_nobody_up(
    house: House, checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.identity.ASK_SECONDS", 60.0)
    several(house, ca=None, cb=MATCH)
    async with house.working():
        check = await checks.opened()
        assert (await checks.enter(check, checks.code(check))).status == "verified"
    house.verify()


@pytest.mark.parametrize("other", [NOT_OURS, Refused("http_403", "no"), HolderAnswer(HolderVerdict.MATCH)], ids=_word)
async def test_carriers_out_of_reach_cost_nothing(
    house: House, checks: Checks, skipping: WorkflowEnvironment, other: HolderAnswer | Exception
) -> None:
    """Somebody who may know the number cannot be asked: tried for minutes, then unconfirmed. A match without the
    boundary date is no answer either."""
    carriers = several(house, ca=DOWN, cb=other)
    async with house.working():
        check = await checks.opened(tail=OTHER_TAIL)
        entering = asyncio.create_task(checks.enter(check, checks.code(check)))
        await eventually(lambda: carriers.confirmed)
        assert checks.status(check) is IdentityStatus.CONFIRMING
        await skipping.sleep(8 * MINUTE)
        await checks.becomes(check, IdentityStatus.UNCONFIRMED)
        assert (await entering).refusal is None and carriers.confirmed > 10
        carriers.verdicts = {"ca": NOT_OURS, "cb": MATCH}
        assert await checks.verified(origin="later")
    house.verify()


async def test_a_carrier_that_comes_back_in_time(house: House, checks: Checks, skipping: WorkflowEnvironment) -> None:
    carriers = several(house, ca=DOWN)
    async with house.working():
        check = await checks.opened()
        entering = asyncio.create_task(checks.enter(check, checks.code(check)))
        await eventually(lambda: carriers.confirmed)
        assert code_of(await checks.enter(check, checks.code(check))) is RefusalCode.CODE_USED
        carriers.verdicts = {"ca": MATCH}
        await skipping.sleep(MINUTE)
        await checks.becomes(check, IdentityStatus.VERIFIED)
        assert (await entering).refusal is None
    house.verify()


# ── the same words for every number ──────────────────────────────────────────────────────────────────


async def test_unknown_number_looks_like_any_other(
    house: House, checks: Checks, skipping: WorkflowEnvironment
) -> None:
    async with house.working():
        known = await checks.opened(origin="a")
        house.centre.failing = Refused("sms_bad_destination", "no such number")
        unknown = await checks.open(origin="b", number=PhoneNumber("19900000000"))
        assert isinstance(unknown, str)
        await eventually(lambda: "code_not_sent" in house.events(unknown))
        views = [presented(checks.state(one), house.registry) for one in (known, unknown)]
        same = {"check": "", "number": "", "resend_at": None, "expires_at": views[0].expires_at}
        assert views[0].model_copy(update=same) == views[1].model_copy(update=same)
        no = [await checks.wrong(known), await checks.enter(unknown, "000000")]
        assert no[0] == no[1]
        await skipping.sleep(6 * MINUTE)
        assert {str(checks.status(one)) for one in (known, unknown)} == {"expired"}
        await eventually(lambda: checks.rows() == 0)
    assert house.centre.tries == 2, "who does not exist is not sent to again"
    house.verify()


async def test_sms_centre_down_is_given_up_after_a_minute(
    house: House, checks: Checks, skipping: WorkflowEnvironment
) -> None:
    house.centre.failing = Unavailable("sms_not_bound", "down")
    async with house.working():
        check = await checks.open()
        assert isinstance(check, str)
        await skipping.sleep(2 * MINUTE)
        await eventually(lambda: "code_not_sent" in house.events(check))
        assert 3 < house.centre.tries < 20
        house.centre.failing = None
        assert (await checks.resend(check)).changed
        await eventually(lambda: house.centre.texts)
        assert (await checks.enter(check, checks.code(check))).status == "verified"
    house.verify()


async def test_code_nowhere_in_history_and_nowhere_in_the_database(
    house: House, checks: Checks, skipping: WorkflowEnvironment
) -> None:
    """Neither it nor a plain hash of it: in no payload, once decrypted, and in no row."""
    async with house.working():
        check = await checks.opened()
        wrong = "271828" if checks.code(check) != "271828" else "314159"
        await checks.enter(check, wrong)
        await skipping.sleep(MINUTE)
        await checks.resend(check)
        await eventually(lambda: len(checks.codes(check)) == 2)
        rows = list(stored(house))
        assert (await checks.enter(check, checks.code(check))).status == "verified"
        await skipping.sleep(MINUTE)
        await eventually(lambda: checks.rows() == 0)
        history = await payloads(house, check)
    assert any('"digests"' in text for text in history), "the payloads are read in clear"
    assert any(check in text for text in rows) and any("codes" in text for text in rows)
    for code in (*checks.codes(check), wrong):
        for trace in traces(code, check):
            assert not any(trace.search(text) for text in (*history, *rows, *stored(house))), trace.pattern
        digest = codes.digest(house.keys, check, 1, code)
        assert any(digest in text for text in history) or code != wrong, "what is there is the keyed digest"
    for clear in (NUMBER.national, TAIL.value):
        assert not any(clear in text for text in (*history, *rows))


# ── other methods ────────────────────────────────────────────────────────────────────────────────────


def enterprise(code: str) -> Actor:
    """An enterprise as an actor."""
    return Actor(kind=ActorKind.ENTERPRISE, code=code)


METHODS = [
    pytest.param({"method": Method.COUNTER}, WORKER, enterprise("push-0"), id="counter"),
    pytest.param(
        {"method": Method.ENTERPRISE, "attester": "push-0"},
        enterprise("push-0"),
        enterprise("push-1"),
        id="enterprise",
    ),
]


@pytest.mark.parametrize(("how", "entitled", "other"), METHODS)
async def test_attested_another_way(
    house: House, checks: Checks, how: dict[str, Any], entitled: Actor, other: Actor
) -> None:
    async with house.working():
        check = await checks.open(**how)
        assert isinstance(check, str)
        assert code_of(await checks.attest(check, other)) is RefusalCode.NOT_ALLOWED
        assert code_of(await checks.enter(check, "000000")) is RefusalCode.NOT_ALLOWED
        assert code_of(await checks.resend(check)) is RefusalCode.NOT_ALLOWED
        assert (await checks.attest(check, entitled)).changed
        state = await checks.becomes(check, IdentityStatus.VERIFIED)
        assert identity.proof(state).method is how["method"] and state.carrier == CARRIER
    assert house.centre.texts == [] and checks.rows() == 0
    assert house.events(check) == ["opened", "attested", "verified"]
    house.verify()


@pytest.mark.parametrize(("how", "entitled", "other"), METHODS)
async def test_attested_that_it_is_somebody_else(
    house: House, checks: Checks, how: dict[str, Any], entitled: Actor, other: Actor
) -> None:
    async with house.working():
        check = await checks.open(**how)
        assert isinstance(check, str)
        assert (await checks.attest(check, entitled, matched=False)).status == "not_attested"
        assert house.carriers.confirmed == 0
        assert await checks.verified()
    house.verify()


async def test_a_mismatch_after_attesting_costs_no_24_hours(house: House, checks: Checks) -> None:
    """Nobody has shown that they hold the phone: otherwise whoever attests could keep the owner out."""
    async with house.working():
        check = await checks.open(tail=OTHER_TAIL, method=Method.COUNTER)
        assert isinstance(check, str)
        await checks.attest(check, WORKER)
        assert (await checks.becomes(check, IdentityStatus.MISMATCH)).free_at is None
        assert await checks.verified()
    house.verify()


async def test_nobody_attests(house: House, checks: Checks, skipping: WorkflowEnvironment) -> None:
    async with house.working():
        check = await checks.open(method=Method.COUNTER)
        assert isinstance(check, str)
        await skipping.sleep(25 * HOUR)
        state = await checks.becomes(check, IdentityStatus.EXPIRED)
        with pytest.raises(CaseEnded):
            await checks.attest(check, WORKER)
    assert (refusal := identity.outcome(state, house.registry)) and "attested" in refusal.sentence
    house.verify()


# ── aids ─────────────────────────────────────────────────────────────────────────────────────────────

IDENTITY = CaseKind.IDENTITY
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Losing(FakeCentre):
    """An SMS centre that takes the first messages, and whose answer is lost."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    async def submit(self, to: str, text: str, reference: int) -> tuple[str, ...]:
        ids = await super().submit(to, text, reference)
        if self.tries <= self.times:
            raise Unavailable("sms_timeout", "the centre's answer never came")
        return ids


async def confirmed_at(house: House, check: str, at: datetime) -> identity.Outcome:
    """The carriers' word, asked for at exactly this time."""
    doing = IdentityChecks(house.database, house.keys, house.registry, house.centre, house.carriers)
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, current_attempt_scheduled_time=at)
    confirmed = await environment.run(doing.confirm_holder, ConfirmHolder(case=check, give_up_at=at + MINUTE))
    return cast(identity.Outcome, confirmed.outcome)


async def payloads(house: House, case: str) -> list[str]:
    """Every payload of a case's history, decrypted."""
    history = await house.client.get_workflow_handle(case).fetch_history()
    codec = house.client.data_converter.payload_codec
    assert codec
    locked = [one for event in history.events for one in inside(event) if one.metadata["encoding"] == engine.ENCODING]
    return [payload.data.decode() for payload in await codec.decode(locked)] + [
        str(event) for event in history.events
    ]


def inside(message: Message) -> Iterator[Payload]:
    """Every payload in a message."""
    for _, value in message.ListFields():
        many = value.values() if isinstance(value, Mapping) else value if isinstance(value, Sequence) else [value]
        for one in many:
            if isinstance(one, Payload):
                yield one
            elif isinstance(one, Message):
                yield from inside(one)


def stored(house: House) -> Iterator[str]:
    """Every row of every table, as text."""
    for name, table in metadata.tables.items():
        for row in house.database.read_now(lambda c, t=table: c.execute(select(t)).all()):  # type: ignore[misc]
            yield f"{name} {' '.join(str(value) for value in row)}"


def traces(code: str, check: str) -> Iterator[re.Pattern[str]]:
    """The code standing alone (not as part of a digest or a time), and hashes anybody could compute of it."""
    yield re.compile(rf"(?<![0-9A-Za-z.]){code}(?![0-9A-Za-z])")
    for text in (code, *(f"{check}/{serial}/{code}" for serial in (1, 2, 3))):
        for name in ("md5", "sha1", "sha256", "sha512"):
            digest = hashlib.new(name, text.encode())
            yield re.compile(digest.hexdigest(), re.IGNORECASE)
            yield re.compile(re.escape(b64encode(digest.digest()).decode().rstrip("=")))
