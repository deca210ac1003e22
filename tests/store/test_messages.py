"""Short messages: intended → submitted → delivered, in whatever order the centre's word arrives."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from store import messages
from store.database import Database
from store.messages import JOINED_WITHIN, ON_ITS_WAY, REFERENCE_LIVES, MessageState
from tests.strategies import CASE, DAY, HOUR, SECOND, T0

STEP = "summary-1"
REFERENCE = 4711


class Box:
    """One message's life, a call a line."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def _do(self, job: Callable[..., Any], *arguments: Any) -> Any:
        return self._database.write_now(lambda c: job(c, *arguments))

    def intend(self, at: datetime = T0, step: str = STEP, reference: int = REFERENCE) -> None:
        self._do(messages.intend, CASE, step, reference, at)

    def intend_rest(self, at: datetime = T0) -> int:
        return int(self._do(messages.intend_rest, CASE, STEP, REFERENCE, at))

    def broke_off(self, *taken: str, may_have_left: bool = False) -> None:
        self._database.write_now(lambda c: messages.broke_off(c, CASE, STEP, taken, may_have_left=may_have_left))

    def submitted(self, *ids: str, step: str = STEP) -> None:
        self._do(messages.submitted, CASE, step, ids)

    def receipt(
        self, message_id: str, delivered: bool = True, reference: int | None = None, at: datetime = T0
    ) -> bool:
        return bool(self._do(messages.receipt, message_id, reference, delivered, at))

    def mark(self, new: MessageState) -> None:
        self._do(messages.mark, CASE, STEP, new)

    def state(self, step: str = STEP) -> MessageState | None:
        return self._do(messages.state, CASE, step)  # type: ignore[no-any-return]

    def left_us(self) -> bool:
        return bool(self._do(messages.left_us, CASE, STEP))


@pytest.fixture
def box(database: Database) -> Box:
    return Box(database)


def test_a_message_of_one_part(box: Box) -> None:
    assert box.state() is None
    box.intend()
    assert box.state() is MessageState.INTENDED
    assert not box.left_us()
    box.submitted("m1")
    assert box.state() is MessageState.SUBMITTED
    assert box.receipt("m1")
    assert box.state() is MessageState.DELIVERED
    assert box.state() in ON_ITS_WAY


def test_a_message_is_delivered_when_every_part_is(box: Box) -> None:
    box.intend()
    box.submitted("m1", "m2", "m3")
    for part in ("m2", "m1"):
        assert box.receipt(part)
        assert box.state() is MessageState.SUBMITTED
    box.receipt("m3")
    assert box.state() is MessageState.DELIVERED


def test_one_undelivered_part_is_enough(box: Box) -> None:
    box.intend()
    box.submitted("m1", "m2")
    box.receipt("m1", delivered=False)
    assert box.state() is MessageState.UNDELIVERED
    box.receipt("m2")
    assert box.state() is MessageState.UNDELIVERED
    assert box.state() not in ON_ITS_WAY


def test_a_receipt_may_come_twice(box: Box) -> None:
    box.intend()
    box.submitted("m1", "m2")
    assert box.receipt("m1") and box.receipt("m1")
    assert box.state() is MessageState.SUBMITTED


@pytest.mark.parametrize(("delivered", "state"), [(True, MessageState.DELIVERED), (False, MessageState.UNDELIVERED)])
def test_a_receipt_may_come_before_we_have_written_the_ids(box: Box, delivered: bool, state: MessageState) -> None:
    """The centre is quicker than our own database: the reference tells whose it is."""
    box.intend()
    assert box.receipt("m1", delivered, REFERENCE)
    assert box.left_us()
    box.submitted("m1")
    assert box.state() is state


def test_receipts_of_some_parts_may_come_before(box: Box) -> None:
    box.intend()
    assert box.receipt("m2", reference=REFERENCE)
    assert box.state() is MessageState.INTENDED
    box.submitted("m1", "m2")
    assert box.state() is MessageState.SUBMITTED
    box.receipt("m1")
    assert box.state() is MessageState.DELIVERED


def test_unknown_receipts(box: Box) -> None:
    assert not box.receipt("m0")
    assert not box.receipt("m0", reference=REFERENCE)
    box.intend()
    assert not box.receipt("m0")  # without a reference nobody can tell
    assert not box.receipt("m0", reference=REFERENCE + 1)
    box.submitted("m1")
    assert not box.receipt("m0", reference=REFERENCE)  # the ids are known: this is none of them
    assert box.state() is MessageState.SUBMITTED


def test_an_old_reference_is_nobodys(box: Box) -> None:
    box.intend(T0)
    assert not box.receipt("m1", reference=REFERENCE, at=T0 + REFERENCE_LIVES)
    assert box.receipt("m1", reference=REFERENCE, at=T0 + REFERENCE_LIVES - HOUR)


def test_a_message_sent_again_days_later_is_still_known_by_its_reference(box: Box) -> None:
    """`tell_holder` tries for a week: a crash on the fourth day must not send the same message twice."""
    box.intend(T0)
    box.mark(MessageState.FAILED)
    box.intend(T0 + 4 * DAY)
    assert box.receipt("m1", reference=REFERENCE, at=T0 + 4 * DAY + HOUR)
    assert box.left_us()


