"""Every event of every kind can be told, and the drawn tables are the ones the code goes by."""

from __future__ import annotations

import string
import typing
from typing import Any

import pytest

from domain import story
from domain.case import CaseKind
from runtime import cases_doc
from store.projection import PROJECTIONS


def event_types(kind: CaseKind) -> list[type[Any]]:
    """The event classes of a kind."""
    union = typing.get_args(PROJECTIONS[kind].events._type)[0]
    return list(typing.get_args(union))


EVERY = [(kind, event) for kind in CaseKind for event in event_types(kind)]


@pytest.mark.parametrize(("kind", "event"), EVERY, ids=lambda value: getattr(value, "__name__", str(value)))
def test_every_event_has_a_sentence_that_can_be_filled_in(kind: CaseKind, event: type[Any]) -> None:
    word = event.model_fields["type"].default
    template = story.STORY.get(kind, {}).get(word) or story.SHARED.get(word)
    assert template, f"{kind}: no sentence for {word} in domain/story.py"
    known = set(story._words(event.model_construct(type=word)))
    for _, field, _, _ in string.Formatter().parse(template):
        if field and field.startswith("e."):
            assert field.split(".")[1] in event.model_fields, f"{kind} {word}: no field {field}"
        elif field:
            assert field in known, f"{kind} {word}: no word {field}"


def test_no_sentence_is_left_over() -> None:
    types = {kind: {event.model_fields["type"].default for event in event_types(kind)} for kind in CaseKind}
    for kind, sentences in story.STORY.items():
        assert set(sentences) <= types[kind], kind
    assert set(story.SHARED) <= set().union(*types.values())


@pytest.mark.parametrize("kind", CaseKind)
def test_every_status_that_is_no_end_says_what_is_next(kind: CaseKind) -> None:
    table = cases_doc.MODULES[kind].TRANSITIONS
    leaving = {before.value for before, _ in table}
    if kind is not CaseKind.UNBIND:
        ended = {status for status in leaving if status in ("closed", "withdrawn")}
        assert leaving - ended <= set(story.NEXT[kind])


def test_the_document_is_current() -> None:
    assert cases_doc.FILE.read_text() == cases_doc.text(), "run `python -m runtime.cases_doc`"
