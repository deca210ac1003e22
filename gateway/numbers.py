"""Doors for a number's life: what carriers report, ask and get; what enterprises list; a supervisor's override.

A number never stands in a URL: its carrier finds the case by a message, and names the case from then on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError
from sqlalchemy import Connection

from domain import number
from domain.access import Role, Scope
from domain.case import CaseKind
from domain.number import Fact, Notice, NumberStatus
from domain.privacy import PhoneNumber
from domain.refusal import Refusal
from domain.renewal import tally
from domain.unbind import ItemState
from gateway.auth import Using, may
from gateway.caller import Caller
from gateway.casework import actor_of, say
from gateway.intake import Opening
from gateway.problems import ProblemError, fail, of_refusal
from gateway.renewals import CaseInPath, busy
from gateway.services import Services
from gateway.work_items import LAST_CURSOR
from store import certificate, numbers, papers
from store.certificate import Certificate, NotReleased
from store.ids import new_case_id
from store.projection import load_state
from store.vault import Person
from workflows.messages import Done

router = APIRouter(prefix="/v1", tags=["numbers"])

PAGE = 200
STARTS_WITHIN, LOOKS = 5.0, 25
"""How long a second report waits for the engine to take the case of the first, and how often it looks."""


def _number(text: str) -> str:
    try:
        return PhoneNumber.parse(text).national
    except ValueError as error:
        raise PydanticCustomError("number", "{why}", {"why": str(error)}) from None


Number = Annotated[
    str, Field(max_length=20, description="Mainland mobile number, +86 optional"), AfterValidator(_number)
]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class NumberEvent(_Closed):
    """What happened to a number. The holder's name and ID are never wanted; extra fields are refused."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "number": "13800138000",
                    "event_id": "boss-20261120-000017",
                    "event": "cancellation",
                    "occurred_at": "2026-11-20T09:30:00+08:00",
                }
            ]
        }
    )

    number: Number
    event_id: str = Field(min_length=1, max_length=80, description="Your own id of the event; only a digest is kept")
    event: Fact
    occurred_at: AwareDatetime = Field(description="When it happened (RFC 3339), 1990 or later")


class NumberWish(_Closed):
    """A number of yours."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"number": "13800138000"}]})

    number: Number


class OverrideBody(_Closed):
    """Why the number may be re-issued all the same. It is kept with the case, and read by auditors."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "The last app has been shut down."}]})

    reason: str = Field(min_length=1, max_length=500)


class VerifyBody(_Closed):
    """A re-issue certificate as it came from us."""

    certificate: Mapping[str, Any]


class Recorded(BaseModel):
    """A report as it was taken; `changed` is false for a repetition."""

    case: str
    status: NumberStatus
    life: int
    changed: bool


class NumberBrief(BaseModel):
    """Where a number stands. Times are UTC."""

    case: str
    number: str
    status: NumberStatus
    life: int = Field(description="Counts the holders we know of, from 1")
    activated_at: AwareDatetime | None
    cancelled_at: AwareDatetime | None
    batch_at: AwareDatetime | None = Field(description="When everything bound to it is, or was, asked to be unbound")
    releasable_at: AwareDatetime | None = Field(description="The end of the freeze")
    unreported: int | None = Field(description="Apps that have not answered; null before they are asked")
    overridden: bool
    released_at: AwareDatetime | None


class FactView(BaseModel):
    """One fact of the timeline, and where the number stood after it."""

    event: Fact
    occurred_at: AwareDatetime
    status: NumberStatus
    life: int


class NumberView(NumberBrief):
    """A number with its timeline and what became of what hung on it."""

    opened_at: AwareDatetime
    alarmed_at: AwareDatetime | None = Field(description="Re-issued without a release; a case worker has to look")
    timeline: list[FactView]
    counts: Mapping[ItemState, int]
    apps: Mapping[str, ItemState]


class RecycledNumber(BaseModel):
    """A number that is nobody's, or (`reinstated`) its former holder's after all."""

    position: int
    event: Notice
    token: str = Field(description="As in work items: HMAC-SHA-256 of the number under your token_key")
    cancelled_at: AwareDatetime


class RecycledNumbers(BaseModel):
    """A page of the list."""

    numbers: list[RecycledNumber]
    next: int = Field(description="`after` of the following page, now or next time")
    more: bool = Field(description="There may be more already: ask again at once")


class Verified(BaseModel):
    """Whether a certificate is ours and says what the ledger says; if not, the first difference."""

    genuine: bool
    difference: str


# ── carriers ─────────────────────────────────────────────────────────────────────────────────────────


