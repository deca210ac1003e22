"""The clerk's pages: an enterprise's own open work items, answered one or many at once, or by a file; its own figures.

Only a clerk who signed in comes here: programs answer through doors that ask for the enterprise's signature.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy import Connection
from starlette.datastructures import FormData, UploadFile

from domain import unbind
from domain.access import Role, Scope
from domain.registry import Enterprise
from domain.sla import SHANGHAI
from domain.unbind import REASONS, Item, Outcome
from gateway import figures, paging, sessions
from gateway.auth import Using, may
from gateway.caller import Caller
from gateway.pages import answering, fresh, labels
from gateway.pages.answering import Given
from gateway.pages.page import Opened, Page
from gateway.pages.words import N_
from gateway.problems import ProblemError, fail, of_refusal
from gateway.work_files import CannotRead, read
from gateway.work_items import ItemInPath, people, take_lines
from store import views
from store.disclosure import Subject, subject
from store.keyset import Place
from store.vault import NotInVault
from store.views import ListedItem

router = APIRouter(include_in_schema=False)

ROWS = 50
MOST_COUNTED = 1000
"""So many are counted; of more it is only said that there are more."""

MOST_BYTES = 2 * 1024 * 1024
MOST_SHOWN = 200
"""Lines of a file that the page tells of one by one: of more, those first that were not recorded."""

AT_ONCE = 1000
MONTH = timedelta(days=30)

RESULTS = {
    "recorded": N_("recorded"),
    "unchanged": N_("known already"),
    "refused": N_("not recorded"),
    "repeat": N_("send it again"),
}
UNREADABLE: Mapping[CannotRead, str] = {
    CannotRead.EMPTY: N_("The file says nothing: fill in at least one outcome."),
    CannotRead.HEADER: N_("The first line has to name the columns, work_item and outcome at least."),
    CannotRead.TOO_LONG: N_("The file has too many lines: send at most 10,000 at once."),
    CannotRead.NO_TEXT: N_("The file is no CSV. Save it as CSV (UTF-8), with commas."),
}


@dataclass(frozen=True)
class Clerk:
    """Who is signed in, and for whom they answer."""

    account: str
    enterprise: Enterprise

    @property
    def code(self) -> str:
        """What the ledger names the enterprise by."""
        return self.enterprise.code


async def clerk(page: Opened, who: Annotated[Caller, may(Scope.WORK_ANSWER)]) -> Clerk:
    """The clerk before the page. A program's token is not enough here: nothing it sent is signed."""
    if page.live is None or who.client != sessions.CLIENT or who.role is not Role.ENTERPRISE:
        raise fail(403, "clerks_only", "These pages are for people.", "Programs use /v1/work-items, and sign.")
    try:
        return Clerk(page.live.session.account, page.services.registry.enterprise(who.code))
    except KeyError:
        raise fail(
            403, "enterprise_gone", "Your enterprise takes no part any more.", "Ask an administrator."
        ) from None


AsClerk = Annotated[Clerk, Depends(clerk)]


@dataclass(frozen=True)
class Row:
    """A work item as its enterprise sees it."""

    item: Item
    app: str
    whose: Subject
    late: bool


# ── what is open ─────────────────────────────────────────────────────────────────────────────────────


@router.get("/work")
async def show_open(
    page: Opened,
    clerk: AsClerk,
    after: paging.After = "",
    done: Annotated[int, Query(ge=0, le=ROWS)] = 0,
) -> Response:
    """The enterprise's open work items, those due first on top."""
    return await _list(page, clerk, after, Given({}), done)


@router.get("/work/events")
async def watch(request: Request, services: Using, clerk: AsClerk) -> StreamingResponse:
    """Told when the counts or the first page read differently."""

    def version(connection: Connection) -> str:
        first = views.due_items(connection, clerk.code, None, ROWS)
        counts = views.owed(connection, clerk.code, services.people.now(), MOST_COUNTED)
        return f"{counts} {[(one.item.id, one.item.state.value) for one in first]}"

    return await fresh.stream(request, services, version)


@router.post("/work")
async def answer_many(page: Opened, clerk: AsClerk) -> Response:
    """One outcome for everything that is ticked; what is refused says so beside itself and stays ticked."""
    form = await page.form()
    ticked, chosen = _ticked(form), str(form.get("outcome", ""))
    after = str(form.get("after", ""))
    missing = {}
    if not ticked:
        missing["ticked"] = page._("Tick at least one work item.")
    if chosen not in {value for value, _ in _offered(page)}:
        missing["outcome"] = page._("Choose what you have to say.")
    if missing:
        typed = {"outcome": chosen, **dict.fromkeys(ticked, "on")}
        return await _list(page, clerk, after, Given(typed, missing), status=422)
    found = await page.services.database.read(lambda c: views.items_of(c, clerk.code, ticked))
    said = {f"outcome-{item}": chosen for item in ticked}
    given = await answering.take(page, clerk.code, [one.item for one in found], said, clerk.account)
    for item in ticked - {one.item.id for one in found}:
        given.errors[f"outcome-{item}"] = answering.why_not(page, unbind.refuse_unknown(item))
    if not given.errors:
        return page.go(f"/work?done={len(ticked)}" + (f"&after={after}" if after else ""))
    given.typed = {"outcome": chosen, **dict.fromkeys((name.rpartition("-")[2] for name in given.errors), "on")}
    given.of = len(ticked)
    return await _list(page, clerk, after, given, status=given.status)


