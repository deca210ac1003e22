"""The outside world in one process: enterprises, carriers, a short message centre and a mail server.

`python -m sandbox.world --settings FILE` runs it until SIGTERM; tests run a `World` in their own event loop.
It knows numbers, as the outside does, and keeps them to its own message logs: nothing is printed, and
`/world/state` masks whom a short message went to (what the product wrote is shown as it came).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from fastapi import FastAPI, HTTPException, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from domain import registry
from domain.privacy import PhoneNumber, mask_text
from sandbox.behaviour import Behaviour
from sandbox.calls import Account, Gateway
from sandbox.carriers import Carriers
from sandbox.enterprises import Enterprises
from sandbox.mail_server import MailRefusal, SandboxMailServer
from sandbox.observed import Observed
from sandbox.oidc import SandboxProvider
from sandbox.pages import SandboxPages
from sandbox.people import People
from sandbox.server import HttpServer
from sandbox.sms_centre import CentreMode, SandboxSmsCentre

HOST = "127.0.0.1"
POLL_SECONDS = 2.0
"""How often the demo's pulling enterprises, some hundred, look for work: often enough for clocks of 25 seconds."""

QUESTIONS_LESS_OFTEN = 2
"""Work items are looked for so many times as often: there are more of them."""

REGISTRY = Path(__file__).with_name("registry.toml")

CALLBACK = "/sign-in/oidc/callback"
DESK = ("worker-chen", "worker-lin", "supervisor-wu", "auditor-qian", "admin-zhao", "clerk-sun")
"""Who may sign in at the gateway through the world's OpenID provider, and where it sends them back to."""


class Accounts(BaseModel):
    """Everybody's credentials, as the product hands them out."""

    model_config = ConfigDict(frozen=True)

    enterprises: Mapping[str, Account]
    carriers: Mapping[str, Account]


class Settings(BaseModel):
    """Where the world is, and where the gateway is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    http_port: int
    smpp_port: int
    smtp_port: int
    gateway_url: str
    credentials: Path
    folder: Path
    registry: Path = REGISTRY


class SmsOrder(BaseModel):
    """How the short message centre should behave from now on; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    mode: CentreMode | None = None
    down: bool | None = None


class MailOrder(BaseModel):
    """How the mail server should behave from now on; `refusing: null` ends a refusal."""

    model_config = ConfigDict(extra="forbid")

    refusing: MailRefusal | None = None


class PhoneOrder(BaseModel):
    """Whose phone to look at. A number is never part of a URL."""

    model_config = ConfigDict(extra="forbid")

    number: str


class NumberEventOrder(BaseModel):
    """What a carrier should report of a number; `event_id` is its own, made up if none is given."""

    model_config = ConfigDict(extra="forbid")

    carrier: str
    number: str
    event: str
    occurred_at: AwareDatetime
    event_id: str = Field(default_factory=lambda: uuid4().hex)


