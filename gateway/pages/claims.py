"""A dispute as its citizen looks after it: claim by claim what is next, and what is to become of every account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from domain import dispute
from domain.case import CaseKind, kind_of
from domain.dispute import ClaimState, Explanation, Settlement, Wish
from domain.unbind import ItemState
from gateway import disputes, my_case
from gateway.caller import Caller
from gateway.disputes import AccountView, ClaimView
from gateway.my_case import MyApp, MyCase
from gateway.pages import own
from gateway.pages.disputes import REASONS, name_of, named
from gateway.pages.page import Opened, Page, explained
from gateway.pages.words import N_
from gateway.problems import ProblemError, fail
from gateway.renewals import CaseInPath

router = APIRouter(include_in_schema=False)

YOURS, THEIRS, OURS, OVER = (N_("Your turn"), N_("The enterprise is at work"), N_("We are at work"), N_("Finished"))

STATES: Mapping[ClaimState, tuple[str, str, str]] = {
    ClaimState.OWN_CHECK: (YOURS, N_("Identity check wanted"), "warn"),
    ClaimState.CHOOSING: (YOURS, N_("Choose what to do"), "warn"),
    ClaimState.HOTLINE: (YOURS, N_("Call the enterprise"), "warn"),
    ClaimState.ASKING_DETAIL: (THEIRS, N_("Looks up the accounts"), ""),
    ClaimState.UNBINDING: (THEIRS, N_("Does what you chose"), ""),
    ClaimState.REFUSED: (THEIRS, N_("Refused"), "bad"),
    ClaimState.OVERDUE: (THEIRS, N_("Late"), "bad"),
    ClaimState.WITH_CASE_WORKER: (OURS, N_("A case worker sees to it"), ""),
    ClaimState.INVESTIGATING: (OURS, N_("Being investigated"), ""),
    ClaimState.DONE: (OVER, N_("Done"), "good"),
    ClaimState.SETTLED: (OVER, N_("Settled"), ""),
    ClaimState.LAPSED: (OVER, N_("Lapsed"), ""),
    ClaimState.WITHDRAWN: (OVER, N_("Withdrawn"), ""),
}
"""Whose turn a claim is, its state in few words, and its colour."""

SETTLED: Mapping[Settlement, str] = {
    Settlement.SOLVED: N_("The enterprise did it after all; a case worker saw to that."),
    Settlement.EXPLAINED: N_("A case worker explained to you why it is as it is."),
    Settlement.IN_FAVOUR: N_("Decided by two people: you are right, and nothing is left to unbind."),
    Settlement.REFUSED: N_("Decided by two people: the enterprise is right to refuse."),
    Settlement.INVESTIGATED: N_("An investigation has ended it."),
}

OUTCOMES: Mapping[ItemState, str] = {
    ItemState.UNBOUND: N_("The enterprise says: unbound from your number."),
    ItemState.CANCELLED: N_("The enterprise says: the account is cancelled."),
    ItemState.NOT_FOUND: N_("The enterprise says: no account is bound to your number."),
    ItemState.KEPT: N_("The enterprise says: it stays, it is the present holder's own."),
}
"""What an enterprise did, where that ended a claim."""

WISHES: Mapping[Wish, tuple[str, str]] = {
    Wish.UNBIND: (N_("Unbind it"), N_("Your number is taken off the account; the account stays its owner's.")),
    Wish.CANCEL: (N_("Cancel it"), N_("The enterprise deletes the account and what is in it. It cannot be undone.")),
    Wish.KEEP: (N_("Keep it"), N_("It is yours, and nothing changes.")),
}
"""What can be chosen for an account, and what happens then."""

NOT_SOLVED = frozenset({ClaimState.HOTLINE, ClaimState.DONE})
"""Where a citizen may say that it is not solved."""


@dataclass(frozen=True)
class Claim:
    """One claim as its page shows it."""

    view: ClaimView
    mine: MyApp
    name: str
    party: str
    reason: str
    why: Explanation | None
    ended: str
    can_say_unsolved: bool

    @property
    def look(self) -> tuple[str, str, str]:
        """Whose turn, the state in few words, its colour."""
        return STATES[self.view.state]


@own.more(CaseKind.DISPUTE)
async def claims(page: Page, my: MyCase) -> dict[str, object]:
    """What the page of a dispute shows besides."""
    found = await disputes.show(my.case, page.citizen(my.case), page.services)
    mine = {one.app: one for one in my.apps}
    open_ = found.status is dispute.DisputeStatus.OPEN
    all_ = [_claim(page, one, mine[one.app], open_) for one in found.claims]
    turns = {turn: [one for one in all_ if one.look[0] == turn] for turn in (YOURS, THEIRS, OURS, OVER)}
    return {
        "turns": {page._(turn): claims for turn, claims in turns.items() if claims},
        "to_choose": sum(len(one.mine.accounts or ()) for one in all_ if one.view.state is ClaimState.CHOOSING),
        "reopen_until": found.reopen_until if found.reopen_until and found.reopen_until > page.now else None,
        "dispute": found,
        "wishes": {wish: page._(words[0]) for wish, words in WISHES.items()},
    }


def _claim(page: Page, view: ClaimView, mine: MyApp, open_: bool) -> Claim:
    return Claim(
        view=view,
        mine=mine,
        name=name_of(page, view.app),
        party=named(page, page.services.registry.enterprise(view.party)),
        reason=page._(REASONS[view.reason][0]),
        why=dispute.EXPLANATIONS[view.refusal.ground][page.language] if view.refusal else None,
        ended=_ended(page, view),
        can_say_unsolved=open_ and view.state in NOT_SOLVED,
    )


def _ended(page: Page, view: ClaimView) -> str:
    if view.state is ClaimState.SETTLED and view.settlement:
        return page._(SETTLED[view.settlement])
    said = OUTCOMES.get(view.outcome) if view.state is ClaimState.DONE and view.outcome else None
    return page._(said) if said else ""


# ── what the citizen says ────────────────────────────────────────────────────────────────────────────


@router.post("/case/{case}/unsolved")
async def unsolved(case: CaseInPath, page: Opened) -> Response:
    """It is not solved: a case worker takes it on."""
    form = await page.form()
    my = await _my(page, case)
    app = next((one.app for one in my.apps if one.app == form.get("app")), None)
    if app is None:
        raise fail(422, "unknown_app", "This dispute is not about that app.", "Use the buttons of its page.", "app")
    await _say(page, case, "unsolved", dispute.Unsolved(app=app))
    return page.go(f"/case/{case}")


@router.post("/case/{case}/reopen")
async def reopen(case: CaseInPath, page: Opened) -> Response:
    """Go on with a closed dispute."""
    await page.form()
    await _say(page, case, "take_up", dispute.TakeUp())
    return page.go(f"/case/{case}")


async def _say(page: Page, case: str, update: str, command: Any) -> None:
    """To a dispute that this browser has proven to be its own."""
    _mine(page, case)
    await disputes.said(page.services, case, update, command)


def _mine(page: Page, case: str) -> Caller:
    who = page.citizen(case)
    if kind_of(case) is not CaseKind.DISPUTE:
        raise fail(404, "unknown_case", "There is no such dispute.", "Check the reference.", "case")
    return who


# ── what is to become of every account ───────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Asked:
    """One account to choose for. `field` is its name in the form, `turn` which one of its app's it is."""

    app: str
    turn: int
    account: AccountView

    @property
    def field(self) -> str:
        return f"{self.app}.{self.account.ref}"


