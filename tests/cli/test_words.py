"""What is written a second time for the command line says the same as the domain, and every command prints JSON."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

import pytest

import starter
from commands import words
from domain import case, casework, complaint, dispute, investigation, messages, number, proof, query, unbind
from gateway.casework import PLAIN, WITH_REASON
from runtime import render
from store.queues import Queue, Sort
from tests.cli.conftest import BUILT

SAME: dict[type[StrEnum], type[StrEnum]] = {
    words.Purpose: proof.Purpose,
    words.Language: messages.Language,
    words.Target: query.Target,
    words.ClaimReason: dispute.ClaimReason,
    words.Wish: dispute.Wish,
    words.ComplaintKind: complaint.ComplaintKind,
    words.Way: complaint.Way,
    words.Fact: number.Fact,
    words.CaseKind: case.CaseKind,
    words.Queue: Queue,
    words.Sort: Sort,
    words.Waiting: casework.Waiting,
    words.Decision: casework.DecisionKind,
    words.Result: investigation.Result,
}


@pytest.mark.parametrize("typed", SAME, ids=lambda kind: kind.__name__)
def test_words_are_the_domain_s(typed: type[StrEnum]) -> None:
    assert [word.value for word in typed] == [word.value for word in SAME[typed]]


def test_every_word_is_held_against_something() -> None:
    mine = {kind for kind in vars(words).values() if isinstance(kind, type) and kind.__module__ == words.__name__}
    assert mine == {*SAME, words.Settlement, words.Bulk}
    assert {one.value for one in words.Settlement} == {one.value for one in dispute.BY_TELEPHONE}
    assert {one.value for one in words.Bulk} == {*PLAIN, *WITH_REASON, "assign", "note", "extend"}


def test_references_have_the_domain_s_form() -> None:
    assert f"^{words.CASE_ID}$" == case.CASE_ID
    assert re.fullmatch(words.ITEM_ID, "W0123456789ABCDEFGHJK")


def test_work_items_look_like_the_domain_s() -> None:
    assert list(render.STYLE) == [state.value for state in unbind.ItemState]
    assert {state.value for state in unbind.OPEN} == render.OPEN
    assert set(render.CLAIM_STYLE) <= {state.value for state in dispute.ClaimState}
    assert {one.value for one in dispute.FOR_THE_CITIZEN} == render.FOR_THE_CITIZEN


@pytest.mark.parametrize("document", ["README.md", "README.zh-CN.md", "docs/add-an-enterprise.md"])
def test_documents_name_commands_and_options_there_are(document: str) -> None:
    lines = re.findall(r"starter\.py ([a-z][a-z-]+)(.*)", Path(document).read_text())
    assert lines
    for name, rest in lines:
        assert name in BUILT.commands, f"{document}: {name}"
        command, typed = BUILT.commands[name], re.split(r"[#`(（]", rest)[0]
        for word in typed.split():
            command = getattr(command, "commands", {}).get(word, command)
        options = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", typed)) <= options, f"{document}: {name}{rest}"


@pytest.mark.parametrize("panel", [*starter.PANELS, "number"])
def test_every_command_prints_json_and_says_what_it_does(panel: str) -> None:
    app = starter.PANELS.get(panel, starter.carrier.numbers)
    for command in app.registered_commands:
        run = command.callback
        assert run is not None and run.__doc__, command
        assert "as_json" in run.__annotations__ or run.__name__ == "demo", run.__name__


def test_every_command_has_a_name_of_its_own() -> None:
    named = [
        one.name or one.callback.__name__ for part in starter.PANELS.values() for one in part.registered_commands
    ]
    assert len(named) == len(set(named)), "the later one would hide the earlier"
