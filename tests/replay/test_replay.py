"""Old histories must go on replaying, and the commands of a workflow must not change unnoticed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory

from tests.house import replayer, saved_ring
from tests.replay.scenario import FINGERPRINTS, HISTORIES, fingerprint, live

SAVED = sorted(HISTORIES.glob("*.json"))


def test_there_is_a_history_per_workflow() -> None:
    assert {path.stem.split("-")[0] for path in SAVED} >= {"renewal", "unbind"}


@pytest.mark.parametrize("path", SAVED, ids=lambda path: path.stem)
async def test_saved_history_replays(path: Path) -> None:
    history = WorkflowHistory.from_json(f"saved-{path.stem}", path.read_text())
    await replayer(saved_ring()).replay_workflow(history)


async def test_commands_have_not_changed(tmp_path: Path) -> None:
    expected = json.loads(FINGERPRINTS.read_text())
    now = {kind: fingerprint(history) for kind, history in (await live(tmp_path)).items()}
    for kind, commands in expected.items():
        assert now[kind] == commands, (
            f"the {kind} workflow decides other commands than before: put the change behind workflow.patched(), "
            "then record with `python -m tests.replay.scenario <name>`"
        )
