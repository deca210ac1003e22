"""Cases made by hand and by hypothesis, for the tests of the domain and the store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from domain import renewal, unbind
from domain.renewal import CheckMethod, IdentityProof, RenewalStatus
from domain.sla import Deadline
from domain.unbind import Outcome, Reason

T0 = datetime(2026, 9, 1, 2, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
ACTIVATED = T0 - 60 * DAY
CASE = "R0123456789AB"
PART = f"{CASE}-unbind-0"
CALENDAR = "test-1"


def item_id(number: int) -> str:
    """The id of a test's work item."""
    return f"W{number:020d}"


def deadline(due_at: datetime, remind_before: timedelta = DAY) -> Deadline:
    """A clock that reminds a day before."""
    return Deadline(remind_at=due_at - remind_before, due_at=due_at, calendar=CALENDAR)


def opening(
    owners: Sequence[str] = ("tencent",),
    *,
    at: datetime = T0,
    case: str = PART,
    first: int = 0,
    due: timedelta = 5 * DAY,
    late_window: timedelta = 30 * DAY,
) -> unbind.Opened:
    """A request over one app per entry of `owners`, an enterprise's code each."""
    return unbind.Opened(
        at=at,
        case=case,
        parent=case.partition("-unbind-")[0],
        boundary=ACTIVATED,
        late_window=late_window,
        items=tuple(
            unbind.NewItem(
                id=item_id(first + number),
                app=f"app-{first + number}",
                enterprise=owner,
                clock=deadline(at + due),
                retry_first=timedelta(seconds=30),
                retry_at_most=HOUR,
                extend_at_most=5 * DAY,
            )
            for number, owner in enumerate(owners)
        ),
    )


def submission(
    *, at: datetime = T0, case: str = CASE, apps: tuple[str, ...] = ("app-0", "app-1", "app-2")
) -> renewal.Submit:
    """A renewal as the carrier hands it over, with nothing wrong."""
    return renewal.Submit(
        case=case,
        carrier="china-mobile",
        masked_number="138****8000",
        activated_at=ACTIVATED,
        apps=apps,
        identity=IdentityProof(checked_by="app", method=CheckMethod.FACE, checked_at=at - HOUR),
    )


ENDED = (RenewalStatus.CLOSED, RenewalStatus.REFUSED, RenewalStatus.WITHDRAWN)

pauses = st.one_of(
    st.sampled_from([timedelta(0), SECOND, timedelta(seconds=30), HOUR, DAY - SECOND, DAY, 5 * DAY, 31 * DAY]),
    st.timedeltas(timedelta(0), 3 * DAY),
)
"""How long nothing happens."""


def answers(items: st.SearchStrategy[tuple[str, str]]) -> st.SearchStrategy[unbind.Answer]:
    """Anything an enterprise may answer, fitting or not; `items` gives ids with who says to own them."""
    moments = st.sampled_from([None, ACTIVATED - SECOND, ACTIVATED, ACTIVATED + SECOND])
    return st.builds(
        lambda item, **rest: unbind.Answer(item=item[0], enterprise=item[1], **rest),
        items,
        outcome=st.sampled_from(Outcome),
        reason=st.none() | st.sampled_from(Reason),
        bound_at=moments,
        amends=st.none() | st.integers(1, 4),
    )
