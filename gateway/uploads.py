"""Receiving an upload: its lines are judged and kept while they come in, a few hundred at a time.

What arrived before a connection broke stays, down to the last whole line. The same lines again are compared, not
kept twice, so whoever repeats an upload goes on where it stopped.
"""

from __future__ import annotations

import asyncio
import csv
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from sqlalchemy import Row
from starlette.requests import ClientDisconnect

from gateway.problems import Problem, ProblemError, fail, of_validation, place, problem
from gateway.renewals import RenewalRequest, wish_of
from gateway.services import Services
from store import batches
from store.batches import NewLine
from store.keys import KeyRing

MOST_LINES = 100_000
MOST_BYTES = 64 * 1024 * 1024
MOST_LINE_BYTES = 64 * 1024
KEPT_LINES = 250
KEPT_BYTES = 1024 * 1024
"""So many lines, or bytes, are kept in one transaction; no more of an upload is ever in memory."""

COLUMNS = ("number", "id_tail", "activated_at", "apps", "checked_by", "method", "checked_at")
REQUIRED = frozenset(COLUMNS) - {"id_tail", "apps"}
LONG_DIGITS = re.compile(r"\S*[0-9]{5}\S*")
"""What might be a number or an ID tail in the sentence of a refusal."""


class Format(StrEnum):
    """How a batch is written."""

    NDJSON = "ndjson"
    CSV = "csv"


MEDIA: Mapping[str, Format] = {"application/x-ndjson": Format.NDJSON, "text/csv": Format.CSV}


class Upload:
    """One request's body on its way into a batch; `batch` is empty until there is one."""

    def __init__(self, services: Services, carrier: str, format_: Format, key: str = "") -> None:
        self._services = services
        self._carrier = carrier
        self._format = format_
        self._key = key
        self._header = ""
        self._digest = ""
        self._known = self._size = 0
        self._pending: list[bytes] = []
        self.batch = ""
        self.lines = 0
        self.again = False

    def go_on(self, row: Row[Any], digest: str) -> None:
        """With a batch, from behind the lines it has."""
        self.batch, self._header, self._digest = row.batch_id, row.header, digest
        self.lines, self._known, self._size = row.lines, row.lines, row.bytes

    async def receive(self, request: Request, *, whole: bool) -> None:
        """Take a body in; `whole`: nothing follows after it.

        Raises ProblemError, and OtherContent, BatchCancelled and NoLines of `store.batches`.
        """
        broken: ProblemError | None = None
        try:
            await self._take(request)
        except ClientDisconnect:
            broken = fail(400, "upload_broken", "The connection broke.", "")
        except ProblemError as error:
            broken = error
        if self._pending or not (self.batch or broken or whole):
            await self._keep()
        if broken:
            raise self._naming(broken)
        if not self.lines and whole:
            raise batches.NoLines
        if whole:
            batch, lines = self.batch, self.lines
            await self._services.database.write(lambda c: batches.complete(c, batch, lines, datetime.now(UTC)))

    async def _take(self, request: Request) -> None:
        weight = 0
        async for line in self._split(request):
            if not self._digest and self._begin_with(line):
                continue
            if self.lines + len(self._pending) >= MOST_LINES:
                raise fail(
                    413,
                    "too_many_lines",
                    f"A batch has at most {MOST_LINES} lines.",
                    "Send the rest as another batch.",
                )
            self._pending.append(line)
            weight += len(line)
            if len(self._pending) >= KEPT_LINES or weight >= KEPT_BYTES:
                await self._keep()
                weight = 0

    def _begin_with(self, line: bytes) -> bool:
        """The very first line of an upload; whether it was a header."""
        if self._format is Format.CSV:
            self._header = _header(line)
        self._digest = self._services.keys.token("batch-upload", f"{self._format}/{self._header}")
        return self._format is Format.CSV

    async def _split(self, request: Request) -> AsyncIterator[bytes]:
        """The body's lines, without their ends; of a line that is too long only the beginning."""
        rest = b""
        async for piece in request.stream():
            self._size += len(piece)
            if self._size > MOST_BYTES:
                raise fail(
                    413, "too_large", f"A batch has at most {MOST_BYTES // 1024 // 1024} MiB.", "Send several."
                )
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                yield line[: MOST_LINE_BYTES + 1].removesuffix(b"\r")
            rest = rest[: MOST_LINE_BYTES + 1]
        if rest:
            yield rest.removesuffix(b"\r")

    async def _keep(self) -> None:
        """What has come in since the last time, into the batch; the first time there may be none yet."""
        pending, self._pending = self._pending, []
        services, now = self._services, datetime.now(UTC)
        if not self.batch:
            row, self.again = await services.database.write(
                lambda c: batches.begin(c, services.keys, self._carrier, self._key, self._format.value, now)
            )
            if row.format != self._format:
                raise batches.OtherContent
            self.batch, self._known = row.batch_id, row.lines
        if not pending:
            return
        judged = await asyncio.to_thread(self._judge, pending)
        batch, header, first = self.batch, self._header, self.lines + 1
        await services.database.write(lambda c: batches.append(c, services.keys, batch, header, first, judged, now))
        self.lines += len(pending)

    def _judge(self, pending: Sequence[bytes]) -> list[NewLine]:
        """Every line by itself; those that were received before need no second judgement."""
        judged, read = [], READERS[self._format]
        for number, line in enumerate(pending, self.lines + 1):
            self._digest = _follow(self._services.keys, self._digest, line)
            said = judge(line, self._header, read) if number > self._known else (b"", "")
            judged.append(NewLine(self._digest, len(line) + 1, *said))
        return judged

    def _naming(self, broken: ProblemError) -> ProblemError:
        """The same problem, with what was kept."""
        if not self.batch:
            return broken
        said = broken.problem
        kept = f"{said.detail} The first {self.lines} lines are kept in batch {self.batch}."
        full = f"Complete {self.batch} with an empty PATCH, and send the rest as another batch."
        remedy = full if said.status == 413 else "Send the same upload again, or what follows on them with a PATCH."
        return fail(said.status, said.code, kept, remedy, said.field)