ITEM = re.compile(r"W[0-9A-Z]{20}")


def _ticked(form: FormData) -> set[str]:
    """The work items that are ticked, as many as a page has."""
    return {str(one) for one in form.getlist("item")[:ROWS] if ITEM.fullmatch(str(one))}


def _offered(page: Page) -> list[tuple[str, str]]:
    """What may be said to many at once."""
    return [(answering.ACKNOWLEDGE, page._("Take it on, answer later")), *answering.choices(page)]


async def _list(page: Page, clerk: Clerk, after: str, given: Given, done: int = 0, status: int = 200) -> Response:
    services, of = page.services, f"work/{clerk.code}"
    place = paging.place(services.keys, of, after)
    now = page.now
    listed = await services.database.read(lambda c: views.due_items(c, clerk.code, place, ROWS + 1))
    owed, late = await services.database.read(lambda c: views.owed(c, clerk.code, now, MOST_COUNTED))
    questions = await services.database.read(lambda c: views.owed_answers(c, clerk.code, MOST_COUNTED))
    shown = listed[:ROWS]
    beyond = Place(shown[-1].item.due_at, shown[-1].item.id) if len(listed) > ROWS else None
    here = {one.item.id for one in shown}
    return page.draw(
        "work.html",
        status,
        errors=given.errors,
        typed=given.typed,
        given=given,
        done=done,
        enterprise=answering.called(page, clerk.enterprise),
        rows=await rows_of(page, clerk.enterprise, shown),
        missing=[(name.rpartition("-")[2], said) for name, said in given.errors.items() if "-" in name],
        here=here,
        offered=_offered(page),
        after=after,
        next=paging.cursor(services.keys, of, beyond) if beyond else "",
        owed=owed,
        late=late,
        most=MOST_COUNTED,
        questions=questions,
        states=answering.STATES,
        actions=answering.ACTIONS,
        overdue=unbind.ItemState.OVERDUE,
    )


async def rows_of(page: Page, enterprise: Enterprise, listed: Sequence[ListedItem]) -> list[Row]:
    """What the enterprise may see of these, without those whose person is forgotten."""
    services, now = page.services, page.now
    known = await services.database.read(lambda c: people(c, services.keys, {one.case for one in listed}))
    whose = {case: subject(services.keys, enterprise, person) for case, person in known.items()}
    return [
        Row(
            one.item,
            answering.called(page, services.registry.app(one.item.app)),
            whose[one.case],
            one.item.state in unbind.OPEN and one.item.paused_at is None and one.item.due_at <= now,
        )
        for one in listed
        if one.case in whose
    ]


# ── one of them ──────────────────────────────────────────────────────────────────────────────────────


@router.get("/work/item/{item}")
async def show_item(item: ItemInPath, page: Opened, clerk: AsClerk, done: bool = False) -> Response:
    """One work item, open or answered, with its form."""
    return await _item(page, clerk, item, Given({}), done)


@router.post("/work/item/{item}")
async def answer_one(item: ItemInPath, page: Opened, clerk: AsClerk) -> Response:
    """Answer it, amend the answer, take it on, or ask for more time."""
    form = {key: str(value) for key, value in (await page.form()).items()}
    found = await page.services.database.read(lambda c: views.items_of(c, clerk.code, [item]))
    try:
        given = await answering.take(page, clerk.code, [one.item for one in found], form, clerk.account)
    except NotInVault:
        raise _forgotten() from None
    if given.errors or not given.recorded:
        return await _item(page, clerk, item, given)
    return page.go(f"/work/item/{item}?done=true")


async def _item(page: Page, clerk: Clerk, item: str, given: Given, done: bool = False) -> Response:
    found = await page.services.database.read(lambda c: views.item_of(c, clerk.code, item))
    if found is None:
        raise ProblemError(of_refusal(unbind.refuse_unknown(item)))
    rows = await rows_of(page, clerk.enterprise, [found])
    if not rows:
        raise _forgotten()
    return page.draw(
        "work_item.html",
        given.status,
        errors=given.errors,
        typed=given.typed,
        given=given,
        row=rows[0],
        done=done,
        most=answering.days_offered(found.item),
        reasons=labels.REASONS,
        **answering.shared_words(page, clerk.enterprise),
    )