class World:
    """Start it, let the product work with it, look at `observed`, `carriers.results`, `sms` and `mail`, stop it.

    `pace` scales every delay of the enterprises (0.05: twenty times as fast), `behaviours` replaces single ones;
    those that pull look every `poll_every` seconds.
    """

    def __init__(
        self,
        registry_text: str,
        accounts: Accounts,
        gateway_url: str,
        *,
        http_port: int = 0,
        smpp_port: int = 0,
        smtp_port: int = 0,
        folder: Path | None = None,
        behaviours: Mapping[str, Behaviour] | None = None,
        pace: float = 1.0,
        poll_every: float = 1.0,
    ) -> None:
        self._http = HttpServer(HOST, http_port)
        self.url = self._http.url
        self.registry = registry.load(registry_text, {"SANDBOX_URL": self.url})
        self.sms = SandboxSmsCentre(HOST, smpp_port, folder and folder / "sms.jsonl")
        self.mail = SandboxMailServer(HOST, smtp_port, folder and folder / "mail.jsonl")
        self.observed = Observed()
        self._gateway = Gateway(gateway_url, pace)
        codes = [carrier.code for carrier in self.registry.carriers]
        self.carriers = Carriers(codes, accounts.carriers, self._gateway, self.observed)
        self._work: set[asyncio.Task[None]] = set()
        known = behaviours or {}
        everybody = {**accounts.enterprises, **accounts.carriers}
        self._enterprises = Enterprises(
            self.registry, everybody, self._gateway, self.observed, self._start, known, pace, self.url
        )
        self._people = People(self.registry, self.mail, self.observed, self._start, known, pace)
        self._poll_every = poll_every
        self._desk = SandboxProvider(self.url, gateway_url + CALLBACK, DESK)
        self._pages = SandboxPages(gateway_url, DESK, lambda: self.sms.messages, lambda: self.mail.messages)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The world of the demo, from its settings."""
        settings.folder.mkdir(parents=True, exist_ok=True)
        return cls(
            settings.registry.read_text(),
            Accounts.model_validate_json(settings.credentials.read_bytes()),
            settings.gateway_url,
            http_port=settings.http_port,
            smpp_port=settings.smpp_port,
            smtp_port=settings.smtp_port,
            folder=settings.folder,
            poll_every=POLL_SECONDS,
        )

    async def start(self) -> None:
        """Open every door; returns when all of them are open."""
        await self.sms.start()
        await self.mail.start()
        await self._http.start(self._app())
        self._start(self._enterprises.poll_work(self._poll_every))
        self._start(self._enterprises.poll_questions(self._poll_every * QUESTIONS_LESS_OFTEN))
        self._start(self._people.read())

    async def stop(self) -> None:
        """Close every door; answers under way are given up."""
        await self._http.close()
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        await self._gateway.close()
        await self.mail.close()
        await self.sms.close()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=getattr(work, "__qualname__", "work"))
        self._work.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._work.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.observed.bugs[f"{task.get_name()} {type(error).__name__}"] += 1

    # ── watching and steering, over HTTP ─────────────────────────────────────────────────────────────

    def _app(self) -> FastAPI:
        app = FastAPI(title="Sandbox world", openapi_url=None)
        app.middleware("http")(self._note_url)
        app.include_router(self._enterprises.router)
        app.include_router(self.carriers.router)
        app.include_router(self._desk.router)
        app.include_router(self._pages.router)
        app.add_api_route("/world/state", self.state, methods=["GET"], response_model=None)
        app.add_api_route("/world/phone", self._phone, methods=["POST"])
        app.add_api_route("/world/number-event", self._report, methods=["POST"], response_model=None)
        app.add_api_route("/world/sms", self._steer_sms, methods=["POST"], status_code=204)
        app.add_api_route("/world/mail", self._steer_mail, methods=["POST"], status_code=204)
        return app

    async def state(self) -> dict[str, Any]:
        """Everything the world saw."""
        return {
            "sms": [asdict(replace(sms, destination=mask_text(sms.destination))) for sms in self.sms.messages],
            "sms_centre": {"mode": self.sms.mode, "bound": self.sms.bound},
            "mails": [asdict(mail) for mail in self.mail.messages],
            "mail_server": {"refusing": self.mail.refusing},
            "results": [
                asdict(result) | {"deliveries": self.carriers.deliveries[result.message_id]}
                for result in self.carriers.results
            ],
            **vars(self.observed),
        }

    async def _phone(self, order: PhoneOrder) -> dict[str, list[dict[str, Any]]]:
        """The texts a phone got, the newest last."""
        try:
            number = PhoneNumber.parse(order.number).e164.removeprefix("+")
        except ValueError as error:
            raise HTTPException(422, str(error)) from None
        return {
            "texts": [
                {"sender": sms.sender, "text": sms.text, "received_at": sms.received_at}
                for sms in self.sms.messages
                if sms.destination == number
            ]
        }

    async def _report(self, order: NumberEventOrder) -> Response:
        """Let a carrier report a number event; what the gateway said to it."""
        try:
            response = await self.carriers.report(order.carrier, order.model_dump(mode="json", exclude={"carrier"}))
        except KeyError:
            raise HTTPException(404, "no such carrier") from None
        return Response(response.content, response.status_code, media_type=response.headers.get("content-type"))

    async def _note_url(self, request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        self.observed.urls.append(f"{request.url.path}?{request.url.query}")
        if request.method == "POST" and not request.url.path.startswith("/world/"):
            self._enterprises.bustle.noticed()
        return await call(request)

    async def _steer_sms(self, order: SmsOrder) -> None:
        if order.mode is not None:
            self.sms.mode, self.sms.undelivered_left = order.mode, None
        if order.down is not None:
            await (self.sms.down() if order.down else self.sms.up())

    async def _steer_mail(self, order: MailOrder) -> None:
        self.mail.refusing = order.refusing


async def run(settings: Settings) -> None:
    """Until SIGTERM or Ctrl-C."""
    stopping = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, stopping.set)
    world = World.of(settings)
    await world.start()
    try:
        await stopping.wait()
    finally:
        await world.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The sandbox's outside world.")
    parser.add_argument("--settings", type=Path, required=True, help="JSON: ports, gateway, credentials, folder")
    asyncio.run(run(Settings.model_validate_json(parser.parse_args().settings.read_bytes())))
    # The SMPP library's threads may still be at work, and abort an interpreter that is being taken down (2 of 30 exits).
    os._exit(0)
