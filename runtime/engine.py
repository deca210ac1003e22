"""The connection to Temporal: by Temporal's own configuration, with everything we hand it encrypted.

Payloads and failures are locked with the key ring's current key; a payload names the key it needs, so old
histories stay readable after a rotation.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import structlog
from temporalio.api.common.v1 import Payload
from temporalio.client import (
    Client,
    Interceptor,
    OutboundInterceptor,
    StartWorkflowInput,
    StartWorkflowUpdateInput,
    WorkflowHandle,
    WorkflowUpdateHandle,
)
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes, PayloadCodec
from temporalio.envconfig import ClientConfig, ClientConnectConfig
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.service import RPCError, RPCStatusCode

from store.keys import KeyRing

log = structlog.get_logger()
T = TypeVar("T")

ENCODING = b"binary/encrypted"
HERE = "localhost:7233"
ADDRESS = re.compile(r"(\[[0-9a-fA-F:]+\]|[\w.-]+):[0-9]{1,5}", re.ASCII)
QUOTED = re.compile(r'"([^"]+)"')
CONNECT_SECONDS = 40.0

NOT_CONNECTED = "Failed client connect"
"""How the SDK's bare RuntimeError begins when there is no server, or none that speaks to us (1.35)."""


class EngineError(RuntimeError):
    """Temporal cannot be used: the sentence says why, and what to do."""


class EncryptionCodec(PayloadCodec):
    """AES-256-GCM over every payload."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Lock."""
        return [self._lock(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Unlock what was locked by us; anything else is not ours and is refused."""
        return [self._unlock(payload) for payload in payloads]

    def _lock(self, payload: Payload) -> Payload:
        key_id, box = self._keys.lock("payload", payload.SerializeToString())
        return Payload(metadata={"encoding": ENCODING, "key": key_id.encode()}, data=box)

    def _unlock(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != ENCODING:
            raise ValueError("a payload that is not encrypted does not come from this system")
        clear = self._keys.unlock(payload.metadata["key"].decode(), "payload", payload.data)
        return Payload.FromString(clear)


def data_converter(keys: KeyRing) -> DataConverter:
    """Pydantic models in, encrypted payloads out; failures too."""
    return replace(
        pydantic_data_converter,
        payload_codec=EncryptionCodec(keys),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )


def configured() -> ClientConnectConfig:
    """Where Temporal is: by `TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, … or a Temporal profile file.

    Raises EngineError for what cannot be meant.
    """
    try:
        config = ClientConfig.load_client_connect_config()
    except (RuntimeError, OSError) as error:
        raise EngineError(
            f"Temporal's settings cannot be read ({_why(error)}): correct the TEMPORAL_ variables or their profile file"
        ) from None
    address = config["target_host"] = config.get("target_host") or HERE
    if not ADDRESS.fullmatch(address):
        raise EngineError(f"TEMPORAL_ADDRESS: {address!r} is not host:port")
    return config


async def connect(keys: KeyRing, metrics_address: str = "", interceptors: Sequence[Interceptor] = ()) -> Client:
    """A client of a Temporal that answers. Raises EngineError."""
    config = configured()
    runtime = None
    if metrics_address:
        runtime = Runtime(telemetry=TelemetryConfig(metrics=PrometheusConfig(bind_address=metrics_address)))
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            return await Client.connect(
                **config, data_converter=data_converter(keys), runtime=runtime, interceptors=interceptors
            )
    except (RuntimeError, TimeoutError) as error:
        where = f"{config['target_host']} ({_why(error)})"
        raise EngineError(f"Temporal does not answer at {where}: start it, or correct TEMPORAL_ADDRESS") from None


async def connect_later(
    config: ClientConnectConfig, keys: KeyRing, interceptors: Sequence[Interceptor] = ()
) -> Client:
    """A client that connects at its first call, and again at the next one as long as that fails."""
    return await Client.connect(
        **config, data_converter=data_converter(keys), lazy=True, interceptors=[*interceptors, _Away()]
    )


class _Away(Interceptor):
    """A Temporal that was never reached counts as one that has gone: RPCError, UNAVAILABLE, for the calls we make."""

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        return _AwayCalls(next)


class _AwayCalls(OutboundInterceptor):
    _said = ""

    async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:
        return await self._reached(self.next.start_workflow(input))

    async def start_workflow_update(self, input: StartWorkflowUpdateInput) -> WorkflowUpdateHandle[Any]:
        return await self._reached(self.next.start_workflow_update(input))

    async def _reached(self, call: Awaitable[T]) -> T:
        try:
            return await call
        except RuntimeError as error:
            if not str(error).startswith(NOT_CONNECTED):
                raise
            reason = _why(error)
        if reason != self._said:  # once is enough: the sweep asks every other second
            log.warning("engine_away", reason=reason)
            self._said = reason
        raise RPCError("Temporal does not answer", RPCStatusCode.UNAVAILABLE, b"")


def _why(error: Exception) -> str:
    """What the SDK says in one line: of an error within errors, the words of the innermost."""
    said = str(error).removeprefix(f"{NOT_CONNECTED}: ") or "no answer in time"
    return " ".join((QUOTED.findall(said) or [said])[-1].split())
