"""Doors for case workers: searches they keep for themselves, by name. What is kept fits `GET /v1/cases`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, get_type_hints
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Query
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, create_model

from gateway import search
from gateway.auth import Using
from gateway.problems import fail, place
from gateway.search import AsReader
from store import saved
from store.queues import Sort
from store.saved import Saved

router = APIRouter(prefix="/v1", tags=["case work"])


def _filters() -> type[BaseModel]:
    """What a list of cases is asked by, in the words of `GET /v1/cases`; a number is nothing to be kept."""
    hints = get_type_hints(search.wanted, include_extras=True)
    known = {name: one.default for name, one in inspect.signature(search.wanted).parameters.items()}
    fields: dict[str, Any] = {name: (hints[name], default) for name, default in known.items() if name != "number"}
    config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    return create_model("Filters", __config__=config, **fields, sort=(Sort, Sort.DUE))


Filters = _filters()


def _fit(name: str) -> str:
    """Raises ValueError for a name nobody could read, or that tells somebody's number: names stand in URLs."""
    if not name.isprintable():
        raise ValueError("it holds what cannot be read")
    if re.search(r"[0-9]{7}", re.sub(r"[\s+-]", "", name)):
        raise ValueError("it holds a number")
    return name.strip()


Name = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^.*\S.*$"), AfterValidator(_fit)]


class SavedSearch(BaseModel):
    """A search that is kept."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={"examples": [{"name": "Overdue disputes", "query": "kind=dispute&queue=overdue"}]},
    )

    name: Name
    query: str = Field(max_length=500, description="The query string of GET /v1/cases, without a number or a cursor")


class SavedSearches(BaseModel):
    """Your searches, by name."""

    searches: list[SavedSearch]


@router.get("/saved-searches")
async def list_searches(staff: AsReader, services: Using) -> SavedSearches:
    """The searches you keep; nobody else sees them."""
    found = await services.database.read(lambda c: saved.listed(c, staff.code))
    return SavedSearches(searches=[SavedSearch.model_construct(name=one.name, query=one.query) for one in found])


@router.put("/saved-searches", status_code=204)
async def save_search(body: SavedSearch, staff: AsReader, services: Using) -> None:
    """Keep a search, instead of the one of that name if there is one; at most 20."""
    kept = Saved(body.name, checked(body.query))
    now = datetime.now(UTC)
    if not await services.database.write(lambda c: saved.save(c, staff.code, kept, now)):
        raise fail(409, "too_many_searches", f"You keep {saved.MOST} searches.", "Forget one of them.", "name")


@router.delete("/saved-searches", status_code=204)
async def forget_search(name: Annotated[str, Query(max_length=40)], staff: AsReader, services: Using) -> None:
    """Forget a search; one that is not there is forgotten too."""
    if name.isprintable():
        await services.database.write(lambda c: saved.forget(c, staff.code, name))


def checked(query: str) -> str:
    """The same query string in one spelling, if it is one of a list of cases. Raises ProblemError 422."""
    try:
        return spelled(Filters.model_validate(dict(parse_qsl(query, strict_parsing=bool(query)))))
    except ValidationError as error:
        wrong = place(error.errors(include_input=False)[0]["loc"][:1])
        sentence = f"query: `{wrong}` is no filter of a list of cases, or does not fit."
    except ValueError:
        sentence = "query: it is no query string."
    raise fail(422, "malformed", sentence, "Take the query string of GET /v1/cases.", "query")


def spelled(filters: BaseModel) -> str:
    """Filters as a query string; what does not matter is left out."""
    said: Mapping[str, Any] = filters.model_dump(mode="json", exclude_defaults=True)
    return urlencode({name: value for name, value in said.items() if value})
