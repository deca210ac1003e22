"""Doors for identity checks: a channel starts one and enters the code; a counter or an enterprise attests instead.

Whoever starts a check learns nothing about the number before the right code: the answers are the same for all numbers.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Request, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError
from sqlalchemy import Connection

from domain import identity
from domain.access import Role, Scope
from domain.case import CASE_ID, Actor, ActorKind, CaseKind, EnterpriseCode, PartyCode
from domain.messages import Language
from domain.privacy import IdTail, PhoneNumber
from domain.proof import Method, Purpose
from domain.refusal import Refusal, RefusalCode
from domain.registry import Registry
from gateway.auth import Signed, Using, may, signed
from gateway.caller import Caller
from gateway.desk import CaseEnded, EngineBusy
from gateway.intake import Opening
from gateway.limits import Window
from gateway.opening import located
from gateway.pages.page import WEBSITE
from gateway.problems import Problem, ProblemError, fail, of_refusal
from gateway.renewals import busy
from gateway.services import Services
from store import clients, codes
from store.ids import new_case_id
from store.keys import KeyRing
from store.projection import load_state
from store.vault import Person
from workflows.messages import Done, TryCode

router = APIRouter(prefix="/v1", tags=["identity checks"])

SOME_CODE = identity.Try(right=False)
"""To ask the domain whether a code is wanted at all; which one it is, is for the workflow to judge."""


def _number(text: str) -> str:
    try:
        return PhoneNumber.parse(text).national
    except ValueError as error:
        raise PydanticCustomError("number", "{why}", {"why": str(error)}) from None


def _id_tail(text: str) -> str:
    try:
        return IdTail.parse(text).value
    except ValueError as error:
        raise PydanticCustomError("id_tail", "{why}", {"why": str(error)}) from None


Tail = Annotated[str, Field(max_length=10, description="Last six of the holder's ID"), AfterValidator(_id_tail)]
Origin = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9._:@-]{1,80}$",
        description="The channel's own opaque word for the citizen's session; needed where a code is sent. Codes to "
        "one number are a minute apart per origin, and no origin holds up another",
    ),
]


class CheckRequest(BaseModel):
    """Who somebody says to be, and what for. The name and the full ID number are never wanted."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={
            "examples": [
                {"number": "13800138000", "id_tail": "01123X", "purpose": "query", "origin": "s-7f3a91"},
                {
                    "number": "13800138000",
                    "id_tail": "01123X",
                    "purpose": "dispute",
                    "method": "counter",
                    "channel": "mini-program",
                },
            ]
        },
    )

    number: Annotated[str, Field(max_length=20), AfterValidator(_number)] = Field(
        description="Mainland mobile number, +86 optional"
    )
    id_tail: Tail
    purpose: Purpose = Field(description="The proof is good for nothing else")
    method: Method = Method.CODE_AND_ID_TAIL
    origin: Origin | None = None
    enterprise: EnterpriseCode | None = Field(None, description="Who checks, for the method enterprise")
    channel: PartyCode | None = Field(
        None, description="From a case worker: the channel through which the proof will be used"
    )
    language: Language = Language.ZH


class CodeBody(BaseModel):
    """The code as the citizen entered it."""

    model_config = ConfigDict(
        extra="forbid", hide_input_in_errors=True, json_schema_extra={"examples": [{"code": "123456"}]}
    )

    code: str = Field(pattern=r"^[0-9]{6}$")


class AttestBody(BaseModel):
    """Whether the person checked at the counter, or by the enterprise, is who they say to be."""

    model_config = ConfigDict(
        extra="forbid", hide_input_in_errors=True, json_schema_extra={"examples": [{"matched": True}]}
    )

    matched: bool


class Accepted(BaseModel):
    """The check, and until when it waits. The same for every number."""

    check: str
    status_url: str
    expires_at: AwareDatetime


class CheckView(BaseModel):
    """Where a check stands. Times are UTC."""

    check: str
    status: identity.IdentityStatus
    method: Method
    purpose: Purpose
    number: str
    tries_left: int
    resend_at: AwareDatetime | None
    """From when on another code can be sent; none where none can."""
    expires_at: AwareDatetime
    opens_until: AwareDatetime | None
    """Until when the proof opens a case."""
    follows_until: AwareDatetime | None
    """Until when the proof looks into its case."""
    spent_by: str | None
    problem: Problem | None
    """Why an ended check proves nothing, and what to do."""


