"""The start page: check my number. What is asked for is taken at once after the right code."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Response

from domain.messages import Language
from domain.proof import Purpose
from domain.query import Target
from domain.refusal import RefusalCode
from gateway import queries
from gateway.pages import identity
from gateway.pages.identity import after
from gateway.pages.page import WEBSITE, Opened, Page
from gateway.pages.words import N_
from gateway.problems import ProblemError

router = APIRouter(include_in_schema=False)

WHAT_TO_ASK = N_("Choose what you want to know")

NOT_NOW: Mapping[str, tuple[str, str]] = {
    RefusalCode.ONE_RESULT_A_DAY: (
        N_("This was asked within the last 24 hours"),
        N_("There is one result a day for a number. Follow the case you have by its reference."),
    ),
    RefusalCode.QUERY_RUNNING: (
        N_("This is being asked already"),
        N_("A query of this number is under way. Follow it by its reference; the result comes by short message."),
    ),
    RefusalCode.CANCELLED_NUMBER: identity.OVER[RefusalCode.CANCELLED_NUMBER],
}
"""Refusals after the right code: heading and what to do."""


@router.get("/")
async def start(page: Opened) -> Response:
    """What this is, what happens with one's data, and the two fields."""
    return _drawn(page, {}, {"target": Target.ACCOUNTS.value})


@router.post("/")
async def begin(page: Opened) -> Response:
    """Take number, ID tail and what to ask: on to the code."""
    form = await page.form()
    try:
        target = Target(str(form.get("target", "")))
    except ValueError:
        return _drawn(page, {"target": page._(WHAT_TO_ASK)}, form)
    begun = await identity.begin(page, form, Purpose.QUERY, f"{target} {page.language}")
    return begun if isinstance(begun, Response) else _drawn(page, begun, form)


def _drawn(page: Page, errors: Mapping[str, str], typed: Mapping[str, Any]) -> Response:
    forgotten = "forgotten" in page.request.query_params
    return page.draw("start.html", 422 if errors else 200, errors, typed, forgotten=forgotten)


@after(Purpose.QUERY)
async def ask(page: Page, check: str, what_for: str) -> Response:
    """Take the query in. One check opens one query, however often its page is looked at."""
    target, language = what_for.split()
    body = queries.QueryRequest(check=check, target=Target(target), language=Language(language))
    try:
        taken = await queries.submit(body, Response(), WEBSITE, page.services, f"page-{check}")
    except ProblemError as error:
        if error.problem.code not in NOT_NOW:
            raise
        wait = timedelta(seconds=error.retry_after) if error.retry_after else None
        words = NOT_NOW[error.problem.code]
        return identity.ended(page, error.problem, words, page.now + wait if wait else None, "/follow")
    return page.received(taken.case)
