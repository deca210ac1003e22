"""How often somebody may ask: windows per client and per origin, in memory or in Redis.

One table says how often; a door names the row it takes from. While Redis is away each process counts for itself, which
is looser by the number of processes but never open, and says so in the log and in the metrics.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeVar

import structlog
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.problems import ProblemError, Respond, problem

log = structlog.get_logger()
T = TypeVar("T")


class Window(StrEnum):
    """What is counted together; the name is what the `RateLimit` headers and the metrics call it."""

    CLIENT = "client"
    TOKENS = "tokens"
    SIGN_IN = "sign-in"
    MAILED_LINKS = "mailed-links"
    FORMS = "forms"
    CHECKS_OF_CHANNEL = "checks-of-channel"
    CHECKS_OF_ORIGIN = "checks-of-origin"
    CODES_TO_NUMBER = "codes-to-number"
    TRIES_OF_CHANNEL = "tries-of-channel"
    REPLAYS = "replays"


RATES: dict[Window, RateLimitItem] = {
    window: parse(rate)
    for window, rate in {
        # everything a client asks with its token
        Window.CLIENT: "6000/minute",
        # doors without a token, per remote address
        Window.TOKENS: "1200/minute",
        Window.SIGN_IN: "60/minute",
        Window.MAILED_LINKS: "120/minute",
        Window.FORMS: "120/minute",
        # doors that send short messages: per channel, per citizen's session, and per number over all sessions
        Window.CHECKS_OF_CHANNEL: "600/minute",
        Window.CHECKS_OF_ORIGIN: "30/10 minutes",
        Window.CODES_TO_NUMBER: "10/hour",
        # doors that check codes
        Window.TRIES_OF_CHANNEL: "1200/minute",
        # replays of webhooks, per partner: each is a workflow
        Window.REPLAYS: "60/minute",
    }.items()
}
"""How often, each as a sliding window."""

OF_ADDRESS: Sequence[tuple[re.Pattern[str], Window]] = (
    (re.compile(r"[A-Z]+ /oauth/token"), Window.TOKENS),
    (re.compile(r"[A-Z]+ /sign-in"), Window.SIGN_IN),
    (re.compile(r"[A-Z]+ /m/"), Window.MAILED_LINKS),
    (re.compile(r"POST /(check|follow|case|dispute|renewal|forget|$)"), Window.FORMS),
)
"""Doors anybody may knock at: requests that begin so take from the window of the remote address. Of the citizens' pages
only forms do; to look costs little."""

REDIS_SECONDS = 0.5
"""How long Redis may take to count one request."""

REDIS_AWAY_SECONDS = 10.0
"""After a failure Redis is not asked for so long."""

TIDY_SECONDS = 10.0
NETWORK_OF_SUBSCRIBER = 64
"""Bits of an IPv6 address that say whose it is; the rest its owner chooses."""

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class Standing:
    """How a window stands after a request."""

    window: Window
    left: int
    resets_in: int

    @property
    def policy(self) -> str:
        """For `RateLimit-Policy`."""
        rate = RATES[self.window]
        return f'"{self.window}";q={rate.amount};w={rate.get_expiry()}'

    @property
    def state(self) -> str:
        """For `RateLimit`."""
        return f'"{self.window}";r={self.left};t={self.resets_in}'


_standings: ContextVar[list[Standing]] = ContextVar("standings")
"""What the request that is being answered took from."""


class Limits:
    """The windows of this installation. `secret` keys the digests that client ids and addresses are kept as."""

    def __init__(self, secret: bytes = b"", redis: str = "", proxies: Sequence[Network] = ()) -> None:
        self._secret = secret or secrets.token_bytes(32)
        self._proxies = proxies
        self._memory = MemoryStorage()
        self._here = SlidingWindowCounterRateLimiter(self._memory)
        self._redis = SlidingWindowCounterRateLimiter(_redis(redis)) if redis else None
        self._failures = _failures() if redis else ()
        self._away_until = 0.0
        self._tidying: asyncio.Task[None] | None = None
        self.refused: Callable[[Window], None] = lambda _window: None

    @property
    def alone(self) -> bool:
        """Whether this process counts for itself although there is a Redis."""
        return self._redis is not None and time.monotonic() < self._away_until

    async def take(self, window: Window, *who: str) -> None:
        """Count one request. Raises ProblemError 429 when there were too many."""
        rate, key = RATES[window], (window.value, self._digest(*who))
        taken = await self._counted(lambda limiter: limiter.hit(rate, *key))
        stats = await self._counted(lambda limiter: limiter.get_window_stats(rate, *key))
        resets_in = max(1, math.ceil(stats.reset_time - time.time()))
        standing = Standing(window, max(0, stats.remaining) if taken else 0, resets_in)
        if (noted := _standings.get(None)) is not None:
            noted.append(standing)
        if not taken:
            self.refused(window)
            raise too_many(standing)

    def of_proxy(self, scope: Scope) -> bool:
        """Whether a request comes from a proxy we trust, whose word for its client's certificate counts."""
        peer = _parsed((scope.get("client") or ("",))[0])
        return peer is not None and self._trusted(peer)

    def address(self, scope: Scope) -> str:
        """Where a request comes from: the peer, or what the proxies we trust say of it.

        Whoever both headers come from may have written one of them: if they disagree, neither is believed.
        """
        peer = _parsed((scope.get("client") or ("",))[0])
        if peer is None or not self._trusted(peer):
            return _kept(peer)
        headers = Headers(scope=scope)
        hops = [headers.getlist("x-forwarded-for"), headers.getlist("forwarded")]
        said = {self._behind(read(lines)) for read, lines in zip((_listed, _forwarded), hops, strict=True) if lines}
        return _kept(said.pop() or peer) if len(said) == 1 else _kept(peer)

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────

    def _trusted(self, address: Address) -> bool:
        return any(address in network for network in self._proxies)

    def _behind(self, hops: Sequence[Address | None]) -> Address | None:
        """The nearest hop that is no proxy of ours; whatever stands before it anybody may have written."""
        for hop in reversed(hops):
            if hop is None or not self._trusted(hop):
                return hop
        return None

    def _digest(self, *who: str) -> str:
        return hashlib.blake2b("\0".join(who).encode(), key=self._secret[:64], digest_size=16).hexdigest()

    async def _counted(self, ask: Callable[[SlidingWindowCounterRateLimiter], Awaitable[T]]) -> T:
        if self._redis is not None and not self.alone:
            try:
                async with asyncio.timeout(2 * REDIS_SECONDS):
                    found = await ask(self._redis)
            except self._failures as error:
                log.error("limits_count_alone", error=type(error).__name__, seconds=REDIS_AWAY_SECONDS)
                self._away_until = time.monotonic() + REDIS_AWAY_SECONDS
            else:
                return found
        self._keep_tidy()
        return await ask(self._here)

    def _keep_tidy(self) -> None:
        """Forget old windows now and then; the library would look through all of them at every request."""
        if self._tidying is None or self._tidying.done():
            self._tidying = self._memory.timer = asyncio.create_task(self._tidy())

    async def _tidy(self) -> None:
        await asyncio.sleep(TIDY_SECONDS)
        for key in list(self._memory.expirations):
            await self._memory.get(key)


