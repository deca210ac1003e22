"""The case desk: queues, a list of cases with filters, a number's cases, and one action on many cases.

What a list is asked by stands in its address, in the words of `GET /v1/cases`, so that it can be kept, sent and exported
as it is; a number never does, it is sent in a form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import partial
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Query, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData

from domain.access import Scope
from domain.case import CaseKind
from domain.casework import Waiting
from domain.sla import SHANGHAI
from gateway import casework, saved, search
from gateway.auth import may
from gateway.caller import Caller
from gateway.casework import Bulk
from gateway.pages import labels
from gateway.pages.page import Opened, Page, beside, explained
from gateway.pages.words import N_
from gateway.problems import ProblemError
from gateway.saved import Filters, SavedSearch, spelled
from gateway.search import AsReader, Listed, Listing, NumberSearch
from store.queues import MOST_COUNTED, SOON, Queue, Search, Sort

router = APIRouter(prefix="/desk", include_in_schema=False)

AsWorker = Annotated[Caller, may(Scope.DESK_ACT)]

ROWS = 50
KINDS = tuple(kind for kind in labels.KINDS if kind not in (CaseKind.UNBIND, CaseKind.IDENTITY))
"""The kinds there is case work on."""

DAYS = ("due_after", "due_before")
"""Filters that are times, and whole days of Shanghai in the form."""

SENTENCES = {
    "reference": N_("A case's reference is a letter and 12 characters, such as Q0123456789AB."),
    "enterprise": N_("Choose the code of an enterprise or a carrier."),
    "assignee": N_("Enter the code of a case worker, such as worker-lin."),
    "due_after": N_("Choose a day."),
    "due_before": N_("Choose a day."),
    "kind": N_("Choose one of the list."),
    "status": N_("Choose one of the list."),
    "waiting": N_("Choose one of the list."),
    "queue": N_("There is no such queue."),
    "sort": N_("Choose one of the list."),
    "name": N_("Give it a name of at most 40 characters, without a number in it."),
    "query": N_("That is too much to be kept."),
    "number": N_("Enter a mainland mobile number of 11 digits."),
    "cases": N_("Tick at least one case."),
    "to": N_("Enter the code of a case worker, such as worker-lin."),
    "text": N_("Write a reason or a note, at most 2,000 characters."),
    "action": N_("Choose what to do."),
}
"""What is wrong with a field."""

ACTIONS: Mapping[str, Mapping[str, str]] = {
    "claim": {},
    "release": {},
    "assign": {"to": "to"},
    "note": {"text": "text"},
    "escalate": {"reason": "text"},
    "pause": {"reason": "text"},
    "resume": {},
}
"""What can be done with many cases at once, and which field of the form each of its words is in."""


@dataclass(frozen=True)
class Asked:
    """What a list is asked by, as it was typed and as it is understood."""

    typed: Mapping[str, str]
    filters: BaseModel
    errors: Mapping[str, str]

    def address(self, **changed: Any) -> str:
        """The same list with something changed; without a place to go on from."""
        query = spelled(self.filters.model_copy(update=changed))
        return f"/desk?{query}" if query else "/desk"

    @property
    def sort(self) -> Sort:
        return Sort(self.filters.model_dump()["sort"])

    async def sought(self) -> Search:
        """What the database is asked."""
        return await search.wanted(**self.filters.model_dump(exclude={"sort"}))


def asked(page: Page, query: Mapping[str, str]) -> Asked:
    """What a query string asks for; of one that does not fit, nothing but what is wrong."""
    given = {name: value.strip() for name, value in query.items() if name in Filters.model_fields and value.strip()}
    try:
        filters, errors = Filters.model_validate({name: _moment(name, value) for name, value in given.items()}), {}
    except ValidationError as error:
        filters, errors = Filters(), beside(page, error, SENTENCES)
    return Asked({name: _day(name, value) for name, value in given.items()}, filters, errors)


def _moment(name: str, value: str) -> str:
    """The beginning of a day; anything else is left as it is."""
    try:
        day = date.fromisoformat(value) if name in DAYS else None
    except ValueError:
        return value
    return datetime.combine(day, time.min, SHANGHAI).isoformat() if day else value


def _day(name: str, value: str) -> str:
    """The day of a time, as the form has it."""
    try:
        return f"{datetime.fromisoformat(value).astimezone(SHANGHAI):%Y-%m-%d}" if name in DAYS else value
    except (ValueError, OverflowError):
        return value


# ── the list ─────────────────────────────────────────────────────────────────────────────────────────


@router.get("")
async def show_list(
    page: Opened,
    staff: AsReader,
    after: Annotated[str, Query(max_length=200)] = "",
    done: Annotated[int, Query(ge=0, le=casework.MOST_CASES)] = 0,
) -> Response:
    """A queue, or what is looked for."""
    wanted = asked(page, page.request.query_params)
    return await _list(page, staff, wanted, 422 if wanted.errors else 200, after=after, done=done)


async def _list(
    page: Page,
    staff: Caller,
    wanted: Asked,
    status: int = 200,
    errors: Mapping[str, str] | None = None,
    typed: Mapping[str, Any] | None = None,
    **more: Any,
) -> HTMLResponse:
    """The list, with what is wrong with one of its forms."""
    services, sought = page.services, await wanted.sought()
    after = str(more.pop("after", ""))
    listing = Listing(cases=[], next=None)
    if not wanted.errors:
        listing = await search.list_cases(staff, services, sought, wanted.sort, after, ROWS)
    return page.draw(
        "desk.html",
        status,
        errors={**wanted.errors, **(errors or {})},
        typed={**wanted.typed, **(typed or {})},
        wanted=wanted,
        query=spelled(wanted.filters),
        queue=sought.queue,
        counts=await search.count_queues(staff, services),
        most=MOST_COUNTED,
        listing=listing,
        further=bool(after),
        filtered=bool(set(wanted.typed) - {"queue", "sort"}),
        kept=(await saved.list_searches(staff, services)).searches,
        statuses=_statuses(page),
        parties=_parties(page),
        orders=_orders(wanted),
        **_table(page),
        **{"ticked": frozenset(), "done": 0, **more},
    )


def _table(page: Page) -> dict[str, Any]:
    """What every table of cases is drawn with."""
    return {
        "labels": labels,
        "kinds": [(kind, page._(labels.KINDS[kind])) for kind in KINDS],
        "waits": [(one, page._(labels.WAITING[one])) for one in Waiting],
        "queues": Queue,
        "actions": [word for word in ACTIONS if word != "assign" or page.may(Scope.DESK_SUPERVISE)],
        "mark": partial(_mark, page),
    }


def _mark(page: Page, case: Listed) -> str:
    """Whether a case is `overdue`, due `soon`, `paused`, or none of these."""
    if case.paused or case.closed_at or not case.due_at:
        return "paused" if case.paused else ""
    return "overdue" if case.due_at <= page.now else "soon" if case.due_at <= page.now + SOON else ""


def _statuses(page: Page) -> list[tuple[str, str]]:
    """Every status of every kind; one word may be that of several."""
    found: dict[str, list[str]] = {}
    for kind in KINDS:
        for status, label in labels.STATUS[kind].items():
            said, words = page._(label), found.setdefault(str(status), [])
            if said not in words:
                words.append(said)
    return [(status, " / ".join(words)) for status, words in found.items()]


def _parties(page: Page) -> list[tuple[str, str]]:
    """Whom a case may be about, by code."""
    registry = page.services.registry
    carriers = [(one.code, one.name) for one in registry.carriers]
    return carriers + [(one.code, one.name) for one in registry.enterprises]


def _orders(wanted: Asked) -> dict[str, tuple[str, str]]:
    """Of each column the list can stand by: how it does now, in the words of `aria-sort`, and the other way's address."""
    now = wanted.sort
    ways = {"due": (Sort.DUE, Sort.DUE_LAST), "opened": (Sort.OPENED, Sort.NEWEST)}
    return {
        name: (
            "ascending" if now is up else "descending" if now is down else "",
            wanted.address(sort=down if now is up else up),
        )
        for name, (up, down) in ways.items()
    }


