"""Doors for case workers: open an investigation from any case, and read what the parties said, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Header, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from domain import investigation
from domain.access import Scope
from domain.case import AppCode, CaseId, CaseKind, PartyCode, kind_of, root
from domain.investigation import InvestigationStatus, Result, State, Task, TaskState
from domain.messages import Language
from domain.question import Declined, DeclineReason, Evidence
from domain.refusal import Refusal
from gateway import versions
from gateway.auth import Using, may
from gateway.caller import Caller
from gateway.casework import actor_of
from gateway.intake import Opening
from gateway.opening import located
from gateway.problems import ProblemError, fail, of_refusal
from gateway.renewals import CaseInPath
from gateway.services import Services
from store import papers, vault, views
from store.ids import new_case_id, new_paper_id
from store.projection import load_state
from store.vault import NotInVault, Person

router = APIRouter(prefix="/v1", tags=["investigations"])

ORIGINS = frozenset({CaseKind.DISPUTE, CaseKind.COMPLAINT, CaseKind.RENEWAL, CaseKind.QUERY, CaseKind.NUMBER})
"""The kinds an investigation may be opened from: those that are about a person."""

Key = Annotated[
    str, Header(alias="Idempotency-Key", min_length=1, max_length=80, description="Unique per investigation")
]


class InvestigationRequest(BaseModel):
    """What is to be found out, about whose number (the one of the case it comes from), and who is asked."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={
            "examples": [
                {
                    "from_case": "D0123456789AB",
                    "parties": {"tencent": ["wechat"], "china-mobile": []},
                    "question": "The citizen still finds the account bound. When was it unbound, and by what request?",
                }
            ]
        },
    )

    from_case: CaseId
    parties: Mapping[PartyCode, list[AppCode]] = Field(
        description="Enterprises and carriers by code, each with the apps it is asked about; an empty list: all of its"
    )
    question: str = Field(min_length=1, max_length=2000, description="Kept in the vault, and told to the parties")
    language: Language = Field(Language.ZH, description="In which the citizen is told")


class Accepted(BaseModel):
    """The case of an investigation."""

    case: str
    status_url: str


class PartyView(BaseModel):
    """One party's part of the record. `late`: it came, or is still missing, after its deadline."""

    party: str
    name: str
    apps: list[str]
    state: TaskState
    due_at: AwareDatetime
    asked_at: AwareDatetime | None
    failure: str = Field(description="Why it could not be reached, when it could not")
    answered_at: AwareDatetime | None
    late: bool
    statement: str | None = Field(description="null: none, or forgotten with the person")
    attachments: list[str] = Field(description="References to what the party keeps")
    declined: DeclineReason | None


class ProposalView(BaseModel):
    """A result that waits for a second person."""

    result: str
    by: str
    at: AwareDatetime
    reason: str | None


class InvestigationView(BaseModel):
    """An investigation as one record. Times are UTC."""

    case: str
    status: InvestigationStatus
    opened_from: str | None
    links: list[str]
    number: str
    question: str | None = Field(description="null: forgotten with the person")
    opened_at: AwareDatetime
    due_at: AwareDatetime | None
    overdue_at: AwareDatetime | None
    paused: bool
    assignee: str
    parties: list[PartyView]
    proposal: ProposalView | None
    result: Result | None
    decided_at: AwareDatetime | None
    ended_at: AwareDatetime | None


@router.post("/investigations", status_code=202)
async def open_investigation(
    body: InvestigationRequest,
    response: Response,
    staff: Annotated[Caller, may(Scope.DESK_ACT)],
    services: Using,
    idempotency_key: Key,
) -> Accepted:
    """Open an investigation; the same Idempotency-Key with the same body gives the same case."""
    wording = body.model_dump_json()
    admitted = await services.intake.earlier(staff.code, idempotency_key, wording)
    if admitted is None:
        parties = investigation.parties_of(body.parties, services.registry)
        if isinstance(parties, Refusal):
            raise ProblemError(of_refusal(parties))
        origin, person = await _origin(services, body.from_case)
        case, text = new_case_id(CaseKind.INVESTIGATION), new_paper_id()
        first = investigation.opened(
            case=case,
            opened_from=origin,
            masked_number=person.number.mask(),
            text=text,
            text_for_parties=True,
            parties=parties,
            policy=services.registry.investigation,
            at=datetime.now(UTC),
            language=body.language,
            actor=actor_of(staff),
        )
        admitted = await services.intake.open(
            Opening(
                partner=staff.code,
                key=idempotency_key,
                wording=wording,
                kind=CaseKind.INVESTIGATION,
                case=case,
                first=first,
                person=person,
                papers={text: body.question},
            )
        )
    if isinstance(admitted, Refusal):
        raise ProblemError(of_refusal(admitted))
    return Accepted(case=admitted.case, status_url=located(response, admitted, "investigations"))