def _follow(keys: KeyRing, digest: str, line: bytes) -> str:
    return keys.token("batch-upload", f"{digest}/{line.decode('latin-1')}")


# ── a line ───────────────────────────────────────────────────────────────────────────────────────────


Reader = Callable[[bytes, str], RenewalRequest]


def judge(line: bytes, header: str, read: Reader) -> tuple[bytes, str]:
    """What a line asks for, in one wording, or the problem it is refused with (as JSON); never both."""
    try:
        wanted = read(line, header)
        wish_of(wanted, "")
    except ProblemError as error:
        return b"", noted(error.problem)
    return wanted.model_dump_json().encode(), ""


def noted(found: Problem) -> str:
    """A problem as it is kept: a code that looks like somebody's number is not said back."""
    return found.model_copy(update={"detail": LONG_DIGITS.sub("*", found.detail)}).model_dump_json()


def of_ndjson(line: bytes, _header: str = "") -> RenewalRequest:
    """A line of NDJSON. Raises ProblemError."""
    _bounded(line)
    try:
        return RenewalRequest.model_validate_json(line)
    except ValidationError as error:
        raise ProblemError(_wrong(error)) from None


def _of_csv(line: bytes, header: str) -> RenewalRequest:
    _bounded(line)
    names, cells = header.split(","), _cells(line)
    if len(cells) != len(names):
        said = f"The line has {len(cells)} cells, the header {len(names)}."
        raise fail(422, "malformed", said, "Quote cells that have a comma in them.")
    cell = dict(zip(names, cells, strict=True))
    wanted = {
        "number": cell["number"],
        "id_tail": cell.get("id_tail") or None,
        "activated_at": cell["activated_at"],
        "apps": cell.get("apps", "").split() or None,
        "identity": {name: cell[name] for name in ("checked_by", "method", "checked_at")},
    }
    try:
        return RenewalRequest.model_validate(wanted)
    except ValidationError as error:
        raise ProblemError(_wrong(error, "identity")) from None


READERS: Mapping[Format, Reader] = {Format.NDJSON: of_ndjson, Format.CSV: _of_csv}


def _bounded(line: bytes) -> None:
    if len(line) > MOST_LINE_BYTES:
        most = MOST_LINE_BYTES // 1024
        raise fail(413, "too_large", f"The line is over {most} KiB.", "Leave apps out to ask all, or send it alone.")
    if not line.strip():
        raise fail(422, "malformed", "The line is empty.", "Nothing needs to be done if it was meant to be.")


def _wrong(error: ValidationError, hidden: str = "") -> Problem:
    """What is wrong with a line, by its first fault; `hidden`: a part of the place that the sender does not know."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return problem(422, "malformed", "The line is not valid JSON.", "Write one JSON object per line, in UTF-8.")
    loc = tuple(part for part in first["loc"] if part != hidden)
    return of_validation(RequestValidationError([{**first, "loc": loc}]))


def _header(line: bytes) -> str:
    """The names of the columns, as they are kept. Raises ProblemError."""
    names = [name.strip() for name in _cells(line.removeprefix(b"\xef\xbb\xbf"))]
    unknown = sorted(set(names) - set(COLUMNS))
    missing = [name for name in COLUMNS if name in REQUIRED and name not in names]
    wrong = unknown or missing or [name for name in COLUMNS if names.count(name) > 1]
    if wrong:
        how = "is unknown" if unknown else "is missing" if missing else "stands twice"
        said = f"The first line has to name the columns; {place([wrong[0]])} {how}."
        raise fail(422, "malformed", said, f"Columns: {', '.join(COLUMNS)}.", place([wrong[0]]))
    return ",".join(names)


def _cells(line: bytes) -> list[str]:
    try:
        (cells,) = csv.reader([line.decode()], strict=True)
    except (csv.Error, ValueError):
        raise fail(
            422, "malformed", "The line is no CSV.", "Write it in UTF-8, with commas and double quotes."
        ) from None
    return cells
