"""A case as its citizen follows it: what is next, where every app stands, what happened, and taking it back.

Who may look is who opened the case in this browser, or proved with a code that it is theirs. Each kind is drawn by its
own template, `case_<kind>.html`, or by `case_apps.html`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import StreamingResponse

from domain.case import CASE_ID, CaseKind, kind_of
from domain.citizen import FOLLOWED
from domain.messages import Language
from domain.query import AnswerState, QueryStatus
from gateway import my_case
from gateway.my_case import MyApp, MyCase
from gateway.pages import fresh, visit
from gateway.pages.page import Opened, Page, ago, explained
from gateway.pages.words import N_, words
from gateway.problems import ProblemError
from store.views import version_with_parts

router = APIRouter(include_in_schema=False)

Reference = Annotated[str, Path(pattern=CASE_ID, max_length=40)]

More = Callable[[Page, MyCase], Awaitable[dict[str, object]]]
MORE: dict[CaseKind, More] = {}

TITLES: Mapping[CaseKind, str] = {
    CaseKind.QUERY: N_("Your query"),
    CaseKind.DISPUTE: N_("Your dispute"),
    CaseKind.COMPLAINT: N_("Your complaint"),
    CaseKind.RENEWAL: N_("Your renewal"),
}
"""A case's heading."""

RECEIVED: Mapping[CaseKind, str] = {
    CaseKind.QUERY: N_("We have your query"),
    CaseKind.DISPUTE: N_("We have your dispute"),
    CaseKind.COMPLAINT: N_("We have your complaint"),
    CaseKind.RENEWAL: N_("We have your renewal"),
}
"""Its heading when it was just opened."""

TONES: Mapping[str, str] = {
    AnswerState.COUNTED: "good",
    AnswerState.UNREACHABLE: "warn",
    AnswerState.NO_REPLY: "warn",
    QueryStatus.UNDELIVERED: "bad",
}
"""Colours of states; the others have none."""

MOST_IN_ONE_TABLE = 20
"""More apps are grouped by their state."""


@dataclass(frozen=True)
class Group:
    """Apps that stand alike, and whether they are shown at once."""

    key: str
    title: str
    apps: list[MyApp]

    @property
    def shown(self) -> bool:
        """Those nothing was found at, and very many, are folded away."""
        return self.key != "none" and len(self.apps) <= MOST_IN_ONE_TABLE


def more(kind: CaseKind) -> Callable[[More], More]:
    """Says what else the template of a kind is given."""

    def taken(found: More) -> More:
        MORE[kind] = found
        return found

    return taken


@router.get("/case/{case}")
async def show(case: Reference, page: Opened) -> Response:
    """The case; who has not proven that it is theirs is asked to."""
    if not page.visit.sees(case, datetime.now(UTC)):
        return page.go(f"/follow?reference={case}")
    my = await my_case.show_case(page.citizen(case), page.services, Response())
    new = "new" in page.request.query_params
    besides: dict[str, Any] = await MORE[my.kind](page, my) if my.kind in MORE else {}
    return page.draw(
        "case.html",
        my=my,
        title=page._((RECEIVED if new else TITLES)[my.kind]),
        new=new,
        name=partial(name_of, page),
        ago=partial(ago, page),
        tones=TONES,
        groups=groups(page, my.apps),
        many=len(my.apps) > MOST_IN_ONE_TABLE,
        answered=[one.count for one in my.apps if one.count is not None],
        may_dispute=my.kind is CaseKind.QUERY
        and my.status != QueryStatus.ASKING
        and any(one.count for one in my.apps),
        followed=[link for link in my.links if kind_of(link) in FOLLOWED],
        **besides,
    )


def groups(page: Page, apps: list[MyApp]) -> list[Group]:
    """Apps by how they stand: those with something found first, then the largest group."""
    found: dict[str, Group] = {}
    for one in sorted(apps, key=lambda one: -(one.count or 0)):
        key, title = _stands(page, one)
        found.setdefault(key, Group(key, title, [])).apps.append(one)
    return sorted(found.values(), key=lambda group: (group.key != "found", -len(group.apps)))


def _stands(page: Page, one: MyApp) -> tuple[str, str]:
    if one.state != AnswerState.COUNTED:
        return one.state, words(one.what, page.language)
    return ("found", page._("Something found")) if one.count else ("none", page._("Nothing found"))


def name_of(page: Page, one: MyApp) -> str:
    """An app's name, or a carrier's for its cards, as readers of the page's language know it."""
    registry = page.services.registry
    try:
        known = registry.app(one.app)
    except KeyError:
        return one.name
    return known.name if page.language is Language.ZH else known.name_en or known.name


@router.get("/case/{case}/events")
async def events(case: Reference, page: Opened, request: Request) -> StreamingResponse:
    """Tells the case's page when it reads differently."""
    page.citizen(case)
    return await fresh.stream(request, page.services, lambda c: version_with_parts(c, case))


@router.get("/case/{case}/withdraw")
async def ask(case: Reference, page: Opened) -> Response:
    """Whether it is really meant."""
    my = await my_case.show_case(page.citizen(case), page.services, Response())
    return page.draw("confirm_withdraw.html", my=my)


@router.post("/case/{case}/withdraw")
async def withdraw(case: Reference, page: Opened) -> Response:
    """Take the case back."""
    await page.form()
    who = page.citizen(case)
    try:
        await my_case.withdraw(who, page.services, Response())
    except ProblemError as error:
        my = await my_case.show_case(who, page.services, Response())
        wrong = {"": explained(page, error.problem)}
        return page.draw("confirm_withdraw.html", error.problem.status, wrong, my=my)
    return page.go(f"/case/{case}")


@router.post("/forget")
async def forget(page: Opened) -> Response:
    """The visit is over: for telephones that several people use."""
    await page.form()
    response = page.go("/?forgotten=1")
    visit.end(response, page.services)
    return response
