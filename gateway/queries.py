"""Doors for queries: a channel asks for a citizen whose identity is proven, and follows what came of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Header, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from domain import identity, query
from domain.access import Scope
from domain.case import CaseId, CaseKind
from domain.messages import Language
from domain.number import GONE
from domain.privacy import PhoneNumber
from domain.proof import Purpose
from domain.query import AnswerState, QueryStatus, Step, Target
from domain.refusal import Refusal, RefusalCode
from gateway.auth import Using, may
from gateway.caller import Caller
from gateway.intake import Admitted, Opening
from gateway.opening import located, proven
from gateway.problems import ProblemError, fail, of_refusal
from gateway.renewals import CaseInPath
from gateway.services import Services
from store import numbers, proofs, slots
from store.ids import new_case_id
from store.keys import KeyRing
from store.projection import load_state
from store.proofs import Found

router = APIRouter(prefix="/v1", tags=["queries"])

Key = Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=80, description="Unique per query")]


class QueryRequest(BaseModel):
    """A citizen's query. Number and ID tail are those of the identity check; its proof is used up by the query."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={
            "examples": [
                {"check": "K0123456789AB", "target": "accounts", "language": "zh"},
                {"check": "K0123456789AB", "target": "cards", "language": "en"},
            ]
        },
    )

    check: CaseId = Field(description="A verified identity check of purpose `query`")
    target: Target = Field(Target.ACCOUNTS, description="Accounts hanging on the number, or cards under the ID")
    language: Language = Field(Language.ZH, description="What the short messages are written in")


class QueryAccepted(BaseModel):
    """The case of a query."""

    case: str
    status_url: str


class CountView(BaseModel):
    """One app, or one carrier's cards. `count` is null where there is no answer, which is never zero."""

    app: str
    name: str
    party: str
    hotline: str
    state: AnswerState
    count: int | None


class NextView(BaseModel):
    """What happens next, and when at the latest; no time where no clock runs."""

    step: Step
    at: AwareDatetime | None


class QueryView(BaseModel):
    """Where a query stands. Times are UTC."""

    case: str
    status: QueryStatus
    target: Target
    number: str
    language: Language
    submitted_at: AwareDatetime
    deadline_at: AwareDatetime
    reported_at: AwareDatetime | None
    total: int = Field(description="Of the apps that answered")
    counts: list[CountView]
    silent: list[str] = Field(description="Names of the apps the result had to go out without (未反馈)")
    delivered: bool | None = Field(description="What the last short message's receipt says; null while there is none")
    next: NextView
    free_at: AwareDatetime | None = Field(
        description="When the number may be queried again; null while this one runs"
    )
    ended_at: AwareDatetime | None


@router.post("/queries", status_code=202)
async def submit(
    body: QueryRequest,
    response: Response,
    channel: Annotated[Caller, may(Scope.CASES_OPEN)],
    services: Using,
    idempotency_key: Key,
) -> QueryAccepted:
    """Ask for a citizen; the same Idempotency-Key with the same body gives the same case."""
    admitted = await _admitted(services, channel.code, body, idempotency_key)
    if isinstance(admitted, Refusal):
        raise ProblemError(of_refusal(admitted), await _seconds_left(services, channel.code, body, admitted))
    return QueryAccepted(case=admitted.case, status_url=located(response, admitted, "queries"))


@router.get("/queries/{case}")
async def show(case: CaseInPath, channel: Annotated[Caller, may(Scope.CASES_FOLLOW)], services: Using) -> QueryView:
    """Where a query stands, app by app."""
    return presented(await _own(services, channel, case), services)


