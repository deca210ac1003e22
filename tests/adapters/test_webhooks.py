"""Signed HTTP to partners: a third-party verifier accepts it, and every strange answer has a name."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from standardwebhooks.webhooks import Webhook

from activities.ports import Refused, Unavailable
from adapters.webhooks import HttpCarrierRegistry, PartnerHttp
from domain.privacy import PhoneNumber
from domain.renewal import Verdict
from tests.house import NUMBER, KnownKeys
from tests.serving import serving

Behaviour = Callable[[Request], Awaitable[Response]]


def endpoint(behave: Behaviour) -> FastAPI:
    app = FastAPI()
    app.add_api_route("/{path:path}", behave, methods=["POST"], response_model=None)
    return app


def partner_http() -> tuple[PartnerHttp, str]:
    secret = "whsec_" + b64encode(b"a partner's signing secret, 32 by").decode()
    return PartnerHttp(KnownKeys({"p": secret})), secret


async def test_message_is_signed_for_any_standard_webhooks_verifier() -> None:
    http, secret = partner_http()
    seen: list[Any] = []

    async def behave(request: Request) -> Response:
        seen.append(Webhook(secret).verify(await request.body(), dict(request.headers)))
        return Response(status_code=204)

    async with serving(endpoint(behave)) as url:
        await http.send("p", url + "/hook", "id-1", {"hello": "世界"})
    assert seen == [{"hello": "世界"}]
    await http.close()


ANSWERS = [
    (Response(status_code=503, headers={"retry-after": "7"}), Unavailable, "http_503", 7.0),
    (Response(status_code=429, headers={"retry-after": "soon"}), Unavailable, "http_429", None),
    (Response("<html>login</html>", media_type="text/html"), Unavailable, "http_not_json", None),
    (Response(b"x" * 100_000, media_type="application/json"), Unavailable, "http_answer_too_long", None),
    (Response(status_code=302, headers={"location": "http://127.0.0.1:1/"}), Refused, "http_302", None),
    (Response(status_code=410), Refused, "http_410", None),
]


@pytest.mark.parametrize(("answer", "kind", "code", "wait"), ANSWERS, ids=lambda value: str(value)[:24])
async def test_strange_answers_have_names(answer: Response, kind: type, code: str, wait: float | None) -> None:
    http, _ = partner_http()

    async def behave(_request: Request) -> Response:
        return answer

    async with serving(endpoint(behave)) as url:
        with pytest.raises(kind) as caught:
            await http.send("p", url, "id", {})
    assert caught.value.code == code and getattr(caught.value, "retry_after", None) == wait
    await http.close()


async def test_hanging_and_absent_partners_are_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.webhooks.SILENT_SECONDS", 0.2)
    http, _ = partner_http()
    release = asyncio.Event()

    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(Unavailable, match="http_timeout"):
        await http.send("p", f"http://127.0.0.1:{port}/", "id", {})
    release.set()
    server.close()
    await server.wait_closed()
    with pytest.raises(Unavailable, match="http_no_connection"):
        await http.send("p", f"http://127.0.0.1:{port}/", "id", {})
    await http.close()


async def test_a_partner_that_drips_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.webhooks.TOTAL_SECONDS", 0.7)
    http, _ = partner_http()

    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n")
            for _ in range(50):
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.2)
        writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    began = asyncio.get_running_loop().time()
    with pytest.raises(Unavailable, match="http_timeout"):
        await http.send("p", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", "id", {})
    assert asyncio.get_running_loop().time() - began < 3
    server.close()
    await http.close()


async def test_a_partner_without_credentials_is_refused_by_name() -> None:
    http, _ = partner_http()
    with pytest.raises(Refused, match="no_credentials"):
        await http.send("somebody", "http://127.0.0.1:9/", "id", {})
    await http.close()


async def test_carrier_s_answer_is_read_or_unavailable() -> None:
    http, _ = partner_http()
    answers = [b'{"verdict":"unknown","reason":null}', b'{"verdict":"perhaps"}']
    asked: list[bytes] = []

    async def behave(request: Request) -> Response:
        asked.append(await request.body())
        return Response(answers.pop(0), media_type="application/json")

    from datetime import UTC, datetime

    async with serving(endpoint(behave)) as url:
        carriers = HttpCarrierRegistry(http, {"p": url})
        number: PhoneNumber = NUMBER
        heard = await carriers.eligibility("p", number, None, datetime(2026, 8, 1, tzinfo=UTC))
        assert heard.verdict is Verdict.UNKNOWN and b"+8613800138000" in asked[0]
        with pytest.raises(Unavailable, match="carrier_answer_unreadable"):
            await carriers.eligibility("p", number, None, datetime(2026, 8, 1, tzinfo=UTC))
    await http.close()
