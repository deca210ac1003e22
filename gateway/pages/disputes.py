"""Pages on which a citizen disputes: which apps, why, confirm, then who they are.

What is chosen goes from page to page in the address, as app codes and reasons: nothing in it says whose it is. The
number and the ID tail come last, and only in the body of a form. What becomes of a dispute is in `claims.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import urlencode

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse
from starlette.datastructures import ImmutableMultiDict

from domain.dispute import ClaimReason
from domain.messages import Language
from domain.proof import Purpose
from domain.registry import App, Category, Enterprise, Registry
from gateway import disputes, queries
from gateway.pages import identity
from gateway.pages.page import WEBSITE, Opened, Page, explained
from gateway.pages.words import N_
from gateway.problems import ProblemError, fail
from gateway.queries import CountView
from gateway.renewals import CaseInPath

router = APIRouter(include_in_schema=False)

MOST_APPS = 30
"""In one dispute from these pages: so many are still one list to read, and fit beside a check in a visit's cookie."""

MOST_FOUND = 60

QUERY = re.compile(r"Q[0-9A-HJKMNP-TV-Z]{12}")
REASONS: Mapping[ClaimReason, tuple[str, str]] = {
    ClaimReason.NOT_MINE: (N_("It is not mine"), N_("I never opened it, or a former holder of my number did.")),
    ClaimReason.MINE_NOT_WANTED: (N_("It is mine, but I do not want it any more"), ""),
    ClaimReason.ASKED_BEFORE: (N_("I asked the enterprise before, and it was not done"), ""),
    ClaimReason.WRONG_DATA: (N_("The count is wrong"), N_("There are more, or fewer, than I was told.")),
    ClaimReason.OTHER: (N_("Another reason"), ""),
}
"""Why somebody disputes, and what more there is to say of it."""

BESIDE = {"unknown_case": "number", "nothing_to_dispute": ""}
"""Refusals after the check that its own form can be drawn again with, and the field each is about."""

Option = tuple[str, str]
"""An app's code, and what stands beside its box."""


@dataclass(frozen=True)
class Draft:
    """What somebody has chosen so far. `own` has the reasons of apps that do not share the one `reason`."""

    query: str
    apps: tuple[str, ...]
    reason: ClaimReason | None
    own: Mapping[str, ClaimReason]

    @classmethod
    def read(cls, fields: ImmutableMultiDict[str, Any], registry: Registry) -> Self:
        """From the fields of an address or a form; what is not ours is left out."""
        known = {*registry.app_codes, *registry.card_codes}
        apps = tuple(dict.fromkeys(str(app) for app in fields.getlist("app") if app in known))
        own = {app: reason for app in apps if (reason := _reason(fields.get(f"reason-{app}")))}
        query = str(fields.get("query", ""))
        return cls(query if QUERY.fullmatch(query) else "", apps, _reason(fields.get("reason")), own)

    @classmethod
    def of_word(cls, word: str) -> tuple[Language, Self]:
        """Back from `word`."""
        language, query, *groups = word.split(";")
        reasons = {ClaimReason(reason): apps.split(",") for reason, _, apps in (one.partition(":") for one in groups)}
        own = {app: reason for reason, apps in reasons.items() for app in apps}
        return Language(language), cls(query, tuple(own), None, own)

    def word(self, language: Language) -> str:
        """All of it as a short word, to be kept beside an identity check: `zh;Q…;not_mine:wechat,qq;other:jd`."""
        by_reason: dict[str, list[str]] = {}
        for app, reason in self.reasons.items():
            by_reason.setdefault(reason, []).append(app)
        return ";".join([language, self.query, *(f"{reason}:{','.join(apps)}" for reason, apps in by_reason.items())])

    @property
    def reasons(self) -> dict[str, ClaimReason]:
        """The reason of every app that has one."""
        return {app: reason for app in self.apps if (reason := self.own.get(app) or self.reason)}

    def fields(self, without: str = "") -> list[tuple[str, str]]:
        """Names and values, for an address or for hidden fields."""
        pairs = [("query", self.query), *(("app", app) for app in self.apps), ("reason", self.reason or "")]
        pairs += [(f"reason-{app}", reason) for app, reason in self.own.items()]
        return [(name, value) for name, value in pairs if value and not (without and name.startswith(without))]

    def to(self, step: str) -> str:
        """The address of a step, with all of it."""
        path = f"/case/{self.query}/dispute" if self.query and not step else f"/dispute{step}"
        return f"{path}?{urlencode(self.fields())}"


