"""`RedeliveryWorkflow`: what was missed comes again under its own id, as things stand today; what is gone does not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from activities.ports import Refused, Unavailable
from domain.privacy import PhoneNumber
from domain.question import Counts
from domain.renewal import RenewalStatus
from store import sent, vault
from store.sent import Wanted
from tests.house import CARRIER, DAY, NUMBER, House
from tests.support import eventually
from tests.workflows.test_number import Line
from tests.workflows.test_query import opened, says, state
from workflows.clockwork import TASK_QUEUE
from workflows.messages import RedeliveryOrder
from workflows.redelivery import RedeliveryWorkflow

DOWN = Unavailable("http_503", "down")


async def replay(house: House, partner: str, name: str, taken: bool | None = False) -> WorkflowHandle[Any, int]:
    """Have what a partner missed (or everything) sent again, as its door does."""
    assert await house.database.write(lambda c: sent.mark_all(c, Wanted(partner, taken=taken), name))
    order = RedeliveryOrder(partner=partner, replay=name)
    return await house.client.start_workflow(RedeliveryWorkflow.run, order, id=name, task_queue=TASK_QUEUE)


def logged(house: House, partner: str) -> dict[str, tuple[int, bool, str]]:
    """What the log says of each message to a partner: tries, taken, failure."""
    rows = house.database.read_now(lambda c: sent.page(c, Wanted(partner), None, 50))
    return {row.message_id: (row.tries, row.taken, row.failure) for row in rows}


def posted(house: House, partner: str) -> list[tuple[str, Mapping[str, Any]]]:
    return [(message_id, body) for code, message_id, body in house.webhooks.posts if code == partner]


async def test_work_items_and_a_result_come_again_as_they_are_today(house: House) -> None:
    house.webhooks.failing = {"push-0": Refused("http_410", "gone"), CARRIER: Refused("http_404", "moved")}
    async with house.working():
        case = (await house.renew(apps=["push-0-app", "push-1-app"])).id
        await eventually(lambda: logged(house, "push-0") and logged(house, "push-1"))
        ((request, missed),) = logged(house, "push-0").items()
        assert missed == (1, False, "http_410") and list(logged(house, "push-1").values()) == [(1, True, "")]
        item = house.item(case, "push-0")
        assert (await house.answer(case, "push-0", "unbound")).changed
        assert (await house.answer(case, "push-1", "unbound")).changed
        await eventually(lambda: logged(house, CARRIER))

        house.webhooks.failing = {}
        assert await (await replay(house, "push-0", "redelivery-1")).result() == 0
        assert await (await replay(house, CARRIER, "redelivery-2")).result() == 0
        ((again, body),) = posted(house, "push-0")
        assert again == request and body["type"] == "work_items.requested"
        (shown,) = body["data"]["work_items"]
        assert (shown["id"], shown["state"], shown["outcome"]) == (item.id, "unbound", "unbound")
        assert logged(house, "push-0") == {request: (2, True, "")}
        ((result, told),) = posted(house, CARRIER)
        assert result == f"{case}.result.1" and told["type"] == "renewal.result"
        assert told["data"]["outcomes"] == {"push-0-app": "unbound", "push-1-app": "unbound"}
        assert house.status(case) is RenewalStatus.SUMMARY_SENT

        await house.database.write(lambda c: vault.purge_after(c, case, item.opened_at - DAY))
        await house.database.write(lambda c: vault.purge(c, item.opened_at))
        assert await (await replay(house, "push-0", "redelivery-3", taken=None)).result() == 0
        assert len(posted(house, "push-0")) == 1
        assert logged(house, "push-0") == {request: (2, True, "forgotten")}


async def test_who_is_down_is_tried_for_a_day_and_who_refuses_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.redelivery.PAGE", 1)
    async with house.working():
        for number in ("13800138000", "13800138001"):
            await house.renew(apps=["push-0-app"], number=PhoneNumber(number))
        await eventually(lambda: len(logged(house, "push-0")) == 2)
        house.webhooks.failing = {"push-0": DOWN}
        again = await replay(house, "push-0", "redelivery-1", taken=None)
        await eventually(lambda: "http_503" in {one[2] for one in logged(house, "push-0").values()})
        assert sorted(logged(house, "push-0").values()) == [(1, True, ""), (2, True, "http_503")]
        async with asyncio.timeout(20):
            assert await again.result() == 2
        tries = sorted(one[0] for one in logged(house, "push-0").values())
        assert 10 < tries[0] <= tries[1] < 40 and tries[1] - tries[0] <= 1, "a page at a time, each in its turn"
        assert not house.database.read_now(lambda c: sent.left(c, "redelivery-1"))

        house.webhooks.failing = {"push-0": Refused("http_400", "what is this")}
        assert await (await replay(house, "push-0", "redelivery-2", taken=None)).result() == 0
        assert {one[2] for one in logged(house, "push-0").values()} == {"http_400"}


async def test_a_question_that_comes_again_is_answered_in_the_reply(house: House) -> None:
    house.webhooks.failing_once = {"push-0": DOWN, "push-1": DOWN}
    house.webhooks.answers = {
        "push-0": says(2),
        "push-1": lambda _asked: {"type": "declined", "reason": "no_account"},
    }
    async with house.working():
        case = await opened(house)
        await eventually(lambda: logged(house, "push-0") and logged(house, "push-1"))
        await replay(house, "push-0", "redelivery-1")
        await replay(house, "push-1", "redelivery-2")
        await eventually(lambda: logged(house, "push-1").popitem()[1] == (2, False, "answer_does_not_fit"))
        asked = await eventually(lambda: (one := state(house, case).question_to("push-0")) and one.answer and one)
        assert asked.answer == Counts(counts={"push-0-app": 2})
        await eventually(lambda: logged(house, "push-0").popitem()[1] == (2, True, ""))
        other = state(house, case).question_to("push-1")
        assert other is not None and other.answer is None

        await replay(house, "push-0", "redelivery-3", taken=None)
        await eventually(lambda: logged(house, "push-0").popitem()[1] == (2, True, "no_longer_asked"))
        assert len(posted(house, "push-0")) == 1


async def test_of_a_number_only_the_last_word_is_said_again(house: House, skipping: WorkflowEnvironment) -> None:
    line = Line(house)
    house.webhooks.failing_once = {"push-0": DOWN}
    async with house.working():
        await line.report("activation", line.began - 40 * DAY)
        await line.report("cancellation")
        await eventually(lambda: logged(house, "push-0"))
        (recycled,) = logged(house, "push-0")
        await replay(house, "push-0", "redelivery-1")
        await eventually(lambda: logged(house, "push-0") == {recycled: (2, True, "")})
        ((message_id, body),) = posted(house, "push-0")
        token = house.keys.enterprise_token("push-0", NUMBER.e164)
        assert message_id == recycled and body["type"] == "numbers.recycled"
        assert body["data"]["numbers"][0]["token"] == token

        await skipping.sleep(3 * DAY)
        await line.report("activation", line.began + 2 * DAY)
        await eventually(lambda: len(logged(house, "push-0")) == 2)
        await replay(house, "push-0", "redelivery-2", taken=None)
        await eventually(lambda: logged(house, "push-0")[recycled] == (3, True, "overtaken"))
        assert house.webhooks.told("push-0") == 2 * ["numbers.recycled"] + 2 * ["numbers.reinstated"]