@router.get("/investigations/{case}", response_model=InvestigationView, responses=versions.RESPONSES)
async def show(
    case: CaseInPath,
    staff: Annotated[Caller, may(Scope.DESK_READ)],
    services: Using,
    response: Response,
    if_none_match: versions.IfNoneMatch = "",
) -> InvestigationView | Response:
    """The joined record: what was asked, what each party said and when, who is missing, what is proposed."""
    view, version = await services.database.read(lambda c: (_view(c, services, case), views.version(c, case)))
    if view is None or version is None:
        raise fail(404, "unknown_case", f"There is no investigation {case}.", "Check the reference.", "case")
    response.headers["etag"] = versions.etag(version)
    return versions.unchanged(if_none_match, version) or view


async def _origin(services: Services, case: str) -> tuple[str, Person]:
    """The case an investigation is opened from, and whom it is about."""
    origin = root(case)
    if kind_of(origin) not in ORIGINS:
        kinds = ", ".join(sorted(ORIGINS))
        raise fail(
            422, "malformed", f"{case} is not about a person.", f"Name a case of these kinds: {kinds}.", "from_case"
        )
    try:
        person = await services.database.read(lambda c: _person(c, services, origin))
    except KeyError:
        raise fail(404, "unknown_case", f"There is no case {case}.", "Check the reference.", "from_case") from None
    if person is None:
        raise fail(
            410, "forgotten", "The person of this case is forgotten.", "Ask the citizen to come again.", "from_case"
        )
    return origin, person


def _person(connection: Connection, services: Services, case: str) -> Person | None:
    load_state(connection, kind_of(case), case)
    try:
        return vault.get(connection, services.keys, case)
    except NotInVault:
        return None


def _view(connection: Connection, services: Services, case: str) -> InvestigationView | None:
    try:
        state: State = load_state(connection, CaseKind.INVESTIGATION, case)
    except KeyError:
        return None

    def text(paper: str) -> str | None:
        """A paper of this case, or of the one it was opened from."""
        for owner in (case, state.opened_from):
            with suppress(NotInVault, KeyError):
                return papers.get(connection, services.keys, owner, paper) if owner else None
        return None

    work, proposal = state.work, state.work.proposal
    return InvestigationView(
        case=case,
        status=state.status,
        opened_from=state.opened_from,
        links=list(work.links),
        number=state.masked_number,
        question=text(state.text),
        opened_at=state.opened_at,
        due_at=work.due_at,
        overdue_at=state.overdue_at,
        paused=work.paused_at is not None,
        assignee=work.assignee,
        parties=[_party(state, task, services, text) for task in state.tasks.values()],
        proposal=ProposalView(result=proposal.about, by=proposal.by, at=proposal.at, reason=text(proposal.reason))
        if proposal
        else None,
        result=state.result,
        decided_at=state.decided_at,
        ended_at=state.ended_at,
    )


def _party(state: State, task: Task, services: Services, text: Callable[[str], str | None]) -> PartyView:
    asked = state.questions.get(task.question) if task.question else None
    answer = asked.answer if asked else None
    evidence = answer if isinstance(answer, Evidence) else None
    answered_at = asked.answered_at if asked else None
    return PartyView(
        party=task.party,
        name=services.registry.enterprise(task.party).name,
        apps=list(task.apps),
        state=task.state,
        due_at=state.evidence_due_at,
        asked_at=asked.asked_at if asked else None,
        failure=asked.failure if asked and asked.open else "",
        answered_at=answered_at,
        late=task.state is TaskState.OVERDUE or (answered_at is not None and answered_at >= state.evidence_due_at),
        statement=text(evidence.statement) if evidence else None,
        attachments=[found for one in evidence.attachments if (found := text(one))] if evidence else [],
        declined=answer.reason if isinstance(answer, Declined) else None,
    )
