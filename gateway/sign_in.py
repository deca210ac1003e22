"""Where people at the case desk sign in, see who they are, change their password and sign out.

Pages are plain forms; programs (and a page's own scripts) may send the same as JSON. Whoever fails is told the same
sentence whatever was wrong, and a locked account's right password is wrong too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Connection

from domain.access import Role, Scope
from domain.casework import WorkerCode
from gateway import sessions
from gateway.auth import Using, caller
from gateway.caller import Caller
from gateway.pages import labels
from gateway.pages import page as pages
from gateway.pages.page import FORM_COOKIE, Opened, Page
from gateway.pages.words import N_
from gateway.problems import ProblemError, fail
from gateway.services import Services
from gateway.sessions import COOKIE, FIELD, FORMS, Live
from store import accounts, trail
from store import sessions as kept
from store.accounts import LONGEST_PASSWORD, SHORTEST_PASSWORD, Account, Proof
from store.trail import Did, Entry

router = APIRouter(tags=["sign-in"])

HOME = "/sign-in"
HOMES: Mapping[Role, str] = {
    Role.CASE_WORKER: "/desk",
    Role.SUPERVISOR: "/desk",
    Role.AUDITOR: "/desk",
    Role.ENTERPRISE: "/work",
}
"""Where whoever has signed in begins; the others see who they are."""

LOCAL_PATH = re.compile(r"/(?:[\w.~%-][\w.~%/?&=+:,@-]{0,500})?", re.ASCII)
"""Where somebody may be sent after signing in; `//host` and `/\\host` are other sites to a browser."""

WRONG = N_(
    "Account, password or one-time code is wrong, or nobody can sign in with this account for now. "
    "After several failures wait 15 minutes, or ask an administrator for a reset."
)
STALE = N_("The page was too old. Please fill it in once more.")
PASSWORDS = {
    "current": N_("Enter your current password."),
    "new": N_("The new password is too short, or too long."),
}

Word = Annotated[str, Field(min_length=1, max_length=LONGEST_PASSWORD)]


class SignIn(BaseModel):
    """What somebody signs in with. `one_time_code`: the six digits of the authenticator application."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={
            "examples": [{"account": "worker-chen", "password": "correct horse battery", "one_time_code": "492039"}]
        },
    )

    account: WorkerCode
    password: Word
    one_time_code: Annotated[str, Field(pattern=r"^[0-9]{3} ?[0-9]{3}$")]


class NewPassword(BaseModel):
    """A new password instead of the current one."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={"examples": [{"current": "correct horse battery", "new": "staple of four words"}]},
    )

    current: Word
    new: Annotated[str, Field(min_length=SHORTEST_PASSWORD, max_length=LONGEST_PASSWORD)]


class Me(BaseModel):
    """Who is calling, and what they may do."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "code": "auditor-he",
                    "role": "auditor",
                    "scopes": ["audit:read", "certificates:verify", "desk:export", "desk:read", "numbers:read"],
                    "client": "session",
                    "session_ends_at": "2026-08-03T01:42:00Z",
                    "csrf": "MZXW6YTBOI",
                }
            ]
        }
    )

    code: str
    role: Role
    scopes: list[Scope]
    client: str = Field(description="The client whose token this is, or `session`")
    session_ends_at: AwareDatetime | None = Field(None, description="When the session is over if nothing is done")
    csrf: str = Field("", description="A session's unsafe requests carry it as X-CSRF-Token")


Given = TypeVar("Given", SignIn, NewPassword)