# ── a number's cases ─────────────────────────────────────────────────────────────────────────────────


@router.post("/find")
async def find_number(page: Opened, staff: AsReader) -> Response:
    """The cases of a number."""
    form = _words(await page.form())
    typed = {"number": form.get("number", "")}
    try:
        body = NumberSearch(number=typed["number"], after=form.get("after", ""))
        listing = await search.find_cases(body, staff, page.services)
    except (ValidationError, ProblemError):
        return await _list(page, staff, asked(page, {}), 422, _wrong(page, "number"), typed)
    return page.draw("desk_found.html", typed=typed, listing=listing, further=bool(body.after), **_table(page))


# ── searches that are kept ───────────────────────────────────────────────────────────────────────────


@router.post("/searches")
async def save_search(page: Opened, staff: AsReader) -> Response:
    """Keep what the list is asked by."""
    form = _words(await page.form())
    wanted = asked(page, _query(form))
    try:
        search_ = SavedSearch(name=form.get("name", ""), query=spelled(wanted.filters))
        await saved.save_search(search_, staff, page.services)
    except ValidationError as error:
        return await _list(page, staff, wanted, 422, beside(page, error, SENTENCES), form)
    except ProblemError as error:
        return await _list(page, staff, wanted, 422, {"name": explained(page, error.problem)}, form)
    return page.go(wanted.address())