def _forgotten() -> ProblemError:
    return fail(
        410, "forgotten", "The case is closed and its personal data are deleted.", "Nothing needs to be done."
    )


# ── a file ───────────────────────────────────────────────────────────────────────────────────────────


@router.get("/work/items.csv")
async def template(page: Opened, clerk: AsClerk) -> StreamingResponse:
    """Every open work item as a line of CSV, its outcome to be filled in."""
    name = f"work-items-{page.now.astimezone(SHANGHAI):%Y%m%d}.csv"
    return StreamingResponse(
        _lines(page, clerk),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"},
    )


async def _lines(page: Page, clerk: Clerk) -> AsyncIterator[str]:
    yield "\ufeff" + _csv("work_item", "app", "subject", "due_at", "outcome", "reason")
    after: int | None = 0
    while after is not None:
        listed = await page.services.database.read(partial(_open, clerk.code, after))
        for row in await rows_of(page, clerk.enterprise, listed):
            due = f"{row.item.due_at.astimezone(SHANGHAI):%Y-%m-%d %H:%M}"
            yield _csv(row.item.id, row.app, row.whose.number or row.whose.token, due, "", "")
        after = listed[-1].cursor if len(listed) == AT_ONCE else None


def _open(enterprise: str, after: int, connection: Connection) -> list[ListedItem]:
    return views.open_items(connection, enterprise, after, AT_ONCE)


def _csv(*cells: str) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()


@router.get("/work/upload")
async def show_upload(page: Opened, clerk: AsClerk) -> Response:
    """How a file looks like, and where to choose it."""
    return _upload(page, {})


@router.post("/work/upload")
async def upload(page: Opened, clerk: AsClerk) -> Response:
    """Carry a file out: what became of each line. The same file again changes nothing."""
    sent = (await page.form()).get("file")
    if not isinstance(sent, UploadFile) or not sent.filename:
        return _upload(page, {"file": page._("Choose a file.")}, 422)
    data = await sent.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        return _upload(page, {"file": page._("The file is larger than 2 MB. Send it in parts.")}, 422)
    parsed = read(data, clerk.code)
    if isinstance(parsed, CannotRead):
        return _upload(page, {"file": page._(UNREADABLE[parsed])}, 422)
    results = await take_lines(page.services, parsed, clerk.account)
    counts = {status: sum(one.status == status for one in results) for status in RESULTS}
    wrong = [one for one in results if one.problem]
    told = results if len(results) <= MOST_SHOWN else wrong[:MOST_SHOWN]
    status = 503 if counts["repeat"] else 422 if wrong else 200
    lines = [(one, answering.why(page, one.problem) if one.problem else "") for one in told]
    return page.draw(
        "work_uploaded.html", status, lines=lines, counts=counts, results=RESULTS, all=len(results), wrong=len(wrong)
    )


def _upload(page: Page, errors: Mapping[str, str], status: int = 200) -> Response:
    return page.draw(
        "work_upload.html",
        status,
        errors=errors,
        outcomes=[(outcome, labels.OUTCOMES[outcome], sorted(REASONS[outcome])) for outcome in Outcome],
        reasons=labels.REASONS,
    )


# ── figures ──────────────────────────────────────────────────────────────────────────────────────────


@router.get("/work-figures")
async def show_figures(
    page: Opened,
    clerk: AsClerk,
    services: Using,
    who: Annotated[Caller, may(Scope.FIGURES_READ)],
    since: Annotated[str, Query(alias="from", max_length=20)] = "",
    until: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """How the enterprise kept its deadlines; without days asked for, in the last thirty. `until` is the last day."""
    today = page.now.astimezone(SHANGHAI).date()
    typed = {"from": since or str(today - MONTH), "until": until or str(today)}
    errors: dict[str, str] = {}
    found = None
    days = {name: _day(value) for name, value in typed.items()}
    for name, day in days.items():
        if day is None:
            errors[name] = page._("Enter a day such as 2026-08-03.")
    first, last = days["from"], days["until"]
    if first and last:
        try:
            found = await figures.own_figures(who, services, first, last + timedelta(days=1))
        except ProblemError:
            errors["until"] = page._("Choose a last day that is not before the first, within a year of it.")
    return page.draw(
        "work_figures.html",
        422 if errors else 200,
        errors=errors,
        typed=typed,
        found=found,
        enterprise=answering.called(page, clerk.enterprise),
        outcomes=labels.OUTCOMES,
    )


def _day(said: str) -> date | None:
    try:
        return date.fromisoformat(said)
    except ValueError:
        return None
