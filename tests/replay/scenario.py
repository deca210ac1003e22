"""One life of each workflow with everything in it: what histories and fingerprints are taken from.

`python -m tests.replay.scenario` records them anew — only after a change behind `workflow.patched`, or before the
first release; old histories stay and must go on replaying.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHistory
from temporalio.testing import WorkflowEnvironment

from activities.ports import Unavailable
from domain import unbind
from domain.renewal import Hear, RenewalStatus, Verdict
from runtime import engine
from store import schema
from store.database import Database
from tests.house import DAY, FakeCarriers, House, binary, saved_ring
from tests.support import eventually

HISTORIES = Path(__file__).parent / "histories"
FINGERPRINTS = Path(__file__).parent / "fingerprints.json"
HOUR = timedelta(hours=1)

COMMANDS = {
    EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED: lambda e: (
        "activity " + e.activity_task_scheduled_event_attributes.activity_type.name
    ),
    EventType.EVENT_TYPE_MARKER_RECORDED: lambda e: "marker " + e.marker_recorded_event_attributes.marker_name,
    EventType.EVENT_TYPE_TIMER_STARTED: lambda e: "timer",
    EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED: lambda e: (
        "child " + e.start_child_workflow_execution_initiated_event_attributes.workflow_type.name
    ),
    EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED: lambda e: (
        "signal " + e.signal_external_workflow_execution_initiated_event_attributes.signal_name
    ),
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: lambda e: "continue as new",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: lambda e: "complete",
}
"""What a workflow decided to do, without when the server gave it a turn."""


def fingerprint(history: WorkflowHistory) -> list[str]:
    """The commands of a history, in order."""
    return [COMMANDS[event.event_type](event) for event in history.events if event.event_type in COMMANDS]


async def live(folder: Path) -> dict[str, WorkflowHistory]:
    """Run both workflows once through everything that can happen to them; their histories."""
    url = f"sqlite:///{folder}/scenario.db"
    schema.upgrade(url)
    database, keys = Database(url), saved_ring()
    server = await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=binary("temporal-test-server"), data_converter=engine.data_converter(keys)
    )
    async with server:
        house = House(server.client, database, keys)
        house.carriers = FakeCarriers(Hear(verdict=Verdict.UNKNOWN), Hear(verdict=Verdict.YES))
        house.webhooks.failing_once["push-1"] = Unavailable("http_503", "down")
        async with house.working():
            histories = await _story(house, server)
    database.close()
    return histories


async def _story(house: House, server: WorkflowEnvironment) -> dict[str, WorkflowHistory]:
    renewal = await house.renew()
    case = renewal.id
    await eventually(lambda: house.status(case) is RenewalStatus.WAITING_FOR_DATA)
    await server.sleep(7 * HOUR)
    await eventually(lambda: "notice_failed" in house.events(f"{case}-unbind-0"))
    await server.sleep(HOUR)
    await eventually(lambda: house.states(case)["push-1"] == "delivered")
    await house.acknowledge(case, "push-0")
    item = house.item(case, "push-0").id
    await house.command(unbind.Extend(item=item, enterprise="push-0", by=DAY, reason="migration"))
    await house.desk.withdraw(case)
    await eventually(lambda: house.states(case)["push-1"] == "withdrawn")
    await server.sleep(7 * DAY)
    await eventually(lambda: house.status(case) is RenewalStatus.SUMMARY_SENT)
    await house.answer(case, "push-0", "unbound")
    await eventually(lambda: house.events(case).count("result_sent") == 2)
    await server.sleep(40 * DAY)
    await house.ended(renewal)
    return {"renewal": await renewal.fetch_history(), "unbind": await house.part(case).fetch_history()}


def record(name: str) -> None:
    """Write the histories as `<kind>-<name>.json`, and the fingerprints."""
    with tempfile.TemporaryDirectory() as folder:
        histories = asyncio.run(live(Path(folder)))
    HISTORIES.mkdir(exist_ok=True)
    for kind, history in histories.items():
        (HISTORIES / f"{kind}-{name}.json").write_text(history.to_json())
    prints = {kind: fingerprint(history) for kind, history in histories.items()}
    FINGERPRINTS.write_text(json.dumps(prints, indent=1) + "\n")


if __name__ == "__main__":
    record(sys.argv[1])