@router.post("/number-events")
async def report(
    body: NumberEvent, carrier: Annotated[Caller, may(Scope.NUMBERS_REPORT)], services: Using
) -> Recorded:
    """Report what happened to a number: in any order and as often as you like, an event_id counts once."""
    event = numbers.event_id(services.keys, carrier.code, body.event_id)
    fact = number.Report(carrier=carrier.code, event=event, fact=body.event, occurred_at=body.occurred_at)
    phone = PhoneNumber(body.number)
    case, changed = await _first(services, fact, phone) or await _another(services, fact, phone)
    state = await _load(services, case)
    return Recorded(case=case, status=state.status, life=state.life.life, changed=changed)


@router.post("/numbers/find")
async def find(
    body: NumberWish, carrier: Annotated[Caller, may(Scope.NUMBERS_REPORT)], services: Using
) -> NumberBrief:
    """The case a number of yours is kept in."""
    return _brief(await _own(services, carrier, body.number))


@router.post("/numbers/release")
async def release(
    body: NumberWish, carrier: Annotated[Caller, may(Scope.NUMBERS_REPORT)], services: Using
) -> NumberBrief:
    """Ask whether a cancelled number may be re-issued: not before day 90, and not while apps are unreported."""
    state = await _own(services, carrier, body.number)
    await say(services, state.case, "release", number.Release(carrier=carrier.code))
    return _brief(await _load(services, state.case))


@router.get("/numbers/{case}")
async def show(case: CaseInPath, reader: Annotated[Caller, may(Scope.NUMBERS_READ)], services: Using) -> NumberView:
    """Where a number stands, and how it came there."""
    state = await _readable(services, reader, case)
    outcomes = await services.database.read(lambda c: numbers.outcomes_of(c, state.life.parts))
    apps = {app: outcome for part in outcomes.values() for app, outcome in part.items()}
    left = number.unreported(state.life, apps)
    entries = number.lives(state.base, state.timeline, state.policy)
    return NumberView(
        **{**_brief(state).model_dump(), "unreported": left},
        opened_at=state.opened_at,
        alarmed_at=state.alarmed_at,
        timeline=[
            FactView(event=entry.fact, occurred_at=entry.at, status=life.status, life=life.life)
            for entry, life in entries
            if isinstance(entry, number.FactEntry)
        ],
        counts=tally(apps.values()),
        apps=apps,
    )


# ── the re-issue certificate ─────────────────────────────────────────────────────────────────────────


@router.get("/numbers/{case}/certificate")
async def show_certificate(
    case: CaseInPath,
    reader: Annotated[Caller, may(Scope.NUMBERS_READ)],
    services: Using,
    life: Annotated[int | None, Query(ge=1)] = None,
) -> Certificate:
    """What was unbound, kept and unreported when a life was released; of the last one, if none is named."""
    try:
        issued = await services.database.read(lambda c: certificate.issue(c, services.keys, case, life))
    except NotReleased:
        await _readable(services, reader, case)
        raise fail(
            409,
            "not_released",
            "This number was not released to be re-issued.",
            "Ask for its release first: POST /v1/numbers/release.",
            "case",
        ) from None
    if reader.code != issued.released_to:
        await _readable(services, reader, case)
    return issued


@router.post("/certificates/verify")
async def verify(
    body: VerifyBody, partner: Annotated[Caller, may(Scope.CERTIFICATES_VERIFY)], services: Using
) -> Verified:
    """Check a certificate against the ledger."""
    said = await services.database.read(lambda c: certificate.verify(c, services.keys, body.certificate))
    return Verified(genuine=not said, difference=said)


# ── supervisors and enterprises ──────────────────────────────────────────────────────────────────────


@router.post("/numbers/{case}/override")
async def override(
    case: CaseInPath, body: OverrideBody, supervisor: Annotated[Caller, may(Scope.DESK_SUPERVISE)], services: Using
) -> NumberBrief:
    """Let the next release of a cancelled number pass, whatever the freeze and the apps say; audited."""
    await _readable(services, supervisor, case)
    paper = await services.database.write(lambda c: papers.put(c, services.keys, case, body.reason))
    await say(services, case, "override", number.Override(actor=actor_of(supervisor), reason=paper))
    return _brief(await _load(services, case))


