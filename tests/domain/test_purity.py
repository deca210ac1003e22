"""`domain/`, `workflows/` and the activities' contracts have no clock, no chance and no hands.

Temporal's sandbox does not look into modules passed through it (design.md, 'Known traps'), so this does, over the
syntax trees.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

COMMON = {"__future__", "collections", "datetime", "typing", "pydantic", "domain"}
MAY_IMPORT = {
    "domain": COMMON | {"dataclasses", "enum", "functools", "re", "string", "tomllib", "zoneinfo"},
    "workflows": COMMON
    | {"asyncio", "dataclasses", "enum", "functools", "temporalio", "workflows", "activities.contracts"},
    "activities": COMMON | {"temporalio"},
}
FILES = [
    *sorted(ROOT.glob("domain/**/*.py")),
    *sorted(ROOT.glob("workflows/**/*.py")),
    ROOT / "activities" / "contracts.py",
]

CLOCKS = {"now", "utcnow", "today", "localtime", "monotonic", "perf_counter", "time_ns"}
NOT_OF_THIS_WORLD = {"open", "input", "print", "exec", "eval", "compile", "__import__", "breakpoint", "hash", "id"}
LEAVES_THE_LOOP = {"run", "to_thread", "run_in_executor", "create_subprocess_exec", "create_subprocess_shell"}
EMPTY = {"dict", "list", "set", "tuple", "frozenset"}


def findings(tree: ast.AST, may_import: set[str]) -> Iterator[str]:
    """Whatever must not stand there, with its line."""
    for node in ast.walk(tree):
        for what in _wrong(node, may_import):
            yield f"line {getattr(node, 'lineno', '?')}: {what}"


def _wrong(node: ast.AST, may_import: set[str]) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            for name in names:
                yield from _import(name.name, may_import)
        case ast.ImportFrom(module=module, names=names, level=level):
            if level:
                yield "a relative import"
            for name in names:
                yield from _import(f"{module}.{name.name}", may_import)
        case ast.Attribute(value=ast.Name(id="workflow"), attr="now"):
            return  # the workflow's own clock
        case ast.Attribute(attr=attr) if attr in CLOCKS:
            yield f".{attr}: a clock"
        case ast.Attribute(value=ast.Name(id="asyncio"), attr=attr) if attr in LEAVES_THE_LOOP:
            yield f"asyncio.{attr}"
        case ast.Call(func=ast.Attribute(attr="astimezone"), args=[], keywords=[]):
            yield "astimezone(): the machine's time zone"
        case ast.Name(id=name, ctx=ast.Load()) if name in NOT_OF_THIS_WORLD:
            yield name
        case ast.keyword(arg="default_factory", value=value) if not (
            isinstance(value, ast.Name) and value.id in EMPTY
        ):
            yield f"default_factory={ast.unparse(value)}"


def _import(name: str, may_import: set[str]) -> Iterator[str]:
    parts = name.split(".")
    if not {".".join(parts[:n]) for n in range(1, len(parts) + 1)} & may_import:
        yield f"imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_from_outside(path: Path) -> None:
    folder = path.relative_to(ROOT).parts[0]
    assert list(findings(ast.parse(path.read_text()), MAY_IMPORT[folder])) == []


def test_every_file_is_looked_at() -> None:
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts[:2]) for path in FILES}
    assert {"domain.unbind", "domain.renewal", "workflows.unbind", "activities.contracts"} <= modules


@pytest.mark.parametrize(
    "code",
    [
        "import time",
        "import random",
        "import os.path",
        "from uuid import uuid4",
        "from secrets import token_hex",
        "from pathlib import Path",
        "import sqlalchemy",
        "from store import ledger",
        "from activities import holder",
        "from . import case",
        "at = datetime.now(UTC)",
        "at = datetime.datetime.utcnow()",
        "day = date.today()",
        "class M(Model):\n    at: datetime = Field(default_factory=datetime.now)",
        "class M(Model):\n    at: datetime = Field(default_factory=lambda: clock())",
        "class M(Model):\n    at: datetime = Field(default_factory=_clock)",
        "clock = datetime.now",
        "text = open('x').read()",
        "name = input()",
        "asyncio.run(main())",
        "await asyncio.to_thread(work)",
        "local = at.astimezone()",
        "key = hash(case)",
    ],
)
def test_the_check_itself_finds(code: str) -> None:
    assert list(findings(ast.parse(code), MAY_IMPORT["workflows"] - {"os"}))


@pytest.mark.parametrize(
    "code",
    [
        "at = workflow.now()",
        "from activities import contracts",
        "from activities.contracts import Tell",
        "import asyncio\nlock = asyncio.Lock()",
        "class M(Model):\n    of: dict[str, str] = PrivateAttr(default_factory=dict)\n    id: str",
        "local = at.astimezone(SHANGHAI)",
    ],
)
def test_the_check_itself_lets_pass(code: str) -> None:
    assert not list(findings(ast.parse(code), MAY_IMPORT["workflows"]))
