"""Hotlines: whom to call for what cannot be solved here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Response

from domain.messages import Language
from domain.registry import App, Carrier, Enterprise, Registry
from gateway.pages.page import Opened

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Line:
    """One enterprise, its hotline (empty where none is known) and its apps."""

    name: str
    hotline: str
    apps: tuple[str, ...] = ()


@router.get("/hotlines")
async def show(page: Opened, q: Annotated[str, Query(max_length=60)] = "") -> Response:
    """All hotlines, or those of what is searched for: an app or an enterprise, in either language."""
    registry = page.services.registry
    carriers = [Line(named(one, page.language), one.hotline) for one in registry.carriers]
    return page.draw("hotlines.html", typed={"q": q}, carriers=carriers, lines=[*found(registry, q, page.language)])


def found(registry: Registry, wanted: str, language: Language) -> Iterator[Line]:
    """The enterprises that a word names, by their own name or an app's."""
    word = wanted.strip().casefold()
    for one in registry.enterprises:
        names = [one.name, one.name_en, *(name for app in one.apps for name in (app.name, app.name_en))]
        if any(word in name.casefold() for name in names):
            yield Line(named(one, language), one.hotline, tuple(named(app, language) for app in one.apps))


def named(one: App | Carrier | Enterprise, language: Language) -> str:
    """What readers of a language call it."""
    return one.name if language is Language.ZH else one.name_en or one.name
