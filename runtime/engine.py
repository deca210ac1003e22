"""The connection to Temporal: by Temporal's own configuration, with everything we hand it encrypted.

Payloads and failures are locked with the key ring's current key; a payload names the key it needs, so old
histories stay readable after a rotation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter, DefaultFailureConverterWithEncodedAttributes, PayloadCodec
from temporalio.envconfig import ClientConfig
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

from store.keys import KeyRing

ENCODING = b"binary/encrypted"


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


async def connect(keys: KeyRing, metrics_address: str = "") -> Client:
    """A client by `TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, … or a Temporal profile file."""
    config = ClientConfig.load_client_connect_config()
    if not config.get("target_host"):
        config["target_host"] = "localhost:7233"
    runtime = None
    if metrics_address:
        runtime = Runtime(telemetry=TelemetryConfig(metrics=PrometheusConfig(bind_address=metrics_address)))
    return await Client.connect(**config, data_converter=data_converter(keys), runtime=runtime)