async def _admitted(services: Services, channel: str, body: QueryRequest, key: str) -> Admitted | Refusal:
    """The key comes first: a repetition finds its own proof used and its own slot taken."""
    wording, at = body.model_dump_json(), datetime.now(UTC)
    found = await proven(services, channel, key, wording, body.check, Purpose.QUERY, at)
    if not isinstance(found, Found):
        return found
    command = query.Submit(
        case=new_case_id(CaseKind.QUERY),
        channel=channel,
        target=body.target,
        masked_number=found.person.number.mask(),
        language=body.language,
        identity=found.proof,
    )
    submitted = query.submit(command, at, services.registry)
    if isinstance(submitted, Refusal):
        return submitted
    return await services.intake.open(
        Opening(
            partner=channel,
            key=key,
            wording=wording,
            kind=CaseKind.QUERY,
            case=submitted.case,
            first=submitted,
            person=found.person,
            also=lambda c: _take(c, services, submitted, found.person.number),
        )
    )


def _take(
    connection: Connection, services: Services, submitted: query.Submitted, number: PhoneNumber
) -> Refusal | None:
    """The slot and the proof, both or neither: nothing is written before everything was looked at."""
    keys, at = services.keys, submitted.at
    if _cancelled(connection, keys, number):
        return query.refuse_cancelled(services.registry)
    token, target = keys.token("number", number.e164), submitted.target
    if taken := slots.look(connection, token, target.value, at):
        return query.refuse_slot(target, taken.until)
    check, channel = submitted.identity.check, submitted.channel
    if refusal := proofs.spend(connection, keys, check, Purpose.QUERY, submitted.case, at, channel=channel):
        return refusal
    slots.take(connection, token, target.value, submitted.case, at)
    return None


def _cancelled(connection: Connection, keys: KeyRing, number: PhoneNumber) -> bool:
    """Whether the carriers have reported the number as nobody's; one they reported nothing of is not."""
    life = numbers.find(connection, keys, number)
    return life is not None and load_state(connection, CaseKind.NUMBER, life).status in GONE


async def _seconds_left(services: Services, channel: str, body: QueryRequest, refusal: Refusal) -> int | None:
    """How long until the number is free, where that is why."""
    if refusal.code is not RefusalCode.ONE_RESULT_A_DAY:
        return None
    at, keys = datetime.now(UTC), services.keys

    def look(connection: Connection) -> slots.Taken | None:
        found = proofs.look(connection, keys, body.check, Purpose.QUERY, at, channel=channel)
        if isinstance(found, Refusal):
            return None
        return slots.look(connection, keys.token("number", found.person.number.e164), body.target.value, at)

    taken = await services.database.read(look)
    return identity.seconds_until(taken.until, at) if taken and taken.until else None


async def _own(services: Services, channel: Caller, case: str) -> query.State:
    """The query if it came through this channel; the same words if it is another's or nobody's."""
    try:
        state: query.State = await services.database.read(lambda c: load_state(c, CaseKind.QUERY, case))
    except KeyError:
        raise _unknown(case) from None
    if state.channel != channel.code:
        raise _unknown(case)
    return state


def _unknown(case: str) -> ProblemError:
    return fail(404, "unknown_case", f"There is no case {case} of yours.", "Check the reference.", "case")


def presented(state: query.State, services: Services) -> QueryView:
    """A query for its citizen's eyes."""
    answers, name = query.answers(state), {one.app: one.name for one in state.apps}
    following = query.next_step(state)
    return QueryView(
        case=state.case,
        status=state.status,
        target=state.target,
        number=state.masked_number,
        language=state.language,
        submitted_at=state.submitted_at,
        deadline_at=state.deadline_at,
        reported_at=state.reported_at,
        total=sum(answer.count or 0 for answer in answers.values()),
        counts=[
            CountView(
                app=one.app,
                name=one.name,
                party=one.party,
                hotline=services.registry.enterprise(one.party).hotline,
                state=answers[one.app].state,
                count=answers[one.app].count,
            )
            for one in state.apps
        ],
        silent=[name[app] for app in state.silent],
        delivered=state.delivered,
        next=NextView(step=following.step, at=following.at),
        free_at=state.free_at,
        ended_at=state.ended_at,
    )