def test_a_message_that_never_left_is_sent_again(box: Box) -> None:
    box.intend()
    box.mark(MessageState.FAILED)
    assert box.state() is MessageState.FAILED
    assert box.state() not in ON_ITS_WAY
    box.intend()
    box.submitted("m1")
    box.receipt("m1")
    assert box.state() is MessageState.DELIVERED


def test_an_undelivered_message_is_sent_again_with_new_parts(box: Box) -> None:
    box.intend()
    box.submitted("m1", "m2")
    box.receipt("m1", delivered=False)
    box.intend()
    assert box.state() is MessageState.INTENDED
    assert not box.left_us()
    box.submitted("m3", "m4")
    box.receipt("m3")
    assert box.state() is MessageState.SUBMITTED
    box.receipt("m4")
    assert box.state() is MessageState.DELIVERED


@pytest.mark.parametrize("delivered", [True, False])
def test_a_receipt_of_an_earlier_try_says_nothing_about_this_one(box: Box, delivered: bool) -> None:
    """The second part's receipt of the first try arrives while the second try is about to be handed over."""
    box.intend()
    box.submitted("m1", "m2")
    box.receipt("m1", delivered=False)
    box.intend()
    box.receipt("m2", delivered, REFERENCE)
    assert not box.left_us()
    box.submitted("m3", "m4")
    box.receipt("m3")
    box.receipt("m4")
    assert box.state() is MessageState.DELIVERED


def test_parts_taken_before_a_refusal_are_not_sent_again(box: Box) -> None:
    assert box.intend_rest() == 0
    box.broke_off("m1")
    assert box.state() is MessageState.FAILED
    assert box.receipt("m1") and box.state() is MessageState.FAILED, "one part is not the message"
    assert box.intend_rest(T0 + HOUR) == 1
    assert box.state() is MessageState.INTENDED and not box.left_us()
    box.broke_off("m2")
    assert box.intend_rest(T0 + HOUR) == 2
    box.submitted("m3")
    assert box.state() is MessageState.SUBMITTED
    box.receipt("m2")
    box.receipt("m3")
    assert box.state() is MessageState.DELIVERED


def test_a_phone_does_not_wait_for_ever_for_the_other_parts(box: Box) -> None:
    box.intend_rest()
    box.broke_off("m1")
    assert box.intend_rest(T0 + JOINED_WITHIN + SECOND) == 0
    box.submitted("m2", "m3")
    box.receipt("m1", delivered=False)
    assert box.state() is MessageState.SUBMITTED, "the first part of before is nobody's any more"
    box.receipt("m2")
    box.receipt("m3")
    assert box.state() is MessageState.DELIVERED


def test_nothing_is_joined_to_a_part_that_was_not_delivered(box: Box) -> None:
    box.intend_rest()
    box.broke_off("m1")
    box.receipt("m1", delivered=False)
    assert box.state() is MessageState.UNDELIVERED
    assert box.intend_rest() == 0


@pytest.mark.parametrize("early", [True, False])
def test_the_receipt_of_a_first_part_that_failed_comes_while_the_rest_is_on_its_way(box: Box, early: bool) -> None:
    box.intend_rest()
    if early:
        box.receipt("m1", delivered=False, reference=REFERENCE)
    box.broke_off("m1", may_have_left=True)
    if not early:
        assert box.intend_rest() == 1
        box.receipt("m1", delivered=False)
        box.submitted("m2")
    assert box.state() is MessageState.UNDELIVERED
    assert box.intend_rest() == 0


def test_a_part_whose_answer_was_lost_is_told_by_its_receipt(box: Box) -> None:
    """Days later too: what is proven to have left is never sent again."""
    box.intend_rest()
    box.broke_off("m1", may_have_left=True)
    assert box.state() is MessageState.INTENDED and not box.left_us()
    box.receipt("m1")
    assert not box.left_us(), "that was known before"
    box.receipt("m2", reference=REFERENCE)
    assert box.left_us()
    assert box.intend_rest(T0 + 3 * HOUR) == 2
    box.submitted("m3")
    box.receipt("m3")
    assert box.state() is MessageState.DELIVERED


def test_a_message_proven_to_have_left_needs_nothing_more(box: Box) -> None:
    box.intend_rest()
    box.receipt("m1", reference=REFERENCE)
    assert box.intend_rest(T0 + DAY) == 1
    box.submitted()
    assert box.state() is MessageState.DELIVERED


def test_another_text_of_the_same_step_begins_anew(box: Box) -> None:
    """A code is another one at every try: no part of it fits the one before."""
    box.intend()
    box.broke_off("m1")
    box.intend()
    assert not box.left_us()
    box.submitted("m2")
    box.receipt("m2")
    assert box.state() is MessageState.DELIVERED


def test_messages_of_two_steps_are_apart(box: Box) -> None:
    box.intend()
    box.intend(step="summary-2", reference=REFERENCE + 1)
    box.submitted("m1")
    box.receipt("m2", reference=REFERENCE + 1)
    box.submitted("m2", step="summary-2")
    assert box.state() is MessageState.SUBMITTED
    assert box.state("summary-2") is MessageState.DELIVERED
