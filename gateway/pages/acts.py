"""What can be done with a case by forms: their fields, and the doors of the API that take them.

Which of them stand on a page is asked of the domain (`domain/offers.py`); here is only how each is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast, get_args

from fastapi import Response
from pydantic import BaseModel

from domain import casework as work
from domain import complaint, dispute, investigation, number, unbind
from domain.case import CaseKind
from domain.offers import ItemOffer, Offer
from gateway import casework, clocks, complaints, disputes, investigations, numbers
from gateway.caller import Caller
from gateway.pages import labels
from gateway.pages.page import Page
from gateway.pages.words import N_
from gateway.services import Services
from store.views import CaseView

Typed = Mapping[str, str]
"""What stands in the fields of one form, by their names there."""

Doing = Callable[[str, Typed, Caller, Services, str], Awaitable[str]]
"""Takes a form to the door it is for: the case, the fields, who, the version they looked at. The case to show next."""


class Look(StrEnum):
    """How a field is drawn."""

    TEXT = "text"
    AREA = "area"
    CHOICE = "choice"
    RADIOS = "radios"


@dataclass(frozen=True)
class Field:
    """A field of a form. `name` is the one of the API's body."""

    name: str
    label: str
    look: Look
    hint: str = ""
    width: str = ""


@dataclass(frozen=True)
class Act:
    """Something that can be done now: its form, and what can be chosen in it, by field."""

    name: str
    label: str
    fields: Sequence[Field]
    options: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)


REASON = Field("reason", N_("Why"), Look.AREA, N_("It is kept with the case."))

FIELDS: Mapping[str, Sequence[Field]] = {
    "approve": (),
    "reject": (),
    "claim": (),
    "propose": (Field("decision", N_("Decision"), Look.CHOICE), REASON),
    "settle": (
        Field("app", N_("App"), Look.CHOICE),
        Field("settlement", N_("How was it settled?"), Look.RADIOS),
        REASON,
    ),
    "route": (Field("to", N_("Where to?"), Look.RADIOS), REASON),
    "override": (REASON,),
    "note": (
        Field("text", N_("Note"), Look.AREA),
        Field("attachments", N_("Attachments"), Look.AREA, N_("References in your document store, one a line.")),
    ),
    "resume": (),
    "pause": (REASON,),
    "extend": (
        Field("by", N_("By how many days?"), Look.TEXT, N_("At most 15."), "tiny"),
        REASON,
    ),
    "pause-item": (Field("item", N_("Work item"), Look.CHOICE), REASON),
    "resume-item": (Field("item", N_("Work item"), Look.CHOICE),),
    "escalate": (REASON,),
    "investigate": (
        Field(
            "parties",
            N_("Who is asked?"),
            Look.TEXT,
            N_("Codes of enterprises and carriers, with commas; behind a colon the one app that is meant."),
        ),
        Field("question", N_("What is to be found out?"), Look.AREA, N_("The parties read this.")),
    ),
    "assign": (Field("to", N_("To whom?"), Look.TEXT, N_("A case worker's code, such as worker-lin."), "short"),),
    "merge": (Field("into", N_("Into which case?"), Look.TEXT, N_("Its reference. This case is closed."), "short"),),
    "reopen": (REASON,),
    "release": (),
}
"""The forms, in the order they stand in on the page."""

SENTENCES: Mapping[str, str] = {
    "reason": N_("Say why, in at most 2,000 characters."),
    "text": N_("Write something, at most 2,000 characters."),
    "attachments": N_("At most 20 references of at most 200 characters, one a line."),
    "to": N_("Enter the code of a case worker, such as worker-lin."),
    "by": N_("Enter a whole number of days, 1 to 15."),
    "into": N_("A case's reference is a letter and 12 characters, such as Q0123456789AB."),
    "decision": N_("Choose one of the list."),
    "app": N_("Choose one of the list."),
    "settlement": N_("Choose one of these."),
    "item": N_("Choose one of the list."),
    "parties": N_("Name at least one enterprise or carrier by its code."),
    "question": N_("Write what is to be found out, in at most 2,000 characters."),
}
"""What is wrong with a field, by its name."""

DONE: Mapping[str, str] = {
    "approve": N_("You approved the decision: it stands."),
    "reject": N_("You rejected the decision: it is void."),
    "claim": N_("You have the case now."),
    "propose": N_("Your decision is proposed. Somebody else has to approve it."),
    "settle": N_("The claim is settled."),
    "route": N_("The complaint is sent another way."),
    "override": N_("The number may be released now."),
    "note": N_("Your note is written."),
    "resume": N_("The clock goes on."),
    "pause": N_("The clock is stopped."),
    "extend": N_("The deadline is moved."),
    "pause-item": N_("The clock of the work item is stopped."),
    "resume-item": N_("The clock of the work item goes on."),
    "escalate": N_("The case is escalated."),
    "investigate": N_("The investigation is opened. This is its case."),
    "assign": N_("The case is assigned."),
    "merge": N_("The case is merged."),
    "reopen": N_("The case is reopened."),
    "release": N_("You gave the case back."),
}
"""What is said when it is done."""

NAMES: Mapping[type[Any], str] = {
    work.HandUp: "escalate",
    dispute.Settle: "settle",
    complaint.Route: "route",
    number.Override: "override",
    unbind.Pause: "pause-item",
    unbind.Resume: "resume-item",
}
"""What the forms call commands whose own word is another."""

MODELS: Mapping[str, type[BaseModel]] = {
    word: model
    for model in get_args(get_args(casework.Action)[0])
    for word in get_args(model.model_fields["action"].annotation)
}
"""The body of `POST /v1/cases/{case}/act` by its action."""


# ── what stands on the page ──────────────────────────────────────────────────────────────────────────


