"""What pages say: every sentence in both languages, with the same fields; every problem, every word, every event."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from babel.messages.extract import extract_from_file

from domain import complaint, dispute, investigation, story
from domain.case import CaseKind
from domain.messages import Language
from domain.refusal import RefusalCode
from gateway.pages import acts, labels, words
from tests.samples import event_types, every

CHINESE = words.translations(Language.ZH).gettext
PLACEHOLDER = re.compile(r"%\([a-z_]+\)s")
GATEWAY = words.GATEWAY
BY_STATUS = (400, 404, 405)
"""What the server answers by itself where nobody of ours did."""

CODES = re.compile(r"code-\d|ref-\d|[RKQDNXCPWA]0123456789[0-9A-Z]*")
"""Codes and references of the samples: they are the same in every language."""

SAYING = {"say": None, "_counted": (1, 2), "_optional": None, "_listed": (2, 3), "_so_many": (2, 3)}
"""What hands a sentence or a phrase on in domain/story.py."""


def entries() -> Iterator[tuple[str, str, str]]:
    """Catalogue, sentence, Chinese."""
    for path, catalogue in words.catalogues():
        yield from ((path.stem, str(one.id), str(one.string)) for one in catalogue if one.id)


def test_every_sentence_has_its_chinese() -> None:
    assert not words.missing()


def test_every_sentence_has_the_fields_of_the_english() -> None:
    for catalogue, english, chinese in entries():
        if catalogue != "problems":
            assert sorted(PLACEHOLDER.findall(english)) == sorted(PLACEHOLDER.findall(chinese)), (catalogue, english)
        if catalogue == "story":
            assert fields(english) == fields(chinese), english


def fields(template: str) -> list[str]:
    return sorted(field for _, field, _, _ in string.Formatter().parse(template) if field)


def test_nothing_is_said_in_two_ways() -> None:
    found: dict[str, dict[str, str]] = {}
    for catalogue, english, chinese in entries():
        found.setdefault(english, {})[chinese] = catalogue
    assert not {english: ways for english, ways in found.items() if len(ways) > 1}


def test_no_sentence_is_left_over() -> None:
    said = {str(one.id) for one in words.said() if one.id}
    wanted = {"problems": {f"problem:{code}" for code in problem_codes()}, "story": story_sentences()}
    for catalogue, english, _ in entries():
        assert english in wanted.get(catalogue, said), f"{catalogue}.po: nobody says {english!r}"


# ── problems ─────────────────────────────────────────────────────────────────────────────────────────


def problem_codes() -> set[str]:
    """Every code a problem may have."""
    of_gateway = {code for path in GATEWAY.rglob("*.py") for code in _codes_in(path)}
    return {code.value for code in RefusalCode} | of_gateway | {f"http_{status}" for status in BY_STATUS}


def _codes_in(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("fail", "problem") and len(node.args) > 1:
            code = node.args[1]
            if isinstance(code, ast.Constant):
                yield str(code.value)


def test_every_problem_has_its_chinese() -> None:
    there = {english for catalogue, english, chinese in entries() if catalogue == "problems" and chinese}
    assert {f"problem:{code}" for code in problem_codes()} - there == set()


def test_what_pages_say_of_problems_is_of_problems_there_are() -> None:
    assert set(labels.PROBLEMS) <= problem_codes()
    programs = re.compile(r"GET /|POST /|Authorization|Idempotency|Retry-After|openapi|JSON|scope")
    assert not [said for said in labels.PROBLEMS.values() if programs.search(said)]


# ── the domain's words ───────────────────────────────────────────────────────────────────────────────


def tables() -> dict[str, Mapping[StrEnum, str]]:
    """The tables of labels that go by a word of the domain."""
    of_status = {f"STATUS of {kind}": table for kind, table in labels.STATUS.items()}
    of_words = {
        name: table
        for name, table in vars(labels).items()
        if name.isupper() and isinstance(table, Mapping) and isinstance(next(iter(table)), StrEnum)
    }
    return {**of_status, **{name: table for name, table in of_words.items() if name != "STATUS"}}


def test_every_word_has_its_label() -> None:
    assert len(tables()) > 20 and set(labels.STATUS) == set(CaseKind)
    for name, table in tables().items():
        assert set(table) == set(type(next(iter(table)))), name


def test_every_action_has_its_form_and_its_words() -> None:
    assert set(acts.FIELDS) == set(labels.ACTIONS) == set(acts.DONE) == set(acts.DO)
    assert {field.name for form in acts.FIELDS.values() for field in form} == set(acts.SENTENCES)


# ── the story ────────────────────────────────────────────────────────────────────────────────────────


def story_sentences() -> set[str]:
    """Every sentence, phrase and word that domain/story.py says."""
    tables: list[Mapping[Any, str]] = [story.SHARED, story.CLAIM_NEXT, story.SAID, story.LINKS, story.DECISIONS]
    tables += [story.METHODS, story.DELIVERY, *story.STORY.values(), *story.NEXT.values()]
    found = {text for table in tables for text in table.values()}
    for _, text, _, _ in extract_from_file("python", story.__file__, SAYING):
        found |= set(text) if isinstance(text, tuple) else {text}

    def listen(text: str) -> str:
        found.add(text)
        return text

    for kind in CaseKind:
        for event in every(kind):
            story.tell(kind, event, listen)
            story.who(event.actor, listen)
    endings = (*dispute.Ending, *investigation.Result, *complaint.Ending)
    plain = {word.value.replace("_", " ") for word in endings}
    return {text for text in found | plain if text and not CODES.fullmatch(text)}


def test_every_sentence_of_the_story_has_its_chinese() -> None:
    there = {english for catalogue, english, _ in entries() if catalogue == "story"}
    assert story_sentences() - there == set()


@pytest.mark.parametrize("kind", CaseKind)
def test_every_event_can_be_told_in_chinese(kind: CaseKind) -> None:
    told = set()
    for event in every(kind):
        said = f"{story.who(event.actor, CHINESE)}：{story.tell(kind, event, CHINESE)}"
        assert not re.search("[A-Za-z{}]", CODES.sub("", said)), said
        in_both = {*CODES.findall(story.tell(kind, event))}
        assert in_both == {*CODES.findall(story.tell(kind, event, CHINESE))}, said
        told.add(type(event))
    assert told == set(event_types(kind))
