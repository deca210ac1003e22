"""One text of several parts on its way to a phone, through a centre that breaks off: activity, database, real SMPP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from smpp34 import SubmitSmEvent
from smpp34._smpp34 import ESME_RTHROTTLED
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities import holder as activity
from activities.holder import Holder
from adapters.smpp import SmppCentre
from sandbox.sms_centre import CentreMode, SandboxSmsCentre
from store import messages, vault
from store.database import Database
from store.keys import KeyRing
from store.messages import MessageState
from tests.house import NUMBER, TAIL
from tests.strategies import CASE
from tests.support import eventually

TEXT = "解绑" * 75
STEP = "summary-1"


class FussyCentre(SandboxSmsCentre):
    """A centre that does something else with the n-th part it sees: throttles it, or never answers."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: list[int] = []
        self.throttles: set[int] = set()
        self.unanswered: list[SubmitSmEvent] = []
        self.swallows: set[int] = set()

    def _take(self, event: SubmitSmEvent) -> None:
        self.numbers.append(event.short_message[5])
        if len(self.numbers) in self.throttles:
            event.reject(ESME_RTHROTTLED)
        elif len(self.numbers) in self.swallows:
            self.unanswered.append(event)  # kept, since the library answers for an event that is dropped
        else:
            super()._take(event)


class Sending:
    """The holder's activity against that centre, try by try."""

    def __init__(self, database: Database, keys: KeyRing, centre: FussyCentre) -> None:
        self.centre = centre
        self.adapter = SmppCentre(centre.host, centre.port, "jiebang", "secret", lambda r: self.holder.receipt(r))
        self.holder = Holder(database, keys, self.adapter)
        self._database = database
        database.write_now(lambda c: vault.put(c, keys, CASE, vault.Person(NUMBER, TAIL)))

    async def once(self) -> bool | None:
        """One attempt."""
        environment = ActivityEnvironment()
        environment.info = replace(environment.info, current_attempt_scheduled_time=datetime.now(UTC))
        delivered: bool | None = await environment.run(self.holder._say, CASE, STEP, TEXT)
        return delivered

    def state(self) -> MessageState | None:
        """How far the message is."""
        return self._database.read_now(lambda c: messages.state(c, CASE, STEP))


@pytest.fixture
async def sending(database: Database, keys: KeyRing) -> AsyncIterator[Sending]:
    centre = FussyCentre()
    await centre.start()
    one = Sending(database, keys, centre)
    async with one.adapter:
        yield one
    await centre.close()


async def test_a_throttled_part_and_those_after_it_are_all_that_a_retry_sends(sending: Sending) -> None:
    sending.centre.throttles = {2, 3}
    for _ in range(2):
        with pytest.raises(ApplicationError) as failed:
            await sending.once()
        assert failed.value.type == "sms_throttled" and sending.state() is MessageState.FAILED

    assert await sending.once() is True

    assert sending.centre.numbers == [1, 2, 2, 2, 3], "the phone gets no part twice"
    assert [message.text for message in sending.centre.messages] == [TEXT]
    assert await sending.once() is True and len(sending.centre.numbers) == 5


async def test_an_answer_that_never_comes_costs_the_part_in_doubt_at_most(
    sending: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.smpp.SUBMIT_LIMIT", 0.3)
    monkeypatch.setattr(activity, "PROOF_SECONDS", 0.6)
    sending.centre.swallows = {2}
    with pytest.raises(ApplicationError) as failed:
        await sending.once()
    assert failed.value.type == "sms_timeout" and sending.state() is MessageState.INTENDED

    assert await sending.once() is True

    assert sending.centre.numbers == [1, 2, 2, 3]
    assert [message.text for message in sending.centre.messages] == [TEXT]


async def test_after_a_crash_receipts_prove_that_nothing_is_missing(
    sending: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker dies between the centre's answers and its own database."""

    def crash(*_: object) -> None:
        raise RuntimeError("killed")

    sending.centre.receipt_delay = 0.3
    with monkeypatch.context() as patch:
        patch.setattr(messages, "submitted", crash)
        with pytest.raises(RuntimeError):
            await sending.once()
    await eventually(lambda: len(sending.centre.messages) == 1)
    assert sending.state() is MessageState.INTENDED

    assert await sending.once() is True

    assert sending.centre.numbers == [1, 2, 3]


async def test_a_text_that_was_not_delivered_goes_out_again_as_a_whole(sending: Sending) -> None:
    sending.centre.undeliver(1)
    with pytest.raises(ApplicationError) as failed:
        await sending.once()
    assert failed.value.type == "undelivered" and sending.centre.mode is CentreMode.NORMAL

    assert await sending.once() is True

    assert sending.centre.numbers == [1, 2, 3, 1, 2, 3]
