"""Proofs: single use in whatever transaction asks first, for one person, one purpose and one channel, and not for long."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from domain import identity
from domain.case import SYSTEM, CaseKind, Event
from domain.messages import Language
from domain.privacy import IdTail, PhoneNumber
from domain.proof import Method, Purpose
from domain.refusal import Refusal, RefusalCode
from domain.registry import IdentityPolicy
from store import audit, proofs, vault
from store.database import Database
from store.keys import KeyRing
from store.ledger import Append, append, read
from tests.strategies import ACTIVATED, DAY, SECOND, T0

MINUTE = timedelta(minutes=1)
CHECK, CASE, OTHER = "K0123456789AB", "Q0123456789AB", "Q0000000000ZZ"
HOLDER = vault.Person(PhoneNumber("13800138000"), IdTail("01123X"))
LATER_HOLDER = vault.Person(HOLDER.number, IdTail("029999"))


class House:
    """Checks and cases as they stand in the database."""

    def __init__(self, database: Database, keys: KeyRing) -> None:
        self.database = database
        self.keys = keys

    def check(
        self,
        check: str = CHECK,
        purpose: Purpose = Purpose.QUERY,
        person: vault.Person = HOLDER,
        verified: bool = True,
    ) -> None:
        """A check, verified at T0."""
        events: list[Event] = [
            identity.Opened(
                at=T0 - MINUTE,
                actor=SYSTEM,
                case=check,
                channel="mini-program",
                number=person.number.mask(),
                method=Method.CODE_AND_ID_TAIL,
                purpose=purpose,
                language=Language.ZH,
                policy=IdentityPolicy(),
            ),
            identity.CodeSent(at=T0 - MINUTE, serial=1),
            identity.CodeAccepted(at=T0, serial=1),
        ]
        if verified:
            events.append(identity.Verified(at=T0, carrier="china-mobile", activated_at=ACTIVATED))
        self.person(check, person)
        order = Append(check, CaseKind.IDENTITY, "by-hand", events)
        self.database.write_now(lambda c: append(c, self.keys, order))

    def person(self, case: str, person: vault.Person = HOLDER) -> None:
        """Whose case it is."""
        self.database.write_now(lambda c: vault.put(c, self.keys, case, person))

    def look(self, at: timedelta = MINUTE, **how: object) -> proofs.Found | RefusalCode:
        """See `proofs.look`."""
        words = {"check": CHECK, "purpose": Purpose.QUERY, **how}
        found = self.database.read_now(lambda c: proofs.look(c, self.keys, at=T0 + at, **words))  # type: ignore[arg-type]
        return found.code if isinstance(found, Refusal) else found

    def spend(self, at: timedelta = MINUTE, **how: object) -> RefusalCode | None:
        """See `proofs.spend`."""
        words = {"check": CHECK, "purpose": Purpose.QUERY, "by": CASE, **how}
        refusal = self.database.write_now(lambda c: proofs.spend(c, self.keys, at=T0 + at, **words))  # type: ignore[arg-type]
        return refusal.code if refusal else None

    def follow(self, at: timedelta = MINUTE, **how: object) -> RefusalCode | None:
        """See `proofs.follow`."""
        words = {"check": CHECK, "case": CASE, **how}
        refusal = self.database.write_now(lambda c: proofs.follow(c, self.keys, at=T0 + at, **words))  # type: ignore[arg-type]
        return refusal.code if refusal else None

    def events(self) -> list[str]:
        """What happened to the check."""
        return [row.type for row in self.database.read_now(lambda c: read(c, CHECK))]


@pytest.fixture
def house(database: Database, keys: KeyRing) -> House:
    """A database with nothing in it."""
    return House(database, keys)


def test_looking_spends_nothing(house: House) -> None:
    house.check()
    found = house.look()
    assert isinstance(found, proofs.Found)
    assert (found.person, found.channel) == (HOLDER, "mini-program")
    assert (found.proof.check, found.proof.carrier, found.proof.activated_at) == (CHECK, "china-mobile", ACTIVATED)
    assert house.look() == found and "proof_spent" not in house.events()


def test_a_proof_is_used_once(house: House) -> None:
    house.check()
    assert house.spend() is None
    assert house.spend() is None, "for the same case again it is"
    assert house.spend(by=OTHER) is RefusalCode.PROOF_USED
    assert house.look() is RefusalCode.PROOF_USED
    assert house.events().count("proof_spent") == 1
    house.database.read_now(lambda c: audit.verify(c, house.keys))


async def test_of_cases_at_the_same_time_one_gets_it(house: House) -> None:
    house.check()
    cases = [f"Q{n:012d}" for n in range(20)]
    spent = await asyncio.gather(
        *(
            house.database.write(
                lambda c, by=case: proofs.spend(c, house.keys, CHECK, Purpose.QUERY, by, T0 + MINUTE)  # type: ignore[misc]
            )
            for case in cases
        )
    )
    assert spent.count(None) == 1 and house.events().count("proof_spent") == 1


def test_an_opening_that_fails_spends_nothing(house: House) -> None:
    house.check()

    def opening(connection: object) -> None:
        assert proofs.spend(connection, house.keys, CHECK, Purpose.QUERY, CASE, T0 + MINUTE) is None  # type: ignore[arg-type]
        raise RuntimeError("the opening failed")

    with pytest.raises(RuntimeError):
        house.database.write_now(opening)
    assert isinstance(house.look(), proofs.Found)


@pytest.mark.parametrize(
    ("how", "at", "code"),
    [
        ({"purpose": Purpose.DISPUTE}, MINUTE, RefusalCode.WRONG_PURPOSE),
        ({"channel": "other-channel"}, MINUTE, RefusalCode.UNKNOWN_CASE),
        ({"check": "K000000000000"}, MINUTE, RefusalCode.UNKNOWN_CASE),
        ({"check": CASE}, MINUTE, RefusalCode.UNKNOWN_CASE),
        ({}, 10 * MINUTE, RefusalCode.PROOF_EXPIRED),
        ({"channel": "mini-program"}, 10 * MINUTE - SECOND, None),
    ],
)
def test_what_is_refused(house: House, how: dict[str, object], at: timedelta, code: RefusalCode | None) -> None:
    house.check()
    looked = house.look(at, **how)
    assert looked is code if code else isinstance(looked, proofs.Found)
    assert house.spend(at, **how) is code


def test_another_channels_check_is_refused_in_the_words_of_none(house: House) -> None:
    house.check()
    foreign, none = (
        house.database.read_now(lambda c, x=check, y=channel: proofs.look(c, house.keys, x, Purpose.QUERY, T0, y))  # type: ignore[misc]
        for check, channel in ((CHECK, "other"), ("K000000000000", "other"))
    )
    assert isinstance(foreign, Refusal) and isinstance(none, Refusal)
    assert str(foreign).replace(CHECK, "K000000000000") == str(none)


def test_an_unfinished_check_proves_nothing(house: House) -> None:
    house.check(verified=False)
    assert house.look() is house.spend() is RefusalCode.NOT_VERIFIED


def test_a_forgotten_person_proves_nothing(house: House) -> None:
    house.check()
    assert house.database.write_now(lambda c: vault.purge(c, T0 + 31 * DAY)) == 1
    assert house.look() is RefusalCode.UNKNOWN_CASE
    house.person(CASE)
    assert house.follow() is RefusalCode.UNKNOWN_CASE


def test_the_check_that_opened_a_case_follows_it_for_half_an_hour(house: House) -> None:
    house.check()
    house.person(CASE)
    house.person(OTHER)
    assert house.follow() is RefusalCode.WRONG_PURPOSE, "it has opened nothing yet"
    assert house.spend() is None
    assert house.follow(30 * MINUTE - SECOND) is None
    assert house.follow(case=f"{CASE}-unbind-0") is None, "its parts belong to it"
    assert house.follow(30 * MINUTE) is RefusalCode.PROOF_EXPIRED
    assert house.follow(case=OTHER) is RefusalCode.PROOF_USED
    assert house.follow(channel="other-channel") is RefusalCode.UNKNOWN_CASE


def test_a_check_for_following_is_spent_on_one_case_of_the_same_person(house: House) -> None:
    house.check(purpose=Purpose.FOLLOW)
    house.person(CASE, vault.Person(PhoneNumber("13900139000"), HOLDER.id_tail))
    house.person(OTHER)
    assert house.follow() is RefusalCode.UNKNOWN_CASE, "another number"
    assert house.follow(case="Q00000000000X") is RefusalCode.UNKNOWN_CASE, "no such case"
    assert house.follow(case=OTHER) is house.follow(case=OTHER) is None
    assert house.events().count("proof_spent") == 1
    house.database.read_now(lambda c: audit.verify(c, house.keys))


def test_who_holds_the_number_later_sees_no_former_holders_case(house: House) -> None:
    """Same number, another ID tail: no takeover."""
    house.check(purpose=Purpose.FOLLOW, person=LATER_HOLDER)
    house.person(CASE)
    assert house.follow() is RefusalCode.UNKNOWN_CASE
