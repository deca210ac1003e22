"""What every page is made with: its language, who looks at it, its forms, and how it is drawn.

A route takes `page: Opened` and answers `page.draw("template.html", …)`, or after a form was taken `page.go("/path")`.
A form that does not fit is drawn again with `errors` beside the fields and `typed` in them. A refusal that belongs to no
field may simply be raised as a ProblemError: `gateway/pages/errors.py` makes a page of it.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import ValidationError
from starlette.datastructures import FormData

from domain.access import SCOPES, Role, Scope
from domain.messages import Language
from gateway import sessions
from gateway.auth import Using
from gateway.caller import Caller
from gateway.pages import labels, words
from gateway.pages import visit as visits
from gateway.problems import Problem, fail, place
from gateway.services import Services
from gateway.sessions import FIELD, Live

router = APIRouter(include_in_schema=False)

Answer = TypeVar("Answer", bound=Response)

WEBSITE = Caller("website", Role.CHANNEL, SCOPES[Role.CHANNEL], "pages")
"""The channel that citizens come through who come to these pages; it has no client and needs none."""

FORM_COOKIE = "jiebang-form"
LANGUAGE_COOKIE = "jiebang-language"
YEAR = 365 * 24 * 3600

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
}
"""With `no-referrer`, browsers would hide from us that a form is our own (`Origin: null`)."""

MOST_FIELDS = 8000
TEMPLATES = Path(__file__).resolve().parent.parent / "templates"


@cache
def environment(language: Language) -> Environment:
    """The templates in a language."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
    )
    made.policies["ext.i18n.trimmed"] = True
    made.install_gettext_translations(words.translations(language), newstyle=True)  # type: ignore[attr-defined]
    for name, how in {"local": words.moment, "day": words.day, "words": words.words, "lasts": words.duration}.items():
        made.filters[name] = partial(_said, how, language)
    return made


def _said(how: Any, language: Language, value: Any) -> str:
    return str(how(value, language))


class _Filled(dict[str, Any]):
    """Fields by name; one that is not there is empty."""

    def __missing__(self, key: str) -> str:
        return ""


@dataclass
class Page:
    """One page for one person, in one language. `live`: the session of who signed in; `visit`: a citizen's."""

    request: Request
    services: Services
    language: Language
    live: Live | None
    visit: visits.Visit
    nonce: str
    _visited: bool = False

    def _(self, text: str, **values: object) -> str:
        """A sentence in the page's language; `%(name)s` stands for a value."""
        said = words.translations(self.language).gettext(text)
        return said % values if values else said

    @property
    def now(self) -> datetime:
        """The time, as sessions count it."""
        return self.services.people.now()

    @property
    def csrf(self) -> str:
        """What every form of this page carries, as the field `csrf`."""
        keys = self.services.keys
        return self.live.csrf(keys) if self.live else keys.token("csrf/form", self.nonce)

    def may(self, scope: str) -> bool:
        """Whether whoever is signed in may do this."""
        return self.live is not None and Scope(scope) in self.live.caller.scopes

    async def form(self) -> FormData:
        """What was sent, if it is from a page of ours. Raises ProblemError 403."""
        sessions.check_origin(self.request, self.services.people)
        sent = await self.request.form(max_fields=MOST_FIELDS)
        if not hmac.compare_digest(str(sent.get(FIELD, "")).encode(), self.csrf.encode()):
            raise fail(403, "form_is_stale", "The form is too old.", "Open the page again and fill it in once more.")
        return sent

    # ── answers ──────────────────────────────────────────────────────────────────────────────────────

    def draw(
        self,
        template: str,
        status: int = 200,
        errors: Mapping[str, str] | None = None,
        typed: Mapping[str, Any] | None = None,
        **values: object,
    ) -> HTMLResponse:
        """The page. `errors`: sentences by field, in the page's language; `typed`: what stands in the fields."""
        text = (
            environment(self.language)
            .get_template(template)
            .render(
                page=self,
                language=self.language,
                html_language=words.HTML[self.language],
                languages=words.NAMES,
                csrf=self.csrf,
                who=self.live.session if self.live else None,
                errors=_Filled(errors or {}),
                typed=_Filled(typed or {}),
                now=self.now,
                **values,
            )
        )
        response = HTMLResponse(text, status, headers=HEADERS)
        sessions.give(response, self.services, FORM_COOKIE, self.nonce)
        return self._with_cookies(response)

    def go(self, path: str) -> Response:
        """After a form was taken: on to the page that shows it, so that reloading sends nothing twice."""
        return self._with_cookies(RedirectResponse(path, 303, headers={"cache-control": "no-store"}))

    def _with_cookies(self, response: Answer) -> Answer:
        if self._visited:
            visits.give(response, self.services, self.visit)
        return response

    # ── a citizen's visit ────────────────────────────────────────────────────────────────────────────

    def began(self, check: str, what_for: str) -> None:
        """An identity check was begun in this browser."""
        self.visit.began(check, what_for)
        self._visited = True

    def may_see(self, case: str, until: datetime) -> None:
        """This browser may look into a case until then."""
        self.visit.may_see(case, until)
        self._visited = True

    def received(self, case: str) -> Response:
        """On to a case that was opened here just now, which this browser may look into for a while."""
        self.may_see(case, datetime.now(UTC) + timedelta(seconds=visits.SECONDS))
        return self.go(f"/case/{case}?new=1")

    def citizen(self, case: str) -> Caller:
        """The citizen of a case, if this browser has proven it is theirs. Raises ProblemError 401."""
        if not self.visit.sees(case, datetime.now(UTC)):
            raise fail(
                401,
                "follow_anew",
                "This browser has not proven whose case that is, or it was too long ago.",
                "Follow the case by its reference and a code.",
            )
        return Caller(WEBSITE.code, Role.CITIZEN, SCOPES[Role.CITIZEN], WEBSITE.client, case)


