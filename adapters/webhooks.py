"""Signed HTTP to partners: Standard Webhooks, for enterprises' endpoints and carriers' results and registries.

By aiohttp: a renewal is hundreds of messages at once, for which httpx was most of what a work item cost
(`docs/performance.md`). Elsewhere in the house httpx is used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import aiohttp
from pydantic import AwareDatetime, BaseModel, ConfigDict
from standardwebhooks.webhooks import Webhook

from activities.ports import HolderAnswer, HolderVerdict, Refused, Unavailable
from domain.privacy import IdTail, PhoneNumber
from domain.renewal import Hear

MOST_ANSWER_BYTES = 64 * 1024
LONGEST_WAIT = 3600.0
SILENT_SECONDS = 5.0
"""How long a partner may say nothing."""

TOTAL_SECONDS = 10.0
"""For a whole exchange: a partner that drips could hold us for ever."""


class Secrets(Protocol):
    """Where a partner's signing secrets are."""

    async def secrets(self, tenant: str, now: datetime) -> tuple[str, ...]:
        """Those that are good now, the newest first; none for a partner without."""
        ...


class PartnerHttp:
    """One pooled client for everything said to partners over HTTP. Made where an event loop runs."""

    def __init__(self, keys: Secrets) -> None:
        self._keys = keys
        self._client = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(), connector=aiohttp.TCPConnector(limit=100)
        )

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.close()

    async def send(self, partner: str, url: str, message_id: str, body: Mapping[str, Any]) -> bytes:
        """Sign and post; the answer's JSON body. Raises `Unavailable` or `Refused`, never with a URL or a body.

        While keys overlap, there is a signature by each: the partner takes the one it knows.
        """
        now = datetime.now(UTC)
        keys = await self._keys.secrets(partner, now)
        if not keys:
            raise Refused("no_credentials", f"{partner} has no signing key: run `starter.py key rotate {partner}`")
        payload = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(Webhook(key).sign(message_id, now, payload) for key in keys),
        }
        patience = aiohttp.ClientTimeout(total=TOTAL_SECONDS, sock_connect=SILENT_SECONDS, sock_read=SILENT_SECONDS)
        try:
            async with self._client.post(
                url, data=payload.encode(), headers=headers, timeout=patience, allow_redirects=False
            ) as response:
                answer = await _bounded(response)
        except TimeoutError:
            raise Unavailable("http_timeout", "the partner did not answer in time") from None
        except aiohttp.ClientError as error:
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

    async def ask(self, partner: str, url: str, message_id: str, body: Mapping[str, Any]) -> bytes:
        """See the port."""
        return await self._http.send(partner, url, message_id, body)


class _Confirmed(BaseModel):
    """A carrier's answer to `confirm`."""

    model_config = ConfigDict(hide_input_in_errors=True)
    verdict: HolderVerdict
    activated_at: AwareDatetime | None = None


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

    async def confirm(self, carrier: str, number: PhoneNumber, id_tail: IdTail) -> HolderAnswer:
        """See the port."""
        message_id = f"confirm.{datetime.now(UTC).timestamp():.6f}"
        body = {"number": number.e164, "id_tail": id_tail.value}
        answer = await self._http.send(carrier, f"{self._endpoints[carrier]}/confirm", message_id, body)
        try:
            said = _Confirmed.model_validate_json(answer)
        except ValueError:
            raise Unavailable("carrier_answer_unreadable", "the carrier's answer does not fit the protocol") from None
        return HolderAnswer(said.verdict, said.activated_at)


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    """The answer's body, cut where no honest partner's would be that long."""
    answer = b""
    async for chunk in response.content.iter_any():
        answer += chunk
        if len(answer) > MOST_ANSWER_BYTES:
            raise Unavailable("http_answer_too_long", "the partner's answer is too long to be one")
    return answer


def _check(response: aiohttp.ClientResponse, answer: bytes) -> None:
    status = response.status
    if status in (408, 425, 429) or status >= 500:
        raise Unavailable(f"http_{status}", f"the partner answered {status}", _retry_after(response))
    if status >= 400 or 300 <= status < 400:
        raise Refused(f"http_{status}", f"the partner answered {status}")
    is_json = response.headers.get("content-type", "").partition(";")[0].strip().endswith("json")
    if answer and not is_json:
        raise Unavailable("http_not_json", "the partner answered a page instead of JSON")


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    """Retry-After in seconds; a date or nonsense counts as not given."""
    value = response.headers.get("retry-after", "")
    return min(float(value), LONGEST_WAIT) if value.isascii() and value.isdigit() else None
