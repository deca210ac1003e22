"""A world and a stub gateway that know each other."""

from __future__ import annotations

import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from sandbox.behaviour import Behaviour
from sandbox.world import REGISTRY, World
from tests.sandbox.stub_gateway import StubGateway, accounts

PACE = 0.05

Begin = Callable[..., Awaitable[tuple[World, StubGateway]]]


def registry_of(codes: set[str]) -> str:
    """The sandbox's registry with these enterprises only (all if none are named)."""
    text = REGISTRY.read_text()
    head, *enterprises = text.split("[[enterprises]]\n")
    parts = [part for part in enterprises if not codes or tomllib.loads(part.splitlines()[0])["code"] in codes]
    return "[[enterprises]]\n".join([head, *parts])


@pytest.fixture
async def begin() -> AsyncIterator[Begin]:
    async with AsyncExitStack() as ending:

        async def begin(
            *codes: str, pace: float = PACE, behaviours: dict[str, Behaviour] | None = None
        ) -> tuple[World, StubGateway]:
            text = registry_of(set(codes))
            known = tomllib.loads(text)
            credentials = accounts(
                [e["code"] for e in known["enterprises"]], [carrier["code"] for carrier in known["carriers"]]
            )
            gateway = StubGateway(credentials)
            await gateway.start()
            ending.push_async_callback(gateway.close)
            world = World(text, credentials, gateway.http.url, pace=pace, poll_every=0.3, behaviours=behaviours)
            await world.start()
            ending.push_async_callback(world.stop)
            return world, gateway

        yield begin
