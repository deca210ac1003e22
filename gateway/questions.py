"""Doors for parties: the questions put to them, by whatever case, and their answers.

Enterprises and carriers that are not pushed to find their questions here; so does everybody who did not answer at
once. `docs/enterprise-protocol.md` is made from these routes.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from sqlalchemy import Connection

from domain import question
from domain.access import Scope
from domain.case import QuestionId, root
from domain.question import Answering, QuestionKind
from domain.refusal import Refusal, RefusalCode
from gateway.auth import SignedMessage, Using, may
from gateway.caller import Caller
from gateway.desk import CaseEnded, EngineBusy
from gateway.problems import ProblemError, fail, of_refusal
from gateway.renewals import busy
from gateway.services import Services
from gateway.work_items import LAST_CURSOR, PAGE, malformed, people
from store import answers, papers, vault, views
from store.answers import Said
from store.disclosure import Subject, subject
from store.keys import KeyRing
from store.vault import NotInVault
from store.views import ListedQuestion
from workflows.messages import Done

router = APIRouter(prefix="/v1", tags=["questions"])

ANSWER: TypeAdapter[Said] = TypeAdapter(Said)
EXAMPLES: list[dict[str, Any]] = [
    {"type": "counts", "counts": {"your-app": 2, "your-other-app": 0}},
    {
        "type": "detail",
        "accounts": {"your-app": [{"ref": "h7Kq", "label": "微**户", "bound_at": "2024-05-01T08:00:00+08:00"}]},
    },
    {"type": "own_check", "link": "https://your.example/check/h7Kq"},
    {"type": "evidence", "statement": "Bound 2021-03-02, unbound 2026-09-01.", "attachments": ["doc-17"]},
    {"type": "declined", "reason": "no_account"},
]
QuestionInPath = Annotated[QuestionId, Path(description="Question id")]


class SharedQuestion(BaseModel):
    """One question as its party sees it."""

    id: str
    kind: QuestionKind
    apps: list[str] = Field(description="The apps of yours it is about")
    subject: Subject
    asked_at: datetime
    due_at: datetime
    text: str | None = Field(description="What is asked in words; for evidence")
    identity_checked: bool = Field(
        description="true: the person's identity is checked and you accept our check, so answer with the detail; "
        "false: you may send the citizen through your own check first"
    )


class QuestionList(BaseModel):
    """A page of open questions."""

    questions: list[SharedQuestion]
    next: int | None = Field(
        description="Cursor of the following page. null: this is the last one; next time begin again without `after`,"
        " since only open questions are listed"
    )


class AnswerTaken(BaseModel):
    """A question after its answer; `changed` is false for a repetition."""

    question: str
    changed: bool


class _Undone(Exception):
    """Raised inside a transaction to leave nothing behind."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code.value)
        self.refusal = refusal


def _body() -> dict[str, Any]:
    """The body's schema for the OpenAPI: the signature covers the raw bytes, so the route reads them itself."""
    schema = ANSWER.json_schema()
    forms = {"oneOf": _written_out(schema["oneOf"], schema["$defs"]), "examples": EXAMPLES}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": forms}}}}


