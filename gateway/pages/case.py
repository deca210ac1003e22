"""A case at the desk: its story, how long it has, what was asked of whom, and what can be done with it now.

Every form is taken by the same doors as the API's, and carries which version of the case it was filled in for: who acts
on what is not so any more is told, and nothing they typed is lost.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import ValidationError
from sqlalchemy import Connection
from starlette.datastructures import FormData

from domain import offers, unbind
from domain.access import STAFF, Scope
from domain.case import CaseKind, Linked, root
from domain.casework import Standing, Work
from domain.unbind import ItemState
from gateway import casework, investigations, record, versions
from gateway.auth import Using, may
from gateway.caller import Caller
from gateway.pages import acts, fresh, labels
from gateway.pages.clock import REMINDER, SOON, Clock, clock
from gateway.pages.page import Opened, Page, beside, explained
from gateway.pages.words import N_, translations
from gateway.problems import ProblemError, fail
from gateway.record import RequestedItem
from gateway.renewals import CaseInPath
from gateway.services import Services
from store import queues, requests, vault, views
from store.requests import Asked
from store.views import CaseView

router = APIRouter(prefix="/desk/case", include_in_schema=False)

AsReader = Annotated[Caller, may(Scope.DESK_READ)]
AsWorker = Annotated[Caller, may(Scope.DESK_ACT)]
AsAuditor = Annotated[Caller, may(Scope.LEDGER_READ)]

FEW = 12
"""So many work items stand on the page as they are; of more only those of one state, when it is chosen."""

ROWS, LINES, EVENTS = 60, 50, 20
MOST_BYTES = 50_000
"""Of events on one page: some name two hundred apps each."""

CASE_CLOCK, NEXT_ITEM = N_("This case"), N_("The next work item")

Before = Annotated[int, Query(ge=0, le=2**31 - 1)]


@dataclass(frozen=True)
class Seen:
    """What one look at a case finds."""

    view: CaseView
    notes: Mapping[str, str]
    version: str
    asked: Asked
    known: bool


def _see(connection: Connection, services: Services, case: str) -> Seen | None:
    found = casework.read(connection, services, case)
    if found is None:
        return None
    view, notes, version = found
    return Seen(view, notes, version, requests.asked(connection, case), vault.known(connection, case))


async def _seen(services: Services, case: str) -> Seen:
    if (seen := await services.database.read(lambda c: _see(c, services, case))) is None:
        raise casework.unknown(case)
    return seen


@router.get("/{case}")
async def show(
    case: CaseInPath,
    page: Opened,
    reader: AsReader,
    state: ItemState | None = None,
    at: Before = 0,
    before: Before = 0,
) -> HTMLResponse:
    """A case. `state`: which of many work items are listed, from the one at `at` on; `before`: older lines of the story."""
    return await _drawn(page, reader, await _seen(page.services, case), listed=(state, at), before=before)


@router.get("/{case}/changes")
async def changes(case: CaseInPath, request: Request, reader: AsReader, services: Using) -> Response:
    """Says when the case has changed, or one of its unbind requests."""
    return await fresh.stream(request, services, lambda c: views.version_with_parts(c, case))


@router.get("/{case}/events")
async def events(case: CaseInPath, page: Opened, reader: AsAuditor, after: Before = 0) -> HTMLResponse:
    """The events of a case as they stand in the ledger."""
    found = await record.list_events(case, reader, page.services, after, EVENTS)
    fitting: list[record.RawEvent] = []
    size = 0
    for event in found.events:
        size += len(str(event.data))
        if fitting and size > MOST_BYTES:
            break
        fitting.append(event)
    more = found.next is not None or len(fitting) < len(found.events)
    return page.draw(
        "desk_case_events.html", case=case, events=fitting, after=after, next=fitting[-1].seq if more else None
    )


@router.post("/{case}/act")
async def act(case: CaseInPath, page: Opened, staff: AsWorker) -> Response:
    """One action on the case, through the door of the API it has."""
    form, services = await page.form(), page.services
    name, tag = str(form.get("action", "")), str(form.get("version", ""))
    if name not in acts.FIELDS:
        raise fail(422, "malformed", "action: there is no such action.", "Choose one of the page.", "action")
    errors: dict[str, str] = {}
    try:
        await versions.expected(services, case, tag)
        then = await acts.DO[name](case, _of(form, name), staff, services, tag)
        return page.go(f"/desk/case/{then}?done={name}")
    except ValidationError as error:
        status, errors = 422, {_field(name, key): said for key, said in beside(page, error, acts.SENTENCES).items()}
    except ProblemError as error:
        if error.problem.status == 404:
            raise
        status, errors = error.problem.status, {_field(name, error.problem.field): explained(page, error.problem)}
    typed = {key: str(value) for key, value in form.items()}
    return await _drawn(page, staff, await _seen(services, case), status, errors, typed, tried=name)


def _of(form: FormData, name: str) -> acts.Typed:
    """The fields of one of the page's forms, by their own names."""
    typed = {
        field.name: str(form.get(f"{name}-{field.name}", "")).replace("\r\n", "\n") for field in acts.FIELDS[name]
    }
    return {**typed, "action": name, "key": str(form.get("key", ""))}


