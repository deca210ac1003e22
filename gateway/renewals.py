"""Doors for renewals: a carrier hands one in, follows it, withdraws it; a channel follows its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, TypeVar

from fastapi import APIRouter, Header, Path, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from domain import renewal
from domain.access import Role, Scope
from domain.case import CASE_ID, AppCode
from domain.privacy import IdTail, PhoneNumber
from domain.refusal import Refusal
from domain.registry import Registry
from domain.sla import SHANGHAI
from domain.unbind import Item, ItemState, Outcome, Reason
from gateway.auth import Using, may
from gateway.caller import Caller
from gateway.desk import CaseEnded, EngineBusy
from gateway.intake import Wish
from gateway.opening import located
from gateway.problems import ProblemError, fail, of_refusal
from gateway.services import Services
from store import lists, views
from store.vault import Person

T = TypeVar("T")

router = APIRouter(prefix="/v1", tags=["renewals"])


CODE = re.compile(r"[A-Za-z0-9._:@-]{1,80}")
LONG_NUMBER = re.compile(r"[0-9]{11}")
EARLIEST = datetime(1990, 1, 1, tzinfo=SHANGHAI)
"""Nobody's mobile contract is older; a date before this is a mistake in the carrier's system."""


def _code(text: str) -> str:
    """It stays in the ledger for ever, so it must not be a person's name, number or ID."""
    if not CODE.fullmatch(text) or LONG_NUMBER.search(text):
        raise PydanticCustomError(
            "code", "it is the code of a system or counter (A-Z a-z 0-9 . _ : @ -, no 11 digits in a row)"
        )
    return text


def _not_too_early(moment: datetime) -> datetime:
    if moment < EARLIEST:
        raise PydanticCustomError("too_early", "it lies before 1990")
    return moment


class IdentityCheck(renewal.IdentityProof):
    """The identity check (身份核验) the carrier attests: which system or counter checked, how, when."""

    checked_by: Annotated[str, AfterValidator(_code)] = Field(
        description="Code of the system or counter, never a person's name, number or ID",
        json_schema_extra={"pattern": f"^{CODE.pattern}$"},
    )


class RenewalRequest(BaseModel):
    """A holder's renewal. The holder's name and full ID number are never wanted; extra fields are refused."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={
            "examples": [
                {
                    "number": "13800138000",
                    "id_tail": "01123X",
                    "activated_at": "2026-08-01T10:00:00+08:00",
                    "identity": {
                        "checked_by": "app-login",
                        "method": "code_and_id_tail",
                        "checked_at": "2026-11-20T09:30:00+08:00",
                    },
                }
            ]
        },
    )

    number: str = Field(max_length=20, description="Mainland mobile number, +86 optional")
    id_tail: str | None = Field(None, max_length=6, description="Last six of the holder's ID")
    activated_at: Annotated[AwareDatetime, AfterValidator(_not_too_early)] = Field(
        description="When the current holder's contract began (RFC 3339), 1990 or later"
    )
    apps: list[AppCode] | None = Field(None, max_length=6000, description="App codes; left out: all")
    identity: IdentityCheck


class AppView(BaseModel):
    """One app of a renewal."""

    app: str
    name: str
    enterprise: str
    enterprise_name: str
    hotline: str
    state: ItemState
    outcome: Outcome | None
    reason: Reason | None
    version: int
    due_at: AwareDatetime
    delivered_at: AwareDatetime | None
    acknowledged_at: AwareDatetime | None
    answered_at: AwareDatetime | None
    last_failure: str


class RenewalView(BaseModel):
    """Where a renewal stands. Times are UTC."""

    case: str
    status: renewal.RenewalStatus
    reason: str
    number: str
    submitted_at: AwareDatetime
    activated_at: AwareDatetime
    ask_again_at: AwareDatetime | None
    ended_at: AwareDatetime | None
    summaries: int
    counts: Mapping[ItemState, int]
    apps: list[AppView]


class Accepted(BaseModel):
    """The case of a renewal."""

    case: str
    status_url: str


class WithdrawalResult(BaseModel):
    """Where the renewal stands after the withdrawal; what an enterprise has acknowledged goes on."""

    case: str
    status: renewal.RenewalStatus


class RegisteredApp(BaseModel):
    """One app in the registry."""

    app: str
    name: str
    name_en: str
    enterprise: str
    enterprise_name: str


CaseInPath = Annotated[str, Path(pattern=CASE_ID, max_length=40)]
Key = Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=80, description="Unique per renewal")]


@router.post("/renewals", status_code=202)
async def submit(
    body: RenewalRequest,
    response: Response,
    carrier: Annotated[Caller, may(Scope.RENEWALS_WRITE)],
    services: Using,
    idempotency_key: Key,
) -> Accepted:
    """Hand in a renewal; the same Idempotency-Key with the same body gives the same case."""
    admitted = await services.intake.submit(carrier.code, wish_of(body, idempotency_key))
    if isinstance(admitted, Refusal):
        raise ProblemError(of_refusal(admitted))
    return Accepted(case=admitted.case, status_url=located(response, admitted, "renewals"))


@router.get("/renewals/{case}")
async def show(
    case: CaseInPath, partner: Annotated[Caller, may(Scope.RENEWALS_READ)], services: Using
) -> RenewalView:
    """Where a renewal stands, app by app: for its holder's carrier, and the channel it came through."""
    return presented(await _own(services, partner, case), services.registry)


