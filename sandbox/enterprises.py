"""The enterprises' doors: an endpoint for those that are pushed to, a poller for those that pull."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import httpx
from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from domain.registry import Channel, Registry
from sandbox.behaviour import Behaviour, Fault, behaviour_of
from sandbox.calls import Account, BadMessageError, Gateway, comes_later, opened
from sandbox.enterprise import Enterprise, Start, Surroundings, WorkItem
from sandbox.observed import Observed

HANG_SECONDS = 30.0
RETRY_AFTER = "2"


class Enterprises:
    """All enterprises of a registry: the endpoint they share, and the poller."""

    def __init__(
        self,
        registry: Registry,
        accounts: Mapping[str, Account],
        gateway: Gateway,
        observed: Observed,
        start: Start,
        behaviours: Mapping[str, Behaviour],
        pace: float,
    ) -> None:
        around = Surroundings(gateway, observed, {}, pace, start)
        self._gateway = gateway
        self._observed = observed
        self._pace = pace
        self._enterprises = {
            known.code: Enterprise(known.code, behaviour_of(known.code, behaviours), accounts[known.code], around)
            for known in registry.enterprises
        }
        self._pulling = [self._enterprises[e.code] for e in registry.enterprises if e.channel is Channel.PULL]
        self._on_message: Mapping[str, Callable[[Enterprise, list[WorkItem]], None]] = {
            "work_items.requested": Enterprise.take,
            "work_items.reminded": Enterprise.take,
            "work_items.withdrawn": Enterprise.drop,
        }
        self._on_fault: Mapping[Fault, Callable[[], Awaitable[Response]]] = {
            Fault.UNAVAILABLE: _unavailable,
            Fault.WEB_PAGE: _web_page,
            Fault.HANGING: self._hanging,
        }
        self.router = APIRouter(prefix="/e")
        self.router.add_api_route("/{code}/hooks", self._hook, methods=["POST"], response_model=None)

    async def _hook(self, code: str, request: Request) -> Response:
        """A signed message of the gateway."""
        enterprise = self._enterprises.get(code)
        if enterprise is None:
            return Response(status_code=404)
        if fault := enterprise.fault():
            return await self._on_fault[fault]()
        try:
            message = await opened(request, enterprise.account.secret)
            on_message = self._on_message[message["type"]]
            items = [WorkItem.read(data) for data in message["data"]["work_items"]]
        except BadMessageError:
            self._observed.not_genuine[code] += 1
            return JSONResponse({"code": "bad_signature"}, 401)
        except (KeyError, TypeError, ValueError) as error:
            self._observed.bugs[f"unreadable message {type(error).__name__}"] += 1
            return JSONResponse({"code": "malformed"}, 400)
        self._observed.messages[code] += 1
        on_message(enterprise, items)
        return Response(status_code=202)

    async def _hanging(self) -> Response:
        await asyncio.sleep(HANG_SECONDS * self._pace)
        return await _unavailable()

    async def poll(self, every: float) -> None:
        """Ask for open work items, round after round, for all who pull."""
        while True:
            await asyncio.gather(*(self._look(enterprise) for enterprise in self._pulling))
            await asyncio.sleep(every)

    async def _look(self, enterprise: Enterprise) -> None:
        """One enterprise's list; a gateway that is away is asked again in the next round."""
        try:
            found = [WorkItem.read(data) async for data in self._gateway.open_items(enterprise.account)]
        except httpx.HTTPStatusError as error:
            if not comes_later(error.response.status_code):
                self._observed.refusal("list", error.response)
        except httpx.TransportError:
            return
        except (KeyError, TypeError, ValueError) as error:
            self._observed.bugs[f"unreadable list {type(error).__name__}"] += 1
        else:
            enterprise.take(found)


async def _unavailable() -> Response:
    return Response(status_code=503, headers={"retry-after": RETRY_AFTER})


async def _web_page() -> Response:
    return HTMLResponse("<!doctype html><title>系统维护</title><h1>系统维护中</h1>")
