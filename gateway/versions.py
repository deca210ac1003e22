"""Two people and one case: a version when it is read, and `If-Match` where somebody acts on what they read.

An entity tag is the number of the case's events. Whether it is still the newest is looked at here, so that most are
told at once, and decided in the case's workflow, which alone knows what comes first.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import Header, Response

from domain.refusal import changed_meanwhile
from gateway.problems import ProblemError, of_refusal
from gateway.services import Services
from store import views

TAG = re.compile(r'(?:W/)?"[^"]*"')

IfMatch = Annotated[
    str,
    Header(
        alias="If-Match", max_length=400, description="The `ETag` of what you read: refused if it has changed since"
    ),
]
IfNoneMatch = Annotated[
    str,
    Header(alias="If-None-Match", max_length=400, description="The `ETag` of what you have: 304 if it still is so"),
]

RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"headers": {"ETag": {"description": "Which version this is", "schema": {"type": "string"}}}},
    304: {"description": "It still is what you have"},
}
"""What reading something with a version may give besides problems."""


def etag(version: str) -> str:
    """A version as a header has it."""
    return f'"{version}"'


def unchanged(if_none_match: str, version: str) -> Response | None:
    """304 for somebody who has this version already."""
    tags = [tag.removeprefix("W/") for tag in TAG.findall(if_none_match)]
    if if_none_match.strip() == "*" or etag(version) in tags:
        return Response(status_code=304, headers={"etag": etag(version)})
    return None


async def expected(services: Services, case: str, if_match: str) -> int | None:
    """How many events the case has to have, by the version the caller looked at; None if they do not mind."""
    if not if_match or if_match.strip() == "*":
        return None
    tag = await current(services, case)
    if tag not in TAG.findall(if_match):
        raise ProblemError(of_refusal(changed_meanwhile()), etag=tag)
    return int(tag.strip('"').partition("-")[0])


async def current(services: Services, case: str) -> str:
    """The entity tag of a case that there is."""
    return etag(str(await services.database.read(lambda c: views.version(c, case))))
