"""Doors for carriers: many renewals as one upload, which becomes a job with a state and an outcome per line.

An upload that breaks off is taken up where it stopped: by the same POST again, or by a PATCH with the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Path, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import Row

from domain.access import Scope
from gateway import paging, problems
from gateway.auth import Using, may
from gateway.caller import Caller
from gateway.problems import Problem, fail
from gateway.services import Services
from gateway.uploads import COLUMNS, MEDIA, MOST_LINES, Format, Upload
from store import batches
from store.batches import BatchState, LineState
from store.keyset import Place

router = APIRouter(prefix="/v1", tags=["renewal batches"])

PAGE = 1000
BATCH_ID = "^B[0-9A-HJKMNP-TV-Z]{12}$"
CSV_EXAMPLE = (
    f"{','.join(COLUMNS)}\n"
    "13800138000,01123X,2026-08-01T10:00:00+08:00,wechat qq,app-login,code_and_id_tail,2026-11-20T09:30:00+08:00\n"
)
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f"One renewal per line, as for POST /v1/renewals; at most {MOST_LINES} lines, 64 MiB, 64 KiB a "
        f"line. CSV: UTF-8, the first line names the columns ({', '.join(COLUMNS)}); apps: codes with spaces between,"
        " empty for all.",
        "content": {
            "application/x-ndjson": {
                "schema": {"$ref": "#/components/schemas/RenewalRequest"},
                "example": {
                    "number": "13800138000",
                    "id_tail": "01123X",
                    "activated_at": "2026-08-01T10:00:00+08:00",
                    "identity": {
                        "checked_by": "app-login",
                        "method": "code_and_id_tail",
                        "checked_at": "2026-11-20T09:30:00+08:00",
                    },
                },
            },
            "text/csv": {"schema": {"type": "string"}, "example": CSV_EXAMPLE},
        },
    }
}
OFFSET_HEADER = {
    "Upload-Offset": {"description": "Lines received", "schema": {"type": "integer", "minimum": 0}},
}


class BatchListed(BaseModel):
    """A batch. Times are UTC."""

    batch: str
    state: BatchState = Field(
        description="receiving: more lines may come; running: complete, its lines are handed in one by one"
    )
    format: Format
    lines: int = Field(description="Lines received; without the first line of CSV, which names the columns")
    submitted_at: AwareDatetime
    received_at: AwareDatetime = Field(description="When lines came last")
    finished_at: AwareDatetime | None
    status_url: str


class BatchView(BatchListed):
    """A batch and what became of its lines."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "batch": "B0123456789AB",
                    "state": "running",
                    "format": "ndjson",
                    "lines": 4,
                    "submitted_at": "2026-11-20T01:30:00Z",
                    "received_at": "2026-11-20T01:30:01Z",
                    "finished_at": None,
                    "status_url": "/v1/renewal-batches/B0123456789AB",
                    "counts": {"waiting": 1, "accepted": 2, "refused": 1, "cancelled": 0},
                    "lines_url": "/v1/renewal-batches/B0123456789AB/lines",
                }
            ]
        }
    )

    counts: Mapping[LineState, int]
    lines_url: str


class Batches(BaseModel):
    """A page of batches, the newest first."""

    batches: list[BatchListed]
    next: str | None = Field(description="Cursor of the following page; null: this is the last one")


class LineView(BaseModel):
    """A line and what became of it."""

    line: int
    state: LineState
    case: str = Field("", description="The renewal's case, once it is accepted")
    status_url: str = ""
    problem: Problem | None = Field(None, description="Why it is refused")


