"""The enterprises' doors, and those of carriers as owners of phone cards: an endpoint for those that are pushed to,
pollers for the others, and the page of an enterprise's own identity check.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import httpx
from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from domain.registry import Channel, Registry
from sandbox.behaviour import Behaviour, Fault, behaviour_of
from sandbox.calls import Account, BadMessageError, Gateway, comes_later, opened
from sandbox.enterprise import Enterprise, Start, Surroundings
from sandbox.inbox import Question, WorkItem
from sandbox.observed import Observed

HANG_SECONDS = 30.0
RETRY_AFTER = "2"
BUSTLE_SECONDS = 10.0
"""So long after a message from outside there may be more."""

IDLE_ROUNDS = 4
"""Rounds left out while nothing goes on: looking for nothing took a fifth of a core here, and another in the gateway."""

Data = Mapping[str, Any]
Answers = list[dict[str, Any]]
"""What is said at once to the questions of a message."""

Take = Callable[[Enterprise, Data], None]


class Bustle:
    """Whether anything goes on: while nothing does, whoever has to look looks less often, and again as soon as it does."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._noticed = asyncio.Event()

    def noticed(self) -> None:
        """Something goes on."""
        self._last = time.monotonic()
        self._noticed.set()

    async def awaited(self, seconds: float) -> None:
        """Wait for it, so long at most; not at all while it goes on."""
        if time.monotonic() - self._last < BUSTLE_SECONDS:
            return
        self._noticed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._noticed.wait()


class Enterprises:
    """All parties of a registry: the endpoint they share, and the pollers."""

    def __init__(
        self,
        registry: Registry,
        accounts: Mapping[str, Account],
        gateway: Gateway,
        observed: Observed,
        start: Start,
        behaviours: Mapping[str, Behaviour],
        pace: float,
        url: str,
    ) -> None:
        around = Surroundings(gateway, observed, {}, pace, start, url)
        self._gateway = gateway
        self._observed = observed
        self._pace = pace
        parties = [*registry.enterprises, *(carrier.cards for carrier in registry.carriers if carrier.takes_part)]
        self._enterprises = {
            known.code: Enterprise(known.code, behaviour_of(known.code, behaviours), accounts[known.code], around)
            for known in parties
        }
        self.bustle = Bustle()
        self._pulling = [self._enterprises[e.code] for e in registry.enterprises if e.channel is Channel.PULL]
        self._looking = [self._enterprises[e.code] for e in registry.enterprises if e.channel is not Channel.PUSH]
        self._on_message: Mapping[str, Callable[[Enterprise, Data], Answers | None]] = {
            "work_items.requested": lambda enterprise, data: enterprise.take(_items(data)),
            "work_items.reminded": lambda enterprise, data: enterprise.take(_items(data)),
            "work_items.withdrawn": lambda enterprise, data: enterprise.drop(_items(data)),
            "questions.asked": lambda enterprise, data: enterprise.asked(_questions(data)),
            "numbers.recycled": lambda enterprise, data: enterprise.numbers_recycled(_tokens(data)),
            "numbers.reinstated": lambda enterprise, data: enterprise.numbers_reinstated(_tokens(data)),
        }
        self._on_fault: Mapping[Fault, Callable[[], Awaitable[Response]]] = {
            Fault.UNAVAILABLE: _unavailable,
            Fault.WEB_PAGE: _web_page,
            Fault.HANGING: self._hanging,
        }
        self.router = APIRouter()
        for doors in ("/e", "/c"):
            self.router.add_api_route(f"{doors}/{{code}}/hooks", self._hook, methods=["POST"], response_model=None)
        self.router.add_api_route(
            "/e/{code}/check/{ticket}", self._own_check, methods=["GET", "POST"], response_model=None
        )

    async def _hook(self, code: str, request: Request) -> Response:
        """A signed message of the gateway."""
        enterprise = self._enterprises.get(code)
        if enterprise is None:
            return Response(status_code=404)
        if fault := enterprise.fault():
            return await self._on_fault[fault]()
        try:
            message = await opened(request, enterprise.account.secret)
            answers = self._on_message[message["type"]](enterprise, message["data"])
        except BadMessageError:
            self._observed.not_genuine[code] += 1
            return JSONResponse({"code": "bad_signature"}, 401)
        except (KeyError, TypeError, ValueError) as error:
            self._observed.bugs[f"unreadable message {type(error).__name__}"] += 1
            return JSONResponse({"code": "malformed"}, 400)
        self._observed.messages[code] += 1
        return JSONResponse({"answers": answers}) if answers else Response(status_code=202)

    async def _own_check(self, code: str, ticket: str) -> Response:
        """The page behind a link that a citizen got: being there is passing."""
        enterprise = self._enterprises.get(code)
        if enterprise is None or not enterprise.own_check_passed(ticket):
            return Response(status_code=404)
        return HTMLResponse("<!doctype html><title>身份核验</title><h1>核验通过</h1>")

    async def _hanging(self) -> Response:
        await asyncio.sleep(HANG_SECONDS * self._pace)
        return await _unavailable()

    async def poll_work(self, every: float) -> None:
        """Ask for open work items, round after round, for all who pull."""
        await self._poll(self._pulling, every, "work-items", lambda one, found: one.take(_items(found)))

    async def poll_questions(self, every: float) -> None:
        """Ask for open questions, for all who are not pushed to."""
        await self._poll(self._looking, every, "questions", lambda one, found: one.found(_questions(found)))

    async def _poll(self, who: Sequence[Enterprise], every: float, what: str, take: Take) -> None:
        while True:
            await asyncio.gather(*(self._look(enterprise, what, take) for enterprise in who))
            await asyncio.sleep(every)
            await self.bustle.awaited(every * IDLE_ROUNDS)

    async def _look(self, enterprise: Enterprise, what: str, take: Take) -> None:
        """One enterprise's list; a gateway that is away is asked again in the next round."""
        try:
            take(enterprise, await self._gateway.listed(enterprise.account, what))
        except httpx.HTTPStatusError as error:
            if not comes_later(error.response.status_code):
                self._observed.refusal(f"list {what}", error.response)
        except httpx.TransportError:
            return
        except (KeyError, TypeError, ValueError) as error:
            self._observed.bugs[f"unreadable list {type(error).__name__}"] += 1


def _items(data: Data) -> list[WorkItem]:
    return [WorkItem.read(one) for one in data["work_items"]]


def _questions(data: Data) -> list[Question]:
    return [Question.read(one) for one in data["questions"]]


def _tokens(data: Data) -> list[str]:
    return [str(one["token"]) for one in data["numbers"]]


async def _unavailable() -> Response:
    return Response(status_code=503, headers={"retry-after": RETRY_AFTER})


async def _web_page() -> Response:
    return HTMLResponse("<!doctype html><title>系统维护</title><h1>系统维护中</h1>")
