"""`docs/access.md`, who may do what at which door: `python -m gateway.access_doc` writes it.

Made from the scopes the routes ask for and the table of roles; a test compares the file with what this makes, and
another walks every door in every role and compares what happens with the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from domain.access import SCOPES, WORDS, Role, Scope
from gateway.app import bare

FILE = Path(__file__).resolve().parent.parent / "docs" / "access.md"

OUTSIDE = frozenset({Role.CITIZEN, Role.CHANNEL, Role.CARRIER, Role.ENTERPRISE})
"""Who sees only what is their own; another's is answered as if it did not exist."""

OPEN, ANYBODY, OWN, ALL, NEVER = "open", "yes", "own", "all", "–"

INTRODUCTION = """# Who may do what

Made by `python -m gateway.access_doc` from the routes and from `domain/access.py`; do not edit by hand.

Every door asks for one scope. A client has all scopes of its role or fewer, never more (`starter.py client list`).
*own*: only what is theirs; somebody else's is answered 404, in the words of what does not exist. *all*: every case.
*–*: 403 `not_allowed`. Without a valid token everything here but the open doors is 401 `not_signed_in`.

- A **citizen** has a token for one case, from the follow doors; a **channel** is an app or mini program that citizens come
  through; **carriers** and **enterprises** are those of the registry.
- A person with an account (case worker, supervisor, auditor, administrator) comes with a session, a program of theirs
  with a client; both may do the same.
- Nobody approves what they decided themselves, in whatever role: that is decided by the cases, not by this table.
"""


@dataclass(frozen=True)
class Door:
    """One operation: what it asks for (None: any signed-in caller), and whether it is open to everybody."""

    method: str
    path: str
    scope: Scope | None
    open: bool

    def may(self, role: Role) -> str:
        """What a role may do here, in the table's words."""
        if self.open:
            return OPEN
        if self.scope is None:
            return ANYBODY
        if self.scope not in SCOPES[role]:
            return NEVER
        return OWN if role in OUTSIDE else ALL


@cache
def doors() -> list[Door]:
    """Every operation, by path."""
    found = []
    for path, operations in bare().openapi()["paths"].items():
        for method, operation in operations.items():
            asked = [word for one in operation.get("security", []) for words in one.values() for word in words]
            scope = Scope(asked[0]) if asked else None
            found.append(Door(method.upper(), path, scope, "security" not in operation))
    return sorted(found, key=lambda door: (door.path, door.method))


def document() -> str:
    """The whole page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield INTRODUCTION
    yield "## Doors\n"
    titles = [role.value.replace("_", " ") for role in Role]
    yield f"| door | scope | {' | '.join(titles)} |"
    yield "|---|---|" + "---|" * len(titles)
    for door in doors():
        if not door.open:
            scope = f"`{door.scope.value}`" if door.scope else "any"
            yield f"| `{door.method} {door.path}` | {scope} | {' | '.join(door.may(role) for role in Role)} |"
    yield "\n## Open doors\n"
    yield "Nobody is asked who they are; what is behind them asks for something else, or tells nothing.\n"
    for door in doors():
        if door.open:
            yield f"- `{door.method} {door.path}`"
    yield "\n## Scopes\n"
    yield "| scope | what it allows | roles |"
    yield "|---|---|---|"
    for scope in Scope:
        roles = ", ".join(role.value.replace("_", " ") for role in Role if scope in SCOPES[role])
        yield f"| `{scope.value}` | {WORDS[scope]} | {roles} |"


if __name__ == "__main__":
    FILE.write_text(document())
