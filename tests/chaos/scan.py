"""Looking for personal data in what the product wrote: every form in which a text could have slipped out.

A form of eight bytes or more is looked for at every offset of every file, however many forms there are: all windows
of eight bytes are compared with the beginnings of all of them at once. Shorter ones are looked for one by one.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import sqlite3
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from temporalio.api.common.v1 import Payload
from temporalio.client import Client

from runtime.engine import ENCODING
from runtime.stack import Stack
from store.keys import KeyRing

ALGORITHMS = ("md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b")
"""Digests without a key: of a number or an ID tail they are as good as the clear text (domain.md)."""

WINDOW = 8
LEAST = 6
"""A shorter form is in any file by chance."""

Form = tuple[str, bytes]


# ── forms ────────────────────────────────────────────────────────────────────────────────────────────


def forms(text: str) -> Iterator[Form]:
    """Every form of a text: as it is, as JSON and URLs write it, UTF-16, base64 at every offset, and its digests."""
    raw = text.encode()
    written = {
        "raw": raw,
        "JSON": json.dumps(text)[1:-1].encode(),
        "URL": quote(text).encode(),
        "UTF-16BE": text.encode("utf-16-be"),
        "UTF-16LE": text.encode("utf-16-le"),
    }
    for how, form in written.items():
        if how == "raw" or form != raw:
            yield f"{text} {how}", form
    yield from _base64(text, raw)
    yield from digests(text)


def digests(text: str) -> Iterator[Form]:
    """The digests of a text, as octets, hex, base32 and base64."""
    for algorithm in ALGORITHMS:
        digest = hashlib.new(algorithm, text.encode()).digest()
        yield f"{text} {algorithm}", digest
        yield f"{text} {algorithm} hex", digest.hex().encode()
        yield f"{text} {algorithm} HEX", digest.hex().upper().encode()
        yield f"{text} {algorithm} base32", base64.b32encode(digest).rstrip(b"=")
        yield from _base64(f"{text} {algorithm}", digest)


def _base64(what: str, raw: bytes) -> Iterator[Form]:
    """Whatever stands before and after it: the groups of four that depend on nothing else."""
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + raw)
        last = len(coded) if (shift + len(raw)) % 3 == 0 else len(coded) - 4
        whole = coded[4 if shift else 0 : last]
        if len(whole) >= LEAST:
            yield f"{what} base64 at {shift}", whole
            if (other := whole.translate(bytes.maketrans(b"+/", b"-_"))) != whole:
                yield f"{what} URL-safe base64 at {shift}", other


def person_forms(number: str, tail: str) -> Iterator[Form]:
    """A person's number, and its ID tail where it is told apart from chance: beside the number, or as digests."""
    for text in (number, f"+86{number}"):
        yield from forms(text)
        for joined in (f"{text}{tail}", f"{tail}{text}", f"{text}/{tail}", f"{text}:{tail}", f"{text}|{tail}"):
            yield from digests(joined)
    yield from digests(f"86{number}")
    yield from digests(tail)
    yield from in_context("tail", tail)


def in_context(word: str, value: str) -> Iterator[Form]:
    """Six characters are in any file by chance (`.123456Z` is a time): a hit means something only as a value of its
    own, after its name, or as a part of a path."""
    for quoted in (f'"{value}"', f"'{value}'", f'\\"{value}\\"', f"{word}={value}", f"{word}: {value}", f"/{value}"):
        yield f"{value} as {quoted}", quoted.encode()


def code_forms(code: str, check: str, number: str) -> Iterator[Form]:
    """A code, in words and as whatever could be made of it without a key."""
    yield from in_context("code", code)
    yield f"{code} as in the short message", f"验证码{code}".encode()
    yield f"{code} base64", base64.b64encode(code.encode())
    serials = (f"{check}/{serial}/{code}" for serial in range(1, 4))
    for text in (code, f"{check}/{code}", f"{check}:{code}", f"{check}{code}", f"{number}{code}", *serials):
        yield from digests(text)


# ── the scan ─────────────────────────────────────────────────────────────────────────────────────────


class Scan:
    """Looks for all these forms at once."""

    def __init__(self, wanted: Iterable[Form]) -> None:
        self._long: dict[int, list[Form]] = defaultdict(list)
        self._short: list[Form] = []
        self.forms = {form: what for what, form in wanted}
        for form, what in self.forms.items():
            assert len(form) >= LEAST, f"{what} is in any file by chance"
            if len(form) >= WINDOW:
                self._long[int.from_bytes(form[:WINDOW], sys.byteorder)].append((what, form))
            else:
                self._short.append((what, form))
        self._heads = frozenset(self._long)

    def of(self, content: bytes) -> list[str]:
        """What is found in these octets."""
        found = set[int]()
        for offset in range(WINDOW):
            windows = max(len(content) - offset, 0) // WINDOW * WINDOW
            found |= self._heads.intersection(memoryview(content)[offset : offset + windows].cast("Q"))
        likely = self._short + [form for head in found for form in self._long[head]]
        return [what for what, form in likely if form in content]

    def over(self, places: Mapping[str, bytes]) -> list[str]:
        """What is found where."""
        return [f"{what} in {where}" for where, content in places.items() for what in self.of(content)]


def cells(file: Path, values: Iterable[str]) -> list[str]:
    """Which of these short values is the whole content of a text or binary cell of an SQLite database, and where."""
    wanted = {value.encode(): value for value in values}
    found = []
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        connection.text_factory = bytes
        named = "SELECT name FROM sqlite_master WHERE type = 'table'"
        for (name,) in connection.execute(named).fetchall():
            table = name.decode()
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                found += [f"{wanted[cell]} in {table}" for cell in row if isinstance(cell, bytes) and cell in wanted]
    return found


# ── where ────────────────────────────────────────────────────────────────────────────────────────────


def files(folder: Path, but: Iterable[str] = ()) -> dict[str, bytes]:
    """Every file below a folder but these."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in but
    }


def histories(stack: Stack) -> dict[str, bytes]:
    """Every workflow's history, with what Temporal keeps encrypted in clear: inputs, outputs, failures, all of it."""
    return asyncio.run(_histories(stack.temporal, stack.settings.key_ring))


async def _histories(address: str, keys: KeyRing) -> dict[str, bytes]:
    client = await Client.connect(address)
    found = {}
    async for one in client.list_workflows():
        history = await client.get_workflow_handle(one.id, run_id=one.run_id).fetch_history()
        clear = [history.to_json().encode(), *_payloads(history.to_json_dict(), keys)]
        found[f"history of {one.workflow_type} {one.id} {one.run_id}"] = b"\n".join(clear)
    return found


def _payloads(node: Any, keys: KeyRing) -> Iterator[bytes]:
    if isinstance(node, list):
        for one in node:
            yield from _payloads(one, keys)
    elif isinstance(node, dict):
        if isinstance(node.get("metadata"), dict) and "encoding" in node["metadata"]:
            yield _clear(node, keys)
        else:
            for one in node.values():
                yield from _payloads(one, keys)


def _clear(payload: Mapping[str, Any], keys: KeyRing) -> bytes:
    data, metadata = base64.b64decode(payload.get("data", "")), payload["metadata"]
    if base64.b64decode(metadata["encoding"]) != ENCODING:
        return data  # the SDK's own notes
    key = base64.b64decode(metadata["key"]).decode()
    return Payload.FromString(keys.unlock(key, "payload", data)).data