def _field(name: str, about: str) -> str:
    """The field of the page that something is wrong with; none if it is about the case as a whole."""
    about = "decision" if about == "about" else about
    return f"{name}-{about}" if about in {field.name for field in acts.FIELDS[name]} else ""


# ── what is shown ────────────────────────────────────────────────────────────────────────────────────


async def _drawn(
    page: Page,
    reader: Caller,
    seen: Seen,
    status: int = 200,
    errors: Mapping[str, str] | None = None,
    typed: Mapping[str, str] | None = None,
    tried: str = "",
    listed: tuple[ItemState | None, int] = (None, 0),
    before: int = 0,
) -> HTMLResponse:
    view, say = seen.view, translations(page.language).gettext
    told = casework.told(view, seen.notes, say)
    items = record.presented(view.case, seen.asked, page.services.registry)
    lines = told.lines[::-1][before:]
    done = page.request.query_params.get("done", "")
    return page.draw(
        "desk_case.html",
        status,
        errors,
        {"investigate-parties": _parties(view), "key": secrets.token_urlsafe(12)} | dict(typed or {}),
        labels=labels,
        app=lambda code: acts.app(page, code),
        told=told,
        version=versions.etag(seen.version),
        kind=view.kind,
        state=view.state,
        work=view.standing.work if view.standing else None,
        proposal=_proposal(page, seen),
        mine=bool(view.standing and view.standing.work.proposal and view.standing.work.proposal.by == reader.code),
        acts=(open_ := _acts(page, reader, seen, items.work_items)),
        tried=tried,
        lost=[] if tried in {one.name for one in open_} else _lost(tried, typed or {}),
        done=page._(acts.DONE[done]) if done in acts.DONE and not errors else "",
        clocks=_clocks(page, seen),
        counts=Counter(one.state for one in items.work_items),
        items=_listed(items.work_items, *listed),
        listed=listed[0],
        few=len(items.work_items) <= FEW,
        from_here=listed[1] + ROWS,
        questions=items.questions[:ROWS],
        more_questions=len(items.questions) - ROWS,
        parts=[part for part in seen.asked.requests if part != view.case],
        parent=root(view.case) if view.kind is CaseKind.UNBIND else "",
        links=_links(view),
        parties=await _record(page, reader, view),
        lines=lines[:LINES],
        older=before + LINES if len(lines) > LINES else 0,
        newer=max(before - LINES, 0) if before else None,
        engine=_engine(page.services, view.case),
        auditing=Scope.LEDGER_READ in reader.scopes,
        acting=Scope.DESK_ACT in reader.scopes,
    )


