"""Doors for the keys that messages both ways are signed with: who has some makes new ones and ends old ones alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from domain.access import Scope
from gateway.auth import Using, may
from gateway.caller import Caller
from gateway.problems import fail
from store import signing
from store.keys import KeyRing
from store.signing import LONGEST_OVERLAP

router = APIRouter(prefix="/v1", tags=["self-service"])

MOST_KEYS = 5
"""Keys that may overlap: every message carries a signature by each."""

Owner = Annotated[Caller, may(Scope.WEBHOOKS_MANAGE)]
KeyInPath = Annotated[str, Path(pattern=r"^[a-z0-9]{1,20}$", description="A signing key's id")]


class KeyRequest(BaseModel):
    """A new signing key. `overlap`: how long the older ones stay good (ISO 8601 duration, at most 30 days)."""

    model_config = ConfigDict(
        extra="forbid", hide_input_in_errors=True, json_schema_extra={"examples": [{"overlap": "P7D"}]}
    )

    overlap: timedelta = Field(timedelta(days=7), ge=timedelta(0), le=LONGEST_OVERLAP)


class NewKey(BaseModel):
    """A fresh signing key. The secret is shown this once."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"key_id": "wk5f0c1a2b3c4d", "secret": "whsec_…"}]})

    key_id: str
    secret: str = Field(description="`whsec_` and base64, Standard Webhooks")


class Key(BaseModel):
    """A signing key that is good now, without its secret."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"key_id": "wk5f0c1a2b3c4d", "created_at": "2026-11-20T01:30:00Z", "ends_at": None}]
        }
    )

    key_id: str
    created_at: AwareDatetime
    ends_at: AwareDatetime | None = Field(description="From then on it is not good any more; null: no end is set")


class Keys(BaseModel):
    """Your signing keys, the newest first."""

    keys: list[Key]


@router.get("/signing-keys")
async def list_keys(owner: Owner, services: Using) -> Keys:
    """The keys your messages and ours are signed with. While keys overlap, each is good."""
    good = await services.database.read(lambda c: signing.listed(c, owner.code, datetime.now(UTC)))
    return Keys(keys=[Key(key_id=one.key_id, created_at=one.created_at, ends_at=one.ends_at) for one in good])


@router.post("/signing-keys", status_code=201)
async def make_key(body: KeyRequest, owner: Owner, services: Using, response: Response) -> NewKey:
    """A new key, at once; the older ones end after the overlap. Until then ours carry a signature by each."""
    fresh = await services.database.write(
        lambda c: rotated(c, services.keys, owner.code, datetime.now(UTC), body.overlap)
    )
    services.signing.forget(owner.code)
    response.headers["cache-control"] = "no-store"
    return NewKey(key_id=fresh.key_id, secret=fresh.secret)


@router.delete("/signing-keys/{key_id}", status_code=204)
async def end_key(key_id: KeyInPath, owner: Owner, services: Using) -> None:
    """End a key at once, for one that has come to somebody else's knowledge. One without an end has to be left."""
    await services.database.write(lambda c: ended(c, owner.code, key_id, datetime.now(UTC)))
    services.signing.forget(owner.code)


def rotated(
    connection: Connection, keys: KeyRing, tenant: str, now: datetime, overlap: timedelta
) -> signing.IssuedKey:
    """A new key, if there are not too many already."""
    if len(signing.listed(connection, tenant, now)) >= MOST_KEYS and overlap:
        raise fail(
            409,
            "too_many_keys",
            f"{MOST_KEYS} keys are good at the moment.",
            "End one you no longer use with DELETE /v1/signing-keys/{key_id}.",
        )
    return signing.rotate(connection, keys, tenant, tenant, now, overlap)


def ended(connection: Connection, tenant: str, key_id: str, now: datetime) -> None:
    """End a key, if it is the tenant's and another one goes on."""
    good = signing.listed(connection, tenant, now)
    if key_id not in {one.key_id for one in good}:
        raise fail(404, "unknown_key", "You have no such key.", "List them with GET /v1/signing-keys.", "key_id")
    if all(one.ends_at for one in good if one.key_id != key_id):
        raise fail(
            409,
            "last_key",
            "This is the only key that has no end.",
            "Make a new one first with POST /v1/signing-keys.",
            "key_id",
        )
    signing.end(connection, tenant, key_id, tenant, now)
