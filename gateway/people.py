"""How people at the case desk come in here: where the site is, whose word is taken, and the work passwords make."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self, TypeVar
from urllib.parse import urlsplit

from gateway.problems import fail
from gateway.provider import Provider
from runtime.settings import Settings
from store import accounts

T = TypeVar("T")

AT_ONCE = 2
MOST_WAITING = 40
"""Passwords waiting to be hashed, 50 ms each: so the last of them waits for a second."""

CALLBACK = "/sign-in/oidc/callback"


class Passwords:
    """Hashing in threads of its own, a few at a time: it would hold up everything else, and it takes 19 MiB each."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, "passwords")
        self._waiting = 0

    async def fits(self, kept: str, password: str) -> bool:
        """Whether a password is the one kept. Raises a problem when too many wait."""
        return await self._work(lambda: accounts.fits(kept, password))

    async def hashed(self, password: str) -> str:
        """A password as it is kept. Raises a problem when too many wait."""
        return await self._work(lambda: accounts.hashed(password))

    async def _work(self, job: Callable[[], T]) -> T:
        if self._waiting >= MOST_WAITING:
            raise fail(503, "busy", "Too many people are signing in.", "Try again in a few seconds.", retry_after=5)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, job)
        finally:
            self._waiting -= 1


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class People:
    """What signing in needs besides the database. `public_url` is the one origin forms may be sent from."""

    public_url: str = "http://127.0.0.1:8080"
    local_accounts: bool = True
    provider: Provider | None = None
    passwords: Passwords = field(default_factory=Passwords)
    now: Callable[[], datetime] = _now

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the settings have it."""
        provider = None
        if settings.oidc_issuer:
            callback = settings.public_url.rstrip("/") + CALLBACK
            secret = settings.oidc_client_secret
            provider = Provider(settings.oidc_issuer, settings.oidc_client_id, secret, callback)
        return cls(settings.public_url, settings.local_accounts, provider)

    @property
    def origin(self) -> str:
        """Scheme, host and port of the site, as a browser says them."""
        url = urlsplit(self.public_url)
        return f"{url.scheme}://{url.netloc}".lower()

    @property
    def secure(self) -> bool:
        """Whether cookies are for TLS only."""
        return self.public_url.startswith("https://")

    def cookie(self, name: str) -> str:
        """A cookie's name; over TLS browsers see to it that this host alone set it, for all its paths."""
        return f"__Host-{name}" if self.secure else name
