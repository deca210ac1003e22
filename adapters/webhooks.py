"""Signed HTTP to partners: Standard Webhooks over httpx, for enterprises' endpoints and carriers' results."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

import httpx
from standardwebhooks.webhooks import Webhook

from activities.ports import Refused, Unavailable
from domain.privacy import IdTail, PhoneNumber
from domain.renewal import Hear
from runtime.partners import Partners

MOST_ANSWER_BYTES = 64 * 1024
LONGEST_WAIT = 3600.0
TIMEOUT = httpx.Timeout(5.0)
TOTAL_SECONDS = 10.0
"""For a whole exchange: httpx limits each read, so a partner that drips could hold us for ever."""

POOLS = 16
IDLE_CONNECTIONS = 4
"""Several small pools: at every request httpcore walks its whole pool and polls the socket of each idle connection.
One pool with 50 of them took two thirds of a push (`docs/performance.md`)."""


class PartnerHttp:
    """Pooled clients for everything said to partners over HTTP; a partner always meets the same one."""

    def __init__(self, partners: Partners) -> None:
        self._partners = partners
        trusted = ssl.create_default_context()
        limits = httpx.Limits(max_connections=20, max_keepalive_connections=IDLE_CONNECTIONS)
        self._clients = [
            httpx.AsyncClient(timeout=TIMEOUT, limits=limits, verify=trusted, follow_redirects=False, trust_env=False)
            for _ in range(POOLS)
        ]

    async def close(self) -> None:
        """Let go of the connections."""
        for client in self._clients:
            await client.aclose()

    async def send(self, partner: str, url: str, message_id: str, body: Mapping[str, Any]) -> bytes:
        """Sign and post; the answer's JSON body. Raises `Unavailable` or `Refused`, never with a URL or a body."""
        secret = self._partners.secret(partner)
        if secret is None:
            raise Refused("no_credentials", f"{partner} has no webhook secret: run `starter.py issue {partner}`")
        client = self._clients[crc32(partner.encode()) % POOLS]
        payload = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        now = datetime.now(UTC)
        signature = Webhook(secret).sign(message_id, now, payload)
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signature,
        }
        try:
            async with (
                asyncio.timeout(TOTAL_SECONDS),
                client.stream("POST", url, content=payload.encode(), headers=headers) as response,
            ):
                answer = await _bounded(response)
        except (TimeoutError, httpx.TimeoutException):
            raise Unavailable("http_timeout", "the partner did not answer in time") from None
        except httpx.HTTPError as error:
            raise Unavailable("http_no_connection", f"no connection ({type(error).__name__})") from None
        _check(response, answer)
        return answer


class HttpWebhooks:
    """`ports.Webhooks`."""

    def __init__(self, http: PartnerHttp) -> None:
        self._http = http

    async def post(self, partner: str, url: str, message_id: str, body: Mapping[str, Any]) -> None:
        """See the port."""
        await self._http.send(partner, url, message_id, body)


class HttpCarrierRegistry:
    """`ports.CarrierRegistry`: the number goes in the signed body, never into the URL."""

    def __init__(self, http: PartnerHttp, endpoints: Mapping[str, str]) -> None:
        self._http = http
        self._endpoints = endpoints

    async def eligibility(
        self, carrier: str, number: PhoneNumber, id_tail: IdTail | None, activated_at: datetime
    ) -> Hear:
        """See the port."""
        body = {
            "number": number.e164,
            "id_tail": id_tail.value if id_tail else None,
            "activated_at": activated_at.isoformat(),
        }
        message_id = f"eligibility.{datetime.now(UTC).timestamp():.6f}"
        answer = await self._http.send(carrier, f"{self._endpoints[carrier]}/eligibility", message_id, body)
        try:
            return Hear.model_validate_json(answer)
        except ValueError:
            raise Unavailable("carrier_answer_unreadable", "the carrier's answer does not fit the protocol") from None


async def _bounded(response: httpx.Response) -> bytes:
    """The answer's body, cut where no honest partner's would be that long."""
    answer = b""
    async for chunk in response.aiter_bytes():
        answer += chunk
        if len(answer) > MOST_ANSWER_BYTES:
            raise Unavailable("http_answer_too_long", "the partner's answer is too long to be one")
    return answer


def _check(response: httpx.Response, answer: bytes) -> None:
    status = response.status_code
    if status in (408, 425, 429) or status >= 500:
        raise Unavailable(f"http_{status}", f"the partner answered {status}", _retry_after(response))
    if status >= 400 or 300 <= status < 400:
        raise Refused(f"http_{status}", f"the partner answered {status}")
    is_json = response.headers.get("content-type", "").partition(";")[0].strip().endswith("json")
    if answer and not is_json:
        raise Unavailable("http_not_json", "the partner answered a page instead of JSON")


def _retry_after(response: httpx.Response) -> float | None:
    """Retry-After in seconds; a date or nonsense counts as not given."""
    value = response.headers.get("retry-after", "")
    return min(float(value), LONGEST_WAIT) if value.isascii() and value.isdigit() else None
