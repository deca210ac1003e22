"""Who somebody is, on the site: number and ID tail, a code by short message, then what they came for.

A page that needs a proof calls `begin` with its form, and says with `@after(purpose)` what comes after the right code.
Until then the pages are the same whether or not the number, or the case, is known.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Response
from pydantic import ValidationError
from starlette.datastructures import FormData

from domain import identity
from domain.identity import IdentityStatus
from domain.proof import Purpose
from domain.refusal import Refusal, RefusalCode
from gateway import identity as checks
from gateway.pages.page import WEBSITE, Opened, Page, beside, explained
from gateway.pages.words import N_, duration
from gateway.problems import Problem, ProblemError, fail, of_refusal

router = APIRouter(include_in_schema=False)

Proven = Callable[[Page, str, str], Awaitable[Response]]
"""What comes after a proven check: the page, the check, and the word that `begin` was given. Who reloads comes by
again: key whatever is opened by the check."""

AFTER: dict[Purpose, Proven] = {}

AGAIN: Mapping[str, str] = {"query": "/", "follow": "/follow", "dispute": "/dispute", "renewal": "/renewal"}
"""Where somebody starts anew, by what the check was for."""

FIELDS: Mapping[str, str] = {
    "number": N_("Enter a mainland mobile number: 11 digits, beginning with 13 to 19"),
    "id_tail": N_("Enter the last six characters of your ID card number: five digits, then a digit or X"),
}
SIX_DIGITS = N_("Enter the six digits of the short message")

WAITS: Mapping[str, str] = {
    "wait_before_sending": N_("A code was sent a moment ago. Wait %(time)s before you ask for another one"),
    "too_many_requests": N_("That was asked for too often. Try again in %(time)s"),
}
"""Refusals that are told with how long they last, by their code."""

OVER: Mapping[RefusalCode, tuple[str, str]] = {
    RefusalCode.LOCKED: (
        N_("Too many wrong codes"),
        N_("For your safety this check is over. You can start anew and will get another code."),
    ),
    RefusalCode.CODE_EXPIRED: (
        N_("The code has expired"),
        N_("A code is good for five minutes. You can start anew and will get another one."),
    ),
    RefusalCode.MISMATCH: (
        N_("Number and ID do not belong together"),
        N_("Look at your ID card, and at whose name the number is in. You can check it again after 24 hours."),
    ),
    RefusalCode.COOLING_DOWN: (
        N_("This number cannot be checked yet"),
        N_("The last check of this number did not match. The next is possible 24 hours after it."),
    ),
    RefusalCode.CANCELLED_NUMBER: (
        N_("This number is cancelled"),
        N_("A cancelled number cannot be checked here. Your carrier helps you on its hotline."),
    ),
    RefusalCode.UNCONFIRMED: (
        N_("The carriers cannot be reached"),
        N_("Nobody could say whose number this is. That costs you nothing: start anew in some minutes."),
    ),
}
"""Why a check proves nothing: heading and what to do."""

CONFIRMING_SECONDS = 3
"""So often a browser looks by itself whether the carriers have answered."""


def after(purpose: Purpose) -> Callable[[Proven], Proven]:
    """Says what comes after a proven check of this purpose."""

    def taken(proven: Proven) -> Proven:
        AFTER[purpose] = proven
        return proven

    return taken


async def begin(page: Page, form: FormData, purpose: Purpose, what_for: str) -> Response | dict[str, str]:
    """Start a check with the fields `number` and `id_tail`: on to the code, or what is wrong, by field.

    `what_for` is what `after` is told, at most 1.5 kB; the browser keeps it, signed.
    """
    try:
        body = checks.CheckRequest(
            number=str(form.get("number", "")),
            id_tail=str(form.get("id_tail", "")),
            purpose=purpose,
            origin=page.visit.origin,
            language=page.language,
        )
    except ValidationError as error:
        return beside(page, error, FIELDS)
    try:
        begun = await checks.start(body, Response(), WEBSITE, page.services, once(page, body.model_dump_json()))
    except ProblemError as error:
        field = error.problem.field if error.problem.field in FIELDS else "number"
        return {field: refused(page, error)}
    return sent(page, begun.check, what_for)


def sent(page: Page, check: str, what_for: str) -> Response:
    """A check was begun here: on to its code."""
    page.began(check, what_for)
    return page.go(f"/check/{check}")


def once(page: Page, wording: str) -> str:
    """A key for a form: sent twice before it was answered (a double click), it does one thing."""
    said = "\0".join((wording, *page.visit.checks, str(int(page.now.timestamp()) // 60)))
    return page.services.keys.token("form", said)


def refused(page: Page, error: ProblemError) -> str:
    """A refusal beside a field, with how long it lasts where that is known."""
    words = WAITS.get(error.problem.code)
    if words is None or error.retry_after is None:
        return explained(page, error.problem)
    return page._(words, time=duration(timedelta(seconds=max(error.retry_after, 1)), page.language))


def ended(page: Page, problem: Problem, words: tuple[str, str], until: datetime | None, again: str) -> Response:
    """A page of its own for what cannot go on: heading and sentence, until when, and where to go."""
    title, sentence = (page._(one) for one in words)
    hotlines = problem.code == RefusalCode.CANCELLED_NUMBER
    carriers = [one for one in page.services.registry.carriers if one.hotline] if hotlines else []
    return page.draw(
        "check_over.html",
        problem.status,
        title=title,
        sentence=sentence,
        until=until,
        again=again,
        carriers=carriers,
    )


# ── the code ─────────────────────────────────────────────────────────────────────────────────────────


@router.get("/check/{check}")
async def show(check: str, page: Opened) -> Response:
    """Where a check stands: its code is wanted, the carriers are asked, it goes on, or why it does not."""
    return await _drawn(page, await _begun(page, check))


@router.post("/check/{check}")
async def enter(check: str, page: Opened) -> Response:
    """Take the code. Who sends a right one twice goes on as after the first."""
    form = await page.form()
    state = await _begun(page, check)
    if state.status in (IdentityStatus.CONFIRMING, IdentityStatus.VERIFIED):
        return await _drawn(page, state)
    typed = "".join(str(form.get("code", "")).split())
    try:
        code = checks.CodeBody(code=typed).code
    except ValidationError:
        return await _drawn(page, state, {"code": page._(SIX_DIGITS)}, 422, typed)
    try:
        state = await checks.judged(page.services, WEBSITE, state, code)
    except ProblemError as error:
        state = await _begun(page, check)
        return await _drawn(page, state, {"code": refused(page, error)}, error.problem.status, typed)
    return await _drawn(page, state)


@router.get("/check/{check}/resend")
async def back(check: str, page: Opened) -> Response:
    """Whoever changes the language after a refused wish is here."""
    return page.go(f"/check/{check}")


@router.post("/check/{check}/resend")
async def resend(check: str, page: Opened) -> Response:
    """Have another code sent."""
    await page.form()
    state = await _begun(page, check)
    try:
        await checks.resend(check, WEBSITE, page.services)
    except ProblemError as error:
        return await _drawn(page, state, {"resend": refused(page, error)}, error.problem.status)
    return page.go(f"/check/{check}?sent=1")


async def _begun(page: Page, check: str) -> identity.State:
    """A check that was begun in this browser. Raises ProblemError."""
    if check not in page.visit.checks:
        raise fail(
            404,
            "check_elsewhere",
            "This check was begun in another browser, or too long ago.",
            "Start anew from the start page.",
        )
    return await checks.own(page.services, WEBSITE, check)


async def _drawn(
    page: Page, state: identity.State, errors: Mapping[str, str] | None = None, status: int = 200, typed: str = ""
) -> Response:
    if state.status is IdentityStatus.VERIFIED:
        return await AFTER[state.purpose](page, state.case, page.visit.checks[state.case])
    again = AGAIN.get(state.purpose.value, "/")
    if state.status is IdentityStatus.CONFIRMING:
        waiting = page.draw("check_confirming.html", state=state)
        waiting.headers["refresh"] = f"{CONFIRMING_SECONDS}; url=/check/{state.case}"
        return waiting
    if why := _over(page, state):
        return ended(page, of_refusal(why), OVER[why.code], state.free_at, again)
    view = checks.presented(state, page.services.registry)
    fields = {"view": view, "again": again, "sent": "sent" in page.request.query_params}
    return page.draw("check.html", status, errors, {"code": typed}, follows=bool(state.follows), **fields)


def _over(page: Page, state: identity.State) -> Refusal | None:
    """Why a check takes no code any more."""
    if outcome := identity.outcome(state, page.services.registry):
        return outcome
    decided = identity.decide(state, identity.Resend(), datetime.now(UTC))
    return decided if isinstance(decided, Refusal) and decided.code in OVER else None
