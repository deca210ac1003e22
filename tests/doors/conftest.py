"""The whole stack behind its doors, on either database, and somebody in every role."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from domain.access import SCOPES, Role, Scope
from gateway import tokens
from runtime.access import ClientAuth
from runtime.stack import Stack


@dataclass(frozen=True)
class Everybody:
    """A running stack and the clients of those who may come in."""

    stack: Stack
    clients: dict[Role, ClientAuth]

    def who_may(self, scope: Scope) -> Role:
        """A role that may do this."""
        return next(role for role in (*self.clients, Role.CITIZEN) if scope in SCOPES[role])

    def token(self, role: Role) -> str:
        """An access token in a role; a citizen's is for a case there is not."""
        if role is Role.CITIZEN:
            access = tokens.Access(self._channel, "mini-program", role, SCOPES[role], "Q000000000000")
            return tokens.mint(self.stack.settings.key_ring, access, datetime.now(UTC))
        answer = httpx.get(f"{self.stack.api}/v1/me", auth=self.clients[role], trust_env=False)
        return answer.request.headers["authorization"].removeprefix("Bearer ")

    @property
    def _channel(self) -> str:
        clear = json.loads(self.stack.credentials.read_text())
        return str(clear["channels"]["mini-program"]["client_id"])


@pytest.fixture
def everybody(tmp_path: Path, database_url: str) -> Iterator[Everybody]:
    """The stack on either database."""
    with Stack(tmp_path, environment={"JIEBANG_DATABASE_URL": database_url}) as stack:
        yield known(stack)


def known(stack: Stack) -> Everybody:
    """The first of every role."""
    clear = json.loads(stack.credentials.read_text())
    first = {role: next(iter(clear[f"{role.value}s"].values()), None) for role in Role}
    auths = {
        role: ClientAuth(stack.api, one["client_id"], one["client_secret"]) for role, one in first.items() if one
    }
    return Everybody(stack, auths)
