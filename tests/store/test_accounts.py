"""Accounts, sessions and the trail they leave, on both databases; time is passed in."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from pyotp import TOTP

from domain.access import Role
from store import accounts, clients, sessions, trail
from store.accounts import AccountError, Credentials, Proof
from store.database import Database
from store.keys import KeyRing
from store.trail import Did, Entry, Wanted
from tests.strategies import T0

WHO = "worker-chen"
HANDED = Credentials.new()
MINUTE = timedelta(minutes=1)


@pytest.fixture
def chen(database: Database, keys: KeyRing) -> Database:
    """A database with an account."""
    database.write_now(lambda c: accounts.add(c, keys, WHO, Role.CASE_WORKER, HANDED, "operator:root", T0))
    return database


def tried(database: Database, keys: KeyRing, at: datetime, right: bool = True, code: str | None = None) -> Proof:
    """A try to come in."""
    code = TOTP(HANDED.totp_secret).at(at) if code is None else code
    return database.write_now(lambda c: accounts.prove(c, keys, WHO, HANDED.hash if right else "", code, at))


def test_locks_double_up_to_a_day_and_end(chen: Database, keys: KeyRing) -> None:
    at, locks = T0, []
    for _ in range(14):
        while tried(chen, keys, at, right=False) is Proof.WRONG:
            at += timedelta(seconds=1)
        until = next(one for one in chen.read_now(accounts.listed)).locked_until
        assert until is not None and tried(chen, keys, until - timedelta(seconds=1)) is Proof.LOCKED
        locks.append(until - at + timedelta(seconds=1))
        at = until
    assert locks == [min(15 * MINUTE * 2**n, timedelta(days=1)) for n in range(14)]
    assert tried(chen, keys, at) is Proof.RIGHT
    assert [tried(chen, keys, at, right=False) for _ in range(5)] == [Proof.WRONG] * 5  # in a row, again
    assert tried(chen, keys, at) is Proof.LOCKED


def test_a_password_changed_meanwhile_is_no_proof(chen: Database, keys: KeyRing) -> None:
    chen.write_now(lambda c: accounts.change_password(c, WHO, "another hash", "", T0))
    assert tried(chen, keys, T0) is Proof.WRONG


def test_unknown_accounts_take_as_long_as_known_ones() -> None:
    def cost(kept: str) -> float:
        begun = time.thread_time()
        assert not accounts.fits(kept, "some wrong password")
        return time.thread_time() - begun

    known, unknown = (min(cost(kept) for _ in range(3)) for kept in (HANDED.hash, ""))
    assert 0.5 < unknown / known < 2
    assert accounts.fits(HANDED.hash, HANDED.password) and not accounts.fits("no hash", HANDED.password)


def test_secrets_are_locked_and_outlive_a_rotation(chen: Database, keys: KeyRing) -> None:
    def rows() -> str:
        return chen.read_now(lambda c: str([tuple(row) for row in c.exec_driver_sql("SELECT * FROM accounts")]))

    assert HANDED.totp_secret not in rows() and HANDED.password not in rows() and "argon2id" in rows()
    assert HANDED.totp_secret not in repr(HANDED) and HANDED.hash not in repr(chen.read_now(accounts.listed))
    turned = keys.rotated()
    assert tried(chen, turned, T0) is Proof.RIGHT
    assert [chen.write_now(lambda c: accounts.rewrap(c, turned)) for _ in range(2)] == [1, 0]
    only_new = KeyRing(turned.current, {turned.current: turned.keys[turned.current]}, turned.index)
    assert tried(chen, only_new, T0 + MINUTE) is Proof.RIGHT


def test_what_cannot_be_made_is_refused(chen: Database, keys: KeyRing) -> None:
    database = chen
    database.write_now(lambda c: clients.issue(c, "mini-program", Role.CHANNEL, T0))
    made: list[tuple[str, Role, str]] = [
        (WHO, Role.CASE_WORKER, "already"),
        ("王小明", Role.CASE_WORKER, "is no code"),
        ("sandbox-mobile", Role.CARRIER, "has no account"),
        ("clerk-li", Role.ENTERPRISE, "say which"),
        ("mini-program", Role.AUDITOR, "code of a channel"),
    ]
    for code, role, why in made:
        with pytest.raises(AccountError, match=why):
            database.write_now(lambda c, n=code, r=role: accounts.add(c, keys, n, r, None, "operator:root", T0))
    link: Callable[[str, str], None] = lambda code, issuer: database.write_now(  # noqa: E731
        lambda c: accounts.link(c, keys, code, issuer, "chen@example.org", "operator:root", T0)
    )
    database.write_now(lambda c: accounts.add(c, keys, "worker-lin", Role.CASE_WORKER, None, "operator:root", T0))
    link(WHO, "https://id.example")
    with pytest.raises(AccountError, match=f"linked to {WHO}"):
        link("worker-lin", "https://id.example")
    link("worker-lin", "https://other.example")
    found = database.read_now(lambda c: accounts.linked_to(c, keys, "https://id.example", "chen@example.org"))
    assert found is not None and found.code == WHO

    database.write_now(lambda c: accounts.disable(c, WHO, "operator:root", T0))
    assert tried(database, keys, T0 + MINUTE) is Proof.WRONG
    for change in (
        lambda c: accounts.reset(c, keys, WHO, HANDED, "operator:root", T0),
        lambda c: accounts.disable(c, WHO, "operator:root", T0),
        lambda c: accounts.disable(c, "nobody-here", "operator:root", T0),
    ):
        with pytest.raises(AccountError, match=r"disabled for good|no account"):
            database.write_now(change)
    link("worker-lin", "https://id.example")  # the subject is free again


def test_a_clerk_is_somebody_of_one_enterprise(chen: Database, keys: KeyRing) -> None:
    def add(code: str, role: Role, tenant: str) -> None:
        chen.write_now(lambda c: accounts.add(c, keys, code, role, HANDED, "operator:root", T0, tenant))

    chen.write_now(lambda c: clients.issue(c, "tencent", Role.ENTERPRISE, T0))
    add("clerk-li", Role.ENTERPRISE, "tencent")
    for code, role, why in (("worker-he", Role.CASE_WORKER, "no clerk"), ("tencent", Role.ENTERPRISE, "already")):
        with pytest.raises(AccountError, match=why):
            add(code, role, "tencent")
    found = chen.read_now(lambda c: accounts.find(c, "clerk-li"))
    assert found is not None and (found.role, found.tenant) == (Role.ENTERPRISE, "tencent")
    session_id, begun = chen.write_now(lambda c: sessions.begin(c, "clerk-li", found.role, T0, found.tenant))
    assert chen.read_now(lambda c: sessions.find(c, session_id, T0)) == begun and begun.tenant == "tencent"
    (noted,) = chen.read_now(lambda c: trail.page(c, Wanted(about="clerk-li"), None, 9))
    assert noted.detail == "enterprise tencent"


def test_a_reset_unlocks_and_ends_sessions(chen: Database, keys: KeyRing) -> None:
    session_id, _ = chen.write_now(lambda c: sessions.begin(c, WHO, Role.CASE_WORKER, T0))
    for _ in range(5):
        tried(chen, keys, T0, right=False)
    chen.write_now(lambda c: accounts.reset(c, keys, WHO, HANDED, "operator:root", T0))
    assert chen.read_now(lambda c: sessions.find(c, session_id, T0)) is None
    assert tried(chen, keys, T0) is Proof.RIGHT
    noted = chen.read_now(lambda c: trail.page(c, Wanted(actor="operator:root"), None, 10))
    assert [one.action for one in noted] == [Did.ACCOUNT_RESET, Did.ACCOUNT_ADDED]


def test_sessions_end_and_are_swept_away(chen: Database) -> None:
    first, (second, kept) = (chen.write_now(lambda c: sessions.begin(c, WHO, Role.CASE_WORKER, T0)) for _ in range(2))
    assert chen.read_now(lambda c: sessions.find(c, second, T0 + 30 * MINUTE)) is None
    chen.write_now(lambda c: sessions.seen(c, kept, T0 + 20 * MINUTE))
    assert chen.read_now(lambda c: sessions.find(c, second, T0 + 30 * MINUTE))
    assert chen.write_now(lambda c: sessions.purge(c, T0 + 40 * MINUTE)) == 1
    assert chen.read_now(lambda c: sessions.find(c, first[0], T0)) is None
    chen.write_now(lambda c: sessions.end_all(c, WHO, kept.digest))
    assert chen.write_now(lambda c: [sessions.end(c, second) for _ in range(2)]) == [WHO, None]


def test_the_trail_is_read_page_by_page(database: Database) -> None:
    for n in range(5):
        entry = Entry(T0 + n * MINUTE, f"actor-{n % 2}", Did.SIGNED_IN, "it", "")
        database.write_now(lambda c, e=entry: trail.note(c, e))
    wanted = Wanted(since=T0 + MINUTE)
    first = database.read_now(lambda c: trail.page(c, wanted, None, 2))
    rest = database.read_now(lambda c: trail.page(c, wanted, first[-1].entry_id, 9))
    assert [one.at for one in (*first, *rest)] == [T0 + n * MINUTE for n in (4, 3, 2, 1)]
    assert len(database.read_now(lambda c: trail.page(c, Wanted(actor="actor-1"), None, 9))) == 2