def _body(model: type[BaseModel]) -> dict[str, Any]:
    """A JSON body as the OpenAPI has it; that our own pages send forms is nobody else's business."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


# ── signing in ───────────────────────────────────────────────────────────────────────────────────────


@router.get("/sign-in", include_in_schema=False)
async def show_page(page: Opened, next: str = "", changed: bool = False) -> HTMLResponse:
    """The form; for somebody who is signed in, who they are and the way out."""
    if page.live:
        return await signed_in_page(page, page.live, changed=changed)
    return form_page(page, next)


@router.post("/sign-in", response_model=Me, openapi_extra=_body(SignIn))
async def sign_in(request: Request, services: Using, page: Opened) -> Response:
    """Sign in with an account of this system: JSON gets who you are, a form of /sign-in is sent on."""
    sessions.check_origin(request, services.people)
    if not services.people.local_accounts:
        raise fail(403, "no_local_accounts", "There are no passwords here.", "Sign in through /sign-in/oidc.")
    if not is_form(request):
        live = await _come_in(request, services, await _json(request, SignIn))
        if live is None:
            raise fail(
                401,
                "sign_in_failed",
                "Account, password or one-time code is wrong, or nobody can sign in with this account for now.",
                "Check all three. After several failures wait 15 minutes, or ask an administrator for a reset.",
            )
        response = Response(me_of(live.caller, services, live).model_dump_json(), media_type="application/json")
        return let_in(response, services, live)
    typed = {key: str(value) for key, value in (await request.form()).items() if key != FIELD}
    next_ = typed.pop("next", "")
    try:
        await page.form()
    except ProblemError as stale:
        return form_page(page, next_, stale.problem.status, STALE, typed)
    try:
        live = await _come_in(request, services, SignIn.model_validate(typed))
    except ValidationError:
        live = None
    if live is None:
        return form_page(page, next_, 401, WRONG, typed)
    return let_in(RedirectResponse(landing(live.session.role, next_), 303), services, live)


async def _come_in(request: Request, services: Services, given: SignIn) -> Live | None:
    """A fresh session if everything is right; None, and a line in the trail, otherwise."""
    now = services.people.now()
    account = await services.database.read(lambda c: accounts.find(c, given.account))
    password = account.password if account else ""
    verified = password if await services.people.passwords.fits(password, given.password) else ""
    one_time_code = given.one_time_code.replace(" ", "")

    def judged(connection: Connection) -> Live | None:
        proof = accounts.prove(connection, services.keys, given.account, verified, one_time_code, now)
        return begin(connection, request, services, account) if account and proof is Proof.RIGHT else None

    return await services.database.write(judged)


def begin(connection: Connection, request: Request, services: Services, account: Account, how: str = "") -> Live:
    """A session of its own for somebody who has proven who they are; the one they came with ends."""
    now = services.people.now()
    if before := sessions.read(request, services, COOKIE):
        kept.end(connection, before)
    trail.note(connection, Entry(now, account.code, Did.SIGNED_IN, account.code, how))
    return Live(*kept.begin(connection, account.code, account.role, now, account.tenant))


def let_in(response: Response, services: Services, live: Live) -> Response:
    """The response with the session's cookie."""
    sessions.give(response, services, COOKIE, live.session_id)
    sessions.take_away(response, services, FORM_COOKIE)
    response.headers["cache-control"] = "no-store"
    return response


def local(path: str) -> str:
    """A path of this site; nothing for anything else."""
    return path if LOCAL_PATH.fullmatch(path) else ""


def landing(role: Role, path: str) -> str:
    """Where somebody goes who has signed in: where they wanted to, else where their work is."""
    return local(path) or HOMES.get(role, HOME)


# ── being signed in ──────────────────────────────────────────────────────────────────────────────────


@router.get("/v1/me")
async def me(request: Request, response: Response, who: Annotated[Caller, Depends(caller)], services: Using) -> Me:
    """Who you are to this system, and what you may do."""
    response.headers["cache-control"] = "no-store"
    live = await sessions.of(request, services) if who.client == sessions.CLIENT else None
    return me_of(who, services, live)


def me_of(who: Caller, services: Services, live: Live | None) -> Me:
    """The same for a session that has only just begun."""
    found = Me(code=who.code, role=who.role, scopes=sorted(who.scopes), client=who.client)
    if live is None:
        return found
    return found.model_copy(
        update={"session_ends_at": live.session.over_at, "csrf": live.csrf(services.keys)},
    )


