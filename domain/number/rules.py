"""What may happen to a number: each command gives events, nothing, or a refusal with its remedy."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import singledispatch

from domain import casework
from domain.case import Actor, ActorKind, CaseId, Event
from domain.messages import MessageKey
from domain.number.agenda import agenda
from domain.number.fold import evolve, freeze_ends, unreported
from domain.number.timeline import early
from domain.number.words import (
    ANNOUNCE_TRIES,
    REMIND_WITHIN,
    BatchRenewed,
    BatchReported,
    BatchStarted,
    BatchWithdrawn,
    Command,
    Consider,
    Decision,
    Fact,
    FactEntry,
    GiveUp,
    Hear,
    Life,
    NotAnnounced,
    NumberStatus,
    Opened,
    Overridden,
    Override,
    Recycled,
    Reinstated,
    ReissuedEarly,
    Release,
    Released,
    ReminderDue,
    Report,
    Reported,
    StartBatch,
    State,
    Withdrew,
)
from domain.refusal import Refusal, RefusalCode
from domain.registry import NumberPolicy
from domain.renewal import parts_of
from domain.sla import SHANGHAI

EARLIEST = datetime(1990, 1, 1, tzinfo=SHANGHAI)
"""Nobody's mobile contract is older; a date before this is a mistake in the carrier's system."""

CLOCKS_APART = timedelta(minutes=1)
"""So much a carrier's clock may be ahead of ours."""


def open_number(case: CaseId, masked_number: str, report: Report, at: datetime, policy: NumberPolicy) -> Decision:
    """A number nobody has reported anything of: its case, or what is wrong with the fact."""
    if refusal := _time_fits(report, at):
        return refusal
    return (
        Opened(
            at=at,
            actor=_carrier(report.carrier),
            case=case,
            masked_number=masked_number,
            policy=policy,
            event=report.event,
            fact=report.fact,
            occurred_at=report.occurred_at,
        ),
    )


def decide(state: State, command: Command, at: datetime) -> Decision:
    """Events that follow from a command, none if it changes nothing, or why it is refused."""
    if isinstance(command, casework.COMMANDS):
        return _work(state, command, at)
    return _decide(command, state, at)


@singledispatch
def _decide(command: Command, state: State, at: datetime) -> Decision:
    raise TypeError(f"no rule for {type(command).__name__}")


def _work(state: State, command: casework.WorkCommand, at: datetime) -> Decision:
    """A number is neither decided on by two people nor the same as another."""
    if isinstance(command, casework.Propose):
        return Refusal(
            code=RefusalCode.NOT_ALLOWED,
            sentence="Nothing about a number is decided by two people.",
            remedy="A supervisor may let it be released: POST /v1/numbers/{case}/override.",
        )
    if isinstance(command, casework.Merge):
        return Refusal(
            code=RefusalCode.CANNOT_MERGE,
            field="into",
            sentence="Two numbers are never the same case.",
            remedy="Link them by a note.",
        )
    return casework.decide(state.work, state.case, command, at, None)


# ── facts ────────────────────────────────────────────────────────────────────────────────────────────


@_decide.register
def _(command: Report, state: State, at: datetime) -> Decision:
    known = next((e for e in state.timeline if isinstance(e, FactEntry) and e.event == command.event), None)
    if known is not None:
        same = (known.carrier, known.fact, known.at) == (command.carrier, command.fact, command.occurred_at)
        return () if same else refuse_other_content()
    if refusal := _time_fits(command, at):
        return refusal
    reported = Reported(
        at=at,
        actor=_carrier(command.carrier),
        event=command.event,
        fact=command.fact,
        occurred_at=command.occurred_at,
    )
    return (reported, *_follows(state.life, _early(state), evolve(state, reported), command.fact, at))


@_decide.register
def _(command: Consider, state: State, at: datetime) -> Decision:
    if state.considered:
        return ()
    first = next(entry for entry in state.timeline if isinstance(entry, FactEntry))
    return _follows(state.base, frozenset(), state, first.fact, at)


def _early(state: State) -> frozenset[str]:
    return early(state.base, state.timeline, state.policy)


def _follows(before: Life, known: frozenset[str], after: State, fact: Fact, at: datetime) -> tuple[Event, ...]:
    """What a fact makes us do: tell enterprises, remind the holder, call a case worker."""
    began = {entry.event: entry.at for entry in after.timeline if isinstance(entry, FactEntry)}
    alarms = tuple(ReissuedEarly(at=at, occurred_at=began[event]) for event in sorted(_early(after) - known))
    return (*_news(before, after.life, at), *alarms, *_reminder(before, after.life, fact, at))


def _news(before: Life, life: Life, at: datetime) -> tuple[Event, ...]:
    """Enterprises hear of every cancellation that stands, and of one that does not stand any more."""
    if before.gone and before.cancelled_at and not life.gone and life.life <= before.life:
        back = Reinstated(at=at, life=life.life, cancelled_at=before.cancelled_at, parts=tuple(before.parts))
        return (back,)
    ended, known = life.ended_at, before.ended_at
    if ended is None or ended == known or not (life.gone or known is None or ended > known):
        return ()
    return (Recycled(at=at, life=life.life if life.gone else life.life - 1, cancelled_at=ended),)


def _reminder(before: Life, life: Life, fact: Fact, at: datetime) -> tuple[Event, ...]:
    """At opening, at a transfer, and before the number goes (S4)."""
    if life.gone:
        since, news = life.cancelled_at, not before.gone
        message = MessageKey.NUMBER_CANCELLED
    else:
        since = life.activated_at
        news = since is not None and (before.activated_at is None or since > before.activated_at)
        message = MessageKey.NUMBER_TRANSFER if fact is Fact.TRANSFER else MessageKey.NUMBER_OPENED
    fresh = since is not None and at - since <= REMIND_WITHIN
    return (ReminderDue(at=at, message=message),) if news and fresh else ()


