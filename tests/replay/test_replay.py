"""Old histories must go on replaying, and the commands of a workflow must not change unnoticed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory

import worker
from tests.house import replayer, saved_ring
from tests.replay.scenario import FINGERPRINTS, HISTORIES, fingerprint, workflow_of
from tests.replay.scenes import SCENES

SAVED = {
    path.stem: WorkflowHistory.from_json(f"saved-{path.stem}", path.read_text())
    for path in sorted(HISTORIES.glob("*.json"))
}
EXPECTED: dict[str, dict[str, list[str]]] = json.loads(FINGERPRINTS.read_text())
"""The commands of every history, by its label, scene by scene."""

RECORD = "`.venv/bin/python -m tests.replay.scenario <name> <scene>`"


@pytest.mark.parametrize("workflow", worker.WORKFLOWS, ids=lambda workflow: workflow.__name__)
def test_every_workflow_has_a_history_and_a_fingerprint(workflow: type) -> None:
    labels = {label for scene in EXPECTED.values() for label in scene}
    of_it = [name for name, history in SAVED.items() if workflow_of(history) == workflow.__name__]
    assert any(name.startswith(f"{label}-") for name in of_it for label in labels), (
        f"nothing is recorded of {workflow.__name__}: write a scene in tests/replay/scenes.py, then {RECORD}"
    )


def test_every_scene_is_recorded_and_nothing_else() -> None:
    assert EXPECTED.keys() == SCENES.keys(), f"record what is played: {RECORD}"


@pytest.mark.parametrize("name", SAVED)
async def test_saved_history_replays(name: str) -> None:
    await replayer(saved_ring()).replay_workflow(SAVED[name])


@pytest.mark.parametrize("name", SCENES)
async def test_commands_have_not_changed(name: str, tmp_path: Path) -> None:
    now = {label: fingerprint(history) for label, history in (await SCENES[name].live(tmp_path)).items()}
    for label, commands in EXPECTED.get(name, {}).items():
        assert now[label] == commands, (
            f"in the scene {name!r} the workflow of {label!r} decides other commands than before: put the change"
            f" behind workflow.patched(), then record under a new name with {RECORD}"
        )
