"""`docs/access.md`, who may do what at which door: `python -m gateway.access_doc` writes it.

Made from the scopes the routes ask for and the table of roles; a test compares the file with what this makes, and
another walks every door in every role and compares what happens with the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from domain.access import CLERK, PEOPLE, SCOPES, WORDS, Role, Scope
from gateway.app import PAGES, bare

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
- An enterprise's clerk with an account has `work:read`, `work:answer` and `figures:read` for it, on pages: what doors here
  take from an enterprise has to be signed besides, and a session signs nothing.
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


@dataclass(frozen=True)
class PageDoor:
    """One page, or a form of one: what it asks of who signed in; nothing: it is the citizens'."""

    method: str
    path: str
    scopes: tuple[Scope, ...]

    def may(self, role: Role) -> str:
        """What somebody who signed in may do here, in the table's words."""
        allowed = CLERK if role is Role.ENTERPRISE else SCOPES[role]
        if not allowed.issuperset(self.scopes):
            return NEVER
        return OWN if role in OUTSIDE else ALL


@cache
def pages() -> list[PageDoor]:
    """Every page, by path."""
    found = []
    for router in PAGES:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            scopes = tuple(Scope(one) for one in sorted(_asked(route.dependant)))
            found += [PageDoor(method, route.path, scopes) for method in route.methods or ()]
    return sorted(found, key=lambda door: (door.path, door.method))


def _asked(dependant: Dependant) -> set[str]:
    """The scopes a route or one of its dependencies asks for."""
    return set(dependant.own_oauth_scopes or ()).union(*map(_asked, dependant.dependencies))


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
    yield "\n## Pages\n"
    yield "For people who signed in; without a session one is sent to sign in. A clerk sees their enterprise's own.\n"
    signed_in = [*sorted(PEOPLE, key=list(Role).index), Role.ENTERPRISE]
    titles = ["clerk" if role is Role.ENTERPRISE else role.value.replace("_", " ") for role in signed_in]
    yield f"| page | scope | {' | '.join(titles)} |"
    yield "|---|---|" + "---|" * len(titles)
    for page in pages():
        if page.scopes:
            may = " | ".join(page.may(role) for role in signed_in)
            yield f"| `{page.method} {page.path}` | {', '.join(page.scopes)} | {may} |"
    yield "\nOpen to everybody; what belongs to a case only for the browser that has proven whose it is:\n"
    for page in pages():
        if not page.scopes:
            yield f"- `{page.method} {page.path}`"
    yield "\n## Scopes\n"
    yield "| scope | what it allows | roles |"
    yield "|---|---|---|"
    for scope in Scope:
        roles = ", ".join(role.value.replace("_", " ") for role in Role if scope in SCOPES[role])
        yield f"| `{scope.value}` | {WORDS[scope]} | {roles} |"


if __name__ == "__main__":
    FILE.write_text(document())