def _written_out(schema: Any, models: dict[str, Any]) -> Any:
    """A schema without references: the models it refers to stand nowhere else."""
    if isinstance(schema, list):
        return [_written_out(one, models) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if reference := schema.get("$ref"):
        return _written_out(models[reference.rpartition("/")[2]], models)
    return {name: _written_out(value, models) for name, value in schema.items()}


@router.get("/questions")
async def list_questions(
    party: Annotated[Caller, may(Scope.WORK_READ)],
    services: Using,
    after: Annotated[int, Query(ge=0, le=LAST_CURSOR, description="Cursor from the previous page")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = PAGE,
) -> QuestionList:
    """The questions you have yet to answer, oldest first. They stay listed until answered or no longer wanted."""
    listed = await services.database.read(lambda c: views.open_questions(c, party.code, after, limit))
    full = len(listed) == limit
    return QuestionList(
        questions=await shared(services, party.code, listed) if listed else [],
        next=listed[-1].cursor if full else None,
    )


@router.post("/questions/{question_id}/answer", openapi_extra=_body())
async def answer(question_id: QuestionInPath, message: SignedMessage, services: Using) -> AnswerTaken:
    """Answer a question. The same answer again changes nothing; another one is refused."""
    try:
        said = ANSWER.validate_json(message.body)
    except ValidationError as error:
        raise ProblemError(malformed(error)) from None
    changed = await take(services, message.partner.code, question_id, said)
    await message.taken()
    return AnswerTaken(question=question_id, changed=changed)


async def take(services: Services, party: str, question_id: str, said: Said) -> bool:
    """Take a party's answer, whatever door it came through; whether that changed anything. Raises ProblemError."""
    listed = await services.database.read(lambda c: views.question_of(c, party, question_id))
    if listed is None:
        raise ProblemError(of_refusal(question.refuse_unknown(question_id)))
    at, cards = datetime.now(UTC), services.registry.enterprise(party).has_cards
    try:
        command = await services.database.write(lambda c: _put_away(c, services.keys, listed, said, cards, at))
    except _Undone as undone:
        raise ProblemError(of_refusal(undone.refusal)) from None
    except NotInVault:
        raise fail(
            410,
            "forgotten",
            "The case of this question is closed and its personal data is deleted.",
            "Nothing needs to be done.",
        ) from None
    return command is not None and await _said(services, listed.case, command)


def _put_away(
    connection: Connection, keys: KeyRing, listed: ListedQuestion, said: Said, cards: bool, at: datetime
) -> Answering | None:
    """The answer with what is personal put away; None if it is known. What would be refused leaves nothing behind."""
    one = listed.question
    if not vault.known(connection, root(listed.case)):
        raise NotInVault
    taken = answers.take(connection, keys, listed.case, said, listed.activated_at, one.apps, cards)
    command = Answering(question=one.id, party=one.party, answer=taken)
    decision = question.decide({one.id: one}, command, at)
    if isinstance(decision, Refusal):
        raise _Undone(decision)
    if not decision:
        return None
    if not listed.wanted:
        raise _Undone(_closed())
    if _names_nothing(taken):
        raise _Undone(_nothing_named(one.apps))
    return command


async def _said(services: Services, case: str, command: Answering) -> bool:
    """Tell the case; whether that changed anything."""
    try:
        done = await services.desk.say(case, "answer", command, Done)
    except EngineBusy:
        raise busy() from None
    except CaseEnded:
        raise ProblemError(of_refusal(_closed())) from None
    if done.refusal is None:
        return done.changed
    if done.refusal.code is RefusalCode.UNKNOWN_QUESTION:
        raise busy()  # it is in the ledger and the case will know of it in a moment
    raise ProblemError(of_refusal(done.refusal))


def _names_nothing(taken: question.Answer) -> bool:
    """Counts or detail of other apps than those asked about: nothing would be left of it."""
    match taken:
        case question.Counts():
            return not taken.counts
        case question.Detail():
            return not taken.accounts
        case _:
            return False


def _nothing_named(apps: tuple[str, ...]) -> Refusal:
    return Refusal(
        code=RefusalCode.ANSWER_DOES_NOT_FIT,
        field="answer",
        sentence="The answer names none of the apps that are asked about.",
        remedy=f"Name {', '.join(apps)}; 0 or an empty list where there is nothing.",
    )


def _closed() -> Refusal:
    return Refusal(
        code=RefusalCode.CASE_CLOSED,
        field="question",
        sentence="The case of this question takes no more answers.",
        remedy="Nothing needs to be done.",
    )


async def shared(services: Services, party: str, listed: list[ListedQuestion]) -> list[SharedQuestion]:
    """What the party may see of these, without those whose person is forgotten."""
    profile = services.registry.enterprise(party)
    known = await services.database.read(lambda c: people(c, services.keys, {one.case for one in listed}))
    texts = await services.database.read(lambda c: _texts(c, services.keys, listed))
    return [
        SharedQuestion(
            id=one.question.id,
            kind=one.question.kind,
            apps=list(one.question.apps),
            subject=subject(services.keys, profile, known[one.case]),
            asked_at=one.question.asked_at,
            due_at=one.question.due_at,
            text=texts.get(one.question.id),
            identity_checked=one.activated_at is not None and profile.accepts_proof,
        )
        for one in listed
        if one.case in known
    ]


def _texts(connection: Connection, keys: KeyRing, listed: list[ListedQuestion]) -> dict[str, str]:
    """What is asked in words, where it is."""
    found = {}
    for one in listed:
        if one.question.text:
            with suppress(NotInVault, KeyError):
                found[one.question.id] = papers.get(connection, keys, one.case, one.question.text)
    return found
