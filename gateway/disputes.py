"""Doors for disputes: a channel opens one for a citizen whose identity is proven, shows them what only they may see,
takes their choices, and follows every claim; a case worker settles one by telephone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import Connection, select

from domain import dispute, query, question
from domain.access import Scope
from domain.case import AppCode, CaseId, CaseKind, kind_of
from domain.casework import REOPEN_WITHIN, Waiting
from domain.dispute import Claim, ClaimReason, ClaimState, DisputeStatus, Ground, Settlement, State, Wish
from domain.messages import Language
from domain.proof import Purpose
from domain.question import AccountRef
from domain.refusal import Refusal, RefusalCode
from domain.unbind import Item, ItemState
from gateway.auth import Using, may
from gateway.caller import Caller
from gateway.casework import Words, actor_of, say
from gateway.intake import Admitted, Opening
from gateway.opening import located, proven
from gateway.problems import ProblemError, fail, of_refusal
from gateway.renewals import CaseInPath
from gateway.services import Services
from store import papers, proofs, vault
from store.ids import new_case_id
from store.keys import KeyRing
from store.projection import load_state
from store.proofs import Found
from store.tables import work_items
from store.vault import NotInVault, Person

router = APIRouter(prefix="/v1", tags=["disputes"])

Key = Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=80, description="Unique per dispute")]
Check = Annotated[
    CaseId, Field(description="A verified identity check: the one that opened the dispute, or `follow`")
]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class ClaimRequest(_Closed):
    """One app, or one carrier's cards (`<carrier>-cards`), and why it is disputed."""

    app: AppCode
    reason: ClaimReason
    query: CaseId | None = Field(None, description="The query this app's count comes from, if not the dispute's")


class DisputeRequest(_Closed):
    """A citizen's dispute. The number is that of the identity check, whose proof is used up by the dispute."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "check": "K0123456789AB",
                    "query": "Q0123456789AB",
                    "claims": [{"app": "wechat", "reason": "not_mine"}, {"app": "taobao", "reason": "asked_before"}],
                },
                {"check": "K0123456789AB", "claims": [{"app": "china-mobile-cards", "reason": "not_mine"}]},
            ]
        },
    )

    check: CaseId = Field(description="A verified identity check of purpose `dispute`")
    claims: list[ClaimRequest] = Field(max_length=1000)
    query: CaseId | None = Field(None, description="The query whose result is disputed; left out: none")
    language: Language = Field(Language.ZH, description="What the short messages are written in")


class Follow(_Closed):
    """Who acts."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"check": "K0123456789AB"}]})

    check: Check


class ChooseBody(Follow):
    """What is to become of every account of these apps. A former holder's account can only be unbound."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"check": "K0123456789AB", "choices": {"wechat": {"h7Kq": "cancel", "m2Xz": "unbind"}}}]
        }
    )

    choices: Mapping[AppCode, Annotated[Mapping[AccountRef, Wish], Field(max_length=10_000)]] = Field(min_length=1)


class UnsolvedBody(Follow):
    """Which claim the hotline did not solve."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"check": "K0123456789AB", "app": "wechat"}]})

    app: AppCode


class SettleBody(_Closed):
    """How a claim was settled by telephone, and what was said."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"app": "wechat", "settlement": "solved", "reason": "Tencent unbound it while I was on hold."}
            ]
        }
    )

    app: AppCode
    settlement: Literal[Settlement.SOLVED, Settlement.EXPLAINED]
    reason: Words


class Accepted(BaseModel):
    """The case of a dispute."""

    case: str
    status_url: str


class Acted(BaseModel):
    """Where the dispute stands now; `changed` is false for a repetition."""

    case: str
    status: DisputeStatus
    changed: bool


class WhyNot(BaseModel):
    """Why the party said no, the law that rests on, and what the citizen can do."""

    ground: Ground
    reason: str
    law: str
    remedy: str


class NextView(BaseModel):
    """What happens next, and when at the latest; no time where no clock runs."""

    what: str
    at: AwareDatetime | None
    seconds_left: int | None


class ClaimView(BaseModel):
    """One claim."""

    app: str
    name: str
    party: str
    party_name: str
    hotline: str
    reason: ClaimReason
    counted: int | None = Field(description="What the query counted; null: no query, or no answer")
    state: ClaimState
    since: AwareDatetime
    outcome: ItemState | None = Field(description="What the enterprise did")
    refusal: WhyNot | None
    settlement: Settlement | None
    conclusion: str = Field(description="An investigation's result, in its own word")
    next: NextView


class DisputeView(BaseModel):
    """Where a dispute stands. Times are UTC."""

    case: str
    status: DisputeStatus
    waiting: Waiting = Field(description="Whose turn it is")
    number: str
    language: Language
    opened_at: AwareDatetime
    links: list[str] = Field(description="Cases that belong to this one")
    paused: bool
    withdrawal_asked_at: AwareDatetime | None
    ended_at: AwareDatetime | None
    reopen_until: AwareDatetime | None
    claims: list[ClaimView]


class AccountView(BaseModel):
    """One account. A former holder's has no label: it is not shown, and can only be unbound."""

    ref: str
    own: bool
    label: str | None
    may: list[Wish]
    chosen: Wish | None


