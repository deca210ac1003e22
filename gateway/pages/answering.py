"""What a person at an enterprise says to its work items by a form: the mailed page and the clerk's pages read it here.

Fields of one work item: `outcome-<id>` is an outcome, `outcome/reason`, or that it is taken on; `version-<id>` the
version its reader saw; `days-<id>` and `because-<id>` a wish for more time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from domain import unbind
from domain.refusal import Refusal, RefusalCode
from domain.registry import App, Enterprise
from domain.sla import DayKind
from domain.unbind import REASONS, Action, Item, ItemState, Outcome, Reason
from gateway.desk import EngineBusy
from gateway.pages import labels
from gateway.pages.page import Page, explained
from gateway.pages.words import N_
from gateway.problems import Problem, of_refusal
from gateway.work_items import noted, put_away
from store.keys import KeyRing

REFUSED: Mapping[RefusalCode, str] = {
    RefusalCode.UNKNOWN_WORK_ITEM: N_("You have no such work item. Reload the page and try again."),
    RefusalCode.CASE_CLOSED: N_(
        "The case is closed and takes no more answers. If the record is wrong, call the case desk."
    ),
    RefusalCode.WITHDRAWN: N_(
        "The user has withdrawn this. Nothing needs to be done; if it is unbound already, call the case desk."
    ),
    RefusalCode.REASON_REQUIRED: N_("This outcome needs a reason. Choose one of those with a reason."),
    RefusalCode.REASON_DOES_NOT_FIT: N_("The reason does not fit the outcome. Choose again."),
    RefusalCode.ALREADY_ANSWERED: N_(
        "Somebody has answered this already. Look at where it stands now; to correct it, choose again and send."
    ),
    RefusalCode.WRONG_VERSION: N_(
        "The answer was changed meanwhile. Look at where it stands now; to correct it, choose again and send."
    ),
    RefusalCode.NOT_ASKED_TO_CANCEL: N_(
        "The user did not ask to have the account cancelled; it may be a former holder's. "
        "Only unbind the number, and answer that it is unbound."
    ),
    RefusalCode.EXTENSION_NOT_ALLOWED: N_(
        "It cannot be extended: it is answered, was extended before, is overdue, or its clock stands. "
        "Answer it, or call the case desk."
    ),
}
STALE = frozenset({RefusalCode.ALREADY_ANSWERED, RefusalCode.WRONG_VERSION})
"""Refusals after which the choice has to be made anew, with the current answer in sight."""

STATES: Mapping[ItemState, str] = {
    **labels.ITEM_STATES,
    ItemState.QUEUED: N_("To be answered"),
    ItemState.DELIVERED: N_("To be answered"),
    ItemState.ACKNOWLEDGED: N_("Taken on, to be answered"),
}
ACTIONS: Mapping[Action, str] = {
    Action.UNBIND: N_("Unbind the number"),
    Action.CANCEL: N_("Cancel the account"),
}
DAYS: Mapping[DayKind, str] = {
    DayKind.WORKING: N_("By how many working days (1 to %(most)s)"),
    DayKind.CALENDAR: N_("By how many days (1 to %(most)s)"),
}

ACKNOWLEDGE = "acknowledge"
"""What is chosen instead of an outcome."""

DAY = timedelta(days=1)
LONGEST_REASON = 500
SMALL_NUMBER = re.compile(r"\d{1,4}")

Said = tuple[tuple[str, ...], unbind.ItemCommand]
"""A command, and the fields it was read from."""


@dataclass
class Given:
    """What came of a form: what was recorded, what is wrong by its field, and what stands in the fields again."""

    typed: dict[str, str]
    errors: dict[str, str] = field(default_factory=dict)
    recorded: list[str] = field(default_factory=list)
    busy: bool = False
    of: int = 0
    """How many work items were meant, where one thing was said to many."""

    @property
    def wrong(self) -> int:
        """How many work items something is wrong with."""
        return len({name.rpartition("-")[2] for name in self.errors})

    @property
    def status(self) -> int:
        """How the page is answered."""
        return 503 if self.busy else 422 if self.errors else 200


async def take(page: Page, enterprise: str, items: Sequence[Item], form: Mapping[str, str], by: str = "") -> Given:
    """Carry out what a form says of these items; rows left empty stay as they are, refused ones say why.

    `by`: the account of a clerk, for the audit trail. Raises NotInVault.
    """
    services, given = page.services, Given(dict(form))
    said = [one for item in items for one in _said(page, item, form, enterprise, given.errors)]
    commands = await services.database.write(lambda c: [_kept(c, services.keys, one) for _, one in said])
    done = []
    for (fields, command), taken in zip(said, await services.desk.take(commands), strict=True):
        if isinstance(taken, EngineBusy):
            given.busy, given.errors[fields[0]] = (
                True,
                page._("The system is busy. Please send it again in a moment."),
            )
            continue
        if taken.refusal:
            given.errors[fields[0]] = why_not(page, taken.refusal)
        elif taken.changed:
            done.append(command)
        if not taken.refusal or taken.refusal.code in STALE:
            for name in fields:
                given.typed.pop(name, None)
    given.recorded = sorted({command.item for command in done})
    if by:
        await noted(services, by, done)
    return given


def why_not(page: Page, refusal: Refusal) -> str:
    """A refusal for whoever looks at a row, in their language."""
    sentence = REFUSED.get(refusal.code)
    return page._(sentence) if sentence else explained(page, of_refusal(refusal))


def why(page: Page, found: Problem) -> str:
    """What is wrong with a line of a file, in the page's language."""
    if found.code == RefusalCode.MALFORMED:
        return page._("What stands for “%(field)s” is missing or does not fit.", field=found.field or "work_item")
    sentence = REFUSED.get(RefusalCode(found.code)) if found.code in tuple(RefusalCode) else None
    return page._(sentence) if sentence else explained(page, found)


