"""A file of answers as a person at an enterprise sends it: CSV with a header row, or NDJSON as programs send it.

Each line is judged as a line of `POST /v1/answers` is. A line of CSV without an outcome is one left for later.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from enum import StrEnum

from gateway.work_items import MOST_LINES, AnswerLine, Line, LineResult, of_line

NOTES = frozenset({"app", "subject", "due_at"})
"""Columns of our own list of open items that tell its reader what a line is about; they say nothing to us."""

COLUMNS = frozenset(AnswerLine.model_fields)
SAYS = ("outcome", "acknowledge")


class CannotRead(StrEnum):
    """Why a file as a whole cannot be taken."""

    EMPTY = "empty"
    HEADER = "header"
    TOO_LONG = "too_long"
    NO_TEXT = "no_text"


Parsed = Sequence[Line | LineResult]


def read(data: bytes, enterprise: str) -> Parsed | CannotRead:
    """What a file asks for, line by line."""
    if data.lstrip().startswith(b"{"):
        lines = [(number, line) for number, line in enumerate(data.splitlines(), 1) if line.strip()]
    else:
        try:
            lines = list(_of_csv(_text(data)))
        except KeyError:
            return CannotRead.HEADER
        except (csv.Error, UnicodeDecodeError):
            return CannotRead.NO_TEXT
    if not lines:
        return CannotRead.EMPTY
    if len(lines) > MOST_LINES:
        return CannotRead.TOO_LONG
    return [of_line(number, line, enterprise) for number, line in lines]


def _text(data: bytes) -> str:
    """UTF-8; or what spreadsheets in China save."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("gb18030")


def _of_csv(text: str) -> Iterator[tuple[int, bytes]]:
    """Lines as NDJSON has them, with their numbers. Raises KeyError for a header that does not fit."""
    reader = csv.reader(text.splitlines(keepends=True), strict=True)
    names = [name.strip().lower() for name in next(reader, [])]
    if names and ("work_item" not in names or not set(names) <= COLUMNS | NOTES or not set(names) & set(SAYS)):
        raise KeyError("header")
    for cells in reader:
        told = {name: cell.strip() for name, cell in zip(names, cells, strict=False) if name not in NOTES}
        said = {name: cell for name, cell in told.items() if cell}
        if any(name in said for name in SAYS):
            yield reader.line_num, json.dumps(said).encode()