class Recorded(BaseModel):
    """What was attested is recorded; `changed` is false for a repetition."""

    check: str
    changed: bool


CheckInPath = Annotated[str, Path(pattern=CASE_ID, max_length=40)]
Key = Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=80, description="Unique per check")]


@router.post("/identity-checks", status_code=202)
async def start(
    body: CheckRequest,
    response: Response,
    partner: Annotated[Caller, may(Scope.CHECKS_OPEN)],
    services: Using,
    idempotency_key: Key,
) -> Accepted:
    """Start a check (身份核验); for the method with a code, one goes to the number by short message."""
    if body.method is Method.CODE_AND_ID_TAIL and not body.origin:
        raise fail(422, "malformed", "origin: it is missing.", "Send your word for the citizen's session.", "origin")
    now = datetime.now(UTC)
    command = identity.Open(
        case=new_case_id(CaseKind.IDENTITY),
        channel=await _channel(body, partner, services),
        number=PhoneNumber(body.number).mask(),
        method=body.method,
        attester=_attester(body, services.registry),
        purpose=body.purpose,
        language=body.language,
        actor=Actor(kind=ActorKind(partner.role.value), code=partner.code),
    )
    first = identity.open_check(command, now, services.registry.identity)
    if isinstance(first, Refusal):
        raise ProblemError(of_refusal(first))
    person = Person(PhoneNumber(body.number), IdTail(body.id_tail))
    wanted = opening(
        services.keys, partner.code, idempotency_key, body.model_dump_json(), first, person, body.origin or ""
    )
    return await begun(services, wanted, first, body.origin or "", response)


async def begun(
    services: Services, wanted: Opening, first: identity.Opened, origin: str, response: Response
) -> Accepted:
    """Open a check, if a code may be sent now where one is to be. Raises ProblemError."""
    turn = _whose_turn(services.keys, first, wanted.person, origin)
    if first.method is Method.CODE_AND_ID_TAIL and not await services.intake.earlier(
        wanted.partner, wanted.key, wanted.wording
    ):
        await _may_send(services, first.channel, *turn)
    admitted = await services.intake.open(wanted)
    if isinstance(admitted, Refusal):
        raise ProblemError(of_refusal(admitted), await _seconds_left(services, first, turn))
    state = await services.database.read(lambda c: load_state(c, CaseKind.IDENTITY, admitted.case))
    return Accepted(
        check=admitted.case, status_url=located(response, admitted, "identity-checks"), expires_at=state.expires_at
    )


@router.get("/identity-checks/{check}")
async def show(check: CheckInPath, partner: Annotated[Caller, may(Scope.CHECKS_OPEN)], services: Using) -> CheckView:
    """Where a check stands: tries left, when another code can be sent, how long the proof is good."""
    return presented(await own(services, partner, check), services.registry)


@router.post("/identity-checks/{check}/code")
async def enter(
    check: CheckInPath, body: CodeBody, partner: Annotated[Caller, may(Scope.CHECKS_ENTER)], services: Using
) -> CheckView:
    """Enter the code. A code that is not six digits costs no try.

    Verified as a rule when this answers; `confirming` if the carriers take long: look again.
    """
    state = await judged(services, partner, await own(services, partner, check), body.code)
    return presented(state, services.registry)


async def judged(services: Services, partner: Caller, state: identity.State, code: str) -> identity.State:
    """The check after a right code. Raises ProblemError for a wrong one, and for one that proves nothing."""
    _refuse_early(state, SOME_CODE)
    await services.limits.take(Window.TRIES_OF_CHANNEL, partner.code)
    serials = range(1, state.policy.sends + 1)
    digests = tuple(codes.digest(services.keys, state.case, serial, code) for serial in serials)
    done = await _say(services, state.case, "try_code", TryCode(digests=digests), SOME_CODE)
    if done.refusal:
        raise ProblemError(of_refusal(done.refusal))
    state = await _state(services, state.case)
    if outcome := identity.outcome(state, services.registry):
        raise ProblemError(of_refusal(outcome))
    return state