@router.post("/searches/delete")
async def forget_search(page: Opened, staff: AsReader) -> Response:
    """Forget a search."""
    form = _words(await page.form())
    await saved.forget_search(form.get("name", ""), staff, page.services)
    return page.go(asked(page, _query(form)).address())


# ── many cases at once ───────────────────────────────────────────────────────────────────────────────


@router.post("/bulk")
async def act_on_many(page: Opened, staff: AsWorker) -> Response:
    """One action on the ticked cases; those it was not done on stay ticked for another try."""
    sent = await page.form()
    form, ticked = _words(sent), [str(case) for case in sent.getlist("case")]
    wanted, fields = asked(page, _query(form)), ACTIONS.get(form.get("action", ""), {})
    action = {"action": form.get("action"), **{name: form.get(field, "") for name, field in fields.items()}}
    try:
        if action["action"] not in ACTIONS:
            raise ValueError
        body = Bulk.model_validate({"cases": ticked, "action": action})
    except ValidationError as error:
        places = [str(one["loc"][-1]) for one in error.errors(include_input=False)]
        errors = _wrong(page, *(fields.get(place, "cases") for place in places))
        return await _list(page, staff, wanted, 422, errors, form, ticked=frozenset(ticked))
    except ValueError:
        return await _list(page, staff, wanted, 422, _wrong(page, "action"), form, ticked=frozenset(ticked))
    done = await casework.act_on_many(body, staff, page.services)
    if not done.not_done:
        back = wanted.address()
        return page.go(f"{back}{'&' if '?' in back else '?'}done={done.done}")
    return page.draw(
        "desk_bulk.html",
        typed=form,
        result=done,
        not_done=[(one.case, explained(page, one.problem)) for one in done.not_done],
        query=spelled(wanted.filters),
        back=wanted.address(),
        **_table(page),
    )


def _wrong(page: Page, *fields: str) -> dict[str, str]:
    """What is wrong with these fields."""
    return {name: page._(SENTENCES[name]) for name in fields}


def _words(form: FormData) -> dict[str, str]:
    """What was typed into a form's fields."""
    return {name: value.strip() for name, value in form.items() if isinstance(value, str)}


def _query(form: Mapping[str, str]) -> Mapping[str, str]:
    """What the list was asked by that a form stood on."""
    return dict(parse_qsl(form.get("query", "")))
