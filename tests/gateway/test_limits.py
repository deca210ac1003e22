"""How often somebody may ask: windows, where a request comes from, and Redis coming and going."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Iterator
from ipaddress import ip_network
from types import SimpleNamespace
from typing import Any

import pytest
from fakeredis import TcpFakeServer
from fakeredis._clients._tcp_server import TCPFakeRequestHandler
from limits import parse
from redis.exceptions import ResponseError

from gateway import limits as the_limits
from gateway.limits import RATES, Limits, Window
from gateway.problems import ProblemError
from runtime.stack import free_port
from store.keys import KeyRing
from tests.gateway.conftest import Doors
from tests.support import eventually

SECRET = b"shared by all gateways"


async def left(limits: Limits, *who: str, window: Window = Window.CLIENT) -> int:
    """How many requests go through until one is refused."""
    for n in range(20):
        try:
            await limits.take(window, *who)
        except ProblemError as error:
            assert error.problem.status == 429 and error.problem.code == "too_many_requests"
            assert error.retry_after and error.retry_after > 0
            return n
    raise AssertionError("never refused")


@pytest.fixture(autouse=True)
def early_in_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds into the hour, so that no window ends in the middle of a test."""
    shift = 10 - time.time() % 3600
    clock = SimpleNamespace(time=lambda: time.time() + shift, monotonic=time.monotonic)
    for module in ("limits.aio.storage.memory", "limits.aio.strategies", "gateway.limits"):
        monkeypatch.setattr(f"{module}.time", clock)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows that are quickly full."""
    for window in Window:
        monkeypatch.setitem(RATES, window, parse("4/minute"))


# ── windows ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("small")
async def test_everybody_has_a_window_of_their_own() -> None:
    limits = Limits()
    refused: list[Window] = []
    limits.refused = refused.append
    assert [await left(limits, one) for one in ("a", "b", "a")] == [4, 4, 0]
    assert await left(limits, "a", window=Window.TRIES_OF_CHANNEL) == 4
    assert await left(limits, "ab", "c") == 4 and await left(limits, "a", "bc") == 4
    assert refused[0] is Window.CLIENT and len(refused) == 6
    assert not any(name in key for key in limits._memory.storage for name in ("/ab/", "/bc/", "/a/"))


async def test_a_window_empties_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RATES, Window.CLIENT, parse("5/second"))
    limits = Limits()
    assert await left(limits, "a") >= 5

    now = the_limits.time.time()
    monkeypatch.setattr("limits.aio.storage.memory.time.time", lambda: now + 2.5)
    assert await left(limits, "a") == 5


async def test_old_windows_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(the_limits, "TIDY_SECONDS", 0.05)
    monkeypatch.setitem(RATES, Window.CLIENT, parse("5/second"))
    limits = Limits()
    for n in range(50):
        await limits.take(Window.CLIENT, str(n))
    assert len(limits._memory.storage) == 50
    now = the_limits.time.time()
    monkeypatch.setattr("limits.aio.storage.memory.time.time", lambda: now + 10)
    await eventually(lambda: not limits._memory.storage)


# ── where a request comes from ───────────────────────────────────────────────────────────────────────────

PROXIES = [ip_network("10.0.0.0/8"), ip_network("2001:db8:1::/48")]


@pytest.mark.parametrize(
    ("peer", "headers", "address"),
    [
        ("203.0.113.9", {}, "203.0.113.9"),
        ("203.0.113.9", {"x-forwarded-for": "198.51.100.1"}, "203.0.113.9"),  # not a proxy of ours
        ("10.0.0.1", {}, "10.0.0.1"),
        ("10.0.0.1", {"x-forwarded-for": "198.51.100.1"}, "198.51.100.1"),
        ("10.0.0.1", {"x-forwarded-for": "1.1.1.1, 198.51.100.1, 10.0.0.2"}, "198.51.100.1"),  # the first was made up
        ("10.0.0.1", {"x-forwarded-for": "1.1.1.1, rubbish"}, "10.0.0.1"),
        ("10.0.0.1", {"x-forwarded-for": "198.51.100.1:4711"}, "198.51.100.1"),
        ("10.0.0.1", {"forwarded": 'for=1.1.1.1, for="[2001:db8:2:3:4::5]:80";proto=https'}, "2001:db8:2:3::/64"),
        ("2001:db8:1::1", {"forwarded": "For=198.51.100.1;by=_x"}, "198.51.100.1"),
        ("10.0.0.1", {"forwarded": "for=_hidden"}, "10.0.0.1"),
        ("10.0.0.1", {"forwarded": "for=1.1.1.1", "x-forwarded-for": "198.51.100.1"}, "10.0.0.1"),
        ("10.0.0.1", {"forwarded": "for=198.51.100.1", "x-forwarded-for": "198.51.100.1"}, "198.51.100.1"),
        ("::ffff:203.0.113.9", {}, "203.0.113.9"),
        ("2001:db8:2:3:aaaa::1", {}, "2001:db8:2:3::/64"),
        ("", {}, "None"),
    ],
)
def test_the_address_a_request_comes_from(peer: str, headers: dict[str, str], address: str) -> None:
    scope = {
        "type": "http",
        "client": (peer, 1),
        "headers": [(key.encode(), value.encode()) for key, value in headers.items()],
    }
    assert Limits(proxies=PROXIES).address(scope) == address


# ── Redis ────────────────────────────────────────────────────────────────────────────────────────────────


class Answering(TCPFakeRequestHandler):
    """Says an error and goes on, as a real Redis does; the library's hangs up."""

    def setup(self) -> None:
        super().setup()
        plain = self.current_client.read_response

        def answered(*words: Any, **more: Any) -> Any:
            try:
                return plain(*words, **more)
            except ResponseError as error:
                return error

        self.current_client.read_response = answered  # type: ignore[method-assign]


