"""What an enterprise gets to see of a work item: its own token for the number, the number only in the form its
profile allows, the boundary date, and nothing else about the person (domain.md, 'identifiers to enterprises').
"""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from domain.case import Model
from domain.registry import Enterprise, NumberForm
from domain.unbind import Choices, Item, ItemState, Outcome, Reason
from store.keys import KeyRing
from store.vault import Person


class Subject(Model):
    """Whose bindings are meant."""

    token: str
    number: str | None = None
    id_tail: str | None = Field(default=None, exclude_if=lambda tail: tail is None, description="For carriers only")


class SharedItem(Model):
    """One work item as its enterprise sees it."""

    id: str
    app: str
    subject: Subject
    bound_before: datetime
    accounts: Choices = Field(
        default=(),
        description="There where the citizen chose account by account (a dispute): do with each what is said, whenever "
        "it was bound, and touch no other. Not there: `bound_before` says what is meant",
    )
    state: ItemState
    opened_at: datetime
    due_at: datetime
    outcome: Outcome | None = None
    reason: Reason | None = None
    version: int = 0


def subject(keys: KeyRing, enterprise: Enterprise, person: Person) -> Subject:
    """The person as this enterprise may know them."""
    forms = {
        NumberForm.TOKEN: None,
        NumberForm.MASKED: person.number.mask(),
        NumberForm.FULL: person.number.e164,
        NumberForm.FULL_WITH_ID_TAIL: person.number.e164,
    }
    carriers_own = enterprise.number_form is NumberForm.FULL_WITH_ID_TAIL and person.id_tail is not None
    return Subject(
        token=keys.enterprise_token(enterprise.code, person.number.e164),
        number=forms[enterprise.number_form],
        id_tail=person.id_tail.value if carriers_own and person.id_tail else None,
    )


def shared(item: Item, whose: Subject) -> SharedItem:
    """The work item as its enterprise sees it."""
    return SharedItem(
        id=item.id,
        app=item.app,
        subject=whose,
        bound_before=item.boundary,
        accounts=item.choices,
        state=item.state,
        opened_at=item.opened_at,
        due_at=item.due_at,
        outcome=item.outcome,
        reason=item.reason,
        version=item.version,
    )