def shown(
    page: Page,
    view: CaseView,
    offers: Iterable[Offer],
    item_offers: Iterable[ItemOffer],
    items: Mapping[str, str],
    investigates: bool,
) -> list[Act]:
    """The forms for what is offered. `items`: work items in words."""
    names: dict[str, list[Any]] = {"investigate": [None]} if investigates else {}
    for one in (*offers, *item_offers):
        names.setdefault(NAMES.get(type(one)) or str(one.type), []).append(one)  # type: ignore[union-attr]
    return [
        Act(name, page._(labels.ACTIONS[name]), fields, _options(page, view, name, names[name], items))
        for name, fields in FIELDS.items()
        if name in names
    ]


def _options(
    page: Page, view: CaseView, name: str, offered: Sequence[Any], items: Mapping[str, str]
) -> Mapping[str, Sequence[tuple[str, str]]]:
    match name:
        case "propose":
            return {"decision": [(f"{one.what}:{one.about}", decision(page, view, one)) for one in offered]}
        case "settle":
            ways = (dispute.Settlement.SOLVED, dispute.Settlement.EXPLAINED)
            return {
                "app": [(one.app, app(page, one.app)) for one in offered],
                "settlement": [(way.value, page._(labels.SETTLEMENTS[way])) for way in ways],
            }
        case "route":
            return {"to": [(one.way.value, page._(labels.WAYS[one.way])) for one in offered]}
        case "pause-item" | "resume-item":
            return {"item": [(one.item, items[one.item]) for one in offered]}
    return {}


def decision(page: Page, view: CaseView, proposed: work.Propose | work.Proposal) -> str:
    """What takes two people, in words."""
    if view.kind is CaseKind.INVESTIGATION and proposed.about in list(investigation.Result):
        return page._(labels.RESULTS[investigation.Result(proposed.about)])
    what = page._(labels.DECISIONS[proposed.what])
    return f"{app(page, proposed.about)}: {what}" if proposed.about else what


def app(page: Page, code: str) -> str:
    """How people call an app."""
    try:
        found = page.services.registry.app(code)
    except KeyError:
        return code
    return found.name_en or found.name if page.language == "en" else found.name


# ── what is done ─────────────────────────────────────────────────────────────────────────────────────


async def _work(case: str, typed: Typed, staff: Caller, services: Services, tag: str) -> str:
    body = BODIES[typed["action"]](typed) if typed["action"] in BODIES else {}
    action = MODELS[typed["action"]].model_validate({**body, "action": typed["action"]})
    await casework.act(case, cast("casework.Action", action), staff, services, tag)
    return case


async def _settle(case: str, typed: Typed, staff: Caller, services: Services, tag: str) -> str:
    body = disputes.SettleBody.model_validate(_named(typed, "app", "settlement", "reason"))
    await disputes.settle(case, body, staff, services)
    return case


async def _route(case: str, typed: Typed, staff: Caller, services: Services, tag: str) -> str:
    await complaints.route(
        case, complaints.RouteRequest.model_validate(_named(typed, "to", "reason")), staff, services
    )
    return case


async def _override(case: str, typed: Typed, staff: Caller, services: Services, tag: str) -> str:
    await numbers.override(case, numbers.OverrideBody.model_validate(_named(typed, "reason")), staff, services)
    return case


async def _pause_item(case: str, typed: Typed, staff: Caller, services: Services, tag: str) -> str:
    body = clocks.PauseBody.model_validate(_named(typed, "reason"))
    await clocks.pause(typed["item"], body, staff, services)
    return case


async def _resume_item(case: str, typed: Typed, staff: Caller, services: Services, tag: str) -> str:
    await clocks.resume(typed["item"], staff, services)
    return case


async def _investigate(case: str, typed: Typed, staff: Caller, services: Services, tag: str) -> str:
    parties: dict[str, list[str]] = {}
    for party, _, one in (word.partition(":") for word in re.split(r"[\s,，、]+", typed["parties"]) if word):
        parties.setdefault(party, []).extend([one] if one else [])
    request = {"from_case": case, "parties": parties, "question": typed["question"]}
    body = investigations.InvestigationRequest.model_validate(request)
    opened = await investigations.open_investigation(body, Response(), staff, services, typed["key"])
    return opened.case


def _named(typed: Typed, *names: str) -> dict[str, str]:
    return {name: typed[name].strip() for name in names}


def _propose(typed: Typed) -> dict[str, Any]:
    what, _, about = typed["decision"].partition(":")
    return {"decision": what, "about": about, "reason": typed["reason"].strip()}


def _note(typed: Typed) -> dict[str, Any]:
    references = [line.strip() for line in typed["attachments"].splitlines() if line.strip()]
    return {"text": typed["text"].strip(), "attachments": references}


def _extend(typed: Typed) -> dict[str, Any]:
    return {"by": f"P{typed['by'].strip()}D", "reason": typed["reason"].strip()}


BODIES: Mapping[str, Callable[[Typed], dict[str, Any]]] = {
    "propose": _propose,
    "note": _note,
    "extend": _extend,
    "pause": lambda typed: _named(typed, "reason"),
    "escalate": lambda typed: _named(typed, "reason"),
    "reopen": lambda typed: _named(typed, "reason"),
    "assign": lambda typed: _named(typed, "to"),
    "merge": lambda typed: {"into": typed["into"].strip().upper()},
}
"""A form as the body of `POST /v1/cases/{case}/act`."""

DO: Mapping[str, Doing] = {
    **dict.fromkeys(FIELDS, _work),
    "settle": _settle,
    "route": _route,
    "override": _override,
    "pause-item": _pause_item,
    "resume-item": _resume_item,
    "investigate": _investigate,
}
