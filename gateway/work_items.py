"""Doors for enterprises: pull work items, acknowledge, answer one or many, amend, ask for more time.

Everything is idempotent by work item: the same answer again changes nothing. `docs/enterprise-protocol.md` is
made from these routes.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Connection

from domain import unbind
from domain.access import Scope
from domain.case import WorkItemId
from domain.unbind import ItemState, Outcome, Reason
from gateway.auth import SignedMessage, Using, may
from gateway.caller import Caller
from gateway.desk import EngineBusy
from gateway.problems import Problem, ProblemError, fail, of_refusal, place, problem
from gateway.renewals import busy
from gateway.services import Services
from store import papers, trail, views
from store.disclosure import SharedItem, shared, subject
from store.keys import KeyRing
from store.vault import NotInVault, Person, get
from workflows.messages import Taken

router = APIRouter(prefix="/v1", tags=["work items"])

NDJSON = "application/x-ndjson"
MOST_LINES = 10_000
PAGE = 200
LAST_CURSOR = 2**63 - 1

ItemInPath = Annotated[WorkItemId, Path(description="Work item id")]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class AnswerBody(_Closed):
    """What became of a work item; `amends` is the version it corrects."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"outcome": "unbound"},
                {"outcome": "exempt", "reason": "legal_hold"},
                {"outcome": "unbound", "amends": 1},
            ]
        }
    )

    outcome: Outcome
    reason: Reason | None = None
    bound_at: AwareDatetime | None = Field(None, description="When the binding was made, if you tell it")
    amends: int | None = Field(None, ge=1)


class ExtendBody(_Closed):
    """More time, with a reason; counted as the enterprise's SLA counts (ISO 8601 duration)."""

    by: timedelta
    reason: str = Field(min_length=1, max_length=500)


class AnswerLine(AnswerBody):
    """One line of an upload: an answer, or an acknowledgement."""

    work_item: WorkItemId
    outcome: Outcome | None = Field(None, description="Left out with acknowledge")  # type: ignore[assignment]
    acknowledge: bool = Field(False, description="true: take the item on, instead of answering it")

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"work_item": "W0123456789ABCDEFGHJK", "outcome": "unbound"}]}
    )


class _About(BaseModel):
    """The work item a line is about, whatever else is wrong with it."""

    work_item: WorkItemId


class WorkItems(BaseModel):
    """A page of open work items."""

    work_items: list[SharedItem]
    next: int | None = Field(
        description="Cursor of the following page. null: this is the last one; next time begin again without `after`,"
        " since only open items are listed"
    )


class Recorded(BaseModel):
    """A work item after a message; `changed` is false for a repetition."""

    work_item: str
    state: ItemState
    version: int
    changed: bool


class LineResult(BaseModel):
    """What became of one line of an upload."""

    line: int
    work_item: str = Field("", description="Left empty where the line does not tell")
    status: Literal["recorded", "unchanged", "refused", "repeat"]
    problem: Problem | None = None


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """A model's schema as part of the OpenAPI, where the models it refers to stand already."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    return schema


def _body(model: type[BaseModel], media: str = "application/json") -> dict[str, Any]:
    """A body's schema for the OpenAPI: the signature covers the raw bytes, so routes read them themselves."""
    return {"requestBody": {"required": True, "content": {media: {"schema": _schema(model)}}}}


