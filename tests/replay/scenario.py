"""The scenes' histories and fingerprints, and how they are recorded.

`python -m tests.replay.scenario <name> [<scene> …]` plays scenes and records them anew — only after a change behind
`workflow.patched`, under a new name, or before the first release; old histories stay and must go on replaying.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import MarkerRecordedEventAttributes
from temporalio.client import WorkflowHistory

from tests.replay.scenes import SCENES

HISTORIES = Path(__file__).parent / "histories"
FINGERPRINTS = Path(__file__).parent / "fingerprints.json"

AGAIN = "continue as new"
COMMANDS = {
    EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED: lambda e: (
        "activity " + e.activity_task_scheduled_event_attributes.activity_type.name
    ),
    EventType.EVENT_TYPE_MARKER_RECORDED: lambda e: _marker(e.marker_recorded_event_attributes),
    EventType.EVENT_TYPE_TIMER_STARTED: lambda e: "timer",
    EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED: lambda e: (
        "child " + e.start_child_workflow_execution_initiated_event_attributes.workflow_type.name
    ),
    EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED: lambda e: (
        "signal " + e.signal_external_workflow_execution_initiated_event_attributes.signal_name
    ),
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: lambda e: AGAIN,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: lambda e: "complete",
}
"""What a workflow decided to do, without when the server gave it a turn."""


def _marker(marker: MarkerRecordedEventAttributes) -> str:
    """A local activity by its name, which stands in the clear; anything else by the marker's."""
    if marker.marker_name != "core_local_activity":
        return f"marker {marker.marker_name}"
    return "local " + json.loads(marker.details["data"].payloads[0].data)["activity_type"]


def fingerprint(history: WorkflowHistory) -> list[str]:
    """The commands of a history, in order. How often one came again before a fresh history is the server's to say."""
    commands = [COMMANDS[event.event_type](event) for event in history.events if event.event_type in COMMANDS]
    if commands[-1] != AGAIN:
        return commands
    return [command for before, command in pairwise(["", *commands]) if command != before]


def workflow_of(history: WorkflowHistory) -> str:
    """The workflow a history is of, by its type's name."""
    return history.events[0].workflow_execution_started_event_attributes.workflow_type.name


def record(name: str, *titles: str) -> None:
    """Write the histories of these scenes (of all, if none is named) as `<label>-<name>.json`, and the fingerprints."""
    prints: dict[str, dict[str, list[str]]] = json.loads(FINGERPRINTS.read_text()) if titles else {}
    HISTORIES.mkdir(exist_ok=True)
    for title in titles or SCENES:
        with tempfile.TemporaryDirectory() as folder:
            histories = asyncio.run(SCENES[title].live(Path(folder)))
        for label, history in histories.items():
            written = (HISTORIES / f"{label}-{name}.json").write_text(history.to_json() + "\n")
            print(f"{title}: {label}-{name}, {len(history.events)} events, {written} bytes")
        prints[title] = {label: fingerprint(history) for label, history in histories.items()}
    FINGERPRINTS.write_text(json.dumps(prints, indent=1) + "\n")


if __name__ == "__main__":
    record(*sys.argv[1:])
