"""The vault: what goes in comes out with the right key and case only, and nothing clear is stored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from sqlalchemy import Connection, Row, select, update
from sqlalchemy.engine import make_url

from domain.privacy import IdTail, PhoneNumber
from store import vault
from store.database import Database
from store.keys import KeyRing, KeyRingError
from store.tables import vault as rows
from store.vault import NotInVault, Person
from tests.strategies import CASE, DAY, SECOND, T0

PERSON = Person(PhoneNumber("13800138000"), IdTail("01123X"))
OTHER = "R0000000000ZZ"


def row(connection: Connection, case: str = CASE) -> Row[tuple[object, ...]]:
    return connection.execute(select(rows).where(rows.c.case_id == case)).one()


@pytest.fixture
def kept(database: Database, keys: KeyRing) -> Iterator[Database]:
    """A database with one person in it."""
    database.write_now(lambda c: vault.put(c, keys, CASE, PERSON))
    yield database


@pytest.mark.parametrize("person", [PERSON, Person(PhoneNumber("19912345678"))], ids=["with tail", "number only"])
def test_what_goes_in_comes_out(database: Database, keys: KeyRing, person: Person) -> None:
    database.write_now(lambda c: vault.put(c, keys, CASE, person))
    assert database.read_now(lambda c: vault.get(c, keys, CASE)) == person


def test_nobody_is_not_in_the_vault(database: Database, keys: KeyRing) -> None:
    with pytest.raises(NotInVault, match=CASE):
        database.read_now(lambda c: vault.get(c, keys, CASE))


def test_a_box_moved_to_another_case_stays_locked(kept: Database, keys: KeyRing) -> None:
    kept.write_now(lambda c: c.execute(update(rows), {"case_id": OTHER}))
    with pytest.raises(InvalidTag):
        kept.read_now(lambda c: vault.get(c, keys, OTHER))


def test_a_box_with_another_cases_key_stays_locked(kept: Database, keys: KeyRing) -> None:
    """The case key alone moved: the box is bound to its own key and case."""
    kept.write_now(lambda c: vault.put(c, keys, OTHER, Person(PhoneNumber("19912345678"))))
    other = kept.read_now(lambda c: row(c, OTHER))
    kept.write_now(lambda c: c.execute(update(rows).where(rows.c.case_id == CASE), {"box": other.box}))
    with pytest.raises(InvalidTag):
        kept.read_now(lambda c: vault.get(c, keys, CASE))


@pytest.mark.parametrize("name", ["case_key", "box"])
def test_a_changed_byte_is_noticed(kept: Database, keys: KeyRing, name: str) -> None:
    stored = bytes(getattr(kept.read_now(row), name))
    for at in (0, len(stored) // 2, len(stored) - 1):
        changed = stored[:at] + bytes([stored[at] ^ 1]) + stored[at + 1 :]
        kept.write_now(lambda c, changed=changed: c.execute(update(rows), {name: changed}))
        with pytest.raises(InvalidTag):
            kept.read_now(lambda c: vault.get(c, keys, CASE))


def test_another_ring_opens_nothing(kept: Database) -> None:
    with pytest.raises(InvalidTag):
        kept.read_now(lambda c: vault.get(c, KeyRing.new(), CASE))


def test_after_a_rotation_the_old_key_is_no_longer_needed(kept: Database, keys: KeyRing) -> None:
    rotated = keys.rotated()
    before = kept.read_now(row)
    assert kept.read_now(lambda c: vault.get(c, rotated, CASE)) == PERSON
    assert kept.write_now(lambda c: vault.rewrap(c, rotated)) == 1
    assert kept.write_now(lambda c: vault.rewrap(c, rotated)) == 0
    after = kept.read_now(row)
    assert (after.ring_key, bytes(after.box)) == (rotated.current, bytes(before.box))
    only_new = KeyRing(rotated.current, {rotated.current: rotated.keys[rotated.current]}, rotated.index)
    assert kept.read_now(lambda c: vault.get(c, only_new, CASE)) == PERSON
    with pytest.raises(KeyRingError, match=rotated.current):
        kept.read_now(lambda c: vault.get(c, keys, CASE))


def test_whoever_is_no_longer_needed_is_forgotten(kept: Database, keys: KeyRing) -> None:
    kept.write_now(lambda c: vault.put(c, keys, OTHER, PERSON))
    assert kept.write_now(lambda c: vault.purge(c, T0 + 1000 * DAY)) == 0  # nobody has said from when on
    kept.write_now(lambda c: vault.purge_after(c, CASE, T0))
    assert kept.write_now(lambda c: vault.purge(c, T0)) == 0
    assert kept.write_now(lambda c: vault.purge(c, T0 + SECOND)) == 1
    with pytest.raises(NotInVault):
        kept.read_now(lambda c: vault.get(c, keys, CASE))
    assert kept.read_now(lambda c: vault.get(c, keys, OTHER)) == PERSON


def test_two_boxes_of_one_person_have_nothing_in_common(kept: Database, keys: KeyRing) -> None:
    kept.write_now(lambda c: vault.put(c, keys, OTHER, PERSON))
    one, other = kept.read_now(row), kept.read_now(lambda c: row(c, OTHER))
    assert bytes(one.box) != bytes(other.box) and bytes(one.case_key) != bytes(other.case_key)


def test_nothing_clear_is_stored(kept: Database, database_url: str) -> None:
    stored = kept.read_now(row)
    everything = b"".join(v if isinstance(v, bytes) else repr(v).encode() for v in stored)
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite":
        path = Path(url.database or "")
        everything += b"".join(p.read_bytes() for p in path.parent.glob(path.name + "*"))
        assert CASE.encode() in everything  # the right files
    for clear in (b"13800138000", b"138****8000", b"8000", b"01123X"):
        assert clear not in everything