class Lines(BaseModel):
    """A page of a batch's lines, in their order."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "lines": [
                        {
                            "line": 1,
                            "state": "accepted",
                            "case": "R0123456789AB",
                            "status_url": "/v1/renewals/R0123456789AB",
                            "problem": None,
                        }
                    ],
                    "next": None,
                }
            ]
        }
    )

    lines: list[LineView]
    next: int | None = Field(description="Cursor of the following page; null: this is the last one")


Reads = Annotated[Caller, may(Scope.RENEWALS_READ)]
Writes = Annotated[Caller, may(Scope.RENEWALS_WRITE)]
BatchInPath = Annotated[str, Path(pattern=BATCH_ID, description="Batch id")]
Key = Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=80, description="Unique per batch")]
Media = Annotated[str, Header(alias="Content-Type", include_in_schema=False)]
Complete = Annotated[
    Literal["?0", "?1"], Header(alias="Upload-Complete", description="?0: more lines follow with a PATCH")
]
Offset = Annotated[int, Header(alias="Upload-Offset", ge=0, le=MOST_LINES, description="Lines received so far")]


@router.post("/renewal-batches", status_code=202, openapi_extra=BODY, responses={202: {"headers": {**OFFSET_HEADER}}})
async def upload(
    request: Request,
    response: Response,
    carrier: Writes,
    services: Using,
    idempotency_key: Key,
    upload_complete: Complete = "?1",
    content_type: Media = "",
) -> BatchView:
    """Upload renewals. The same Idempotency-Key gives the same batch, and goes on with it where it broke off."""
    one = Upload(services, carrier.code, _format(content_type), idempotency_key)
    with _said():
        try:
            await one.receive(request, whole=upload_complete == "?1")
        except batches.OtherContent:
            raise fail(
                409,
                "key_reused",
                "This key came before with other lines.",
                "Use a new key for a new upload, the same lines for a repetition.",
                "Idempotency-Key",
            ) from None
    view = await _view(services, await _own(services, carrier, one.batch))
    response.headers["location"], response.headers["upload-offset"] = view.status_url, str(view.lines)
    if one.again:
        response.headers["idempotent-replayed"] = "true"
    return view


@router.patch(
    "/renewal-batches/{batch}",
    response_model=BatchView,
    openapi_extra=BODY,
    responses={
        200: {"headers": {**OFFSET_HEADER}},
        409: {"model": Problem, "description": "Other lines are wanted", "headers": {**OFFSET_HEADER}},
    },
)
async def upload_rest(
    batch: BatchInPath,
    request: Request,
    response: Response,
    carrier: Writes,
    services: Using,
    upload_offset: Offset,
    upload_complete: Complete = "?1",
    content_type: Media = "",
) -> Any:
    """Send the lines that have not been received. With offset 0, CSV begins with the names of its columns again."""
    row = await _own(services, carrier, batch)
    if content_type and _format(content_type) != row.format:
        raise fail(415, "wrong_media_type", f"The batch is written in {row.format}.", "Send its rest so.")
    if row.state != BatchState.RECEIVING or upload_offset != row.lines:
        return _elsewhere(row)
    digest = await services.database.read(lambda c: batches.digest_at(c, batch, row.lines)) if row.lines else ""
    one = Upload(services, carrier.code, Format(row.format))
    one.go_on(row, digest)
    with _said():
        try:
            await one.receive(request, whole=upload_complete == "?1")
        except batches.OtherContent:
            return _elsewhere(await _own(services, carrier, batch))
    view = await _view(services, await _own(services, carrier, batch))
    response.headers["upload-offset"] = str(view.lines)
    return view


@router.get("/renewal-batches")
async def list_batches(
    carrier: Reads,
    services: Using,
    state: BatchState | None = None,
    after: paging.After = "",
    limit: paging.Limit = 50,
) -> Batches:
    """Your batches, the newest first."""
    place = paging.place(services.keys, "batches", after)
    rows = await services.database.read(lambda c: batches.page(c, carrier.code, state, place, limit))
    listed = [BatchListed(**_listed(row)) for row in rows]
    last = Place(rows[-1].submitted_at, rows[-1].batch_id) if len(rows) == limit else None
    return Batches(batches=listed, next=paging.cursor(services.keys, "batches", last) if last else None)


@router.get("/renewal-batches/{batch}")
async def show_batch(batch: BatchInPath, carrier: Reads, services: Using) -> BatchView:
    """Where a batch stands: how many lines were received, and what became of them."""
    return await _view(services, await _own(services, carrier, batch))


@router.get("/renewal-batches/{batch}/lines")
async def list_lines(
    batch: BatchInPath,
    carrier: Reads,
    services: Using,
    state: LineState | None = None,
    after: Annotated[int, Query(ge=0, le=MOST_LINES, description="Cursor from the previous page")] = 0,
    limit: Annotated[int, Query(ge=1, le=PAGE)] = 200,
) -> Lines:
    """What became of each line: its case, or why it is refused."""
    await _own(services, carrier, batch)
    rows = await services.database.read(lambda c: batches.lines_of(c, batch, state, after, limit))
    return Lines(lines=[_line(row) for row in rows], next=rows[-1].line if len(rows) == limit else None)


@router.post("/renewal-batches/{batch}/cancel")
async def cancel_batch(batch: BatchInPath, carrier: Writes, services: Using) -> BatchView:
    """Take no more of its lines up. Those that have a case go on; withdraw them one by one."""
    row = await _own(services, carrier, batch)
    if not await services.database.write(lambda c: batches.cancel(c, batch)) and row.state != BatchState.CANCELLED:
        raise fail(409, "batch_done", "Every line of the batch is done.", "Withdraw its renewals one by one.")
    return await _view(services, await _own(services, carrier, batch))


@contextmanager
def _said() -> Iterator[None]:
    """What may come in the way of an upload, in words."""
    try:
        yield
    except batches.BatchCancelled:
        raise fail(409, "batch_cancelled", "The batch is cancelled.", "Begin another one with a new key.") from None
    except batches.NoLines:
        raise fail(422, "no_lines", "The upload has no line.", "Send one renewal per line.") from None
    except batches.TooManyOpen:
        said = f"You have {batches.MOST_OPEN} batches that are not finished."
        raise fail(429, "too_many_batches", said, "Wait for one, or cancel it.", retry_after=60) from None


def _format(content_type: str) -> Format:
    found = MEDIA.get(content_type.partition(";")[0].strip().lower())
    if found is None:
        kinds = " or ".join(MEDIA)
        raise fail(415, "wrong_media_type", "A batch is NDJSON or CSV.", f"Send {kinds} as Content-Type.")
    return found


def _elsewhere(row: Row[Any]) -> Response:
    """The rest of the upload begins elsewhere, or is not wanted any more."""
    if row.state == BatchState.RECEIVING:
        said = ("wrong_offset", f"{row.lines} lines were received.", f"Send what follows on line {row.lines}.")
    else:
        said = ("batch_complete", f"The batch takes no more lines: it is {row.state}.", "Begin another one.")
    answer = problems.response(problems.problem(409, *said, "Upload-Offset"))
    answer.headers["upload-offset"] = str(row.lines)
    return answer


async def _own(services: Services, carrier: Caller, batch: str) -> Row[Any]:
    """The batch if it is this carrier's; the same words if it is another's or nobody's."""
    row = await services.database.read(lambda c: batches.find(c, carrier.code, batch))
    if row is None:
        raise fail(404, "unknown_batch", f"There is no batch {batch} of yours.", "Check the reference.", "batch")
    return row


async def _view(services: Services, row: Row[Any]) -> BatchView:
    listed = _listed(row)
    counts = await services.database.read(lambda c: batches.counts(c, row.batch_id))
    return BatchView(**listed, counts=counts, lines_url=f"{listed['status_url']}/lines")


def _listed(row: Row[Any]) -> dict[str, Any]:
    named = {name: getattr(row, name) for name in BatchListed.model_fields if name not in ("batch", "status_url")}
    return {**named, "batch": row.batch_id, "status_url": f"/v1/renewal-batches/{row.batch_id}"}


def _line(row: Row[Any]) -> LineView:
    return LineView(
        line=row.line,
        state=row.state,
        case=row.case_id,
        status_url=f"/v1/renewals/{row.case_id}" if row.case_id else "",
        problem=Problem.model_validate_json(row.problem) if row.problem else None,
    )