class ClaimDetail(BaseModel):
    """What the citizen alone may see of a claim."""

    app: str
    name: str
    state: ClaimState
    link: str | None = Field(description="The enterprise's own identity check, where it wants that passed first")
    accounts: list[AccountView] | None = Field(description="null: the party has not said")


class DetailView(BaseModel):
    """The accounts a party found, masked."""

    case: str
    claims: list[ClaimDetail]


# ── opening ──────────────────────────────────────────────────────────────────────────────────────────


@router.post("/disputes", status_code=202)
async def submit(
    body: DisputeRequest,
    response: Response,
    channel: Annotated[Caller, may(Scope.CASES_OPEN)],
    services: Using,
    idempotency_key: Key,
) -> Accepted:
    """Dispute for a citizen; the same Idempotency-Key with the same body gives the same case."""
    admitted = await _admitted(services, channel.code, body, idempotency_key)
    if isinstance(admitted, Refusal):
        raise ProblemError(of_refusal(admitted))
    return Accepted(case=admitted.case, status_url=located(response, admitted, "disputes"))


async def _admitted(services: Services, channel: str, body: DisputeRequest, key: str) -> Admitted | Refusal:
    """The key comes first: a repetition finds its own proof used."""
    wording, at, keys = body.model_dump_json(), datetime.now(UTC), services.keys
    found = await proven(services, channel, key, wording, body.check, Purpose.DISPUTE, at)
    if not isinstance(found, Found):
        return found
    person = found.person
    claims = await services.database.read(lambda c: _claims(c, services, channel, person, body))
    if isinstance(claims, Refusal):
        return claims
    case = new_case_id(CaseKind.DISPUTE)
    command = dispute.Submit(
        case=case,
        channel=channel,
        masked_number=person.number.mask(),
        language=body.language,
        identity=found.proof,
        claims=claims,
    )
    decision = dispute.submit(command, at, services.registry.dispute)
    if isinstance(decision, Refusal):
        return decision
    return await services.intake.open(
        Opening(
            partner=channel,
            key=key,
            wording=wording,
            kind=CaseKind.DISPUTE,
            case=case,
            first=decision[0],
            person=person,
            also=lambda c: proofs.spend(c, keys, body.check, Purpose.DISPUTE, case, at, channel=channel),
        )
    )


def _claims(
    connection: Connection, services: Services, channel: str, person: Person, body: DisputeRequest
) -> tuple[dispute.Wanted, ...] | Refusal:
    """The claims with whose they are, and what the citizen's own query counted."""
    counted: dict[str, Mapping[str, int | None]] = {}
    for case in dict.fromkeys([body.query, *(claim.query for claim in body.claims)]):
        if case is not None:
            counts = _counted(connection, services.keys, channel, person, case)
            if counts is None:
                return _unknown_query(case)
            counted[case] = counts
    wanted = []
    for claim in body.claims:
        try:
            app, owner = services.registry.app(claim.app), services.registry.owner(claim.app)
        except KeyError:
            return _unknown_app(claim.app)
        source = claim.query or body.query
        wanted.append(
            dispute.Wanted(
                app=app.code,
                party=owner.code,
                name=app.name,
                name_en=app.name_en,
                hotline=owner.hotline,
                reason=claim.reason,
                query=source,
                counted=counted[source].get(app.code) if source else None,
            )
        )
    return tuple(wanted)


def _counted(
    connection: Connection, keys: KeyRing, channel: str, person: Person, case: str
) -> Mapping[str, int | None] | None:
    """What a query knows by now; None if it is not this channel's, or about another person."""
    try:
        state: query.State = load_state(connection, CaseKind.QUERY, case)
        theirs = vault.get(connection, keys, case) == person
    except (KeyError, NotInVault):
        return None
    if state.channel != channel or not theirs:
        return None
    return {app: answer.count for app, answer in query.answers(state).items()}