@dataclass(frozen=True)
class Chosen:
    """What was chosen for the accounts of whole apps, what is wrong beside them, and the apps that are left for later."""

    choices: dict[str, dict[str, Wish]]
    errors: dict[str, str]
    later: tuple[str, ...]


@router.get("/case/{case}/accounts")
async def accounts(case: CaseInPath, page: Opened) -> Response:
    """Choose for every account whether to unbind, cancel or keep it."""
    if not page.visit.sees(case, datetime.now(UTC)):
        return page.go(f"/follow?reference={case}")
    return _accounts(page, await _my(page, case))


@router.post("/case/{case}/accounts")
async def choose(case: CaseInPath, page: Opened) -> Response:
    """First what will happen, then, once the citizen is sure, that."""
    form = await page.form()
    my = await _my(page, case)
    typed = {name: str(value) for name, value in form.items() if "." in name}
    if "all" in form:
        typed = {one.field: Wish.UNBIND for asked in _asked(my).values() for one in asked}
    if "change" in form:
        return _accounts(page, my, typed=typed)
    chosen = _read(page, my, typed)
    if chosen.errors:
        return _accounts(page, my, chosen.errors, typed)
    if "sure" not in form:
        return _confirm(page, my, chosen)
    try:
        await _say(page, case, "choose", dispute.Choose(choices=chosen.choices))
    except ProblemError as error:  # it has changed since the accounts were read
        now = await _my(page, case)
        return _accounts(page, now, _read(page, now, typed).errors or {"": explained(page, error.problem)}, typed)
    return page.go(f"/case/{case}")


