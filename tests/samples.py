"""Events of every kind, made from nothing but their types: each word, each form and a few sizes in turn."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, BaseModel

from domain.case import Actor, ActorKind, CaseKind, Event
from store.projection import PROJECTIONS

TURNS = 14
"""No enumeration of the domain has more words but those of messages, which are gone through apart."""

AT = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)
SIZES = (1, 0, 2, 7)
PATTERNS = {
    "^P": "P0123456789A{}",
    "^W": "W0123456789ABCDEFGHJ{}",
    "^A": "A0123456789ABCDEFGHJ{}",
    "^[RKQDNXC]": "D0123456789A{}",
    "^[A-Za-z0-9_-]": "ref-{}",
    "^[a-z]": "code-{}",
    "^[A-Z2-7]": "A" * 26,
}


def event_types(kind: CaseKind) -> list[type[Event]]:
    """The event classes of a kind."""
    union = typing.get_args(PROJECTIONS[kind].events._type)[0]
    return list(typing.get_args(union))


def every(kind: CaseKind) -> Iterator[Event]:
    """Every event of a kind, each `TURNS` times with other words."""
    for form in event_types(kind):
        for turn in range(TURNS):
            yield typing.cast("Event", _model(form, turn))


def _model(form: type[BaseModel], turn: int) -> BaseModel:
    if form is Actor:
        return Actor(kind=list(ActorKind)[turn % len(ActorKind)], code=f"code-{turn % 3}")
    values = {
        name: _value(field.annotation, turn, [*field.metadata])
        for name, field in form.model_fields.items()
        if name != "type"
    }
    return form(**values)


def _value(form: Any, turn: int, metadata: list[Any]) -> Any:
    origin, inner = typing.get_origin(form), typing.get_args(form)
    if origin is typing.Annotated:
        return _value(inner[0], turn, [*metadata, *inner[1:]])
    if origin is typing.Literal:
        return inner[turn % len(inner)]
    if origin in (typing.Union, types.UnionType):
        return _value(inner[turn % len(inner)], turn, metadata)
    if origin is tuple:
        return tuple(_value(inner[0], turn + place, []) for place in range(_size(turn, metadata)))
    if origin is not None and issubclass(origin, Mapping):
        keys = (_value(inner[0], turn + place, []) for place in range(_size(turn, metadata)))
        return {key: _value(inner[1], turn, []) for key in keys}
    return _plain(form, turn, metadata)


def _size(turn: int, metadata: list[Any]) -> int:
    least = max((getattr(one, "min_length", None) or 0 for one in metadata), default=0)
    return max(SIZES[turn % len(SIZES)], least)


def _plain(form: Any, turn: int, metadata: list[Any]) -> Any:
    if form is type(None):
        return None
    if form is AwareDatetime:
        return AT + timedelta(hours=turn)
    if issubclass(form, BaseModel):
        return _model(form, turn)
    if issubclass(form, StrEnum):
        return list(form)[turn % len(form)]
    if issubclass(form, bool):
        return bool(turn % 2)
    if issubclass(form, int):
        return turn % 3 + 1
    if issubclass(form, timedelta):
        return timedelta(days=1)
    return _text(turn, next((found for one in metadata if (found := getattr(one, "pattern", None))), ""))


def _text(turn: int, pattern: str) -> str:
    form = next((form for begin, form in PATTERNS.items() if pattern.startswith(begin)), "code-{}")
    return form.format(turn % 10)