class Limited:
    """ASGI middleware: windows of remote addresses, and the `RateLimit` headers of whatever a request took from."""

    def __init__(self, app: ASGIApp, respond: Respond) -> None:
        self._app = app
        self._respond = respond

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limits: Limits = scope["app"].state.services.limits
        noted: list[Standing] = []
        _standings.set(noted)

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *_headers(noted)]}
            await send(message)

        try:
            for asked, window in OF_ADDRESS:
                if asked.match(f"{scope['method']} {scope['path']}"):
                    await limits.take(window, limits.address(scope))
        except ProblemError as error:
            refused = await self._respond(Request(scope, receive), error.problem, error.retry_after, "")
            await refused(scope, receive, counted)
            return
        await self._app(scope, receive, counted)


def too_many(standing: Standing) -> ProblemError:
    """The refusal of a window that is full."""
    rate = RATES[standing.window]
    wait = standing.resets_in + math.ceil(rate.get_expiry() / rate.amount)
    found = problem(
        429,
        "too_many_requests",
        f"More than {rate.amount} requests in {rate.get_expiry()} s ({standing.window}).",
        "Wait as long as Retry-After says, then ask less often.",
    )
    return ProblemError(found, wait)


def _headers(noted: Sequence[Standing]) -> list[tuple[bytes, bytes]]:
    if not noted:
        return []
    policies, states = ", ".join(one.policy for one in noted), ", ".join(one.state for one in noted)
    return [(b"ratelimit-policy", policies.encode()), (b"ratelimit", states.encode())]


def _failures() -> tuple[type[Exception], ...]:
    """What a Redis that is away ends in."""
    from redis.exceptions import RedisError

    return (RedisError, TimeoutError, OSError)


def _redis(url: str) -> RedisStorage:
    from redis.asyncio.retry import Retry  # half a second of imports, for those who have a Redis
    from redis.backoff import NoBackoff

    return RedisStorage(
        f"async+{url}",
        implementation="redispy",
        key_prefix="jiebang",
        socket_timeout=REDIS_SECONDS,
        socket_connect_timeout=REDIS_SECONDS,
        retry=Retry(NoBackoff(), 0),  # type: ignore[arg-type]
    )


def _listed(lines: Sequence[str]) -> list[Address | None]:
    """`X-Forwarded-For`."""
    return [_parsed(word) for line in lines for word in line.split(",")]


def _forwarded(lines: Sequence[str]) -> list[Address | None]:
    """`Forwarded` (RFC 7239): the `for` of each hop."""
    hops = [hop for line in lines for hop in line.split(",")]
    named = [[pair.partition("=") for pair in hop.split(";")] for hop in hops]
    return [
        next((_parsed(value) for name, _, value in pairs if name.strip().lower() == "for"), None) for pairs in named
    ]


def _parsed(word: str) -> Address | None:
    """An address, with or without a port; None for anything else."""
    plain = word.strip().strip('"')
    if plain.startswith("["):
        plain = plain[1:].partition("]")[0]
    elif plain.count(":") == 1:
        plain = plain.partition(":")[0]
    try:
        return ip_address(plain)
    except ValueError:
        return None


def _kept(address: Address | None) -> str:
    """What an address is counted as."""
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or ip_network((address, NETWORK_OF_SUBSCRIBER), strict=False))
    return str(address)
