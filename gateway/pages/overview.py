"""The overview as pages: four charts, each over its numbers; every table whole on a page of its own, and for a
spreadsheet. The numbers are those of `GET /v1/overview`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from babel.dates import format_date
from fastapi import APIRouter, Query, Response

from domain.access import Scope
from domain.messages import Language
from domain.sla import SHANGHAI
from gateway.auth import Using, may
from gateway.caller import Caller
from gateway.export import BOM, CSV, line
from gateway.overview import Attainment, Days, Overview, Wanted, days, overview
from gateway.pages import charts
from gateway.pages.page import HEADERS, Opened, Page
from gateway.pages.words import LOCALES, N_
from gateway.problems import ProblemError
from store import trail
from store.overview import Age
from store.trail import Did, Entry

router = APIRouter(prefix="/overview", include_in_schema=False)

AsReader = Annotated[Caller, may(Scope.DESK_READ)]

MOST_SHOWN = 12
"""Rows of a chart, and of the table under it."""


class Part(StrEnum):
    """What there is to see."""

    ENTERPRISES = "enterprises"
    ATTAINMENT = "attainment"
    ANSWERS = "answers"
    WORKERS = "workers"


@dataclass(frozen=True)
class Words:
    """How a part is told of. `all`: the way to the whole table, where it may be long."""

    title: str
    about: str
    image: str
    all: str = ""


WORDS: Mapping[Part, Words] = {
    Part.ENTERPRISES: Words(
        N_("Open, due soon and overdue by enterprise"),
        N_("Work items and questions that wait for an answer, of whatever age. Due soon: within two days."),
        N_(
            "Bars: what each enterprise has yet to answer, and for how long it is overdue. The table has the numbers."
        ),
        N_("All enterprises"),
    ),
    Part.ATTAINMENT: Words(
        N_("Answered in time by enterprise"),
        N_(
            "Of the work items opened in a period that are answered, overdue or were never answered: how many in time."
        ),
        N_("Lines: the share answered in time, for all and for the lowest. The table has the numbers."),
        N_("All enterprises"),
    ),
    Part.ANSWERS: Words(
        N_("Time to answer"),
        N_("Of the work items opened in these days. Amended answers are left out: their first time is not kept."),
        N_("Columns: how many answers took how long, in time and late. The table has the numbers."),
    ),
    Part.WORKERS: Words(
        N_("Open cases by worker"),
        N_("Every open case at the desk. Due soon: within two days."),
        N_("Bars: the open cases of each worker, due later, due soon and overdue. The table has the numbers."),
        N_("All workers"),
    ),
}

COLUMNS: Mapping[str, str] = {
    "enterprise": N_("Enterprise"),
    "open": N_("Open"),
    "due_soon": N_("Due soon"),
    "overdue": N_("Overdue"),
    Age.DAY: N_("up to 1 day"),
    Age.THREE_DAYS: N_("1–3 days"),
    Age.WEEK: N_("3–7 days"),
    Age.MONTH: N_("7–30 days"),
    Age.LONGER: N_("over 30 days"),
    "in_time": N_("In time"),
    "of": N_("Of"),
    "share": N_("Share"),
    "hours": N_("Took"),
    "late": N_("Late"),
    "assignee": N_("Worker"),
}

SHARES = frozenset({"share"})
"""Columns, besides those of periods, that are shares of 1."""


@dataclass(frozen=True)
class Cells:
    """A table in the API's words: a period stands as its first day, a first cell as a code."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


def _enterprises(told: Overview) -> Cells:
    rows = [
        (one.enterprise, one.open, one.due_soon, one.overdue, *one.overdue_for.values()) for one in told.enterprises
    ]
    return Cells(("enterprise", "open", "due_soon", "overdue", *Age), rows)


def _attainment(told: Overview) -> Cells:
    rows = [
        (one.enterprise, one.in_time, one.of, one.share, *(period.share for period in one.periods))
        for one in told.attainment
    ]
    return Cells(("enterprise", "in_time", "of", "share", *(day.isoformat() for day in told.periods)), rows)


def _answers(told: Overview) -> Cells:
    return Cells(("hours", "in_time", "late"), [(one.hours, one.in_time, one.late) for one in told.answers])


def _workers(told: Overview) -> Cells:
    rows = [(one.assignee, one.open, one.due_soon, one.overdue) for one in told.workers]
    return Cells(("assignee", "open", "due_soon", "overdue"), rows)