async def _my(page: Page, case: str) -> MyCase:
    return await my_case.show_case(_mine(page, case), page.services, Response())


def _asked(my: MyCase) -> dict[str, list[Asked]]:
    """The accounts that wait for a choice, by app."""
    return {
        one.app: [Asked(one.app, turn, account) for turn, account in enumerate(one.accounts, 1)]
        for one in my.apps
        if one.state == ClaimState.CHOOSING and one.accounts
    }


def _read(page: Page, my: MyCase, typed: Mapping[str, str]) -> Chosen:
    """An app is chosen for as a whole, or left for later."""
    asked, errors = _asked(my), {}
    fields = {one.field for accounts in asked.values() for one in accounts}
    if gone := sorted({name.partition(".")[0] for name in typed if name not in fields}):
        errors[""] = page._("Look again: what can be chosen for %(apps)s has changed", apps=", ".join(gone))
    begun = {app: accounts for app, accounts in asked.items() if any(typed.get(one.field) for one in accounts)}
    for one in (one for accounts in begun.values() for one in accounts):
        if said := _wrong(page, one, typed.get(one.field, "")):
            errors[one.field] = said
    if asked and not begun:
        errors[next(iter(asked.values()))[0].field] = page._(
            "Choose what to do with the accounts of one app at least"
        )
    if errors:
        return Chosen({}, errors, ())
    choices = {app: {one.account.ref: Wish(typed[one.field]) for one in accounts} for app, accounts in begun.items()}
    return Chosen(choices, {}, tuple(app for app in asked if app not in begun))


def _wrong(page: Page, one: Asked, wish: str) -> str:
    if wish in one.account.may:
        return ""
    if wish in tuple(Wish):
        return page._("This account can only be unbound")
    return page._("Choose what to do with this account too")


def _accounts(
    page: Page, my: MyCase, errors: Mapping[str, str] | None = None, typed: Mapping[str, str] | None = None
) -> HTMLResponse:
    asked = _asked(my)
    return page.draw(
        "dispute_accounts.html",
        422 if errors else 200,
        errors,
        typed,
        my=my,
        asked=asked,
        names={app: name_of(page, app) for app in asked},
        until={one.app: one.at for one in my.apps},
        options={
            one.field: [(wish, page._(WISHES[wish][0]), page._(WISHES[wish][1])) for wish in one.account.may]
            for accounts in asked.values()
            for one in accounts
        },
    )


def _confirm(page: Page, my: MyCase, chosen: Chosen) -> HTMLResponse:
    asked = _asked(my)
    return page.draw(
        "dispute_sure.html",
        my=my,
        asked={app: asked[app] for app in chosen.choices},
        choices=chosen.choices,
        names={app: name_of(page, app) for app in asked},
        later=[name_of(page, app) for app in chosen.later],
        will={wish: (page._(words[0]), page._(words[1])) for wish, words in WISHES.items()},
    )