@router.post("/v1/me/password", status_code=204, openapi_extra=_body(NewPassword))
async def change_password(
    request: Request, who: Annotated[Caller, Depends(caller)], services: Using, page: Opened
) -> Response:
    """Change the password of the account you are signed in with; its other sessions end."""
    live = page.live if who.client == sessions.CLIENT else None
    if live is None:
        raise fail(409, "no_password", "Only people who signed in have a password.", "Sign in at /sign-in.")
    if not is_form(request):
        await _change(services, live, await _json(request, NewPassword))
        return Response(status_code=204)
    form = {key: str(value) for key, value in (await request.form()).items() if key != FIELD}
    try:
        await _change(services, live, NewPassword.model_validate(form))
    except ValidationError as error:
        return await signed_in_page(page, live, 422, pages.beside(page, error, PASSWORDS))
    except ProblemError as error:
        problem = error.problem
        return await signed_in_page(page, live, problem.status, {problem.field: pages.explained(page, problem)})
    return page.go(f"{HOME}?changed=true")


async def _change(services: Services, live: Live, given: NewPassword) -> None:
    code, now, passwords = live.session.account, services.people.now(), services.people.passwords
    account = await services.database.read(lambda c: accounts.find(c, code))
    if account is None or not account.password:
        raise fail(409, "no_password", "This account has no password.", "Change it where you sign in.")
    if given.new == given.current:
        raise fail(422, "same_password", "The new password is the current one.", "Choose another.", "new")
    verified = account.password if await passwords.fits(account.password, given.current) else ""
    fresh = await passwords.hashed(given.new)

    def judged(connection: Connection) -> Proof:
        proof = accounts.prove(connection, services.keys, code, verified, None, now)
        if proof is Proof.RIGHT:
            accounts.change_password(connection, code, fresh, live.session.digest, now)
        return proof

    if await services.database.write(judged) is not Proof.RIGHT:
        remedy = "Check it. After several failures wait 15 minutes, or ask an administrator for a reset."
        raise fail(422, "wrong_password", "The current password is wrong.", remedy, "current")


@router.post("/sign-out", status_code=303, response_class=RedirectResponse)
async def sign_out(request: Request, services: Using) -> Response:
    """End the session."""
    if live := await sessions.of(request, services):
        await sessions.check(request, services, live)
        now = services.people.now()

        def ended(connection: Connection) -> None:
            if account := kept.end(connection, live.session_id):
                trail.note(connection, Entry(now, account, Did.SIGNED_OUT, account))

        await services.database.write(ended)
    response = RedirectResponse(HOME, 303)
    sessions.take_away(response, services, COOKIE)
    return response


# ── pages ────────────────────────────────────────────────────────────────────────────────────────────


def form_page(
    page: Page, next_: str, status: int = 200, wrong: str = "", typed: Mapping[str, str] | None = None
) -> HTMLResponse:
    """The sign-in form. It says one sentence whatever was wrong, and never shows a password or a code again."""
    people = page.services.people
    return page.draw(
        "sign_in.html",
        status,
        errors={"account": page._(wrong)} if wrong else {},
        typed={"account": typed.get("account", "")} if typed else {},
        next=local(next_),
        local=people.local_accounts,
        provider=people.provider is not None,
    )


async def signed_in_page(
    page: Page, live: Live, status: int = 200, errors: Mapping[str, str] | None = None, changed: bool = False
) -> HTMLResponse:
    """Who is signed in, and what they can do about it."""
    account = await page.services.database.read(lambda c: accounts.find(c, live.session.account))
    return page.draw(
        "sign_in_done.html",
        status,
        errors=errors,
        role=page._(labels.ROLES[live.session.role]),
        home=HOMES.get(live.session.role, ""),
        shortest=SHORTEST_PASSWORD,
        longest=LONGEST_PASSWORD,
        has_password=bool(account and account.password),
        changed=changed,
    )


def is_form(request: Request) -> bool:
    """Whether a browser's form was sent."""
    return request.headers.get("content-type", "").startswith(FORMS)


async def _json(request: Request, model: type[Given]) -> Given:
    """A JSON body. Any other type is refused: a page of another site could send those without being asked first."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise fail(415, "wrong_media_type", "The body is neither JSON nor a form.", "Send application/json.")
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_input=False)) from None