class Redis:
    """A Redis on a real socket, which can go away and come back."""

    def __init__(self) -> None:
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self._server: TcpFakeServer | None = None

    def start(self) -> None:
        self._server = TcpFakeServer(("127.0.0.1", self._port), server_type="redis")
        self._server.daemon_threads = True
        self._server.RequestHandlerClass = Answering
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@pytest.fixture
def redis() -> Iterator[Redis]:
    server = Redis()
    server.start()
    yield server
    server.stop()


@pytest.mark.usefixtures("small")
async def test_gateways_that_share_a_redis_count_together(redis: Redis) -> None:
    one, other = Limits(SECRET, redis.url), Limits(SECRET, redis.url)
    for limits in (one, other, one, other):
        await limits.take(Window.CLIENT, "a")
    assert [await left(limits, "a") for limits in (one, other)] == [0, 0]
    assert await left(one, "b") == 4 and not one.alone


@pytest.mark.usefixtures("small")
async def test_while_redis_is_away_each_counts_for_itself_and_says_so(
    redis: Redis,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(the_limits, "REDIS_AWAY_SECONDS", 0.2)
    redis.stop()
    limits = Limits(SECRET, redis.url)
    with caplog.at_level(logging.ERROR):
        assert await left(limits, "a") == 4
    said = caplog.text + "".join(capsys.readouterr())
    assert limits.alone and "limits_count_alone" in said
    redis.start()
    await eventually(lambda: not limits.alone)
    assert await left(limits, "a") == 4 and not limits.alone, "Redis had not counted yet"


# ── at the doors ─────────────────────────────────────────────────────────────────────────────────────────


async def test_too_many_are_told_when_to_come_again(idle: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RATES, Window.CLIENT, parse("3/minute"))
    asked = [await idle.http.get("/v1/work-items", headers=idle.bearer("push-0")) for _ in range(4)]
    assert [one.status_code for one in asked] == [200, 200, 200, 429]
    assert asked[0].headers["ratelimit-policy"] == '"client";q=3;w=60'
    assert re.fullmatch(r'"client";r=2;t=\d+', asked[0].headers["ratelimit"])
    last = asked[-1]
    assert (last.json()["code"], last.headers["content-type"]) == ("too_many_requests", "application/problem+json")
    assert int(last.headers["retry-after"]) >= 20 and last.headers["ratelimit"].startswith('"client";r=0;t=')
    assert (await idle.http.get("/v1/work-items", headers=idle.bearer("push-1"))).status_code == 200


async def test_doors_without_a_token_count_by_address(idle: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    for window in (Window.TOKENS, Window.MAILED_LINKS):
        monkeypatch.setitem(RATES, window, parse("2/minute"))
    links = [(await idle.http.get(f"/m/{n}")).status_code for n in range(3)]
    assert links == [410, 410, 429]
    asked = {"grant_type": "client_credentials", "client_id": "push-0", "client_secret": "guessed"}
    tried = [(await idle.http.post("/oauth/token", data=asked)).status_code for _ in range(3)]
    assert tried == [401, 401, 429]
    assert (await idle.http.get("/v1/work-items", headers=idle.bearer("push-0"))).status_code == 200


async def test_citizens_forms_count_by_address_and_looking_does_not(
    idle: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RATES, Window.FORMS, parse("4/minute"))
    as_people = {"accept": "text/html", "accept-language": "zh"}
    doors = ("/", "/follow", "/check/K0123456789AB", "/case/Q0123456789AB/withdraw")
    assert [(await idle.http.post(path)).status_code for path in doors] == [403] * 4, "no form of ours"
    refused = await idle.http.post("/", headers=as_people)
    assert refused.status_code == 429 and "过于频繁" in refused.text and int(refused.headers["retry-after"]) > 0
    assert [(await idle.http.get(path)).status_code for path in ("/", "/follow", "/hotlines")] == [200] * 3


async def test_a_number_gets_only_so_many_codes_over_all_origins(
    idle: Doors, monkeypatch: pytest.MonkeyPatch, keys: KeyRing
) -> None:
    monkeypatch.setitem(RATES, Window.CODES_TO_NUMBER, parse("3/hour"))

    async def check(origin: str, number: str = "13800138000", who: str = "mini-program", key: str = "") -> int:
        body = {"number": number, "id_tail": "01123X", "purpose": "query", "origin": origin}
        headers = {**idle.bearer(who), "idempotency-key": key or origin + number}
        return (await idle.http.post("/v1/identity-checks", json=body, headers=headers)).status_code

    assert [await check(f"session-{n}") for n in range(4)] == [202, 202, 202, 429]
    assert await check("session-0", key="session-013800138000") == 202, "a repetition costs nothing"
    assert await check("session-9", number="13900139000") == 202
    assert await check("session-9", who="other-channel") == 202