async def opened(request: Request, services: Using) -> Page:
    """The page of a request."""
    chosen = request.cookies.get(services.people.cookie(LANGUAGE_COOKIE), "")
    language = (
        Language(chosen) if chosen in tuple(Language) else words.preferred(request.headers.get("accept-language", ""))
    )
    nonce = sessions.read(request, services, FORM_COOKIE) or secrets.token_urlsafe(16)
    return Page(
        request=request,
        services=services,
        language=language,
        live=await sessions.of(request, services),
        visit=visits.read(request, services, nonce),
        nonce=nonce,
    )


Opened = Annotated[Page, Depends(opened)]


@router.get("/language/{language}")
async def choose_language(language: Language, request: Request, services: Using) -> Response:
    """Remember a language, and go back to where its reader was."""
    back = urlsplit(request.headers.get("referer", ""))
    here = f"{back.scheme}://{back.netloc}".lower() == services.people.origin
    path = quote(back.path, safe="/~%:@-._+") + (f"?{back.query}" if back.query else "") if here else "/"
    response = RedirectResponse(path if path.startswith("/") and not path.startswith("//") else "/", 303)
    response.set_cookie(
        services.people.cookie(LANGUAGE_COOKIE),
        language.value,
        YEAR,
        path="/",
        secure=services.people.secure,
        httponly=True,
        samesite="lax",
    )
    return response


# ── fields ───────────────────────────────────────────────────────────────────────────────────────────


def beside(page: Page, error: ValidationError, sentences: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with a form, by field: for each field the page's own sentence (of `N_`), what pydantic says else."""
    found: dict[str, str] = {}
    for one in error.errors(include_input=False, include_url=False):
        name = place(one["loc"][:1])
        found.setdefault(name, page._(sentences[name]) if name in sentences else one["msg"])
    return found


def explained(page: Page, problem: Problem) -> str:
    """A problem in the page's language: what is wrong, and what to do. The words are by its code."""
    key = f"problem:{problem.code}"
    said = words.translations(page.language).gettext(key)
    return said if said != key else labels.PROBLEMS.get(problem.code, f"{problem.detail} {problem.remedy}")


def ago(page: Page, at: datetime) -> str:
    """How long until, or since: `in 2 days`, `3小时前`."""
    span = at - page.now
    said = words.duration(span, page.language)
    if abs(span) < timedelta(seconds=1):
        return page._("now")
    return page._("in %(time)s", time=said) if span > timedelta(0) else page._("%(time)s ago", time=said)
