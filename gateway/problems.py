"""Every error as an RFC 9457 problem: a stable code, a sentence, what to do, and never what was sent."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from domain.refusal import Refusal, RefusalCode

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"

OURS = re.compile(r"(?!.*[0-9]{4})[A-Za-z][A-Za-z0-9_-]{0,39}|\[key\]")
"""How fields, headers and apps are named; a number or an ID tail is not."""

STATUS: Mapping[RefusalCode, int] = {
    RefusalCode.MALFORMED: 422,
    RefusalCode.UNKNOWN_APP: 422,
    RefusalCode.NO_APPS: 422,
    RefusalCode.TOO_MANY_APPS: 422,
    RefusalCode.ACTIVATION_IN_FUTURE: 422,
    RefusalCode.IDENTITY_NOT_PROVEN: 422,
    RefusalCode.CARRIER_TAKES_NO_PART: 409,
    RefusalCode.RENEWAL_RUNNING: 409,
    RefusalCode.KEY_REUSED: 409,
    RefusalCode.UNKNOWN_CASE: 404,
    RefusalCode.UNKNOWN_WORK_ITEM: 404,
    RefusalCode.CASE_CLOSED: 409,
    RefusalCode.WITHDRAWN: 409,
    RefusalCode.TOO_LATE_TO_WITHDRAW: 409,
    RefusalCode.REASON_REQUIRED: 422,
    RefusalCode.REASON_DOES_NOT_FIT: 422,
    RefusalCode.ALREADY_ANSWERED: 409,
    RefusalCode.WRONG_VERSION: 409,
    RefusalCode.OLDER_THAN_BOUNDARY: 422,
    RefusalCode.NEWER_THAN_BOUNDARY: 422,
    RefusalCode.EXTENSION_NOT_ALLOWED: 409,
    RefusalCode.UNKNOWN_QUESTION: 404,
    RefusalCode.ANSWER_DOES_NOT_FIT: 422,
    RefusalCode.WAIT_BEFORE_SENDING: 429,
    RefusalCode.TOO_MANY_CODES: 429,
    RefusalCode.WRONG_CODE: 422,
    RefusalCode.CODE_EXPIRED: 410,
    RefusalCode.CODE_USED: 409,
    RefusalCode.LOCKED: 409,
    RefusalCode.NOT_VERIFIED: 409,
    RefusalCode.PROOF_USED: 409,
    RefusalCode.PROOF_EXPIRED: 410,
    RefusalCode.WRONG_PURPOSE: 409,
    RefusalCode.COOLING_DOWN: 429,
    RefusalCode.CANCELLED_NUMBER: 409,
    RefusalCode.MISMATCH: 409,
    RefusalCode.UNCONFIRMED: 409,
    RefusalCode.QUERY_RUNNING: 409,
    RefusalCode.ONE_RESULT_A_DAY: 429,
    RefusalCode.NOTHING_TO_DISPUTE: 422,
    RefusalCode.DETAIL_MISSING: 409,
    RefusalCode.UNKNOWN_ACCOUNT: 422,
    RefusalCode.FORMER_HOLDERS: 409,
    RefusalCode.NOT_YOUR_TURN: 409,
    RefusalCode.NOT_ASKED_TO_CANCEL: 409,
    RefusalCode.NOT_ALLOWED: 403,
    RefusalCode.CLAIMED_BY_ANOTHER: 409,
    RefusalCode.NOT_CLAIMED: 409,
    RefusalCode.PAUSED: 409,
    RefusalCode.NOT_PAUSED: 409,
    RefusalCode.CLOCK_NOT_RUNNING: 409,
    RefusalCode.CANNOT_MERGE: 422,
    RefusalCode.NOT_CLOSED: 409,
    RefusalCode.TOO_LATE_TO_REOPEN: 409,
    RefusalCode.NOTHING_PROPOSED: 409,
    RefusalCode.DECISION_PENDING: 409,
    RefusalCode.SAME_PERSON: 409,
    RefusalCode.CHANGED_MEANWHILE: 412,
    RefusalCode.FREEZE_NOT_OVER: 409,
    RefusalCode.ITEMS_UNREPORTED: 409,
    RefusalCode.NOT_FROZEN: 409,
    RefusalCode.UNKNOWN_NUMBER: 404,
}


class Problem(BaseModel):
    """RFC 9457, with our `code`, the `field` it is about, and the `remedy`."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    remedy: str
    field: str = ""