def choices(page: Page) -> list[tuple[str, str]]:
    """Every outcome with each of its reasons, as one list to pick from."""
    found = []
    for outcome in Outcome:
        name, reasons = page._(labels.OUTCOMES[outcome]), sorted(REASONS[outcome])
        found += [(f"{outcome}/{reason}", _with(page, name, reason)) for reason in reasons]
        if not reasons:
            found.append((outcome.value, name))
    return found


def _with(page: Page, outcome: str, reason: Reason) -> str:
    return page._("%(outcome)s: %(reason)s", outcome=outcome, reason=page._(labels.REASONS[reason]))


def days_offered(item: Item) -> int:
    """The longest extension worth offering; whether one is granted the domain says."""
    stands = item.paused_at is not None or item.extension_reason or datetime.now(UTC) >= item.due_at
    return 0 if stands or item.state not in unbind.WAITING else item.extend_at_most // DAY


def called(page: Page, one: App | Enterprise) -> str:
    """The name of an app or an enterprise in the page's language."""
    return one.name_en or one.name if page.language.value == "en" else one.name


def shared_words(page: Page, enterprise: Enterprise) -> dict[str, object]:
    """What the rows of `work_rows.html` need besides their item."""
    return {
        "choices": choices(page),
        "states": STATES,
        "actions": ACTIONS,
        "acknowledge": ACKNOWLEDGE,
        "days": DAYS[enterprise.sla.days],
        "longest_reason": LONGEST_REASON,
        "open": unbind.OPEN,
        "withdrawn": ItemState.WITHDRAWN,
        "overdue": ItemState.OVERDUE,
    }


# ── a row ────────────────────────────────────────────────────────────────────────────────────────────


def _said(page: Page, item: Item, form: Mapping[str, str], enterprise: str, errors: dict[str, str]) -> list[Said]:
    """What one row asks for; what does not fit goes to `errors`, by its field."""
    fields = (f"days-{item.id}", f"because-{item.id}")
    days, because = (form.get(name, "").strip() for name in fields)
    chosen = form.get(f"outcome-{item.id}", "")
    if not (days or because):
        return _chosen(page, item, form, enterprise, errors)
    if chosen and chosen != ACKNOWLEDGE:
        errors[fields[0]] = page._("You chose an outcome, so no more time is needed. Empty one of the two.")
        return []
    most = item.extend_at_most // DAY
    if not SMALL_NUMBER.fullmatch(days) or not 1 <= int(days) <= most:
        whole = page._("Enter a whole number from 1 to %(most)s.", most=most)
        errors[fields[0]] = whole if most else page._("This cannot be extended.")
    if not because:
        errors[fields[1]] = page._("Enter why you need more time.")
    elif len(because) > LONGEST_REASON:
        errors[fields[1]] = page._("A reason has at most %(most)s characters; shorten it.", most=LONGEST_REASON)
    acknowledged = _chosen(page, item, form, enterprise, errors)
    if not errors.keys().isdisjoint(fields):
        return acknowledged
    extend = unbind.Extend(item=item.id, enterprise=enterprise, by=int(days) * DAY, reason=because)
    return [*acknowledged, (fields, extend)]


def _chosen(page: Page, item: Item, form: Mapping[str, str], enterprise: str, errors: dict[str, str]) -> list[Said]:
    """The outcome of one row, or its acknowledgement, or nothing.

    An answer amends the version its reader saw, so a stale page cannot overwrite a newer one.
    """
    name = f"outcome-{item.id}"
    chosen, _, why = form.get(name, "").partition("/")
    why = form.get(f"reason-{item.id}", "") or why
    if not chosen:
        return []
    if chosen == ACKNOWLEDGE:
        return [((name,), unbind.Acknowledge(item=item.id, enterprise=enterprise))]
    try:
        answer = unbind.Answer(
            item=item.id,
            enterprise=enterprise,
            outcome=Outcome(chosen),
            reason=Reason(why) if why else None,
            amends=int(form.get(f"version-{item.id}", "0")) or None,
        )
    except ValueError:
        errors[name] = page._("Choose one of the outcomes in the list.")
        return []
    return [((name,), answer)]


def _kept(connection: Connection, keys: KeyRing, command: unbind.ItemCommand) -> unbind.ItemCommand:
    """A reason for more time is a paper: a person may have written anything."""
    if not isinstance(command, unbind.Extend):
        return command
    paper = put_away(connection, keys, command.enterprise, command.item, command.reason)
    return command.model_copy(update={"reason": paper})
