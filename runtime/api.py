"""The gateway as the command line uses it: a client over HTTP, with the credentials of whoever it speaks as."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import httpx

from runtime.access import ClientAuth

FOR_PROGRAMS = "See /openapi.json"
"""How a remedy begins that helps nobody at a terminal."""


class ApiError(RuntimeError):
    """The gateway said no, or nothing: one sentence with what to do."""

    def __init__(self, sentence: str, code: str = "") -> None:
        super().__init__(sentence)
        self.code = code


class Api:
    """One partner's view of the gateway."""

    def __init__(self, url: str, auth: httpx.Auth) -> None:
        secured = url.startswith("https:")  # without, no authorities are loaded: a tenth of a second per command
        self._client = httpx.Client(base_url=url, auth=auth, timeout=30, trust_env=False, verify=secured)

    @classmethod
    def from_folder(cls, folder: Path, url: str | None, client: str | None, who: str = "carrier") -> Api:
        """The address and client (`id:secret`) given, or those of the stack that was started with this folder.

        `who` is a role (carrier, channel) or somebody's code there.
        """
        known = {} if url and client else _known(folder)
        url = url or cast("str", known["api"])
        if client:
            client_id, _, secret = client.partition(":")
            return cls(url, ClientAuth(url, client_id, secret))
        if who not in known["clients"]:
            names = ", ".join(known["clients"])
            raise ApiError(f"The running stack knows no {who}: give --as one of {names}.", "unknown_person")
        return cls(url, ClientAuth(url, **known["clients"][who]))

    def renew(
        self,
        number: str,
        activated_at: datetime,
        apps: Sequence[str] | None,
        id_tail: str | None,
        checked_at: datetime,
        key: str,
    ) -> str:
        """Hand a renewal in; its case."""
        body = {
            "number": number,
            "id_tail": id_tail,
            "activated_at": activated_at.isoformat(),
            "apps": apps,
            "identity": {
                "checked_by": "command-line",
                "method": "counter",
                "checked_at": checked_at.isoformat(),
            },
        }
        answer = self.call("POST", "/v1/renewals", json=body, headers={"idempotency-key": key})
        return str(answer["case"])

    def show(self, case: str) -> dict[str, Any]:
        """A renewal as the gateway presents it."""
        return cast("dict[str, Any]", self.call("GET", f"/v1/renewals/{case}"))

    def withdraw(self, case: str) -> dict[str, Any]:
        """Withdraw a renewal."""
        return cast("dict[str, Any]", self.call("POST", f"/v1/renewals/{case}/withdraw"))

    def open(self, path: str, body: dict[str, Any], key: str | None = None) -> dict[str, Any]:
        """Open a case; the same key with the same body gives the same case."""
        headers = {"idempotency-key": key or secrets.token_urlsafe(16)}
        return cast("dict[str, Any]", self.call("POST", path, json=body, headers=headers))

    def apps(self) -> list[dict[str, Any]]:
        """The registered apps."""
        return cast("list[dict[str, Any]]", self.call("GET", "/v1/apps"))

    def call(self, method: str, path: str, **words: Any) -> Any:
        """One request; the answer's JSON. Raises ApiError with the gateway's own sentence."""
        try:
            response = self._client.request(method, path, **words)
        except httpx.HTTPError as error:
            raise ApiError(
                f"The gateway does not answer ({type(error).__name__}): is the stack up? Start it with `make up`."
            ) from None
        if response.is_success:
            return response.json()
        raise _refused(response)

    def download(self, path: str, params: dict[str, str], to: Path) -> int:
        """Write what is answered to a file, as it comes; how many lines it has. Raises ApiError."""
        lines = 0
        try:
            with self._client.stream("GET", path, params=params) as response:
                if not response.is_success:
                    response.read()
                    raise _refused(response)
                with to.open("wb") as file:
                    for part in response.iter_bytes():
                        lines += part.count(b"\n")
                        file.write(part)
        except httpx.HTTPError as error:
            raise ApiError(f"The gateway broke off ({type(error).__name__}): try again.") from None
        except OSError as error:
            raise ApiError(f"{to} cannot be written: {error.strerror}.", "not_written") from None
        return lines


def _refused(response: httpx.Response) -> ApiError:
    """What a problem says, for somebody at a terminal."""
    try:
        problem = response.json()
        remedy = problem["remedy"].partition(FOR_PROGRAMS)[0]
        return ApiError(f"{problem['detail']} {remedy}".strip(), problem["code"])
    except (ValueError, KeyError):
        return ApiError(f"The gateway answered {response.status_code}; look at its log.")


def texts(folder: Path, number: str) -> list[dict[str, Any]]:
    """The short messages a phone of the sandbox got, the newest last. Raises ApiError."""
    known = _known(folder)
    try:
        url = f"{known['world']}/world/phone"
        secured = url.startswith("https:")
        response = httpx.post(url, json={"number": number}, timeout=10, trust_env=False, verify=secured)
    except httpx.HTTPError:
        raise ApiError("The sandbox does not answer: is the stack up? Start it with `make up`.") from None
    if not response.is_success:
        raise ApiError(f"number: {response.json()['detail']}", "malformed")
    return cast("list[dict[str, Any]]", response.json()["texts"])


def _known(folder: Path) -> dict[str, Any]:
    """What the stack that was started with this folder says of itself. Raises ApiError."""
    try:
        return cast("dict[str, Any]", json.loads((folder / "up.json").read_text()))
    except OSError:
        raise ApiError(
            "No running stack is known: run `make up`, or give --api and --client (JIEBANG_API, JIEBANG_CLIENT)."
        ) from None