def _unknown_query(case: str) -> Refusal:
    return Refusal(
        code=RefusalCode.UNKNOWN_CASE,
        field="query",
        sentence=f"There is no query {case} of this person.",
        remedy="Check the reference, or leave it out to dispute without a query.",
    )


def _unknown_app(app: str) -> Refusal:
    return Refusal(
        code=RefusalCode.UNKNOWN_APP,
        field="claims",
        sentence=f"No app is registered as {app}.",
        remedy="Use the codes of the query's result.",
    )


# ── the citizen, through their channel ───────────────────────────────────────────────────────────────


@router.get("/disputes/{case}")
async def show(case: CaseInPath, channel: Annotated[Caller, may(Scope.CASES_FOLLOW)], services: Using) -> DisputeView:
    """Where a dispute stands, claim by claim: why not, what comes next, and when."""
    state = await _own(services, channel, case)
    items = await services.database.read(lambda c: carried_out(c, state))
    return presented(state, items, services, datetime.now(UTC))


@router.get("/disputes/{case}/detail")
async def detail(
    case: CaseInPath,
    check: Annotated[CaseId, Query(description="A verified identity check that may follow this case")],
    response: Response,
    channel: Annotated[Caller, may(Scope.CASES_FOLLOW)],
    services: Using,
) -> DetailView:
    """What only the citizen may see: the accounts, masked, and the link to an enterprise's own check."""
    state = await _followed(services, channel, case, check)
    response.headers["cache-control"] = "no-store"
    try:
        claims = await services.database.read(
            lambda c: [detailed(c, services.keys, state, one) for one in _all(state)]
        )
    except NotInVault:
        raise _forgotten() from None
    return DetailView(case=case, claims=claims)


@router.post("/disputes/{case}/choose")
async def choose(
    case: CaseInPath, body: ChooseBody, channel: Annotated[Caller, may(Scope.CASES_OPEN)], services: Using
) -> Acted:
    """Unbind, cancel or keep, account by account. An enterprise is asked once for all that is chosen together."""
    return await _act(services, channel, case, body, "choose", dispute.Choose(choices=body.choices))


@router.post("/disputes/{case}/unsolved")
async def unsolved(
    case: CaseInPath, body: UnsolvedBody, channel: Annotated[Caller, may(Scope.CASES_OPEN)], services: Using
) -> Acted:
    """The enterprise's hotline did not solve it: a case worker takes it on."""
    return await _act(services, channel, case, body, "unsolved", dispute.Unsolved(app=body.app))


@router.post("/disputes/{case}/withdraw")
async def withdraw(
    case: CaseInPath, body: Follow, channel: Annotated[Caller, may(Scope.CASES_OPEN)], services: Using
) -> Acted:
    """Withdraw what no enterprise has acknowledged."""
    return await _act(services, channel, case, body, "withdraw", dispute.Withdraw())


@router.post("/disputes/{case}/reopen")
async def reopen(
    case: CaseInPath, body: Follow, channel: Annotated[Caller, may(Scope.CASES_OPEN)], services: Using
) -> Acted:
    """Go on with a closed dispute, within 30 days."""
    return await _act(services, channel, case, body, "take_up", dispute.TakeUp())


# ── case workers ─────────────────────────────────────────────────────────────────────────────────────


@router.post("/disputes/{case}/settle")
async def settle(
    case: CaseInPath, body: SettleBody, staff: Annotated[Caller, may(Scope.DESK_ACT)], services: Using
) -> Acted:
    """Say how a claim was settled by telephone; whoever says so has claimed the case."""
    await _known(services, case)
    try:
        reason = await services.database.write(lambda c: papers.put(c, services.keys, case, body.reason))
    except NotInVault:
        raise _forgotten() from None
    command = dispute.Settle(actor=actor_of(staff), app=body.app, settlement=body.settlement, reason=reason)
    return await said(services, case, "settle", command)


# ── steps ────────────────────────────────────────────────────────────────────────────────────────────


async def _act(services: Services, channel: Caller, case: str, body: Follow, update: str, command: Any) -> Acted:
    """Something the citizen does, whoever they have proven to be."""
    await _followed(services, channel, case, body.check)
    return await said(services, case, update, command)


async def said(services: Services, case: str, update: str, command: Any) -> Acted:
    """Tell a dispute what somebody does who was found to be allowed to."""
    done = await say(services, case, update, command)
    return Acted(case=case, status=DisputeStatus(done.status), changed=done.changed)


async def _followed(services: Services, channel: Caller, case: str, check: str) -> State:
    """The dispute, if this check may look into it and act on it."""
    state = await _own(services, channel, case)
    at, keys = datetime.now(UTC), services.keys
    refusal = await services.database.write(lambda c: proofs.follow(c, keys, check, case, at, channel=channel.code))
    if refusal:
        raise ProblemError(of_refusal(refusal))
    return state