def _reason(word: object) -> ClaimReason | None:
    return next((reason for reason in ClaimReason if reason == word), None)


def name_of(page: Page, app: str) -> str:
    """How people call an app, in the page's language."""
    return named(page, page.services.registry.app(app))


def named(page: Page, one: App | Category | Enterprise) -> str:
    """A name in the page's language."""
    return one.name_en or one.name if page.language is Language.EN else one.name


# ── which ────────────────────────────────────────────────────────────────────────────────────────────


@router.get("/dispute")
async def which(page: Opened) -> Response:
    """Choose apps by search."""
    return await _which(page, _draft(page))


@router.get("/case/{case}/dispute")
async def which_of_query(case: CaseInPath, page: Opened) -> Response:
    """Choose apps from what a query counted."""
    if not QUERY.fullmatch(case):
        raise fail(404, "unknown_case", "There is no such query.", "Check the reference.", "case")
    if not page.visit.sees(case, datetime.now(UTC)):
        return page.go(f"/follow?reference={case}")
    return await _which(page, _draft(page, case))


async def _which(page: Page, draft: Draft, errors: Mapping[str, str] | None = None) -> HTMLResponse:
    counts = await _counts(page, draft)
    typed = {name: page.request.query_params.get(name, "").strip()[:40] for name in ("q", "category")}
    searched = any(typed.values())
    counted = _counted(page, counts)
    there = {app for _, options in counted for app, _ in options}
    found = [app for app in _found(page, **typed) if app not in there] if searched else []
    groups = [*counted, *_searched(page, found)] if searched or counts else _first(page)
    shown = {app for _, options in groups for app, _ in options}
    if others := [(app, name_of(page, app)) for app in draft.apps if app not in shown]:
        groups.insert(0, (page._("Chosen so far"), others))
    return page.draw(
        "dispute.html",
        422 if errors else 200,
        errors,
        typed,
        draft=draft,
        groups=groups,
        categories=[(one.code, named(page, one)) for one in page.services.registry.categories],
        none=[name_of(page, app) for app, one in counts.items() if one.count == 0],
        nothing_found=searched and not found,
        more=len(found) - MOST_FOUND,
        most=MOST_APPS,
    )


def _counted(page: Page, counts: Mapping[str, CountView]) -> list[tuple[str, list[Option]]]:
    """What a query counted; those that have not answered may have accounts too."""
    some = [
        (app, page._("%(name)s: %(count)s", name=name_of(page, app), count=one.count))
        for app, one in counts.items()
        if one.count
    ]
    silent = [(app, name_of(page, app)) for app, one in counts.items() if one.count is None]
    groups = [(page._("Counted in your query"), some), (page._("No reply yet, which is not zero"), silent)]
    return [group for group in groups if group[1]]


def _searched(page: Page, found: list[str]) -> list[tuple[str, list[Option]]]:
    options = [(app, name_of(page, app)) for app in found[:MOST_FOUND]]
    return [(page._("Found"), options)] if options else []


def _first(page: Page) -> list[tuple[str, list[Option]]]:
    """What somebody sees who has not searched: the apps of the account query, and phone cards."""
    registry = page.services.registry
    groups = [
        (page._("Apps of the account query"), registry.query_codes),
        (page._("Phone cards under my ID"), registry.card_codes),
    ]
    return [(legend, [(app, name_of(page, app)) for app in apps]) for legend, apps in groups if apps]


def _found(page: Page, q: str, category: str) -> list[str]:
    """Apps of a category and cards, whose name, code or enterprise has this in it."""
    registry = page.services.registry

    def fits(app: str) -> bool:
        known, owner = registry.app(app), registry.owner(app)
        names = (app, known.name, known.name_en, owner.name, owner.name_en)
        return category in ("", known.category) and any(q.casefold() in name.casefold() for name in names)

    return [app for app in (*registry.app_codes, *registry.card_codes) if fits(app)]


async def _counts(page: Page, draft: Draft) -> dict[str, CountView]:
    """What the query counted, by app; nothing once this browser may not look into it any more."""
    if not draft.query or not page.visit.sees(draft.query, datetime.now(UTC)):
        return {}
    view = await queries.show(draft.query, page.citizen(draft.query), page.services)
    return {one.app: one for one in view.counts}


