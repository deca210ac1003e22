"""Questions to an enterprise before its clerk: how many accounts, what its books say, or why nothing is told.

Which accounts there are is told by the enterprise's system alone: handles and masked names are not for typing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Response
from pydantic import ValidationError

from domain import question
from domain.question import DeclineReason, QuestionKind
from gateway import questions
from gateway.pages import answering, labels
from gateway.pages.page import Opened, Page, explained
from gateway.pages.words import N_
from gateway.pages.work import AsClerk, Clerk
from gateway.problems import ProblemError, of_refusal
from gateway.questions import ANSWER, QuestionInPath, SharedQuestion
from store import trail, views
from store.answers import Said

router = APIRouter(prefix="/work", include_in_schema=False)

ROWS = 50
KINDS = {
    QuestionKind.COUNTS: N_("How many accounts are bound to the number?"),
    QuestionKind.DETAIL: N_("Which accounts are bound to the number?"),
    QuestionKind.EVIDENCE: N_("What do your books say?"),
}


@router.get("/questions")
async def show_open(page: Opened, clerk: AsClerk, after: int = 0, done: bool = False) -> Response:
    """The questions the enterprise has yet to answer, the oldest on top."""
    listed = await page.services.database.read(lambda c: views.open_questions(c, clerk.code, after, ROWS))
    shown = await questions.shared(page.services, clerk.code, listed) if listed else []
    return page.draw(
        "work_questions.html",
        questions=[(one, _apps(page, one)) for one in shown],
        kinds=KINDS,
        next=listed[-1].cursor if len(listed) == ROWS else None,
        done=done,
    )


@router.get("/question/{question_id}")
async def show_one(question_id: QuestionInPath, page: Opened, clerk: AsClerk) -> Response:
    """One question, with what can be said to it here."""
    return await _one(page, clerk, question_id, {}, {}, 200)


@router.post("/question/{question_id}")
async def answer(question_id: QuestionInPath, page: Opened, clerk: AsClerk) -> Response:
    """Answer it."""
    form = {key: str(value).strip() for key, value in (await page.form()).items()}
    asked = await _asked(page, clerk, question_id)
    errors: dict[str, str] = {}
    said = _said(page, asked, form, errors)
    if said is None:
        return await _one(page, clerk, question_id, errors, form, 422)
    try:
        changed = await questions.take(page.services, clerk.code, question_id, said)
    except ProblemError as error:
        wrong = {"": explained(page, error.problem)}
        return await _one(page, clerk, question_id, wrong, form, error.problem.status)
    if changed:
        entry = trail.Entry(datetime.now(UTC), clerk.account, trail.Did.WORK_ANSWERED, question_id, asked.kind.value)
        await page.services.database.write(lambda c: trail.note(c, entry))
    return page.go("/work/questions?done=true")


def _said(page: Page, asked: SharedQuestion, form: dict[str, str], errors: dict[str, str]) -> Said | None:
    """What the form says, or None, and what is wrong in `errors`."""
    answer: dict[str, Any]
    if asked.kind is QuestionKind.COUNTS:
        counts = {app: form.get(f"count-{app}", "") for app in asked.apps}
        for app, number in counts.items():
            if not (number.isascii() and number.isdigit() and int(number[:6]) <= 10_000 and len(number) <= 5):
                errors[f"count-{app}"] = page._("Enter a whole number; 0 where there is none.")
        answer = {"type": "counts", "counts": counts}
    elif form.get("declined"):
        answer = {"type": "declined", "reason": form["declined"]}
    else:
        answer = {"type": "evidence", "statement": form.get("statement", "")}
        if asked.kind is QuestionKind.DETAIL:
            errors["declined"] = page._("Choose a reason, or have your system tell the accounts.")
        elif not 1 <= len(answer["statement"]) <= 5000:
            errors["statement"] = page._("Enter what your books say, in at most 5000 characters; or choose a reason.")
    if errors:
        return None
    try:
        return ANSWER.validate_python(answer)
    except ValidationError:
        errors["declined"] = page._("Choose one of the list.")
        return None


async def _asked(page: Page, clerk: Clerk, question_id: str) -> SharedQuestion:
    """Raises ProblemError for a question that is not to this enterprise, or is forgotten."""
    listed = await page.services.database.read(lambda c: views.question_of(c, clerk.code, question_id))
    found = await questions.shared(page.services, clerk.code, [listed]) if listed else []
    if not found:
        raise ProblemError(of_refusal(question.refuse_unknown(question_id)))
    return found[0]


async def _one(
    page: Page, clerk: Clerk, question_id: str, errors: dict[str, str], typed: dict[str, str], status: int
) -> Response:
    asked = await _asked(page, clerk, question_id)
    return page.draw(
        "work_question.html",
        status,
        errors=errors,
        typed=typed,
        asked=asked,
        apps=_apps(page, asked),
        title=KINDS[asked.kind],
        counts=asked.kind is QuestionKind.COUNTS,
        evidence=asked.kind is QuestionKind.EVIDENCE,
        declines=[(reason.value, page._(labels.DECLINES[reason])) for reason in DeclineReason],
    )


def _apps(page: Page, asked: SharedQuestion) -> list[tuple[str, str]]:
    return [(code, answering.called(page, page.services.registry.app(code))) for code in asked.apps]