async def _own(services: Services, channel: Caller, case: str) -> State:
    """The dispute if it came through this channel; the same words if it is another's or nobody's."""
    state = await _known(services, case)
    if state.channel != channel.code:
        raise _unknown(case)
    return state


async def _known(services: Services, case: str) -> State:
    if kind_of(case) is not CaseKind.DISPUTE:
        raise _unknown(case)
    try:
        state: State = await services.database.read(lambda c: load_state(c, CaseKind.DISPUTE, case))
    except KeyError:
        raise _unknown(case) from None
    return state


def _unknown(case: str) -> ProblemError:
    return fail(404, "unknown_case", f"There is no dispute {case} of yours.", "Check the reference.", "case")


def _forgotten() -> ProblemError:
    return fail(410, "forgotten", "The dispute is closed and its personal data is deleted.", "Open a new one.")


# ── what is shown ────────────────────────────────────────────────────────────────────────────────────


def carried_out(connection: Connection, state: State) -> dict[tuple[str, str], Item]:
    """The work items that carry the choices out, by unbind request and app."""
    parts = [one.part for one in state.rounds]
    rows = connection.execute(
        select(work_items.c.case_id, work_items.c.app, work_items.c.data).where(work_items.c.case_id.in_(parts))
    )
    return {(row.case_id, row.app): Item.model_validate_json(row.data) for row in rows}


def presented(state: State, items: Mapping[tuple[str, str], Item], services: Services, now: datetime) -> DisputeView:
    """A dispute for its citizen's eyes, without what only they may see."""
    standing = dispute.standing(state)
    return DisputeView(
        case=state.case,
        status=state.status,
        waiting=standing.waiting,
        number=state.masked_number,
        language=state.language,
        opened_at=state.opened_at,
        links=list(state.work.links),
        paused=state.work.paused_at is not None,
        withdrawal_asked_at=state.withdrawal_asked_at,
        ended_at=state.ended_at,
        reopen_until=state.ended_at + REOPEN_WITHIN if state.ended_at else None,
        claims=[
            _claim(state, claim, items.get((claim.part or "", claim.app)), services, now) for claim in _all(state)
        ],
    )


def _all(state: State) -> list[Claim]:
    return list(state.claims.values())


def _claim(state: State, claim: Claim, item: Item | None, services: Services, now: datetime) -> ClaimView:
    owner = services.registry.enterprise(claim.party)
    why = dispute.explanation(claim, state.language)
    unbinding = claim.state is ClaimState.UNBINDING and item is not None and item.paused_at is None
    at = item.due_at if unbinding and item else dispute.next_at(state, claim)
    return ClaimView(
        app=claim.app,
        name=dispute.name(claim, state.language),
        party=claim.party,
        party_name=owner.name_en or owner.name if state.language is Language.EN else owner.name,
        hotline=owner.hotline,
        reason=claim.reason,
        counted=claim.counted,
        state=claim.state,
        since=claim.since,
        outcome=claim.outcome,
        refusal=(
            WhyNot(ground=claim.ground, reason=why.reason, law=why.law, remedy=why.remedy)
            if why and claim.ground
            else None
        ),
        settlement=claim.settlement,
        conclusion=claim.conclusion,
        next=NextView(
            what=dispute.NEXT[claim.state][state.language],
            at=at,
            seconds_left=max(int((at - now).total_seconds()), 0) if at else None,
        ),
    )


def detailed(connection: Connection, keys: KeyRing, state: State, claim: Claim) -> ClaimDetail:
    """What the citizen alone may see of a claim. Raises NotInVault once their person is forgotten."""

    def paper(key: str) -> str:
        return papers.get(connection, keys, state.case, key)

    asked = state.question_of(claim)
    answer = asked.answer if asked else None
    accounts = state.accounts_of(claim)
    return ClaimDetail(
        app=claim.app,
        name=dispute.name(claim, state.language),
        state=claim.state,
        link=paper(answer.link) if isinstance(answer, question.OwnCheck) else None,
        accounts=[_account(one, claim, paper) for one in accounts] if accounts is not None else None,
    )


def _account(account: question.Account, claim: Claim, paper: Callable[[str], str]) -> AccountView:
    return AccountView(
        ref=account.ref,
        own=account.own,
        label=paper(account.label) if account.label else None,
        may=list(Wish) if account.own else [Wish.UNBIND],
        chosen=claim.choices.get(account.ref),
    )