def _draft(page: Page, query: str = "") -> Draft:
    fields = page.request.query_params
    given = ImmutableMultiDict([*fields.multi_items(), *([("query", query)] if query else [])])
    return Draft.read(given, page.services.registry)


# ── why ──────────────────────────────────────────────────────────────────────────────────────────────


@router.get("/dispute/why")
async def why(page: Opened) -> Response:
    """One reason for all, or one for each."""
    draft = _draft(page)
    return await _refused_apps(page, draft) or _why(page, draft)


async def _refused_apps(page: Page, draft: Draft) -> Response | None:
    if not draft.apps:
        return await _which(page, draft, {"app": page._("Choose at least one app")})
    if len(draft.apps) > MOST_APPS:
        said = page._(
            "You chose %(count)s; at most %(most)s go into one dispute", count=len(draft.apps), most=MOST_APPS
        )
        return await _which(page, draft, {"app": said})
    return None


def _why(page: Page, draft: Draft, errors: Mapping[str, str] | None = None) -> HTMLResponse:
    own = {f"reason-{app}": reason for app, reason in draft.own.items()}
    return page.draw(
        "dispute_why.html",
        422 if errors else 200,
        errors,
        {"reason": draft.reason or "", **own},
        draft=draft,
        reasons=[(reason, page._(words), more and page._(more)) for reason, (words, more) in REASONS.items()],
        options=[(reason, page._(words)) for reason, (words, _) in REASONS.items()],
        names={app: name_of(page, app) for app in draft.apps},
        each=bool(own) or "each" in page.request.query_params,
    )


# ── confirm ──────────────────────────────────────────────────────────────────────────────────────────


@router.get("/dispute/confirm")
async def confirm(page: Opened) -> Response:
    """All of it once more, with a way back to each."""
    draft = _draft(page)
    return await _refused(page, draft) or page.draw(
        "dispute_confirm.html", draft=draft, rows=_rows(page, draft, await _counts(page, draft))
    )


async def _refused(page: Page, draft: Draft) -> Response | None:
    if refused := await _refused_apps(page, draft):
        return refused
    if len(draft.reasons) < len(draft.apps):
        return _why(page, draft, {"reason": page._("Choose why you dispute")})
    return None


def _rows(page: Page, draft: Draft, counts: Mapping[str, CountView]) -> list[tuple[str, str, int | None, str]]:
    """App, name, count, and why."""
    return [
        (app, name_of(page, app), counts[app].count if app in counts else None, page._(REASONS[reason][0]))
        for app, reason in draft.reasons.items()
    ]


# ── who, and the dispute itself ──────────────────────────────────────────────────────────────────────


@router.get("/dispute/identity")
async def who(page: Opened) -> Response:
    """Number and ID tail; a code goes to the number."""
    draft = _draft(page)
    return await _refused(page, draft) or _who(page, draft)


@router.post("/dispute/identity")
async def start(page: Opened) -> Response:
    """Begin the identity check."""
    form = await page.form()
    draft = Draft.read(form, page.services.registry)
    if refused := await _refused(page, draft):
        return refused
    begun = await identity.begin(page, form, Purpose.DISPUTE, draft.word(page.language))
    if isinstance(begun, Response):
        return begun
    return _who(page, draft, begun, {name: str(form.get(name, "")) for name in ("number", "id_tail")})


def _who(
    page: Page, draft: Draft, errors: Mapping[str, str] | None = None, typed: Mapping[str, str] | None = None
) -> HTMLResponse:
    return page.draw("dispute_identity.html", 422 if errors else 200, errors, typed, draft=draft)


@identity.after(Purpose.DISPUTE)
async def submit(page: Page, check: str, what_for: str) -> Response:
    """The dispute, once it is proven whose it is; the same check always leads to the same one."""
    language, draft = Draft.of_word(what_for)
    counts = await _counts(page, draft)
    none = {app for app, one in counts.items() if one.count == 0}
    claims = [
        disputes.ClaimRequest(app=app, reason=reason, query=draft.query if draft.query and app not in none else None)
        for app, reason in draft.reasons.items()
    ]
    body = disputes.DisputeRequest(check=check, claims=claims, language=language)
    try:
        taken = await disputes.submit(body, Response(), WEBSITE, page.services, f"dispute-{check}")
    except ProblemError as error:
        if error.problem.code not in BESIDE:
            raise
        return _who(page, draft, {BESIDE[error.problem.code]: explained(page, error.problem)})
    return page.received(taken.case)
