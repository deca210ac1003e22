"""Proofs: what a verified identity check is good for, looked at and spent beside its workflow, which has ended by then.

Whether a proof may be spent is decided by the domain on the check's ledger, in the transaction of whoever spends it:
of two cases that want the same proof one gets it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from domain import identity
from domain.case import CaseKind, root
from domain.proof import Proof, Purpose
from domain.refusal import Refusal
from store import vault
from store.keys import KeyRing
from store.ledger import Append, append
from store.projection import load_state
from store.tables import cases


@dataclass(frozen=True)
class Found:
    """Whose identity was checked, the proof of it, and the channel it was checked through."""

    person: vault.Person
    proof: Proof
    channel: str


def look(
    connection: Connection, keys: KeyRing, check: str, purpose: Purpose, at: datetime, channel: str | None = None
) -> Found | Refusal:
    """What a check proves, where it may still open a case for this purpose; nothing is spent.

    With a `channel`, the check of another one is refused in the same words as one that does not exist. A repeated
    request finds its own proof used: look for what its idempotency key brought before (`Intake.earlier`) first.
    """
    state = _state(connection, check, channel)
    if isinstance(state, Refusal):
        return state
    decision = identity.decide(state, identity.Spend(by=check, purpose=purpose), at)
    if isinstance(decision, Refusal):
        return decision
    person = _person(connection, keys, check)
    return Found(person, identity.proof(state), state.channel) if person else identity.refuse_unknown(check)


def spend(
    connection: Connection,
    keys: KeyRing,
    check: str,
    purpose: Purpose,
    by: str,
    at: datetime,
    channel: str | None = None,
) -> Refusal | None:
    """Use a check up for opening a case, in the caller's transaction; again for the same case changes nothing."""
    return _use(connection, keys, check, identity.Spend(by=by, purpose=purpose), at, channel)


def follow(
    connection: Connection, keys: KeyRing, check: str, case: str, at: datetime, channel: str | None = None
) -> Refusal | None:
    """Whether a check may look into a case of the same person, or act on it; a check for following is spent on it.

    The person is the number *and* the ID tail: who holds a re-issued number never sees a former holder's case. Of a
    renewal handed in without an ID tail, it is who held the number by then.
    """
    whole, person = root(case), _person(connection, keys, check)
    known = _person(connection, keys, whole)
    if person is None or known is None or person.number != known.number:
        return identity.refuse_unknown(check)
    if person.id_tail != known.id_tail and (known.id_tail or not _held_by_then(connection, check, whole)):
        return identity.refuse_unknown(check)
    return _use(connection, keys, check, identity.Follow(case=whole), at, channel)


def _held_by_then(connection: Connection, check: str, case: str) -> bool:
    """Whether the contract of whoever was checked began before this case."""
    state = _state(connection, check, None)
    opened_at: datetime = connection.execute(select(cases.c.opened_at).where(cases.c.case_id == case)).scalar_one()
    return not isinstance(state, Refusal) and state.activated_at is not None and state.activated_at <= opened_at


def _use(
    connection: Connection,
    keys: KeyRing,
    check: str,
    command: identity.Spend | identity.Follow,
    at: datetime,
    channel: str | None,
) -> Refusal | None:
    state = _state(connection, check, channel)
    if isinstance(state, Refusal):
        return state
    decision = identity.decide(state, command, at)
    if isinstance(decision, Refusal):
        return decision
    if decision:
        append(connection, keys, Append(check, CaseKind.IDENTITY, "spend", decision))
    return None


def _state(connection: Connection, check: str, channel: str | None) -> identity.State | Refusal:
    try:
        state: identity.State = load_state(connection, CaseKind.IDENTITY, check)
    except KeyError:
        return identity.refuse_unknown(check)
    return identity.refuse_unknown(check) if channel not in (None, state.channel) else state


def _person(connection: Connection, keys: KeyRing, case: str) -> vault.Person | None:
    try:
        return vault.get(connection, keys, case)
    except vault.NotInVault:
        return None
