"""Doors for administrators: which clients there are and what each may do; end one. Making them is for the command line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import AwareDatetime, BaseModel, Field

from domain.access import Role, Scope
from gateway.auth import Using, may
from gateway.caller import Caller
from gateway.problems import fail
from store import clients
from store.clients import Client

router = APIRouter(prefix="/v1", tags=["access"])


class ClientView(BaseModel):
    """A client, without its secret. Times are UTC."""

    client_id: str
    tenant: str = Field(description="Whose it is: what the ledger names its deeds by")
    role: Role
    scopes: list[Scope]
    certificate: str = Field(description="SHA-256 of the client certificate it has to come with; empty for none")
    created_at: AwareDatetime
    revoked_at: AwareDatetime | None


class ClientList(BaseModel):
    """Every client there is or was."""

    clients: list[ClientView]


@router.get("/clients")
async def list_clients(
    _caller: Annotated[Caller, may(Scope.CLIENTS_MANAGE)], services: Using, tenant: str | None = None
) -> ClientList:
    """List clients and what each may do, all or those of one tenant."""
    found = await services.database.read(lambda c: clients.listed(c, tenant))
    return ClientList(clients=[presented(one) for one in found])


@router.post("/clients/{client_id}/revoke")
async def revoke(
    client_id: Annotated[str, Path(max_length=60)],
    caller: Annotated[Caller, may(Scope.CLIENTS_MANAGE)],
    services: Using,
) -> ClientView:
    """End a client; its tokens end within seconds. Again changes nothing."""
    now = datetime.now(UTC)
    found = await services.database.write(lambda c: clients.revoke(c, client_id, caller.code, now))
    if found is None:
        raise fail(404, "unknown_client", "There is no such client.", "GET /v1/clients lists them.", "client_id")
    return presented(found)


def presented(client: Client) -> ClientView:
    """A client for an administrator's eyes."""
    return ClientView(
        client_id=client.client_id,
        tenant=client.tenant,
        role=client.role,
        scopes=sorted(client.scopes),
        certificate=client.certificate,
        created_at=client.created_at,
        revoked_at=client.revoked_at,
    )