@router.get("/work-items")
async def list_work_items(
    enterprise: Annotated[Caller, may(Scope.WORK_READ)],
    services: Using,
    after: Annotated[int, Query(ge=0, le=LAST_CURSOR, description="Cursor from the previous page")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = PAGE,
) -> WorkItems:
    """Your open work items, oldest first. Items stay listed until they are answered or their case is closed."""
    listed = await services.database.read(lambda c: views.open_items(c, enterprise.code, after, limit))
    full = len(listed) == limit
    return WorkItems(
        work_items=await _shared(services, enterprise.code, listed), next=listed[-1].cursor if full else None
    )


@router.get("/work-items/{item}")
async def show_work_item(
    item: ItemInPath, enterprise: Annotated[Caller, may(Scope.WORK_READ)], services: Using
) -> SharedItem:
    """One of your work items, open or answered."""
    found = await services.database.read(lambda c: views.item_of(c, enterprise.code, item))
    if found is None:
        raise ProblemError(of_refusal(unbind.refuse_unknown(item)))
    shown = await _shared(services, enterprise.code, [found])
    if not shown:
        raise _forgotten()
    return shown[0]


@router.post("/work-items/{item}/acknowledge")
async def acknowledge(item: ItemInPath, message: SignedMessage, services: Using) -> Recorded:
    """Say that you have taken the work item on (受理); the holder can no longer withdraw it."""
    return await _one(services, message, unbind.Acknowledge(item=item, enterprise=message.partner.code))


@router.post("/work-items/{item}/answer", openapi_extra=_body(AnswerBody))
async def answer(item: ItemInPath, message: SignedMessage, services: Using) -> Recorded:
    """Answer a work item (反馈), or amend your answer by naming the version it corrects (更正)."""
    body = _parse(AnswerBody, message.body)
    return await _one(services, message, unbind.Answer(item=item, enterprise=message.partner.code, **dict(body)))


@router.post("/work-items/{item}/extend", openapi_extra=_body(ExtendBody))
async def extend(item: ItemInPath, message: SignedMessage, services: Using) -> Recorded:
    """Ask for more time, once, with a reason (延期)."""
    body, enterprise = _parse(ExtendBody, message.body), message.partner.code
    try:
        reason = await services.database.write(lambda c: put_away(c, services.keys, enterprise, item, body.reason))
    except NotInVault:
        raise _forgotten() from None
    return await _one(services, message, unbind.Extend(item=item, enterprise=enterprise, by=body.by, reason=reason))


@router.post(
    "/answers",
    response_class=Response,
    openapi_extra=_body(AnswerLine, NDJSON),
    responses={200: {"content": {NDJSON: {"schema": _schema(LineResult)}}}},
)
async def answer_many(request: Request, message: SignedMessage, services: Using) -> Response:
    """Answer many at once: NDJSON in, one line of NDJSON out per line; a bad line never spoils the others."""
    lines = message.body.splitlines()
    if len(lines) > MOST_LINES:
        raise fail(
            413, "too_many_lines", f"The upload has {len(lines)} lines.", f"Send at most {MOST_LINES} at once."
        )
    results = await take_lines(services, [of_line(n, line, message.partner.code) for n, line in enumerate(lines, 1)])
    if not any(result.status == "repeat" for result in results):
        await message.taken()
    text = "".join(result.model_dump_json(exclude_none=True) + "\n" for result in results)
    return Response(text, media_type=NDJSON)


async def _shared(services: Services, enterprise: str, listed: Sequence[views.ListedItem]) -> list[SharedItem]:
    """What the enterprise may see of these, without those whose person is forgotten."""
    if not listed:
        return []
    profile = services.registry.enterprise(enterprise)
    known = await services.database.read(lambda c: people(c, services.keys, {one.case for one in listed}))
    whose = {case: subject(services.keys, profile, person) for case, person in known.items()}
    return [shared(one.item, whose[one.case]) for one in listed if one.case in whose]


def people(connection: Connection, keys: KeyRing, cases: set[str]) -> dict[str, Person]:
    """The people of these cases, without those that are forgotten."""
    found = {}
    for case in cases:
        with suppress(NotInVault):
            found[case] = get(connection, keys, case)
    return found


def put_away(connection: Connection, keys: KeyRing, enterprise: str, item: str, text: str) -> str:
    """What an enterprise writes about a work item of its own, as a paper of the case; the same text is the same one."""
    found = views.item_of(connection, enterprise, item)
    if found is None:
        raise ProblemError(of_refusal(unbind.refuse_unknown(item)))
    return papers.keep(connection, keys, found.case, text)


async def noted(services: Services, account: str, done: Sequence[unbind.ItemCommand]) -> None:
    """Note in the audit trail which clerk said what for the enterprise, which alone the ledger names."""
    at = datetime.now(UTC)
    lines = [trail.Entry(at, account, trail.Did.WORK_ANSWERED, one.item, one.type) for one in done]
    if lines:
        await services.database.write(lambda c: trail.note(c, *lines))


def _forgotten() -> ProblemError:
    return fail(
        410,
        "forgotten",
        "The case of this work item is closed and its personal data is deleted.",
        "Nothing needs to be done; call the case desk if the recorded outcome is wrong.",
    )


async def _one(services: Services, message: SignedMessage, command: unbind.ItemCommand) -> Recorded:
    (taken,) = await services.desk.take([command])
    if isinstance(taken, EngineBusy):
        raise busy()
    if taken.refusal:
        raise ProblemError(of_refusal(taken.refusal))
    await message.taken()
    assert taken.state is not None
    return Recorded(work_item=taken.item, state=taken.state, version=taken.version, changed=taken.changed)


def _parse(model: type[Any], body: bytes) -> Any:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise ProblemError(malformed(error)) from None


def malformed(error: ValidationError) -> Problem:
    """What is wrong with a signed body, by its first fault."""
    first = error.errors(include_input=False)[0]
    field = place(first["loc"])
    said = "The body is not valid JSON." if first["type"] == "json_invalid" else f"{field or 'Body'}: {first['msg']}."
    return problem(422, "malformed", said, "See docs/enterprise-protocol.md for the fields.", field)


@dataclass(frozen=True)
class Line:
    """What a line of an upload asks for."""

    number: int
    command: unbind.ItemCommand


def of_line(number: int, line: bytes, enterprise: str) -> Line | LineResult:
    """A line's command, or what is wrong with the line."""
    try:
        return Line(number, _command(AnswerLine.model_validate_json(line), enterprise))
    except ValidationError as error:
        wrong = malformed(error)
    except ProblemError as error:
        wrong = error.problem
    return LineResult(line=number, work_item=_item_in(line), status="refused", problem=wrong)


async def take_lines(services: Services, parsed: Sequence[Line | LineResult], by: str = "") -> list[LineResult]:
    """Carry an upload out; what became of each line, in order. `by`: the account of a clerk, for the audit trail."""
    lines = [one for one in parsed if isinstance(one, Line)]
    answers = await services.desk.take([one.command for one in lines])
    taken = {line.number: answer for line, answer in zip(lines, answers, strict=True)}
    results = [one if isinstance(one, LineResult) else _line_result(one, taken[one.number]) for one in parsed]
    if by:
        recorded = {result.line for result in results if result.status == "recorded"}
        await noted(services, by, [line.command for line in lines if line.number in recorded])
    return results


def _command(parsed: AnswerLine, enterprise: str) -> unbind.ItemCommand:
    if parsed.acknowledge:
        return unbind.Acknowledge(item=parsed.work_item, enterprise=enterprise)
    if parsed.outcome is None:
        raise fail(422, "malformed", "outcome: it is missing.", "Give an outcome, or acknowledge.", "outcome")
    return unbind.Answer(
        item=parsed.work_item,
        enterprise=enterprise,
        outcome=parsed.outcome,
        reason=parsed.reason,
        bound_at=parsed.bound_at,
        amends=parsed.amends,
    )


def _item_in(line: bytes) -> str:
    """The work item a bad line is about, where that can be told."""
    try:
        return _About.model_validate_json(line).work_item
    except ValidationError:
        return ""


def _line_result(line: Line, taken: Taken | EngineBusy) -> LineResult:
    number, command = line.number, line.command
    if isinstance(taken, EngineBusy):
        return LineResult(line=number, work_item=command.item, status="repeat", problem=busy().problem)
    if taken.refusal:
        return LineResult(line=number, work_item=taken.item, status="refused", problem=of_refusal(taken.refusal))
    return LineResult(line=number, work_item=taken.item, status="recorded" if taken.changed else "unchanged")
