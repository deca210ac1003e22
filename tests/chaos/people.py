"""Everybody who speaks with the gateway in a test, each with their own token; every answer is kept as it came."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

from runtime.access import ClientAuth
from runtime.api import ApiError
from runtime.stack import Stack
from sandbox.behaviour import Held, held
from sandbox.calls import signed
from tests.chaos.conftest import PLAIN, until

CARRIER, CHANNEL, SUPERVISOR = "sandbox-mobile", "mini-program", "supervisor-wu"
CHEN, LIN = "worker-chen", "worker-lin"
Body = Mapping[str, Any]
CODE = re.compile(r"验证码([0-9]{6})")


@dataclass(frozen=True)
class Answer:
    """What somebody was answered, a refusal as well."""

    who: str
    role: str
    asked: str
    status: int
    body: bytes


@dataclass(frozen=True)
class _Partner:
    role: str
    auth: ClientAuth
    secret: str


class Partners:
    """All partners of a running stack."""

    def __init__(self, stack: Stack) -> None:
        clear: Mapping[str, Mapping[str, Mapping[str, str]]] = json.loads(stack.credentials.read_text())
        self.world = stack.world
        self.answers: list[Answer] = []
        self._lock = threading.Lock()
        self._known = {
            code: _Partner(
                roles.removesuffix("s"), ClientAuth(stack.api, one["client_id"], one["client_secret"]), one["secret"]
            )
            for roles, people in clear.items()
            for code, one in people.items()
        }
        self._client = httpx.Client(base_url=stack.api, timeout=30, trust_env=False, verify=False)

    def of(self, role: str) -> list[str]:
        """Everybody of a role: carrier, enterprise, channel, case_worker, supervisor."""
        return [code for code, one in self._known.items() if one.role == role]

    def get(self, who: str, path: str, **params: Any) -> Any:
        """What somebody is shown. Raises ApiError."""
        return self._taken(self._say(who, "GET", path, params=params))

    def post(self, who: str, path: str, body: Body | None = None) -> Any:
        """Something somebody does. Raises ApiError."""
        return self._taken(self._post(who, path, body or {}))

    def refused(self, who: str, path: str, body: Body | None = None) -> str:
        """The code of the refusal that this brings."""
        response = self._post(who, path, body or {})
        assert not response.is_success, f"{path} was taken"
        return str(response.json()["code"])

    def message(self, party: str, path: str, body: Body, called: str = "msg") -> httpx.Response:
        """A signed message of a party, whose id begins as it is `called`."""
        raw = json.dumps(body, ensure_ascii=False).encode()
        signs = signed(self._known[party].secret, f"{called}_{uuid4().hex}", raw)
        return self._say(party, "POST", path, content=raw, headers={**signs, "content-type": "application/json"})

    def _post(self, who: str, path: str, body: Body) -> httpx.Response:
        """Everything has a key, needed or not, and made as some partners will: of the number."""
        headers = {"idempotency-key": f"{body.get('number', '')}-{uuid4()}"}
        return self._say(who, "POST", path, json=body, headers=headers)

    def _say(self, who: str, method: str, path: str, headers: Mapping[str, str] = {}, **words: Any) -> httpx.Response:
        one = self._known[who]
        response = self._client.request(method, path, headers=headers, auth=one.auth, **words)
        with self._lock:
            body = response.content + repr(response.headers).encode()
            self.answers.append(Answer(who, one.role, f"{method} {path}", response.status_code, body))
        return response

    def _taken(self, response: httpx.Response) -> Any:
        if response.is_success:
            return response.json()
        found = response.json()
        raise ApiError(f"{found['detail']} {found['remedy']}", found["code"])


@dataclass
class Citizen:
    """Somebody with a number and an ID, who comes through the channel and reads their short messages."""

    partners: Partners
    number: str
    tail: str
    codes: dict[str, list[str]] = field(default_factory=dict)
    """Every code that was sent, by its check."""

    def begin(self, purpose: str, **changed: Any) -> str:
        """Start an identity check; the code is on its way."""
        body = {"number": self.number, "id_tail": self.tail, "purpose": purpose, "origin": uuid4().hex, **changed}
        return str(self.partners.post(CHANNEL, "/v1/identity-checks", body)["check"])

    def code(self, check: str, sent: int = 1) -> str:
        """The last code of a check, once so many were sent."""

        def read() -> str | None:
            self.codes[check] = [found[1] for text in self.texts(check) if (found := CODE.search(text))]
            return self.codes[check][-1] if len(self.codes[check]) >= sent else None

        return until(read)

    def enter(self, check: str, code: str) -> str:
        """The check, verified."""
        self.partners.post(CHANNEL, f"/v1/identity-checks/{check}/code", {"code": code})
        until(lambda: self.partners.get(CHANNEL, f"/v1/identity-checks/{check}")["opens_until"])
        return check

    def prove(self, purpose: str) -> str:
        """Number, ID tail, and the code from the short message: a verified check."""
        check = self.begin(purpose)
        return self.enter(check, self.code(check))

    def query(self, target: str = "accounts", **changed: Any) -> str:
        """Ask how many accounts hang on the number, or how many cards stand under the ID; the case."""
        body = {"check": self.prove("query"), "target": target, **changed}
        return str(self.partners.post(CHANNEL, "/v1/queries", body)["case"])

    def dispute(self, apps: list[str], **changed: Any) -> tuple[str, str]:
        """Dispute these apps; the case, and the check that may follow it."""
        check = self.prove("dispute")
        body = {"check": check, "claims": [{"app": app, "reason": "not_mine"} for app in apps], **changed}
        return str(self.partners.post(CHANNEL, "/v1/disputes", body)["case"]), check

    def complain(self, kind: str, apps: list[str], text: str, **changed: Any) -> str:
        """Complain in one's own words; the case."""
        body = {"check": self.prove("complaint"), "kind": kind, "apps": apps, "text": text, **changed}
        return str(self.partners.post(CHANNEL, "/v1/complaints", body)["case"])

    def detail(self, case: str, check: str) -> dict[str, Any]:
        """The claims of a dispute with what only the citizen may see, by app."""
        found = self.partners.get(CHANNEL, f"/v1/disputes/{case}/detail", check=check)
        return {one["app"]: one for one in found["claims"]}

    def claims(self, case: str) -> dict[str, str]:
        """Where each claim of a dispute stands, by app."""
        found = self.partners.get(CHANNEL, f"/v1/disputes/{case}")
        return {one["app"]: one["state"] for one in found["claims"]}

    def texts(self, about: str = "") -> list[str]:
        """The short messages on the phone, the newest last; those about a case, if one is named."""
        answer = PLAIN.post(f"{self.partners.world}/world/phone", json={"number": self.number})
        return [one["text"] for one in answer.json()["texts"] if about in one["text"]]


def unbind_all(citizen: Citizen, case: str, check: str, apps: list[str]) -> None:
    """Choose to have every account of these apps unbound, once all of them are known."""

    def known() -> dict[str, dict[str, str]] | None:
        detail = citizen.detail(case, check)
        if any(detail[app]["accounts"] is None for app in apps):
            return None
        return {app: {one["ref"]: "unbind" for one in detail[app]["accounts"]} for app in apps}

    choices = {app: chosen for app, chosen in until(known).items() if chosen}
    citizen.partners.post(CHANNEL, f"/v1/disputes/{case}/choose", {"check": check, "choices": choices})


def accounts(stack: Stack, number: str) -> dict[str, tuple[Held, ...]]:
    """What the parties have in their books about a number, by app."""
    config = stack.settings
    parties = [*config.registry_data.enterprises, *(carrier.cards for carrier in config.registry_data.carriers)]
    return {
        app.code: held(app.code, config.key_ring.enterprise_token(party.code, f"+86{number}"))
        for party in parties
        for app in party.apps
    }
