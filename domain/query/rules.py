"""What may happen to a query: each command gives events, nothing, or a refusal with its remedy."""

from __future__ import annotations

from datetime import datetime, timedelta

from domain import casework, question
from domain.case import CITIZEN
from domain.casework import WorkCommand
from domain.messages import Language
from domain.query.agenda import counted, due
from domain.query.words import (
    Asked,
    Close,
    Closed,
    Command,
    Decision,
    QueryStatus,
    Report,
    Reported,
    State,
    Submit,
    Submitted,
    Supplement,
    Supplemented,
    Target,
)
from domain.question import Answering
from domain.refusal import Refusal, RefusalCode
from domain.registry import Registry
from domain.sla import SHANGHAI

ALMOST_A_SECOND = timedelta(microseconds=999_999)


def submit(command: Submit, at: datetime, registry: Registry) -> Submitted | Refusal:
    """Open a query over everybody there is to ask."""
    apps = asked(registry, command.target, command.language)
    if not apps:
        return Refusal(
            code=RefusalCode.NO_APPS,
            field="target",
            sentence=f"There is nobody to be asked about {command.target.value}.",
            remedy="Tell the operator: the registry names none.",
        )
    return Submitted(
        at=at,
        actor=CITIZEN,
        apps=apps,
        policy=registry.query,
        deadline_at=at + registry.query.answer_within,
        **dict(command),
    )


def asked(registry: Registry, target: Target, language: Language) -> tuple[Asked, ...]:
    """Every app of the registry, or every carrier's cards; by the names a citizen of this language knows."""
    codes = registry.query_codes if target is Target.ACCOUNTS else registry.card_codes
    found = []
    for code in codes:
        owner = registry.owner(code)
        named = registry.app(code) if target is Target.ACCOUNTS else owner
        name = named.name if language is Language.ZH else named.name_en or named.name
        found.append(Asked(app=code, party=owner.code, name=name))
    return tuple(found)


def decide(state: State, command: Command, at: datetime) -> Decision:
    """Events that follow from a command, none if it changes nothing, or why it is refused."""
    match command:
        case Report() | Supplement() | Close():
            return _clockwork(state, at) if command == due(state, at) else ()
        case Answering():
            decision = question.decide(state.questions, command, at)
            new = not isinstance(decision, Refusal) and bool(decision)
            return (_too_late(state) if new else None) or decision
        case _:
            return _refused_here(command) or casework.decide(state.work, state.case, command, at, state.ended_at)


def _clockwork(state: State, at: datetime) -> Decision:
    counts = counted(state)
    silent = tuple(one.app for one in state.apps if one.app not in counts)
    match due(state, at):
        case Report():
            return (Reported(at=at, counts=counts, silent=silent),)
        case Supplement():
            return (Supplemented(at=at, counts=counts, silent=silent),)
        case Close():
            return (Closed(at=at),)
        case None:
            return ()


def _too_late(state: State) -> Refusal | None:
    """An answer is taken as long as the citizen can still be told of it."""
    if state.status is not QueryStatus.CLOSED and state.supplemented_at is None:
        return None
    return Refusal(
        code=RefusalCode.CASE_CLOSED,
        field="question",
        sentence="The case of this question takes no more answers.",
        remedy="Nothing needs to be done.",
    )


def _refused_here(command: WorkCommand) -> Refusal | None:
    """What case workers do with other kinds and not with a query: it has nothing to decide and is never too late."""
    if isinstance(command, casework.Reopen):
        return Refusal(
            code=RefusalCode.TOO_LATE_TO_REOPEN,
            sentence="A query is not reopened: its counts are those of its day.",
            remedy="The citizen can ask again, once in 24 hours.",
        )
    if isinstance(command, casework.Propose):
        return Refusal(
            code=RefusalCode.NOT_ALLOWED,
            sentence="A query has nothing to decide.",
            remedy="Open a dispute or an investigation from it.",
        )
    return None


def refuse_cancelled(registry: Registry) -> Refusal:
    """Nobody holds the number: hotlines instead (domain.md, 'cancelled number')."""
    hotlines = ", ".join(f"{carrier.name} {carrier.hotline}" for carrier in registry.carriers if carrier.hotline)
    return Refusal(
        code=RefusalCode.CANCELLED_NUMBER,
        field="check",
        sentence="This number is cancelled.",
        remedy=f"Call your carrier: {hotlines}." if hotlines else "Call your carrier.",
    )


def refuse_slot(target: Target, until: datetime | None) -> Refusal:
    """The number's slot is taken: a query runs, or gave a result less than 24 hours ago."""
    if until is None:
        return Refusal(
            code=RefusalCode.QUERY_RUNNING,
            field="check",
            sentence=f"A query for {target.value} of this number is running.",
            remedy="Its result comes by short message; follow it by its reference.",
        )
    free_at = (until + ALMOST_A_SECOND).astimezone(SHANGHAI)
    return Refusal(
        code=RefusalCode.ONE_RESULT_A_DAY,
        field="check",
        sentence=f"This number had a result for {target.value} less than 24 hours ago.",
        remedy=f"Ask again from {free_at:%Y-%m-%d %H:%M:%S} (Beijing) on; the last result is kept under its reference.",
    )