@router.post("/identity-checks/{check}/resend", status_code=202)
async def resend(
    check: CheckInPath, partner: Annotated[Caller, may(Scope.CHECKS_ENTER)], services: Using
) -> CheckView:
    """Have another code sent, a minute after the last; earlier codes count no more."""
    now = datetime.now(UTC)
    state = await own(services, partner, check)
    again_after = state.policy.send_again_after
    _refuse_early(state, identity.Resend())
    until = await services.database.read(lambda c: codes.next_turn(c, check, again_after, now))
    whose = await services.database.read(lambda c: codes.whose(c, check))
    if until:
        too_early = of_refusal(identity.wait_before_sending(until, now))
        raise ProblemError(too_early, identity.seconds_until(until, now))
    if whose:
        await _may_send(services, state.channel, *whose)
    done = await _say(services, check, "send_again", identity.Resend(), identity.Resend())
    if done.refusal:
        raise ProblemError(of_refusal(done.refusal))
    return presented(await _state(services, check), services.registry)


class _Attesting:
    """Who attests: a case worker by their token, an enterprise by a signed message besides."""

    def __init__(self, partner: Caller, message: Signed | None) -> None:
        self.actor = Actor(kind=ActorKind(partner.role.value), code=partner.code)
        self._message = message

    async def taken(self) -> None:
        """What was said is recorded: a replay is refused."""
        if self._message:
            await self._message.taken()


async def _attesting(
    request: Request,
    partner: Annotated[Caller, may(Scope.CHECKS_ATTEST)],
    services: Using,
    webhook_id: Annotated[str, Header(max_length=120, description="From enterprises: unique per message")] = "",
    webhook_timestamp: Annotated[str, Header(description="From enterprises: Unix seconds")] = "",
    webhook_signature: Annotated[str, Header(description="From enterprises: Standard Webhooks")] = "",
) -> _Attesting:
    if partner.role is not Role.ENTERPRISE:
        return _Attesting(partner, None)
    message = await signed(request, partner, services, webhook_id, webhook_timestamp, webhook_signature)
    return _Attesting(partner, message)


@router.post("/identity-checks/{check}/attest")
async def attest(
    check: CheckInPath, body: AttestBody, who: Annotated[_Attesting, Depends(_attesting)], services: Using
) -> Recorded:
    """Attest a check: a case worker for one at a counter, an enterprise for one that names it.

    A match still goes to the carriers: they know since when the contract runs.
    """
    state = await _state(services, check)
    if who.actor.kind is ActorKind.ENTERPRISE and state.attester != who.actor.code:
        raise ProblemError(of_refusal(identity.refuse_unknown(check)))
    command = identity.Attest(actor=who.actor, matched=body.matched)
    _refuse_early(state, command)
    done = await _say(services, check, "attest", command, command)
    if done.refusal:
        raise ProblemError(of_refusal(done.refusal))
    await who.taken()
    return Recorded(check=check, changed=done.changed)


def opening(
    keys: KeyRing, partner: str, key: str, wording: str, first: identity.Opened, person: Person | None, origin: str
) -> Opening:
    """The opening of a check; its turn to send a code to the number is taken together with it."""
    number, word = _whose_turn(keys, first, person, origin)

    def also(connection: Connection) -> Refusal | None:
        if first.method is not Method.CODE_AND_ID_TAIL:
            return None
        until = codes.take_turn(connection, number, word, first.case, first.policy.send_again_after, first.at)
        return identity.wait_before_sending(until, first.at) if until else None

    return Opening(
        partner=partner,
        key=key,
        wording=wording,
        kind=CaseKind.IDENTITY,
        case=first.case,
        first=first,
        person=person,
        also=also,
    )


def presented(state: identity.State, registry: Registry) -> CheckView:
    """A check for its channel's eyes."""
    outcome = identity.outcome(state, registry)
    more = identity.due(state) in (identity.Due.SEND, identity.Due.WAIT) and state.asked < state.policy.sends
    return CheckView(
        check=state.case,
        status=state.status,
        method=state.method,
        purpose=state.purpose,
        number=state.number,
        tries_left=state.tries_left,
        resend_at=state.resend_at if more else None,
        expires_at=state.expires_at,
        opens_until=identity.opens_until(state),
        follows_until=identity.follows_until(state),
        spent_by=state.spent_by,
        problem=of_refusal(outcome) if outcome else None,
    )