@router.get("/recycled-numbers")
async def list_recycled(
    enterprise: Annotated[Caller, may(Scope.RECYCLED_READ)],
    services: Using,
    after: Annotated[int, Query(ge=0, le=LAST_CURSOR, description="`next` of the previous page")] = 0,
    limit: Annotated[int, Query(ge=1, le=PAGE)] = PAGE,
) -> RecycledNumbers:
    """Numbers that were cancelled, and cancellations that were mistakes, oldest first; tokens only."""
    page = await services.database.read(lambda c: numbers.recycled(c, services.keys, enterprise.code, after, limit))
    listed = [
        RecycledNumber(position=one.position, event=one.notice, token=one.token, cancelled_at=one.cancelled_at)
        for one in page.listed
    ]
    return RecycledNumbers(numbers=listed, next=page.next, more=page.more)


# ── taking reports in ────────────────────────────────────────────────────────────────────────────────


async def _first(services: Services, fact: number.Report, phone: PhoneNumber) -> tuple[str, bool] | None:
    """Open the number's case with its first report; None if it has one. Of two at the same time one opens it."""
    wording = f"{phone.e164}/{fact.fact.value}/{fact.occurred_at.astimezone(UTC).isoformat()}"
    key = f"event-{fact.event}"
    admitted = await services.intake.earlier(fact.carrier, key, wording)
    if admitted is None:
        if await services.database.read(lambda c: numbers.find(c, services.keys, phone)):
            return None
        case, now = new_case_id(CaseKind.NUMBER), datetime.now(UTC)
        opened = number.open_number(case, phone.mask(), fact, now, services.registry.number)
        if isinstance(opened, Refusal):
            raise ProblemError(of_refusal(opened))
        known: list[str] = []

        def take(connection: Connection) -> Refusal | None:
            known.extend(filter(None, [numbers.find(connection, services.keys, phone)]))
            refusal = number.refuse_other_content() if known else None
            refusal = refusal or numbers.claim_event(connection, fact.event, case, now)
            if refusal is None:
                numbers.hold(connection, services.keys, phone, case)
            return refusal

        admitted = await services.intake.open(
            Opening(
                partner=fact.carrier,
                key=key,
                wording=wording,
                kind=CaseKind.NUMBER,
                case=case,
                first=opened[0],
                person=Person(phone),
                also=take,
            )
        )
        if known:
            return None
    if isinstance(admitted, Refusal):
        raise ProblemError(of_refusal(number.refuse_other_content()))
    return admitted.case, not admitted.again


async def _another(services: Services, fact: number.Report, phone: PhoneNumber) -> tuple[str, bool]:
    """A further report goes to the number's workflow, once the engine has it."""
    case = await services.database.read(lambda c: numbers.find(c, services.keys, phone))
    assert case is not None
    refusal = await services.database.write(lambda c: numbers.claim_event(c, fact.event, case, datetime.now(UTC)))
    if refusal:
        raise ProblemError(of_refusal(refusal))
    for _ in range(LOOKS):
        if await services.database.read(lambda c: numbers.started(c, case)):
            done: Done = await say(services, case, "happened", fact)
            return case, done.changed
        await asyncio.sleep(STARTS_WITHIN / LOOKS)
    raise busy()


# ── small things ─────────────────────────────────────────────────────────────────────────────────────


async def _load(services: Services, case: str) -> number.State:
    state: number.State = await services.database.read(lambda c: load_state(c, CaseKind.NUMBER, case))
    return state


async def _own(services: Services, carrier: Caller, text: str) -> number.State:
    """The number if it is this carrier's; the same words if it is another's or nobody's."""
    phone = PhoneNumber(text)
    case = await services.database.read(lambda c: numbers.find(c, services.keys, phone))
    state = await _load(services, case) if case else None
    if state is None or state.life.carrier != carrier.code:
        raise ProblemError(of_refusal(number.refuse_unknown()))
    return state


async def _readable(services: Services, reader: Caller, case: str) -> number.State:
    """A number's case for its carrier, or for the case desk."""
    try:
        state = await _load(services, case)
    except KeyError:
        state = None
    if state is None or (reader.role is Role.CARRIER and state.life.carrier != reader.code):
        raise fail(404, "unknown_case", f"There is no case {case} of yours.", "Check the reference.", "case")
    return state


def _brief(state: number.State) -> NumberBrief:
    life = state.life
    return NumberBrief(
        case=state.case,
        number=state.masked_number,
        status=state.status,
        life=life.life,
        activated_at=life.activated_at,
        cancelled_at=life.cancelled_at,
        batch_at=life.batch_at or number.batch_due(life, state.policy),
        releasable_at=number.freeze_ends(state),
        unreported=number.unreported(life, state.outcomes),
        overridden=life.overridden,
        released_at=life.released_at,
    )
