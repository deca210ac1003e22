"""The citizen's own doors: one case, told in their words, and its withdrawal.

Whoever followed a case by its reference and a code (`gateway/follow.py`) has a token for it and for no other. What is
shown is what that person may see, in one shape for all kinds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy import Connection

from domain import citizen, complaint, dispute, query, renewal
from domain.access import Scope
from domain.case import CaseKind, kind_of
from domain.citizen import NOTHING, Words
from domain.dispute import DisputeStatus
from domain.dispute.grounds import of_reason
from domain.messages import Language
from domain.renewal import NotEligible, RenewalStatus
from domain.unbind import ITEM_TRANSITIONS, OPEN, WAITING, ItemState
from gateway import complaints, disputes, queries, renewals
from gateway.auth import Using, may
from gateway.caller import Caller
from gateway.casework import say
from gateway.disputes import AccountView, ClaimView, WhyNot
from gateway.problems import ProblemError, fail
from gateway.services import Services
from store.vault import NotInVault
from store.views import case_view, renewal_view

router = APIRouter(prefix="/v1", tags=["citizens"])

Citizen = Annotated[Caller, may(Scope.CASE_OWN)]


class Line(BaseModel):
    """One thing that happened."""

    at: AwareDatetime
    what: Words


class Next(BaseModel):
    """What comes next, and when at the latest; no time where no clock runs, no words where nothing comes."""

    what: Words
    at: AwareDatetime | None


class MyApp(BaseModel):
    """Where one app, or one carrier's cards, stands, and whom to call."""

    app: str
    name: str
    hotline: str
    state: str
    what: Words
    at: AwareDatetime | None = Field(None, description="Until when, where a clock runs")
    count: int | None = Field(None, description="Of a query; null where there is no answer, which is never zero")
    refusal: WhyNot | None = Field(None, description="Why the enterprise said no")
    link: str | None = Field(None, description="The enterprise's own identity check, where it wants that first")
    accounts: list[AccountView] | None = Field(None, description="Of a dispute, masked; null: the party has not said")


class MyCase(BaseModel):
    """A case as its citizen may see it. Times are UTC."""

    case: str
    kind: CaseKind
    number: str = Field(description="Masked")
    status: str
    what: Words = Field(description="The status in words")
    opened_at: AwareDatetime
    ended_at: AwareDatetime | None
    next: Next
    happened: list[Line]
    apps: list[MyApp]
    links: list[str] = Field(description="Cases it goes on as")
    may_withdraw: bool


@dataclass(frozen=True)
class Own:
    """What is particular to a kind."""

    apps: list[MyApp]
    next: Next
    links: tuple[str, ...] = ()
    may_withdraw: bool = False


@router.get("/my-case")
async def show_case(who: Citizen, services: Using, response: Response) -> MyCase:
    """Your case: where it stands, what happened, what is next and when."""
    response.headers["cache-control"] = "no-store"
    now = datetime.now(UTC)
    found = await services.database.read(lambda c: _read(c, services, who.case, now))
    if found is None:
        raise _unknown()
    return found


@router.post("/my-case/withdraw")
async def withdraw(who: Citizen, services: Using, response: Response) -> MyCase:
    """Withdraw your case: what no enterprise has acknowledged is taken back. Disputes and renewals can be."""
    taken_back = WITHDRAWALS.get(kind_of(who.case)) if who.case else None
    if taken_back is None:
        raise fail(409, "cannot_withdraw", "This case cannot be withdrawn.", "It ends by itself; nothing is owed.")
    await taken_back(services, who.case)
    return await show_case(who, services, response)


async def _withdraw_dispute(services: Services, case: str) -> object:
    return await say(services, case, "withdraw", dispute.Withdraw())


WITHDRAWALS: Mapping[CaseKind, Callable[[Services, str], Awaitable[object]]] = {
    CaseKind.DISPUTE: _withdraw_dispute,
    CaseKind.RENEWAL: renewals.taken_back,
}
"""Which kinds can be withdrawn, and how."""


def _unknown() -> ProblemError:
    return fail(404, "unknown_case", "There is no such case any more.", "Follow it anew by its reference.")


# ── what is shown ────────────────────────────────────────────────────────────────────────────────────


def _read(connection: Connection, services: Services, case: str, now: datetime) -> MyCase | None:
    if not case or kind_of(case) not in OWN or (view := case_view(connection, case)) is None:
        return None
    kind, state = view.kind, view.state
    own = OWN[kind](connection, services, state, now)
    lines = [Line(at=event.at, what=what) for event in view.events if (what := citizen.told(kind, event))]
    return MyCase(
        case=case,
        kind=kind,
        number=state.masked_number,
        status=state.status.value,
        what=citizen.STATUS[kind][state.status],
        opened_at=view.events[0].at,
        ended_at=state.ended_at,
        next=own.next,
        happened=lines,
        apps=own.apps,
        links=list(own.links),
        may_withdraw=own.may_withdraw,
    )