async def _channel(body: CheckRequest, partner: Caller, services: Services) -> str:
    """Through which channel the proof can be used: the one that asks, or the one a case worker names."""
    if partner.role is Role.CHANNEL:
        if body.channel not in (None, partner.code):
            raise _malformed("channel", "A channel starts checks for itself only.", "Leave it out.")
        return partner.code
    if body.method is not Method.COUNTER:
        raise _malformed("method", "A case worker starts checks at a counter only.", "Send counter.")
    known = await services.database.read(lambda c: clients.tenants(c, Role.CHANNEL))
    if body.channel is None or body.channel not in (*known, WEBSITE.code):
        raise _malformed("channel", "The check names no channel we know.", "Name where its proof will be used.")
    return body.channel


def _attester(body: CheckRequest, registry: Registry) -> str | None:
    known = {enterprise.code for enterprise in registry.enterprises}
    if body.enterprise is not None and body.enterprise not in known:
        raise _malformed(
            "enterprise", "No enterprise is registered under this code.", "Use a code from GET /v1/apps."
        )
    return body.enterprise


def _malformed(field: str, sentence: str, remedy: str) -> ProblemError:
    return fail(422, "malformed", sentence, remedy, field)


async def _state(services: Services, check: str) -> identity.State:
    """A check; the same words whether there is none or it is somebody else's."""
    try:
        state: identity.State = await services.database.read(lambda c: load_state(c, CaseKind.IDENTITY, check))
    except KeyError:
        raise ProblemError(of_refusal(identity.refuse_unknown(check))) from None
    return state


async def own(services: Services, partner: Caller, check: str) -> identity.State:
    """A check of this channel's, or any for people; another's is unknown. Raises ProblemError."""
    state = await _state(services, check)
    if partner.role is Role.CHANNEL and state.channel != partner.code:
        raise ProblemError(of_refusal(identity.refuse_unknown(check)))
    return state


def _refuse_early(state: identity.State, command: identity.Command) -> None:
    """What is refused whatever comes next needs no workflow, which may have ended."""
    now = datetime.now(UTC)
    decision = identity.decide(state, command, now)
    if isinstance(decision, Refusal):
        until = state.resend_at if decision.code is RefusalCode.WAIT_BEFORE_SENDING else None
        raise ProblemError(of_refusal(decision), identity.seconds_until(until, now) if until else None)


async def _say(services: Services, check: str, update: str, order: BaseModel, command: identity.Command) -> Done:
    """An update to the check's workflow; one that has ended meanwhile is answered for by the domain."""
    try:
        return await services.desk.say(check, update, order, Done)
    except EngineBusy:
        raise busy() from None
    except CaseEnded:
        state = await _state(services, check)
        decision = identity.decide(state, command, datetime.now(UTC))
        return Done(status=state.status.value, refusal=decision if isinstance(decision, Refusal) else None)


def _whose_turn(keys: KeyRing, first: identity.Opened, person: Person | None, origin: str) -> tuple[str, str]:
    """A check that follows a case waits for others of this case, so that waiting never tells whose number it has."""
    if person is not None and first.follows is None:
        whose = keys.token("number", person.number.e164)
    else:
        whose = keys.token("followed", first.follows or first.case)
    return whose, codes.origin_token(keys, first.channel, origin)


async def _may_send(services: Services, channel: str, number: str, origin: str) -> None:
    """Whether another code may be sent: to this number over all origins of the channel, for this origin, at all."""
    await services.limits.take(Window.CHECKS_OF_ORIGIN, origin)
    await services.limits.take(Window.CHECKS_OF_CHANNEL, channel)
    await services.limits.take(Window.CODES_TO_NUMBER, channel, number)


async def _seconds_left(services: Services, first: identity.Opened, turn: tuple[str, str]) -> int | None:
    """How long until this origin may have another code sent to this number."""
    number, word = turn
    again_after = first.policy.send_again_after
    until = await services.database.read(lambda c: codes.free_at(c, number, word, again_after, first.at))
    return identity.seconds_until(until, first.at) if until else None