class ProblemError(Exception):
    """Raised where a request ends in a problem; `retry_after` in seconds where another try may help, `etag` of the
    version there is where the caller looked at another."""

    def __init__(self, problem: Problem, retry_after: int | None = None, etag: str = "") -> None:
        super().__init__(problem.code)
        self.problem = problem
        self.retry_after = retry_after
        self.etag = etag


def problem(status: int, code: str, detail: str, remedy: str, field: str = "") -> Problem:
    """A problem with the plain title of its status."""
    return Problem(
        title=TITLES.get(status, "Error"), status=status, code=code, detail=detail, remedy=remedy, field=field
    )


def fail(
    status: int, code: str, detail: str, remedy: str, field: str = "", retry_after: int | None = None
) -> ProblemError:
    """The error to raise for a problem."""
    return ProblemError(problem(status, code, detail, remedy, field), retry_after)


TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "Too slow",
    409: "Conflict",
    410: "Gone",
    411: "Length required",
    412: "Changed meanwhile",
    413: "Too large",
    415: "Wrong media type",
    422: "Does not fit",
    431: "Too large",
    429: "Too many requests",
    500: "Our mistake",
    503: "Try again",
}


def of_refusal(refusal: Refusal) -> Problem:
    """A domain refusal as a problem."""
    return problem(STATUS[refusal.code], refusal.code.value, refusal.sentence, refusal.remedy, refusal.field)


def response(found: Problem, retry_after: int | None = None, etag: str = "") -> JSONResponse:
    """A problem as a response."""
    headers = {"retry-after": str(retry_after)} if retry_after else {}
    if etag:
        headers["etag"] = etag
    if found.status == 401:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse(found.model_dump(), found.status, headers=headers, media_type=MEDIA_TYPE)


def place(where: Iterable[str | int]) -> str:
    """Where in a request something is wrong. A name that is none of ours may be anything, and is not said back."""
    return ".".join(str(part) if isinstance(part, int) or OURS.fullmatch(part) else "*" for part in where)


def of_validation(error: RequestValidationError) -> Problem:
    """What is wrong with a request, by its first fault, without what was sent."""
    first = error.errors()[0]
    field = place([part for part in first["loc"] if part not in ("body", "query", "path", "header")])
    wrong = first["type"]
    remedy = "See /openapi.json for the fields and their form."
    if wrong == "extra_forbidden":
        return problem(422, "malformed", f"There is no field {field}.", f"Leave it out. {remedy}", field)
    if wrong == "json_invalid":
        return problem(400, "malformed", "The body is not valid JSON.", "Send one JSON object.", "")
    return problem(422, "malformed", f"{field or 'The body'}: {first['msg']}.", remedy, field)


Respond = Callable[[Request, Problem, int | None, str], Awaitable[Response]]
"""How a problem is answered: `retry_after` in seconds, `etag` of the version there is."""


async def _as_json(_request: Request, found: Problem, retry_after: int | None, etag: str) -> Response:
    return response(found, retry_after, etag)


def install(app: FastAPI, respond: Respond = _as_json) -> None:
    """Make every error of an application a problem."""

    @app.exception_handler(ProblemError)
    async def _problem(request: Request, error: ProblemError) -> Response:
        return await respond(request, error.problem, error.retry_after, error.etag)

    @app.exception_handler(RequestValidationError)
    async def _validation(request: Request, error: RequestValidationError) -> Response:
        return await respond(request, of_validation(error), None, "")

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        remedy = "See /openapi.json for what there is."
        found = problem(error.status_code, f"http_{error.status_code}", str(error.detail), remedy)
        return await respond(request, found, None, "")

    @app.exception_handler(Exception)
    async def _bug(request: Request, error: Exception) -> Response:
        log.error("unhandled", error=type(error).__name__, exc_info=error)
        found = problem(500, "internal", "Something went wrong on our side; it is logged.", "Try again in a minute.")
        return await respond(request, found, None, "")
