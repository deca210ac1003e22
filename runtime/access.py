"""How a program comes in: client credentials in, a token for every request, a new one before the old one ends."""

from __future__ import annotations

import time
from collections.abc import Generator

import httpx

EARLIER_SECONDS = 30.0
"""So long before its end a token is not used any more."""


class ClientAuth(httpx.Auth):
    """An OAuth 2 client (client credentials), for httpx clients of either kind.

    A request whose token is not taken (the client was given another secret, the key ring was rotated) is tried once
    more with a fresh one. When no token is given, the answer to the request is what the token endpoint said.
    """

    requires_response_body = True

    def __init__(self, url: str, client_id: str, client_secret: str) -> None:
        self._url = f"{url.rstrip('/')}/oauth/token"
        self._credentials = httpx.BasicAuth(client_id, client_secret)
        self._token = ""
        self._good_until = 0.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """See httpx."""
        fresh = time.monotonic() >= self._good_until
        if fresh and not (yield from self._fetch()):
            return
        request.headers["authorization"] = f"Bearer {self._token}"
        response = yield request
        if response.status_code == 401 and not fresh and (yield from self._fetch()):
            request.headers["authorization"] = f"Bearer {self._token}"
            yield request

    def _fetch(self) -> Generator[httpx.Request, httpx.Response, bool]:
        asking = httpx.Request("POST", self._url, data={"grant_type": "client_credentials"})
        answer = yield next(self._credentials.auth_flow(asking))
        if not answer.is_success:
            return False
        said = answer.json()
        self._token = said["access_token"]
        self._good_until = time.monotonic() + float(said["expires_in"]) - EARLIER_SECONDS
        return True