@router.post("/renewals/{case}/withdraw")
async def withdraw(
    case: CaseInPath, carrier: Annotated[Caller, may(Scope.RENEWALS_WRITE)], services: Using
) -> WithdrawalResult:
    """Withdraw for the holder: what no enterprise has acknowledged is taken back."""
    await _own(services, carrier, case)
    return await taken_back(services, case)


async def taken_back(services: Services, case: str) -> WithdrawalResult:
    """A renewal after its holder's withdrawal. Raises ProblemError."""
    try:
        taken = await services.desk.withdraw(case)
    except EngineBusy:
        raise busy() from None
    except CaseEnded:
        raise fail(409, "case_closed", "The renewal has ended.", "Read its summary.") from None
    if taken.refusal:
        raise ProblemError(of_refusal(taken.refusal))
    return WithdrawalResult(case=case, status=taken.status)


@router.get("/apps")
async def apps(partner: Annotated[Caller, may(Scope.RENEWALS_READ)], services: Using) -> list[RegisteredApp]:
    """Every app a renewal may name."""
    return [
        RegisteredApp(app=app.code, name=app.name, name_en=app.name_en, enterprise=one.code, enterprise_name=one.name)
        for one in services.registry.enterprises
        for app in one.apps
    ]


def busy() -> ProblemError:
    """The engine does not answer; a repetition is safe."""
    return fail(503, "engine_busy", "The case engine does not answer now.", "Repeat the request.", retry_after=2)


def wish_of(body: RenewalRequest, key: str) -> Wish:
    """What a request asks for. Raises ProblemError."""
    return Wish(
        key=key,
        wording=body.model_dump_json(),
        person=Person(
            number=_parsed("number", PhoneNumber.parse, body.number),
            id_tail=_parsed("id_tail", IdTail.parse, body.id_tail) if body.id_tail else None,
        ),
        activated_at=body.activated_at,
        apps=body.apps,
        identity=renewal.IdentityProof(**dict(body.identity)),
    )


def _parsed(field: str, parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise fail(422, "malformed", f"{field}: {error}.", "Correct it and send the request again.", field) from None


async def _own(services: Services, partner: Caller, case: str) -> views.RenewalView:
    """The renewal if it is this carrier's, or came through this channel; the same words if it is another's or nobody's."""
    view, came_from = await services.database.read(
        lambda c: (views.renewal_view(c, case), lists.handed_in_by(c, case))
    )
    if view is None or partner.code != (view.state.carrier if partner.role is Role.CARRIER else came_from):
        raise fail(404, "unknown_case", f"There is no case {case} of yours.", "Check the reference.", "case")
    return view


def presented(view: views.RenewalView, registry: Registry) -> RenewalView:
    """A renewal for its carrier's eyes."""
    state = view.state
    return RenewalView(
        case=state.case,
        status=state.status,
        reason=state.reason,
        number=state.masked_number,
        submitted_at=state.submitted_at,
        activated_at=state.activated_at,
        ask_again_at=state.ask_again_at,
        ended_at=state.ended_at,
        summaries=state.summaries,
        counts=renewal.tally(item.state for item in view.items),
        apps=[_app(item, registry) for item in view.items],
    )


def _app(item: Item, registry: Registry) -> AppView:
    enterprise = registry.enterprise(item.enterprise)
    return AppView(
        app=item.app,
        name=registry.app(item.app).name,
        enterprise=enterprise.code,
        enterprise_name=enterprise.name,
        hotline=enterprise.hotline,
        **{name: getattr(item, name) for name in ITEM_FIELDS},
    )


ITEM_FIELDS = (
    "state",
    "outcome",
    "reason",
    "version",
    "due_at",
    "delivered_at",
    "acknowledged_at",
    "answered_at",
    "last_failure",
)
