"""Pages on which a holder has a second-hand number renewed: what it is, which apps, who they are; then its progress.

What is ticked goes from page to page in the address, and beside the identity check, as one short word.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from domain import citizen, dispute
from domain.case import CaseKind
from domain.citizen import Words
from domain.dispute import Explanation
from domain.messages import Language
from domain.proof import Purpose
from domain.registry import App, Category, Registry
from domain.unbind import OPEN, ItemState
from gateway import holder_renewals
from gateway.my_case import MyApp, MyCase
from gateway.pages import identity, own
from gateway.pages.page import WEBSITE, Opened, Page
from gateway.pages.words import N_

router = APIRouter(include_in_schema=False)

ALL = "all"
"""The word of whoever takes all, whatever the registry will have by then."""

NOTHING = N_("Tick at least one app")
CHANGED = N_("The list of apps has changed meanwhile. Tick yours again")

FIELDS = ("app", "category", ALL)
"""How boxes are named: of one app, of all in a category, of all there are."""


# ── which apps, as a word ────────────────────────────────────────────────────────────────────────────


def word_of(codes: Sequence[str], apps: Iterable[str]) -> str:
    """The ticked apps as a word: a mark of the registry's apps and their order, and a bit for each."""
    ticked = set(apps)
    if ticked >= set(codes):
        return ALL
    bits = "".join("1" if code in ticked else "0" for code in codes)
    octets = int(bits, 2).to_bytes(-(-len(codes) // 8))
    return f"{_mark(codes)}.{urlsafe_b64encode(octets).decode().rstrip('=')}"


def apps_of(codes: Sequence[str], word: str) -> tuple[str, ...] | None:
    """Back from `word_of`; None if the registry is another one by now, or the word is none of ours."""
    if word == ALL:
        return tuple(codes)
    _, _, rest = word.partition(".")
    try:
        bits = int.from_bytes(urlsafe_b64decode(rest + "=" * (-len(rest) % 4)))
    except ValueError:
        return None
    apps = tuple(code for place, code in enumerate(reversed(codes)) if bits >> place & 1)[::-1]
    return apps if word_of(codes, apps) == word else None


def _mark(codes: Sequence[str]) -> str:
    return hashlib.sha256(" ".join(codes).encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Ticked:
    """What is ticked so far; `stale` if that was in another list of apps than there is now."""

    apps: frozenset[str]
    stale: bool = False

    @classmethod
    def read(cls, page: Page) -> Ticked:
        """From the address."""
        fields, registry = page.request.query_params, page.services.registry
        before = apps_of(registry.app_codes, fields["picked"]) if "picked" in fields else ()
        named, categories = set(fields.getlist("app")), set(fields.getlist("category"))
        apps = {
            code
            for code in registry.app_codes
            if ALL in fields or code in named or (registry.app(code).category or OTHERS.code) in categories
        }
        return cls(frozenset({*apps, *(before or ())}), before is None)


# ── what it is, and which apps ───────────────────────────────────────────────────────────────────────

OTHERS = Category(code="others", name="其他", name_en="Others")


@dataclass(frozen=True)
class Box:
    """One app to tick: its name, and what it is found by."""

    app: str
    name: str
    found_by: str
    ticked: bool
    shown: bool


@dataclass(frozen=True)
class Shelf:
    """The apps of one category."""

    code: str
    name: str
    boxes: list[Box]

    @property
    def ticked(self) -> int:
        """How many of them are."""
        return sum(one.ticked for one in self.boxes)

    @property
    def shown(self) -> bool:
        """Whether a search found any of them."""
        return any(one.shown for one in self.boxes)


@router.get("/renewal")
async def start(page: Opened) -> Response:
    """What it is and who can use it."""
    return page.draw("renewal.html", total=len(page.services.registry.app_codes))


@router.get("/renewal/apps")
async def apps(page: Opened) -> Response:
    """Tick apps."""
    return _apps(page, Ticked.read(page))


def _apps(page: Page, ticked: Ticked, said: str = "") -> HTMLResponse:
    """The boxes, those that a search does not find hidden: they are sent along all the same."""
    looked_for = page.request.query_params.get("q", "").strip()[:40]
    shelves = _shelves(page, ticked.apps, looked_for.casefold().split())
    said = said or (CHANGED if ticked.stale else "")
    return page.draw(
        "renewal_apps.html",
        422 if said else 200,
        {"apps": page._(said)} if said else None,
        {"q": looked_for},
        shelves=shelves,
        total=len(page.services.registry.app_codes),
        ticked=len(ticked.apps),
        found=sum(box.shown for shelf in shelves for box in shelf.boxes),
    )


def _shelves(page: Page, ticked: frozenset[str], words: list[str]) -> list[Shelf]:
    registry = page.services.registry
    found: dict[str, list[Box]] = {one.code: [] for one in (*registry.categories, OTHERS)}
    for code in registry.app_codes:
        app = registry.app(code)
        found_by = _found_by(registry, app)
        shown = all(word in found_by for word in words)
        box = Box(code, _named(page, app), found_by, code in ticked, shown)
        found[app.category or OTHERS.code].append(box)
    names = {one.code: _named(page, one) for one in (*registry.categories, OTHERS)}
    return [Shelf(code, names[code], boxes) for code, boxes in found.items() if boxes]


def _found_by(registry: Registry, app: App) -> str:
    """An app is found by its names, its code, and its enterprise; what another of them contains is left out."""
    owner = registry.owner(app.code)
    words = [one.casefold() for one in (owner.name, owner.name_en, app.name, app.name_en, app.code)]
    kept: list[str] = []
    for word in words:
        if not any(word in other for other in kept):
            kept.append(word)
    return " ".join(kept)


def _named(page: Page, one: App | Category) -> str:
    return one.name_en or one.name if page.language is Language.EN else one.name


# ── who they are ─────────────────────────────────────────────────────────────────────────────────────


@router.get("/renewal/holder")
async def holder(page: Opened) -> Response:
    """Number and ID tail, for what is ticked; whoever comes from the boxes gets a short address first."""
    ticked, fields = Ticked.read(page), page.request.query_params
    if ticked.stale or not ticked.apps:
        return _apps(page, ticked, "" if ticked.stale else NOTHING)
    word = word_of(page.services.registry.app_codes, ticked.apps)
    if any(name in fields for name in FIELDS):
        return page.go(f"/renewal/holder?picked={word}")
    return _holder(page, word)


@router.post("/renewal/holder")
async def prove(page: Opened) -> Response:
    """On to the code."""
    form = await page.form()
    word = str(form.get("picked", ""))
    if not apps_of(page.services.registry.app_codes, word):
        return _apps(page, Ticked(frozenset(), stale=True))
    begun = await identity.begin(page, form, Purpose.RENEWAL, word)
    if isinstance(begun, Response):
        return begun
    return _holder(page, word, begun, {name: str(form.get(name, "")) for name in ("number", "id_tail")})


def _holder(
    page: Page, word: str, errors: Mapping[str, str] | None = None, typed: Mapping[str, str] | None = None
) -> HTMLResponse:
    registry = page.services.registry
    names = [_named(page, registry.app(code)) for code in apps_of(registry.app_codes, word) or ()]
    return page.draw("renewal_holder.html", 422 if errors else 200, errors, typed, word=word, names=names)


@identity.after(Purpose.RENEWAL)
async def submit(page: Page, check: str, what_for: str) -> Response:
    """Once it is proven who they are: the same check always leads to the same case."""
    ticked = apps_of(page.services.registry.app_codes, what_for)
    if ticked is None:
        return _apps(page, Ticked(frozenset(), stale=True))
    body = holder_renewals.HolderRenewalRequest(check=check, apps=None if what_for == ALL else list(ticked))
    taken = await holder_renewals.submit_for_holder(body, Response(), WEBSITE, page.services, f"renewal-{check}")
    return page.received(taken.case)


# ── how it goes ──────────────────────────────────────────────────────────────────────────────────────

ATTENTION = (ItemState.OVERDUE, ItemState.REJECTED, ItemState.EXEMPT)
"""What its holder should look at: open from the beginning, and on top."""

ORDER: Sequence[ItemState] = (
    *ATTENTION,
    ItemState.ACKNOWLEDGED,
    ItemState.DELIVERED,
    ItemState.QUEUED,
    ItemState.UNBOUND,
    ItemState.CANCELLED,
    ItemState.KEPT,
    ItemState.NOT_FOUND,
    ItemState.WITHDRAWN,
)
"""How the groups follow each other."""

NOTES: Mapping[ItemState, str] = {
    ItemState.OVERDUE: N_("We have reminded these enterprises and told a case worker. A late answer still counts."),
    ItemState.KEPT: N_("Bound after the number became yours."),
    ItemState.NOT_FOUND: N_("The number hung on no account there."),
}
"""What more there is to say of a whole group."""


@dataclass(frozen=True)
class Group:
    """The apps of a renewal in one state; the groups are always there, whatever is in them."""

    state: ItemState
    what: Words
    note: str
    open: bool
    apps: list[MyApp]
    why: list[Explanation]


@own.more(CaseKind.RENEWAL)
async def progress(page: Page, my: MyCase) -> dict[str, object]:
    """What the template of a renewal is given besides."""
    answered = [one for one in my.apps if one.state not in OPEN]
    return {"by_state": [_group(page, my, state) for state in ORDER], "answered_apps": len(answered), "short": short}


def _group(page: Page, my: MyCase, state: ItemState) -> Group:
    apps = [one for one in my.apps if one.state == state]
    grounds = dict.fromkeys(one.refusal.ground for one in apps if one.refusal)
    return Group(
        state=state,
        what=citizen.ITEMS[state],
        note=page._(NOTES[state]) if state in NOTES else "",
        open=state in ATTENTION,
        apps=apps,
        why=[dispute.EXPLANATIONS[ground][page.language] for ground in grounds],
    )


def short(page: Page, one: MyApp) -> str:
    """Why an enterprise did nothing, in a word or two."""
    return dispute.EXPLANATIONS[one.refusal.ground][page.language].short if one.refusal else ""