def _query(connection: Connection, services: Services, state: query.State, now: datetime) -> Own:
    view = queries.presented(state, services)
    apps = [
        MyApp(
            app=one.app,
            name=one.name,
            hotline=one.hotline,
            state=one.state,
            what=citizen.ANSWERS[one.state],
            count=one.count,
        )
        for one in view.counts
    ]
    return Own(apps, _next(state, citizen.NEXT[CaseKind.QUERY], view.next.at))


def _dispute(connection: Connection, services: Services, state: dispute.State, now: datetime) -> Own:
    view = disputes.presented(state, disputes.carried_out(connection, state), services, now)
    return Own(
        apps=[_claim(connection, services, state, one) for one in view.claims],
        next=_next(state, citizen.NEXT[CaseKind.DISPUTE], _earliest(one.next.at for one in view.claims)),
        links=tuple(view.links),
        may_withdraw=view.status is DisputeStatus.OPEN and view.withdrawal_asked_at is None,
    )


def _claim(connection: Connection, services: Services, state: dispute.State, view: ClaimView) -> MyApp:
    try:
        detail = disputes.detailed(connection, services.keys, state, state.claims[view.app])
    except NotInVault:  # their person is forgotten, and with it what only they might see
        detail = None
    return MyApp(
        app=view.app,
        name=view.name,
        hotline=view.hotline,
        state=view.state,
        what=_both(dispute.NEXT[view.state]),
        at=view.next.at,
        count=view.counted,
        refusal=view.refusal,
        link=detail.link if detail else None,
        accounts=detail.accounts if detail else None,
    )


def _complaint(connection: Connection, services: Services, state: complaint.State, now: datetime) -> Own:
    english = state.language is Language.EN
    apps = [
        MyApp(
            app=one.app,
            name=one.name_en or one.name if english else one.name,
            hotline=services.registry.enterprise(one.party).hotline,
            state=state.status,
            what=citizen.STATUS[CaseKind.COMPLAINT][state.status],
        )
        for one in state.claims
    ]
    words = complaints.NEXT[state.status]
    following = Next(what=_both(words), at=state.work.due_at)
    return Own(apps, following, tuple(one.case for one in state.follow_ups))


def _renewal(connection: Connection, services: Services, state: renewal.State, now: datetime) -> Own:
    found = renewal_view(connection, state.case)
    view = renewals.presented(found, services.registry) if found else None
    apps = [
        MyApp(
            app=one.app,
            name=one.name,
            hotline=one.hotline,
            state=one.state,
            what=citizen.ITEMS[one.state],
            at=one.due_at if one.state in OPEN else None,
            refusal=_why_not(one),
        )
        for one in (view.apps if view else ())
    ]
    running = state.status not in renewal.ENDED
    at = state.ask_again_at or _earliest(one.at for one in apps if one.state in WAITING)
    return Own(
        apps=apps,
        next=_next(state, _after_renewal(state), at if running else None),
        may_withdraw=state.withdrawal_asked_at is None and _may_withdraw(state, apps),
    )


def _may_withdraw(state: renewal.State, apps: list[MyApp]) -> bool:
    """Until every enterprise has begun, or nothing is left to be told."""
    if state.status is not RenewalStatus.RUNNING:
        return state.status in renewal.BEFORE_START
    return not apps or any((one.state, "withdrawn") in ITEM_TRANSITIONS for one in apps)


def _after_renewal(state: renewal.State) -> Mapping[str, Words]:
    """What comes next; of one that could not be done, why not and what its holder can do."""
    words = citizen.NEXT[CaseKind.RENEWAL]
    if state.status is not RenewalStatus.REFUSED:
        return words
    return {**words, state.status: citizen.NOT_ELIGIBLE[NotEligible(state.reason)]}


def _why_not(one: renewals.AppView) -> WhyNot | None:
    """Why an enterprise did nothing, as in a dispute; renewals have no language, short messages are in Chinese."""
    if one.state not in (ItemState.EXEMPT, ItemState.REJECTED):
        return None
    ground = of_reason(one.reason)
    why = dispute.EXPLANATIONS[ground][Language.ZH]
    return WhyNot(ground=ground, reason=why.reason, law=why.law, remedy=why.remedy)


def _next(state: Any, words: Mapping[str, Words], at: datetime | None) -> Next:
    return Next(what=words.get(state.status, NOTHING), at=at)


def _both(words: Mapping[Language, str]) -> Words:
    return Words(zh=words[Language.ZH], en=words[Language.EN])


def _earliest(times: Iterable[datetime | None]) -> datetime | None:
    return min((at for at in times if at), default=None)


OWN: Mapping[CaseKind, Callable[[Connection, Services, Any, datetime], Own]] = {
    CaseKind.QUERY: _query,
    CaseKind.DISPUTE: _dispute,
    CaseKind.COMPLAINT: _complaint,
    CaseKind.RENEWAL: _renewal,
}
"""How each kind is shown to its citizen."""
