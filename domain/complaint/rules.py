"""What may happen to a complaint: each command gives events, nothing, or a refusal with its remedy."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from domain import casework, dispute, investigation
from domain.case import Actor, ActorKind, AppCode, Event, LinkKind, PartyCode
from domain.casework import Approved, DecisionKind, Link, Propose, Reopened, WorkCommand
from domain.complaint.words import (
    FOLLOWED,
    NO_ANSWER,
    Closed,
    Command,
    Conclude,
    Concluded,
    Decision,
    Ending,
    Follow,
    FollowedUp,
    Rerouted,
    Returned,
    Route,
    State,
    Take,
    Taken,
    Way,
)
from domain.dispute import ClaimReason, Wanted
from domain.investigation import MOST_PARTIES
from domain.refusal import Refusal, RefusalCode
from domain.registry import Registry


def take(command: Take, at: datetime, registry: Registry) -> Decision:
    """Open a complaint, or say what is wrong with it."""
    apps = tuple(dict.fromkeys(command.apps))
    if not 0 < len(apps) <= MOST_PARTIES:
        return Refusal(
            code=RefusalCode.NO_APPS if not apps else RefusalCode.TOO_MANY_APPS,
            field="apps",
            sentence=f"The complaint names {len(apps)} apps.",
            remedy=f"Name at least one, at most {MOST_PARTIES}.",
        )
    known = {*registry.app_codes, *registry.card_codes}
    if unknown := [app for app in apps if app not in known]:
        return Refusal(
            code=RefusalCode.UNKNOWN_APP,
            field="apps",
            sentence=f"No app is registered as {unknown[0]}.",
            remedy="Use codes from GET /v1/apps, or a carrier's cards.",
        )
    claims = tuple(_claim(app, registry) for app in apps)
    parties = investigation.parties_of(_by_party(claims), registry)
    if isinstance(parties, Refusal):
        return parties
    return (
        Taken(
            at=at,
            actor=Actor(kind=ActorKind.CHANNEL, code=command.channel),
            claims=claims,
            parties=parties,
            dispute_policy=registry.dispute,
            investigation_policy=registry.investigation,
            due_at=at + registry.investigation.answer_within,
            **{name: value for name, value in dict(command).items() if name != "apps"},
        ),
    )


def _claim(app: AppCode, registry: Registry) -> Wanted:
    owner, known = registry.owner(app), registry.app(app)
    return Wanted(
        app=app,
        party=owner.code,
        name=known.name,
        name_en=known.name_en,
        hotline=owner.hotline,
        reason=ClaimReason.ASKED_BEFORE,
    )


def _by_party(claims: tuple[Wanted, ...]) -> Mapping[PartyCode, list[AppCode]]:
    apps: dict[str, list[str]] = {}
    for claim in claims:
        apps.setdefault(claim.party, []).append(claim.app)
    return apps


def follow_up(state: State, way: Way, at: datetime) -> Event:
    """The first event of the case a complaint goes on as; its own reference is filled in when it is recorded."""
    return FOLLOW_UPS[way](state, at)


def _dispute(state: State, at: datetime) -> Event:
    return dispute.Opened(
        at=at,
        case=state.case,
        opened_from=state.case,
        channel=state.channel,
        masked_number=state.masked_number,
        language=state.language,
        identity=state.identity,
        policy=state.dispute_policy,
        claims=state.claims,
    )


def _investigation(state: State, at: datetime) -> Event:
    return investigation.opened(
        case=state.case,
        opened_from=state.case,
        masked_number=state.masked_number,
        language=state.language,
        text=state.text,
        parties=state.parties,
        policy=state.investigation_policy,
        at=at,
    )


FOLLOW_UPS = {Way.DISPUTE: _dispute, Way.INVESTIGATION: _investigation}


def decide(state: State, command: Command, at: datetime) -> Decision:
    """Events that follow from a command, none if it changes nothing, or why it is refused."""
    match command:
        case Follow():
            return _follow(state, command, at)
        case Route():
            return _route(state, command, at)
        case Conclude():
            return _conclude(state, command, at)
        case _:
            return _work(state, command, at)


def _follow(state: State, command: Follow, at: datetime) -> Decision:
    if any(known.case == command.to for known in state.follow_ups):
        return ()
    linked = casework.decide(state.work, state.case, Link(to=command.to, how=LinkKind.LED_TO), at, state.ended_at)
    assert not isinstance(linked, Refusal)
    return (FollowedUp(at=at, to=command.to, way=command.way), *linked)


def _route(state: State, command: Route, at: datetime) -> Decision:
    if refusal := casework.staff_only(command.actor):
        return refusal
    if state.ended_at is not None:
        return Refusal(code=RefusalCode.CASE_CLOSED, sentence="The complaint is closed.", remedy="Reopen it first.")
    if command.way is (state.wanted or _on_its_way(state)):
        return ()
    return (Rerouted(at=at, actor=command.actor, way=command.way, reason=command.reason),)


def _on_its_way(state: State) -> Way | None:
    """Where it is being seen to now."""
    return next((way for way, status in FOLLOWED.items() if status is state.status), None)


def _conclude(state: State, command: Conclude, at: datetime) -> Decision:
    """What comes of the last follow-up closes the complaint; of an earlier one it is only remembered."""
    known = next((one for one in state.follow_ups if one.case == command.by), None)
    if known is None or known.outcome == command.outcome:
        return ()
    concluded = Concluded(at=at, by=command.by, outcome=command.outcome)
    last = known is state.follow_ups[-1] and state.wanted is None
    if not last or state.ended_at is not None:
        return (concluded,)
    if command.outcome in NO_ANSWER:
        return (concluded, Returned(at=at))
    return (concluded, Closed(at=at, ending=Ending.CONCLUDED))


def _work(state: State, command: WorkCommand, at: datetime) -> Decision:
    """Case work as everywhere; two people may refuse the complaint, a reopened one has its whole time again."""
    decision = casework.decide(state.work, state.case, command, at, state.ended_at)
    if isinstance(decision, Refusal):
        return decision
    if isinstance(command, Propose) and command.what is not DecisionKind.REFUSE:
        return Refusal(
            code=RefusalCode.MALFORMED,
            field="decision",
            sentence=f"A complaint has nothing to {command.what.value}.",
            remedy=f"Send it to a dispute or an investigation, or propose to {DecisionKind.REFUSE.value} it.",
        )
    match decision:
        case (Approved() as approved,):
            return (approved, Closed(at=at, actor=approved.actor, ending=Ending.REFUSED))
        case (Reopened() as reopened,):
            return (reopened.model_copy(update={"due_at": at + state.investigation_policy.answer_within}),)
    return decision
