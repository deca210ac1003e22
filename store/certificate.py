"""The re-issue certificate: what stood in the ledger when a number was released, sealed, and checked against it again.

A certificate says what the release rested on, so it never changes: a later answer is in the ledger, not in it. It is
recomputed from the ledger's rows up to the release alone; the read models are not asked.
"""

from __future__ import annotations

import hmac
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, ValidationError
from sqlalchemy import Connection, Row, select

from domain import number, unbind
from domain.case import AppCode, CaseId, Event, Model, fold
from domain.number import UNANSWERED
from domain.unbind import ItemState
from store.keys import KeyRing, KeyRingError
from store.ledger import parse
from store.ledger import seal as ledger_seal
from store.tables import ledger


class NotReleased(LookupError):
    """This life of the number was never released, so nothing can be certified."""


class Disposition(StrEnum):
    """What became of what hung on the number, app by app."""

    UNBOUND = "unbound"
    CANCELLED = "cancelled"
    NOT_FOUND = "not_found"
    KEPT = "kept"
    EXEMPT = "exempt"
    REJECTED = "rejected"
    UNREPORTED = "unreported"


class Place(Model):
    """The release in the ledger: its position, its place within the case, and its seal there."""

    position: int
    seq: int
    seal: str


class Certificate(Model):
    """What was unbound, kept and unreported when a number was released to be re-issued."""

    case: CaseId
    number: str
    life: int
    cancelled_at: AwareDatetime
    released_at: AwareDatetime
    released_to: str
    override: bool
    apps: Mapping[AppCode, Disposition]
    counts: Mapping[Disposition, int]
    ledger: Place
    seal: str = ""


def issue(connection: Connection, keys: KeyRing, case: str, life: int | None = None) -> Certificate:
    """The certificate of a life that was released; of the last one, if none is named. Raises NotReleased."""
    rows = _rows(connection, case)
    for row in reversed(rows):
        if row.type == number.Mark.RELEASED.value:
            certificate = _made(connection, rows, row)
            if life in (None, certificate.life):
                return certificate.model_copy(update={"seal": _sealed(keys, certificate)})
    raise NotReleased(case)


def verify(connection: Connection, keys: KeyRing, certificate: Mapping[str, Any]) -> str:
    """Recompute a certificate from the ledger; the first difference in words, empty if it is genuine."""
    try:
        given = Certificate.model_validate(certificate)
    except ValidationError as error:
        return f"{'.'.join(map(str, error.errors()[0]['loc'])) or 'certificate'}: this is no re-issue certificate"
    rows = _rows(connection, given.case)
    released = next((row for row in rows if row.seq == given.ledger.seq), None)
    if released is None or released.type != number.Mark.RELEASED.value:
        return f"ledger.seq: the ledger has no release of {given.case} at event {given.ledger.seq}"
    if broken := _broken(keys, rows) or _broken_parts(connection, keys, rows, released):
        return broken
    again = _made(connection, rows, released)
    for field, value in again.model_dump(mode="json", exclude={"seal"}).items():
        said = given.model_dump(mode="json")[field]
        if said != value:
            return _difference(field, said, value)
    return _unsealed(keys, given)


# ── from the ledger ──────────────────────────────────────────────────────────────────────────────────


def _rows(connection: Connection, case: str, until: int | None = None) -> Sequence[Row[Any]]:
    wanted = select(ledger).where(ledger.c.case_id == case).order_by(ledger.c.seq)
    return connection.execute(wanted if until is None else wanted.where(ledger.c.position <= until)).all()


def _state(rows: Iterable[Row[Any]], released: Row[Any]) -> number.State:
    """The number as it stood when it was released."""
    state: number.State | None = fold(number.evolve, parse(row for row in rows if row.seq <= released.seq))
    assert state is not None
    return state


def _made(connection: Connection, rows: Sequence[Row[Any]], released: Row[Any]) -> Certificate:
    """A certificate without its seal."""
    (event,) = parse([released])
    assert isinstance(event, number.Released)
    state = _state(rows, released)
    apps = {
        app: disposition
        for part, asked in state.life.parts.items()
        for app, disposition in _dispositions(parse(_rows(connection, part, released.position)), asked).items()
    }
    return Certificate(
        case=state.case,
        number=state.masked_number,
        life=event.life,
        cancelled_at=event.cancelled_at,
        released_at=event.at,
        released_to=event.actor.code,
        override=event.overridden,
        apps=apps,
        counts=dict(sorted(Counter(apps.values()).items())),
        ledger=Place(position=released.position, seq=released.seq, seal=released.seal),
    )


def _dispositions(events: list[Event], asked: Iterable[str]) -> dict[str, Disposition]:
    """How each app of one unbind request stood; an app that was never asked has not reported."""
    request: unbind.State | None = fold(unbind.evolve, events)
    stood = {item.app: item.state for item in request.items.values()} if request else {}
    return {app: _disposition(stood.get(app, ItemState.QUEUED)) for app in asked}


def _disposition(state: ItemState) -> Disposition:
    return Disposition.UNREPORTED if state in UNANSWERED else Disposition(state.value)


# ── what is wrong ────────────────────────────────────────────────────────────────────────────────────


def _difference(field: str, said: object, value: object) -> str:
    """The innermost field that differs, what it says and what the ledger says."""
    if isinstance(said, Mapping) and isinstance(value, Mapping):
        for key in (*value, *said):
            if said.get(key) != value.get(key):
                return _difference(f"{field}.{key}", said.get(key), value.get(key))
    return f"{field}: the certificate says {_word(said)}, the ledger {_word(value)}"


def _word(value: object) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)[:100]


def _broken(keys: KeyRing, rows: Sequence[Row[Any]]) -> str:
    """Whether a case's rows are what was once sealed."""
    previous = ""
    for row in rows:
        try:
            expected = ledger_seal(keys, previous, dict(row._mapping), row.seal.partition(":")[0])
        except KeyRingError as error:
            return f"ledger position {row.position}: {error}"
        if expected != row.seal:
            return f"ledger position {row.position}: its seal does not fit its content"
        previous = row.seal
    return ""


def _broken_parts(connection: Connection, keys: KeyRing, rows: Sequence[Row[Any]], released: Row[Any]) -> str:
    parts = _state(rows, released).life.parts
    return next((broken for part in parts if (broken := _broken(keys, _rows(connection, part)))), "")


def _canonical(certificate: Certificate) -> bytes:
    said = certificate.model_dump(mode="json", exclude={"seal"})
    return json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _sealed(keys: KeyRing, certificate: Certificate, key_id: str | None = None) -> str:
    return keys.seal("certificate", _canonical(certificate), key_id)


def _unsealed(keys: KeyRing, certificate: Certificate) -> str:
    """Whether the seal was made by us over just this."""
    try:
        expected = _sealed(keys, certificate, certificate.seal.partition(":")[0])
    except KeyRingError:
        return "seal: it names a key that is not ours"
    genuine = hmac.compare_digest(expected.encode(), certificate.seal.encode())
    return "" if genuine else "seal: it does not fit the certificate"