def _lost(tried: str, typed: Mapping[str, str]) -> list[tuple[str, str]]:
    """What somebody typed into a form that is not there any more, by the names of its fields."""
    fields = acts.FIELDS.get(tried, ())
    return [(one.label, text) for one in fields if (text := typed.get(f"{tried}-{one.name}", "").strip())]


def _acts(page: Page, reader: Caller, seen: Seen, items: list[RequestedItem]) -> list[acts.Act]:
    """What this person can do with the case now."""
    if reader.role not in STAFF or Scope.DESK_ACT not in reader.scopes:
        return []
    view, actor, now = seen.view, casework.actor_of(reader), page.now
    open_ = offers.open_to(view.kind, view.state, actor, now)
    clocks = [
        one for header, found in seen.asked.requests.values() for one in offers.open_items(header, found, actor, now)
    ]
    names = {one.work_item: f"{acts.app(page, one.app)} · {one.enterprise_name}" for one in items}
    return acts.shown(page, view, open_, clocks, names, view.kind in investigations.ORIGINS and seen.known)


def _proposal(page: Page, seen: Seen) -> dict[str, Any] | None:
    """The decision that waits for a second person."""
    standing = seen.view.standing
    if standing is None or (found := standing.work.proposal) is None:
        return None
    what = acts.decision(page, seen.view, found)
    return {"by": found.by, "at": found.at, "what": what, "why": seen.notes.get(found.reason, "")}


def _clocks(page: Page, seen: Seen) -> list[Clock]:
    """The case's own clock, and that of the work item which is due next."""
    view, standing = seen.view, seen.view.standing
    found = []
    if standing and (due := _due(view, standing)):
        early = (SOON, due - queues.SOON)
        found.append(clock(page, CASE_CLOCK, _since(view), due, early, standing.work.paused_at))
    running = [
        item
        for header, items in seen.asked.requests.values()
        for item in items
        if header.closed_at is None and item.state in unbind.OPEN
    ]
    if running:
        item = min(running, key=lambda one: (one.paused_at is not None, one.due_at))
        early = (REMINDER, item.remind_at)
        found.append(clock(page, NEXT_ITEM, item.opened_at, item.due_at, early, item.paused_at))
    return found


def _due(view: CaseView, standing: Standing) -> datetime | None:
    return standing.work.due_at if standing.open else None


def _since(view: CaseView) -> datetime:
    """When the case's clock began: when it was opened, or reopened."""
    reopened = [event.at for event in view.events if event.type == "reopened"]
    return reopened[-1] if reopened else view.events[0].at


def _listed(items: list[RequestedItem], state: ItemState | None, first: int) -> list[RequestedItem]:
    """The work items that stand on the page: all of few, of many those of one state."""
    if len(items) <= FEW:
        return items
    return [one for one in items if one.state is state][first : first + ROWS]


def _links(view: CaseView) -> list[tuple[str, str]]:
    """Cases that belong to this one, each with how; what says it best is what was said last."""
    found = {event.to: labels.LINKS[event.how] for event in view.events if isinstance(event, Linked)}
    work: Work | None = view.standing.work if view.standing else None
    return [(case, found.get(case, "")) for case in (work.links if work else ())]


def _parties(view: CaseView) -> str:
    """Whom an investigation of this case would ask first: the parties of its claims."""
    claims = getattr(view.state, "claims", ())
    claims = claims.values() if isinstance(claims, Mapping) else claims
    return ", ".join(f"{one.party}:{one.app}" for one in claims)


async def _record(page: Page, reader: Caller, view: CaseView) -> list[investigations.PartyView]:
    """What the parties of an investigation said, side by side."""
    if view.kind is not CaseKind.INVESTIGATION:
        return []
    found = await investigations.show(view.case, reader, page.services, Response())
    assert isinstance(found, investigations.InvestigationView)
    return found.parties


def _engine(services: Services, case: str) -> str:
    """Where the engine's own pages show the case's workflow; nowhere without them."""
    if not services.temporal_ui:
        return ""
    return f"{services.temporal_ui}/namespaces/{services.engine.namespace}/workflows/{case}"
