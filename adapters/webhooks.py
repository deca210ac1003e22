"""Signed HTTP to partners: Standard Webhooks over httpx, for enterprises' endpoints and carriers' results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
from standardwebhooks.webhooks import Webhook

from activities.ports import Refused, Unavailable
from domain.privacy import IdTail, PhoneNumber
from domain.renewal import Hear
from runtime.partners import Partners

MOST_ANSWER_BYTES = 64 * 1024
LONGEST_WAIT = 3600.0
TIMEOUT = httpx.Timeout(5.0)
IDLE_CONNECTIONS = 8
"""httpcore polls the socket of every idle connection at every request: 50 of them took two thirds of a push."""


class PartnerHttp:
    """One pooled client for everything said to partners over HTTP."""

    def __init__(self, partners: Partners) -> None:
        self._partners = partners
        self._client = httpx.AsyncClient(
            timeout=TIMEOUT,
            limits=httpx.Limits(max_connections=100, max_keepalive_connections=IDLE_CONNECTIONS),
            follow_redirects=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def send(self, partner: str, url: str, message_id: str, body: Mapping[str, Any]) -> bytes:
        """Sign and post; the answer's JSON body. Raises `Unavailable` or `Refused`, never with a URL or a body."""
        payload = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        now = datetime.now(UTC)
        signature = Webhook(self._partners.secret(partner)).sign(message_id, now, payload)
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": signature,
        }
        try:
            async with self._client.stream("POST", url, content=payload.encode(), headers=headers) as response:
                answer = await _bounded(response)
        except httpx.TimeoutException:
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
