"""Signed calls both ways: what the outside world sends to the gateway, and how it checks what the gateway sends.

The outside must not lose an answer because the gateway restarts, so every POST is tried until the gateway takes or
refuses it, signed anew each time under the same webhook-id (Standard Webhooks).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
from pydantic import BaseModel, ConfigDict, Field
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from starlette.requests import Request

from runtime.access import ClientAuth
from sandbox.behaviour import share

AT_ONCE = 20
"""Requests under way at the same time."""

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 5.0
PAGE = 100


class Account(BaseModel):
    """What a partner was handed: its client, its webhook secret, and the key (hex) its number tokens are made with."""

    model_config = ConfigDict(frozen=True)

    client_id: str
    client_secret: str = Field(repr=False)
    secret: str = Field(repr=False)
    token_key: str = Field(default="", repr=False)


class BadMessageError(ValueError):
    """A message that is not from who it says, or not JSON."""


async def opened(request: Request, secret: str) -> Any:
    """The JSON body of a request that is properly signed. Raises BadMessageError."""
    body = await request.body()
    try:
        return Webhook(secret).verify(body, dict(request.headers))
    except (WebhookVerificationError, ValueError) as error:
        raise BadMessageError(str(error)) from None


def signed(secret: str, message_id: str, body: bytes) -> dict[str, str]:
    """The three headers of a message sent now."""
    now = datetime.now(UTC)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, now, body.decode()),
    }


def problem_code(response: httpx.Response) -> str:
    """The stable code of a problem (RFC 9457), empty if the response is none."""
    try:
        return str(response.json()["code"])
    except (ValueError, KeyError, TypeError):
        return ""


def comes_later(status: int) -> bool:
    """Whether the same request may be taken at another time."""
    return status == 429 or status >= 500


class Gateway:
    """The gateway, as its partners reach it; one client and one limit for all of them."""

    def __init__(self, url: str, pace: float = 1.0) -> None:
        self._url = url.rstrip("/")
        self._pace = pace
        self._room = asyncio.Semaphore(AT_ONCE)
        self._client = httpx.AsyncClient(timeout=10.0, trust_env=False)
        self._auth: dict[str, ClientAuth] = {}

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def post(self, account: Account, path: str, body: object, secret: str = "") -> httpx.Response:
        """POST JSON until it is taken or refused; `secret` signs instead of the account's own."""
        return await self._post(account, path, json.dumps(body).encode(), "application/json", secret)

    async def post_lines(self, account: Account, path: str, lines: list[dict[str, Any]]) -> httpx.Response:
        """POST NDJSON until it is taken or refused."""
        body = "".join(json.dumps(line) + "\n" for line in lines).encode()
        return await self._post(account, path, body, "application/x-ndjson")

    async def repeat(self, response: httpx.Response) -> httpx.Response:
        """Send the request of a response again, byte by byte the same."""
        tries = 0
        while (again := await self._send(response.request)) is None:
            await self.pause(tries)
            tries += 1
        return again

    async def listed(self, account: Account, what: str) -> Mapping[str, list[Any]]:
        """All open work items (or questions) of a party, under the name they are listed by. Raises httpx.HTTPError, or
        ValueError or KeyError if the gateway does not answer well."""
        name, found = what.replace("-", "_"), []
        cursor: int | None = None
        while True:
            params: dict[str, int] = {"limit": PAGE} | ({"after": cursor} if cursor else {})
            async with self._room:
                response = await self._client.get(f"{self._url}/v1/{what}", params=params, auth=self._of(account))
            page = response.raise_for_status().json()
            found += page[name]
            if not (cursor := page["next"]):
                return {name: found}

    async def pause(self, tries: float, response: httpx.Response | None = None) -> None:
        """Wait before the next try: twice as long each time, at least as long as the gateway asked for."""
        asked = response.headers.get("retry-after", "") if response is not None else ""
        backoff = min(FIRST_PAUSE * 2 ** min(tries, 8), LONGEST_PAUSE) * self._pace
        await asyncio.sleep(max(backoff, float(asked) if asked.isdigit() else 0.0))

    async def _post(
        self, account: Account, path: str, body: bytes, media_type: str, secret: str = ""
    ) -> httpx.Response:
        message_id = f"msg_{uuid4().hex}"
        fixed = {"content-type": media_type}
        tries = 0
        while True:
            headers = fixed | signed(secret or account.secret, message_id, body)
            response = await self._send(
                self._client.build_request("POST", self._url + path, content=body, headers=headers), self._of(account)
            )
            if response is not None and not comes_later(response.status_code):
                return response
            await self.pause(tries + share(message_id, "spread"), response)
            tries += 1

    def _of(self, account: Account) -> ClientAuth:
        """How an account comes in; its token serves all its requests."""
        return self._auth.setdefault(
            account.client_id, ClientAuth(self._url, account.client_id, account.client_secret)
        )

    async def _send(self, request: httpx.Request, auth: httpx.Auth | None = None) -> httpx.Response | None:
        """None when there was no answer."""
        async with self._room:
            try:
                return await self._client.send(request, auth=auth)
            except httpx.TransportError:
                return None
