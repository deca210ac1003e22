"""Problems as people see them: a page in their language where a browser asked for one, JSON elsewhere."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import structlog
from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from gateway import problems
from gateway.pages import page as pages
from gateway.pages.words import N_
from gateway.problems import Problem
from gateway.services import Services

log = structlog.get_logger()

NOT_PAGES = ("/v1/", "/oauth/", "/healthz", "/readyz", "/openapi.json", "/assets/")

TITLES = {
    401: N_("Please sign in"),
    403: N_("That is not allowed"),
    404: N_("There is no such page"),
    429: N_("Too often"),
    503: N_("Please try again in a moment"),
}
"""A page's heading by status; of any other `OTHERWISE`."""

OTHERWISE = N_("That could not be done")


def is_for_people(request: Request) -> bool:
    """Whether a browser asked, and for a page."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith(NOT_PAGES)


async def respond(request: Request, problem: Problem, retry_after: int | None = None, etag: str = "") -> Response:
    """A problem as a response."""
    services: Services | None = getattr(request.app.state, "services", None)
    if services is None or not is_for_people(request):
        return problems.response(problem, retry_after, etag)
    if problem.status == 401 and problem.code in ("not_signed_in", "session_ended"):
        return _to_sign_in(request)
    try:
        page = await pages.opened(request, services)
    except Exception as error:  # noqa: BLE001 - an error page must not need what is broken
        log.error("error_page_failed", error=type(error).__name__)
        return problems.response(problem, retry_after, etag)
    said: dict[str, Any] = {"title": page._(TITLES.get(problem.status, OTHERWISE)), "code": problem.code}
    found = page.draw("problem.html", problem.status, sentence=pages.explained(page, problem), **said)
    if retry_after:
        found.headers["retry-after"] = str(retry_after)
    return found


def _to_sign_in(request: Request) -> Response:
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    back = f"?next={quote(path, safe='/')}" if request.method in ("GET", "HEAD") else ""
    return RedirectResponse(f"/sign-in{back}", 303)
