"""Who is calling, as every route sees it, however they came in."""

from __future__ import annotations

from dataclasses import dataclass

from domain.access import Role, Scope


@dataclass(frozen=True)
class Caller:
    """A partner's program, a person at the case desk, or a citizen.

    `code` is what the ledger names them by (a carrier's, an enterprise's, a channel's, a person's code; of a citizen:
    the channel's), `client` the credential they came with (an OAuth client's id, or `session`), `case` the one case a
    citizen may look into.
    """

    code: str
    role: Role
    scopes: frozenset[Scope]
    client: str
    case: str = ""
