"""Doors for following a case: a citizen who knows its reference and has the phone gets a token for that one case.

Nobody types the number: the code goes to the number the case is about. Whether there is such a case is never told: for
an unknown reference, another channel's citizen, a person who is forgotten and a wrong ID tail the answers are the same,
no short message goes out, and no code is right.

A query, a dispute and a complaint are followed through the channel they came through. A renewal was handed in by a
carrier, so any channel may follow it: what counts is that somebody holds the number and the ID tail. Of a renewal
handed in without an ID tail, the carriers say whose the number is, and since when.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Header, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from domain import identity
from domain.access import Role, Scope
from domain.case import Actor, ActorKind, CaseKind, kind_of
from domain.identity import IdentityStatus
from domain.messages import Language
from domain.privacy import IdTail
from domain.proof import Purpose
from domain.refusal import Refusal
from gateway import tokens
from gateway.auth import Using, may
from gateway.caller import Caller
from gateway.identity import Accepted, CheckInPath, CodeBody, Origin, Tail, begun, judged, opening, own
from gateway.problems import ProblemError, fail, of_refusal
from gateway.services import Services
from store import codes, proofs, vault
from store.ids import new_case_id
from store.projection import load_state

router = APIRouter(prefix="/v1", tags=["citizens"])

LASTS = timedelta(minutes=30)
"""How long somebody may look into a case after a code."""
REFERENCE = r"^[QDCR][0-9A-HJKMNP-TV-Z]{12}$"

Channel = Annotated[Caller, may(Scope.CASES_FOLLOW)]
Key = Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=80, description="Unique per follow")]


class FollowRequest(BaseModel):
    """Which case, and the ID tail of whoever it is about."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={
            "examples": [{"reference": "Q0123456789AB", "id_tail": "01123X", "origin": "s-7f3a91", "language": "zh"}]
        },
    )

    reference: str = Field(pattern=REFERENCE, description="Of a query, a dispute, a complaint or a renewal")
    id_tail: Tail
    origin: Origin
    language: Language = Field(Language.ZH, description="What the short message is written in")


class CitizenToken(BaseModel):
    """A token for this one case; send it as `Authorization: Bearer`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"token": "eyJhbGciOi…", "expires_in": 1800, "case": "Q0123456789AB"}]}
    )

    token: str
    expires_in: int = Field(description="Seconds")
    case: str


@router.post("/follows", status_code=202)
async def follow(
    body: FollowRequest, response: Response, channel: Channel, services: Using, idempotency_key: Key
) -> Accepted:
    """Have a code sent to the number of a case, if there is such a case; the answer is the same if there is none."""
    command = identity.Open(
        case=new_case_id(CaseKind.IDENTITY),
        channel=channel.code,
        number="",
        purpose=Purpose.FOLLOW,
        follows=body.reference,
        language=body.language,
        actor=Actor(kind=ActorKind(channel.role.value), code=channel.code),
    )
    first = identity.open_check(command, datetime.now(UTC), services.registry.identity)
    if isinstance(first, Refusal):
        raise ProblemError(of_refusal(first))
    person = await services.database.read(lambda c: _person(c, services, channel, body))
    wanted = opening(services.keys, channel.code, idempotency_key, body.model_dump_json(), first, person, body.origin)
    return await begun(services, wanted, first, body.origin, response)


@router.post("/follows/{check}/code")
async def enter_code(
    check: CheckInPath, body: CodeBody, response: Response, channel: Channel, services: Using
) -> CitizenToken:
    """Enter the code: a token for the case, for half an hour at most, which ends with your own client.

    For a minute the right code may be sent again, if its answer was lost.
    """
    response.headers["cache-control"] = "no-store"
    state = await own(services, channel, check)
    if state.follows is None:
        raise ProblemError(of_refusal(identity.refuse_unknown(check)))
    if not await _accepted_before(services, state, body.code):
        state = await judged(services, channel, state, body.code)
    if state.status is IdentityStatus.CONFIRMING:
        raise fail(
            503, "confirming", "The code is right; the carriers are still asked.", "Send it again.", retry_after=2
        )
    now = datetime.now(UTC)
    case, until = await proven(services, channel, state, now)
    access = tokens.Access(channel.client, channel.code, Role.CITIZEN, frozenset({Scope.CASE_OWN}), case)
    lasts = until - now
    token = tokens.mint(services.keys, access, now, lasts)
    return CitizenToken(token=token, expires_in=int(lasts.total_seconds()), case=case)


async def proven(services: Services, channel: Caller, state: identity.State, now: datetime) -> tuple[str, datetime]:
    """The case that a verified check looks into, and until when. Raises ProblemError."""
    check, case, keys = state.case, state.follows, services.keys
    if case is None:
        raise ProblemError(of_refusal(identity.refuse_unknown(check)))
    refusal = await services.database.write(lambda c: proofs.follow(c, keys, check, case, now, channel.code))
    if refusal:
        raise ProblemError(of_refusal(refusal))
    return case, min(now + LASTS, identity.follows_until(state) or now)


def _person(connection: Connection, services: Services, channel: Caller, body: FollowRequest) -> vault.Person | None:
    """Whom the code goes to: whoever the case is about, if they have this ID tail and came through this channel."""
    try:
        state = load_state(connection, kind_of(body.reference), body.reference)
        known = vault.get(connection, services.keys, body.reference)
    except (KeyError, vault.NotInVault):
        return None
    tail = IdTail(body.id_tail)
    theirs = getattr(state, "channel", channel.code) == channel.code and known.id_tail in (None, tail)
    return vault.Person(known.number, tail) if theirs else None


async def _accepted_before(services: Services, state: identity.State, code: str) -> bool:
    """Whether this code was taken a moment ago: its answer may have been lost, or the carriers were slow."""
    if state.status not in (IdentityStatus.CONFIRMING, IdentityStatus.VERIFIED):
        return False
    digest = codes.digest(services.keys, state.case, state.sent, code)
    return await services.database.read(lambda c: codes.fits(c, state.case, digest))
