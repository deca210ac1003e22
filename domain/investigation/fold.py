"""What is true afterwards: the fold of an investigation, and what the rest of the house asks of it."""

from __future__ import annotations

from functools import singledispatch

from domain import casework, question
from domain.case import Event, NotTold, Told, after
from domain.casework import Merged, Reopened, Standing, Waiting, Work
from domain.investigation.agenda import backoff
from domain.investigation.words import (
    RESULT_WORDS,
    TASK_TRANSITIONS,
    TRANSITIONS,
    UNDECIDED,
    Closed,
    Decided,
    EvidenceOverdue,
    News,
    Opened,
    State,
    Task,
    TaskState,
    WentOverdue,
)
from domain.messages import MessageKey
from domain.question import Question
from domain.sla import SHANGHAI


def evolve(state: State | None, event: Event) -> State:
    """The investigation after one event."""
    if isinstance(event, Opened):
        return _opened(event)
    if state is None:
        raise ValueError("an investigation begins with Opened")
    change = {"status": after(TRANSITIONS, state.status, event), **_change(event, state)}
    if isinstance(event, casework.EVENTS):
        change["work"] = casework.evolve(state.work, event)
    return state.model_copy(update=change)


def _opened(event: Opened) -> State:
    due = event.due_at.astimezone(SHANGHAI).date().isoformat()
    return State(
        case=event.case,
        opened_from=event.opened_from,
        masked_number=event.masked_number,
        language=event.language,
        text=event.text,
        text_for_parties=event.text_for_parties,
        policy=event.policy,
        opened_at=event.at,
        evidence_due_at=event.evidence_due_at,
        tasks={
            party.code: Task(
                party=party.code,
                apps=party.apps,
                retry_first=party.retry_first,
                retry_at_most=party.retry_at_most,
                ask_at=event.at,
            )
            for party in event.parties
        },
        news=(News(key=MessageKey.INVESTIGATION_OPENED, words={"due": due}),),
        work=Work(due_at=event.due_at, links=(event.opened_from,) if event.opened_from else ()),
    )


@singledispatch
def _change(event: Event, state: State) -> dict[str, object]:
    if isinstance(event, casework.EVENTS):
        return {}
    raise TypeError(f"no fold for {type(event).__name__}")


@_change.register
def _(event: question.QuestionsPut, state: State) -> dict[str, object]:
    return {"questions": question.evolve(state.questions, event)}


@_change.register
def _(event: question.Heard, state: State) -> dict[str, object]:
    questions = question.evolve(state.questions, event)
    tasks = {**state.tasks}
    for heard in event.questions:
        tasks[heard.party] = _heard(tasks[heard.party], questions[heard.id], event)
    return {"questions": questions, "tasks": tasks}


def _heard(task: Task, known: Question, event: question.Heard) -> Task:
    """Asked and reached, answered at once, or to be asked again because it could not be reached."""
    if not known.open:
        return _answered(task, known)
    if not known.failure:
        return task.model_copy(update={"question": known.id, "ask_at": None})
    again = {"failures": task.failures + 1, "ask_at": event.at + backoff(task)}
    return task.model_copy(update={"question": known.id, **again})


def _answered(task: Task, known: Question) -> Task:
    said = known.answer.type if known.answer else ""
    state = TASK_TRANSITIONS.get((task.state, said), task.state)
    return task.model_copy(update={"question": known.id, "state": state, "ask_at": None})


@_change.register
def _(event: question.Answered, state: State) -> dict[str, object]:
    questions = question.evolve(state.questions, event)
    known = questions[event.question]
    task = _answered(state.tasks[known.party], known)
    return {"questions": questions, "tasks": {**state.tasks, task.party: task}}


@_change.register
def _(event: EvidenceOverdue, state: State) -> dict[str, object]:
    overdue = {
        party: task.model_copy(update={"state": after(TASK_TRANSITIONS, task.state, event)})
        for party, task in state.tasks.items()
        if party in event.parties
    }
    return {"tasks": {**state.tasks, **overdue}}


@_change.register
def _(event: WentOverdue, state: State) -> dict[str, object]:
    """The citizen hears of the appeal once, however often the deadline is moved afterwards."""
    if state.overdue_at is not None:
        return {}
    return {"overdue_at": event.at, "news": (*state.news, News(key=MessageKey.INVESTIGATION_APPEAL))}


@_change.register
def _(event: Decided, state: State) -> dict[str, object]:
    said = News(key=MessageKey.INVESTIGATION_DECIDED, words={"result": RESULT_WORDS[event.result][state.language]})
    return {"result": event.result, "decided_at": event.at, "news": (*state.news, said)}


@_change.register(Closed)
@_change.register(Merged)
def _(event: Event, state: State) -> dict[str, object]:
    return {"ended_at": event.at}


@_change.register
def _(event: Reopened, state: State) -> dict[str, object]:
    return {"result": None, "decided_at": None, "overdue_at": None, "ended_at": None}


@_change.register(Told)
@_change.register(NotTold)
def _(event: Event, state: State) -> dict[str, object]:
    return {}


def standing(state: State) -> Standing:
    """Where an investigation stands in the case workers' queues: theirs when nobody's evidence is waited for."""
    undecided = state.status in UNDECIDED
    gathering = any(task.state is TaskState.ASKED for task in state.tasks.values())
    turn = Waiting.PARTY if gathering else Waiting.CASE_WORKER
    return Standing(
        status=state.status.value,
        open=state.ended_at is None,
        waiting=turn if undecided else Waiting.NOBODY,
        work=state.work,
    )
