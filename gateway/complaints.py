"""Doors for complaints: a channel hands one in for a citizen and follows it; a case worker sends it another way."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Header, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from domain import complaint
from domain.access import Scope
from domain.case import AppCode, CaseId, CaseKind, kind_of, root
from domain.complaint import ComplaintKind, ComplaintStatus, Ending, State, Way
from domain.messages import Language
from domain.proof import Purpose
from domain.refusal import Refusal
from gateway.auth import Using, may
from gateway.caller import Caller
from gateway.casework import actor_of, say
from gateway.intake import Admitted, Opening
from gateway.opening import located, proven
from gateway.problems import ProblemError, fail, of_refusal
from gateway.renewals import CaseInPath
from gateway.services import Services
from store import papers, proofs, vault
from store.ids import new_case_id, new_paper_id
from store.projection import load_state
from store.proofs import Found
from store.vault import NotInVault, Person

router = APIRouter(prefix="/v1", tags=["complaints"])

Key = Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=80, description="Unique per complaint")]
Words = Annotated[str, Field(min_length=1, max_length=2000)]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class ComplaintRequest(_Closed):
    """A citizen's complaint. Number and ID tail are those of the identity check; its proof is used up by the complaint."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "check": "K0123456789AB",
                    "kind": "not_done",
                    "about": "R0123456789AB",
                    "apps": ["wechat"],
                    "text": "They say it is unbound, and I still get their codes.",
                    "language": "zh",
                }
            ]
        }
    )

    check: CaseId = Field(description="A verified identity check of purpose `complaint`")
    kind: ComplaintKind
    about: CaseId | None = Field(None, description="A renewal, query, dispute … of the same number, if there is one")
    apps: list[AppCode] = Field(description="App codes, or carriers' cards")
    text: Words = Field(description="What happened, in the citizen's words; only case workers read it")
    language: Language = Field(Language.ZH, description="What the short messages are written in")


class RouteRequest(_Closed):
    """Where the complaint is to go instead, and why."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"to": "investigation", "reason": "The enterprise insists that it is done."}]}
    )

    to: Way
    reason: Words


class Accepted(BaseModel):
    """The case of a complaint."""

    case: str
    status_url: str


class FollowUpView(BaseModel):
    """A case the complaint went on as."""

    case: str
    kind: Way
    outcome: str = Field(description="Empty while it goes on")


class ComplaintView(BaseModel):
    """Where a complaint stands and where it went. Times are UTC."""

    case: str
    status: ComplaintStatus
    kind: ComplaintKind
    about: str | None
    number: str
    apps: list[str]
    opened_at: AwareDatetime
    due_at: AwareDatetime | None
    follow_ups: list[FollowUpView]
    next: str
    ending: Ending | None
    ended_at: AwareDatetime | None


class Routed(BaseModel):
    """The complaint after a case worker sent it another way; `changed` is false for a repetition."""

    case: str
    status: str
    changed: bool


NEXT: Mapping[ComplaintStatus, Mapping[Language, str]] = {
    ComplaintStatus.TAKEN: {
        Language.ZH: "正在转交办理。",
        Language.EN: "It is being passed on.",
    },
    ComplaintStatus.IN_DISPUTE: {
        Language.ZH: "已转为异议，请按异议的短信提示继续；办结后短信告知。",
        Language.EN: "It goes on as a dispute: follow what its short messages ask; you are told when it is closed.",
    },
    ComplaintStatus.IN_INVESTIGATION: {
        Language.ZH: "正在协查，有结果后短信告知。",
        Language.EN: "It is being investigated; you are told the result.",
    },
    ComplaintStatus.CLOSED: {
        Language.ZH: "已办结；30日内可申请复查。",
        Language.EN: "Closed; you may ask us within 30 days to look at it again.",
    },
}
"""What comes next, in the citizen's language."""


@router.post("/complaints", status_code=202)
async def submit(
    body: ComplaintRequest,
    response: Response,
    channel: Annotated[Caller, may(Scope.CASES_OPEN)],
    services: Using,
    idempotency_key: Key,
) -> Accepted:
    """Complain for a citizen; the same Idempotency-Key with the same body gives the same case."""
    admitted = await _admitted(services, channel.code, body, idempotency_key)
    if isinstance(admitted, Refusal):
        raise ProblemError(of_refusal(admitted))
    return Accepted(case=admitted.case, status_url=located(response, admitted, "complaints"))