def _time_fits(report: Report, at: datetime) -> Refusal | None:
    for wrong, sentence in (
        (report.occurred_at > at + CLOCKS_APART, "What you report lies in the future."),
        (report.occurred_at < EARLIEST, "What you report lies before 1990."),
    ):
        if wrong:
            return Refusal(
                code=RefusalCode.MALFORMED,
                field="occurred_at",
                sentence=sentence,
                remedy="Check the time and its zone, then send the report again.",
            )
    return None


def refuse_other_content() -> Refusal:
    """The carrier's id of an event names one event."""
    return Refusal(
        code=RefusalCode.KEY_REUSED,
        field="event_id",
        sentence="This event_id came before with another content.",
        remedy="Use a new event_id for a new event, the same content for a repetition.",
    )


# ── the batch ────────────────────────────────────────────────────────────────────────────────────────


@_decide.register
def _(command: StartBatch, state: State, at: datetime) -> Decision:
    life = state.life
    if not agenda(state, at).batch or life.cancelled_at is None:
        return ()
    cut = parts_of(state.case, command.apps).values() if command.apps else ()
    parts = {f"{state.case}-unbind-{state.parts + n}": apps for n, apps in enumerate(cut)}
    started = BatchStarted(at=at, life=life.life, boundary=life.cancelled_at, parts=parts)
    return (started,) if parts else (started, BatchRenewed(at=at))


@_decide.register
def _(command: Hear, state: State, at: datetime) -> Decision:
    """Late answers count too; what the requests of another life say does not."""
    life = state.life
    news = {
        app: outcome
        for part, outcomes in command.outcomes.items()
        for app, outcome in outcomes.items()
        if app in life.parts.get(part, ()) and outcome is not state.outcomes.get(app)
    }
    if not news:
        return ()
    reported = BatchReported(at=at, outcomes=news)
    done = unreported(life, {**state.outcomes, **news}) == 0 and life.status is not NumberStatus.BATCH_RENEWED
    return (reported, BatchRenewed(at=at)) if done else (reported,)


@_decide.register
def _(command: Withdrew, state: State, at: datetime) -> Decision:
    parts = tuple(part for part in command.parts if part in state.withdrawing)
    return (BatchWithdrawn(at=at, parts=parts),) if parts else ()


@_decide.register
def _(command: GiveUp, state: State, at: datetime) -> Decision:
    now = state.announcement
    if now is None or now.tries < ANNOUNCE_TRIES:
        return ()
    return (NotAnnounced(at=at, number=now.number, enterprises=now.waiting or ()),)


# ── the release ──────────────────────────────────────────────────────────────────────────────────────


@_decide.register
def _(command: Release, state: State, at: datetime) -> Decision:
    """Not before day 90, and not while items are unreported, unless a supervisor overrides (S4)."""
    life = state.life
    if life.carrier != command.carrier:
        return refuse_unknown()
    if not life.gone or life.cancelled_at is None:
        return refuse_not_cancelled()
    if life.released_at is not None:
        return ()
    if not life.overridden and (refusal := _not_yet(state, at)):
        return refusal
    return (
        Released(
            at=at,
            actor=_carrier(command.carrier),
            life=life.life,
            cancelled_at=life.cancelled_at,
            overridden=life.overridden,
            unreported=unreported(life, state.outcomes) or 0,
        ),
    )


def _not_yet(state: State, at: datetime) -> Refusal | None:
    over, left = freeze_ends(state), unreported(state.life, state.outcomes)
    if over is None or at < over:
        until = over.astimezone(SHANGHAI) if over else None
        return Refusal(
            code=RefusalCode.FREEZE_NOT_OVER,
            sentence=f"The number is frozen until {until:%Y-%m-%d %H:%M:%S} (Shanghai).",
            remedy="Ask again then; a supervisor may override this.",
        )
    if left is None:
        return Refusal(
            code=RefusalCode.ITEMS_UNREPORTED,
            sentence="No app has been asked yet to unbind the number.",
            remedy="Ask again in some days; a supervisor may override this.",
        )
    if left:
        apps = sum(len(part) for part in state.life.parts.values())
        return Refusal(
            code=RefusalCode.ITEMS_UNREPORTED,
            sentence=f"{left} of {apps} apps have not reported.",
            remedy="Wait for their late answers; a supervisor may override this.",
        )
    return None


@_decide.register
def _(command: Override, state: State, at: datetime) -> Decision:
    if command.actor.kind is not ActorKind.SUPERVISOR:
        return Refusal(
            code=RefusalCode.NOT_ALLOWED, sentence="This takes a supervisor.", remedy="Ask one at the case desk."
        )
    if not state.life.gone:
        return refuse_not_cancelled()
    if state.life.overridden or state.life.released_at is not None:
        return ()
    return (Overridden(at=at, actor=command.actor, reason=command.reason),)


def refuse_unknown() -> Refusal:
    """The same words whether nobody knows the number or it is another carrier's."""
    return Refusal(
        code=RefusalCode.UNKNOWN_NUMBER,
        field="number",
        sentence="There is no such number of yours.",
        remedy="Report what has happened to it first: POST /v1/number-events.",
    )


def refuse_not_cancelled() -> Refusal:
    """There is nothing to release."""
    return Refusal(
        code=RefusalCode.NOT_FROZEN,
        field="number",
        sentence="The number is not cancelled.",
        remedy="Report its cancellation first, if it is.",
    )


def _carrier(code: str) -> Actor:
    return Actor(kind=ActorKind.CARRIER, code=code)