TABLES: Mapping[Part, Callable[[Overview], Cells]] = {
    Part.ENTERPRISES: _enterprises,
    Part.ATTAINMENT: _attainment,
    Part.ANSWERS: _answers,
    Part.WORKERS: _workers,
}


# ── pages ────────────────────────────────────────────────────────────────────────────────────────────


@router.get("")
async def show(
    staff: AsReader,
    page: Opened,
    since: Annotated[str, Query(alias="from", max_length=40)] = "",
    until: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """Everything at once."""
    typed, errors = {"from": since, "until": until}, {}
    given: dict[str, date | None] = {}
    for name, text in typed.items():
        try:
            given[name] = date.fromisoformat(text.strip()) if text.strip() else None
        except ValueError:
            errors[name] = page._("Give a day, such as %(day)s.", day=page.now.astimezone(SHANGHAI).date())
    asked = None
    if not errors:
        try:
            asked = days(given["from"], given["until"], datetime.now(SHANGHAI).date())
        except ProblemError:
            errors["until"] = page._("Give days of the last year; the second has to be after the first.")
    if asked is None:
        return page.draw("overview.html", 422, errors, typed, told=None)
    typed = {"from": str(asked.since), "until": str(asked.until)}
    told, found = _told(page, asked)
    if told is None:
        return found
    parts = [(part, WORDS[part], _table(page, part, told, MOST_SHOWN)) for part in Part]
    return page.draw("overview.html", typed=typed, told=told, parts=parts, query=_query(asked), totals=_totals(told))


def _totals(told: Overview) -> dict[str, int]:
    return {name: sum(getattr(one, name) for one in told.enterprises) for name in ("open", "due_soon", "overdue")}


def _told(page: Page, asked: Days) -> tuple[Overview | None, Response]:
    """The overview, or the page that says that it is being counted, and comes again by itself."""
    try:
        return overview(page.services, asked), Response()
    except ProblemError:
        waiting = page.draw("overview_counting.html", 503)
        waiting.headers.update({"refresh": "3", "retry-after": "3"})
        return None, waiting


def _query(asked: Days) -> str:
    return f"?from={asked.since}&until={asked.until}"


@router.get("/{part}.svg")
async def draw(part: Part, staff: AsReader, page: Opened, asked: Wanted) -> Response:
    """A chart, in the page's language. It can be opened by itself and does nothing."""
    told = overview(page.services, asked)
    drawn = page.services.overview.once(("chart", part, page.language, asked), lambda: _CHARTS[part](page, told))
    headers = {**HEADERS, "content-security-policy": charts.POLICY}
    return Response(drawn, media_type="image/svg+xml", headers=headers)


@router.get("/{part}.csv")
async def export(
    part: Part, staff: Annotated[Caller, may(Scope.DESK_EXPORT)], services: Using, asked: Wanted
) -> Response:
    """A whole table for a spreadsheet; the trail says who took it."""
    table = TABLES[part](overview(services, asked))
    now = datetime.now(SHANGHAI)
    detail = f"overview={part} from={asked.since} until={asked.until} rows={len(table.rows)}"
    entry = Entry(at=now, actor=f"{staff.role}:{staff.code}", action=Did.EXPORTED, detail=detail)
    await services.database.write(lambda c: trail.note(c, entry))
    rows = [table.columns, *(["" if cell is None else str(cell) for cell in row] for row in table.rows)]
    headers = {
        "content-disposition": f'attachment; filename="{part}-{asked.since}-{asked.until}.csv"',
        "cache-control": "no-store",
    }
    return Response(BOM + "".join(line(row) for row in rows), media_type=CSV, headers=headers)


@router.get("/{part}")
async def show_part(part: Part, staff: AsReader, page: Opened, asked: Wanted) -> Response:
    """One table, with every row."""
    told, found = _told(page, asked)
    if told is None:
        return found
    said = WORDS[part]
    table = _table(page, part, told, None)
    period = f"{_day(page, asked.since)} – {_day(page, asked.until - timedelta(days=1))}"
    values: dict[str, Any] = {"part": part, "said": said, "table": table, "period": period, "query": _query(asked)}
    return page.draw("overview_part.html", told=told, **values)


# ── in the page's words ──────────────────────────────────────────────────────────────────────────────


def _table(page: Page, part: Part, told: Overview, most: int | None) -> dict[str, Any]:
    """What a template shows: heads, rows of (where to, name, cells), and how many rows there are in all."""
    table = TABLES[part](told)
    shares = [name in SHARES or name not in COLUMNS for name in table.columns]
    rows = [
        (
            _where(part, row[0]),
            _name(page, part, row[0]),
            [_cell(cell, share) for cell, share in zip(row[1:], shares[1:], strict=True)],
        )
        for row in table.rows[:most]
    ]
    heads = [
        page._(COLUMNS[name]) if name in COLUMNS else _day(page, date.fromisoformat(name)) for name in table.columns
    ]
    return {"heads": heads, "rows": rows, "of": len(table.rows)}


def _cell(cell: float | None, share: bool) -> str:
    if cell is None:
        return "–"
    return f"{cell:.1%}" if share else f"{cell:,}"


def _where(part: Part, code: Any) -> str:
    """The cases a row is about, at the desk; empty where there is no such search."""
    if part is Part.WORKERS:
        return f"/desk?assignee={code}" if code else "/desk?queue=unassigned"
    return f"/desk?queue=open&enterprise={code}" if code and part is not Part.ANSWERS else ""


def _name(page: Page, part: Part, code: Any) -> str:
    """The first cell of a row."""
    if part is Part.ANSWERS:
        return _took(page, code)
    if part is Part.WORKERS:
        return code or page._("Nobody")
    if not code:
        return page._("All together")
    try:
        enterprise = page.services.registry.enterprise(code)
    except KeyError:
        return str(code)
    return (enterprise.name_en if page.language is Language.EN else "") or enterprise.name


def _took(page: Page, hours: int | None) -> str:
    if hours is None:
        return page._("longer")
    if hours < 24:
        return page._("up to %(hours)s h", hours=hours)
    return page._("up to %(days)s d", days=hours // 24)


def _day(page: Page, day: date) -> str:
    return format_date(day, "M月d日" if page.language is Language.ZH else "d MMM", locale=LOCALES[page.language])


# ── charts ───────────────────────────────────────────────────────────────────────────────────────────


def _chart_of_enterprises(page: Page, told: Overview) -> str:
    shown = told.enterprises[:MOST_SHOWN]
    series = [
        (page._("Due later"), [one.open - one.due_soon - one.overdue for one in shown]),
        (page._("Due soon"), [one.due_soon for one in shown]),
        *(
            (page._("Overdue: %(age)s", age=page._(COLUMNS[age])), [one.overdue_for[age] for one in shown])
            for age in Age
        ),
    ]
    names = [_name(page, Part.ENTERPRISES, one.enterprise) for one in shown]
    return charts.bars(names, series, page._("Nothing is open"))


def _chart_of_attainment(page: Page, told: Overview) -> str:
    def series(one: Attainment) -> tuple[str, list[float | None]]:
        return _name(page, Part.ATTAINMENT, one.enterprise), [period.share for period in one.periods]

    shown = [series(one) for one in told.attainment[: charts.SERIES] if one.of]
    return charts.lines([_day(page, day) for day in told.periods], shown, page._("Nothing was to be answered"))


def _chart_of_answers(page: Page, told: Overview) -> str:
    names = [_took(page, one.hours).removeprefix(page._("up to ")) for one in told.answers]
    late = [one.late for one in told.answers]
    series = [(page._("In time"), [one.in_time for one in told.answers]), (page._("Late"), late)]
    return charts.columns(names, series, page._("There are no answers"))


def _chart_of_workers(page: Page, told: Overview) -> str:
    shown = told.workers[:MOST_SHOWN]
    series = [
        (page._("Due later"), [one.open - one.due_soon - one.overdue for one in shown]),
        (page._("Due soon"), [one.due_soon for one in shown]),
        (page._("Overdue"), [one.overdue for one in shown]),
    ]
    names = [_name(page, Part.WORKERS, one.assignee) for one in shown]
    return charts.bars(names, series, page._("Nothing is open"))


_CHARTS: Mapping[Part, Callable[[Page, Overview], str]] = {
    Part.ENTERPRISES: _chart_of_enterprises,
    Part.ATTAINMENT: _chart_of_attainment,
    Part.ANSWERS: _chart_of_answers,
    Part.WORKERS: _chart_of_workers,
}