@router.get("/complaints/{case}")
async def show(
    case: CaseInPath, channel: Annotated[Caller, may(Scope.CASES_FOLLOW)], services: Using
) -> ComplaintView:
    """Where a complaint stands, where it went and what is next."""
    state = await _own(services, channel, case)
    return ComplaintView(
        case=case,
        status=state.status,
        kind=state.kind,
        about=state.about,
        number=state.masked_number,
        apps=list(state.apps),
        opened_at=state.opened_at,
        due_at=state.work.due_at,
        follow_ups=[FollowUpView(case=one.case, kind=one.way, outcome=one.outcome) for one in state.follow_ups],
        next=NEXT[state.status][state.language],
        ending=state.ending,
        ended_at=state.ended_at,
    )


@router.post("/complaints/{case}/route")
async def route(
    case: CaseInPath, body: RouteRequest, staff: Annotated[Caller, may(Scope.DESK_ACT)], services: Using
) -> Routed:
    """Send a complaint another way: it goes on as a dispute or an investigation besides what it went on as before."""
    try:
        reason = await services.database.write(lambda c: _reason(c, services, case, body.reason))
    except KeyError:
        raise _unknown(case) from None
    except NotInVault:
        raise fail(410, "forgotten", "The person of this case is forgotten.", "Open a new case.", "case") from None
    order = complaint.Route(actor=actor_of(staff), way=body.to, reason=reason)
    done = await say(services, case, "route", order)
    return Routed(case=case, status=done.status, changed=done.changed)


async def _admitted(services: Services, channel: str, body: ComplaintRequest, key: str) -> Admitted | Refusal:
    """The key comes first: a repetition finds its own proof used, even one that comes at the same time."""
    wording, at, keys = body.model_dump_json(), datetime.now(UTC), services.keys
    found = await proven(services, channel, key, wording, body.check, Purpose.COMPLAINT, at)
    if not isinstance(found, Found):
        return found
    about = root(body.about) if body.about else None
    if about and not await services.database.read(lambda c: _same_person(c, services, about, found.person)):
        raise fail(
            404,
            "unknown_case",
            "There is no such case of this number.",
            "Check the reference, or leave it out.",
            "about",
        )
    command = complaint.Take(
        case=new_case_id(CaseKind.COMPLAINT),
        channel=channel,
        masked_number=found.person.number.mask(),
        language=body.language,
        kind=body.kind,
        about=about,
        text=new_paper_id(),
        identity=found.proof,
        apps=tuple(body.apps),
    )
    decision = complaint.take(command, at, services.registry)
    if isinstance(decision, Refusal):
        return decision
    return await services.intake.open(
        Opening(
            partner=channel,
            key=key,
            wording=wording,
            kind=CaseKind.COMPLAINT,
            case=command.case,
            first=decision[0],
            person=found.person,
            also=lambda c: proofs.spend(
                c, keys, body.check, Purpose.COMPLAINT, by=command.case, at=at, channel=channel
            ),
            papers={command.text: body.text},
        )
    )


def _same_person(connection: Connection, services: Services, about: str, person: Person) -> bool:
    """Whether a case is about this number and, as far as both know it, this holder: a former holder's is not theirs."""
    try:
        load_state(connection, kind_of(about), about)
        known = vault.get(connection, services.keys, about)
    except (KeyError, NotInVault):
        return False
    tails = {known.id_tail, person.id_tail} - {None}
    return known.number == person.number and len(tails) <= 1 and kind_of(about) is not CaseKind.IDENTITY


def _reason(connection: Connection, services: Services, case: str, text: str) -> str:
    load_state(connection, CaseKind.COMPLAINT, case)
    return papers.put(connection, services.keys, case, text)


async def _own(services: Services, channel: Caller, case: str) -> State:
    """The complaint if it came through this channel; the same words if it came through another, or there is none."""
    try:
        state: State = await services.database.read(lambda c: load_state(c, CaseKind.COMPLAINT, case))
    except KeyError:
        raise _unknown(case) from None
    if state.channel != channel.code:
        raise _unknown(case)
    return state


def _unknown(case: str) -> ProblemError:
    return fail(404, "unknown_case", f"There is no complaint {case} of yours.", "Check the reference.", "case")
