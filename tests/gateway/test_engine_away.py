"""The gateway while Temporal is away: it comes up, takes renewals in, says what it cannot do, and catches up."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import cast

import httpx
import pytest
from temporalio.client import OutboundInterceptor, StartWorkflowInput
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment

from domain import registry as registries
from domain import unbind
from domain.renewal import RenewalStatus
from gateway import app as gateway_app
from gateway.desk import AnswerDesk, EngineBusy
from runtime import engine
from runtime.settings import load
from runtime.stack import free_port
from store.database import Database
from store.keys import KeyRing
from tests.gateway.conftest import Doors, hand_out
from tests.house import CARRIER, House, binary
from tests.serving import serving
from tests.support import eventually
from workflows.messages import Done

REGISTRY = """
version = "test"
[renewal]
late_window = "PT1S"
[[carriers]]
code = "carrier"
name = "运营商"
endpoint = "http://c"
results = "http://c/results"
[[enterprises]]
code = "push-0"
name = "甲"
channel = "push"
endpoint = "http://e"
apps = [{ code = "push-0-app", name = "一" }]
[enterprises.sla]
days = "calendar"
answer_within = "PT5S"
remind_before = "PT1S"
"""


@pytest.fixture
def closed_port(monkeypatch: pytest.MonkeyPatch) -> int:
    """A port where nobody listens, as Temporal's address."""
    port = free_port()
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{port}")
    return port


@pytest.fixture
def folder(tmp_path: Path, database_url: str, keys: KeyRing) -> dict[str, str]:
    """The settings of a folder with keys and a registry."""
    (tmp_path / "registry.toml").write_text(REGISTRY)
    keys.save(tmp_path / "keys.json")
    environment = {"JIEBANG_FOLDER": str(tmp_path), "JIEBANG_REGISTRY": str(tmp_path / "registry.toml")}
    return environment | {"JIEBANG_DATABASE_URL": database_url}


@pytest.fixture
async def away(
    closed_port: int, folder: dict[str, str], database: Database, keys: KeyRing,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Doors]:  # fmt: skip
    """The whole gateway, sweeps and all, with no Temporal at its address."""
    monkeypatch.setattr("gateway.app.SWEEP_SECONDS", 0.1)
    monkeypatch.setattr("gateway.intake.START_SECONDS", timedelta(seconds=1))
    app = gateway_app.create(load(folder))
    house = House(await engine.connect_later(engine.configured(), keys), database, keys, registries.load(REGISTRY))
    async with (
        app.router.lifespan_context(app),
        serving(app) as url,
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http,
    ):
        yield Doors(house, http, *hand_out(database, keys))


@asynccontextmanager
async def temporal_comes(port: int, away: Doors) -> AsyncIterator[House]:
    """Temporal at last, and a worker."""
    house = away.house
    server = await WorkflowEnvironment.start_local(
        port=port,
        dev_server_existing_path=binary("temporal"),
        data_converter=engine.data_converter(house.keys),
        dev_server_log_level="error",
    )
    async with server, House(server.client, house.database, house.keys, house.registry).working() as working:
        yield working


async def test_renewals_are_taken_in_and_run_when_temporal_comes(away: Doors, closed_port: int) -> None:
    assert (await away.http.get("/healthz")).status_code == 200
    carrier, body = away.bearer(CARRIER), away.request()
    headers = {**carrier, "idempotency-key": "once"}
    taken, again = [await away.http.post("/v1/renewals", json=body, headers=headers) for _ in range(2)]
    assert (taken.status_code, again.status_code) == (202, 202) and taken.json() == again.json()
    case = taken.json()["case"]
    shown = await away.http.get(f"/v1/renewals/{case}", headers=carrier)
    assert (shown.status_code, shown.json()["status"]) == (200, "submitted")
    withdrawn = await away.http.post(f"/v1/renewals/{case}/withdraw", headers=carrier)
    assert (withdrawn.status_code, withdrawn.json()["code"]) == (503, "engine_busy")
    assert int(withdrawn.headers["retry-after"]) > 0
    assert away.house.events(case) == ["submitted"]

    async with temporal_comes(closed_port, away) as house:
        await eventually(lambda: "noticed" in house.events(f"{case}-unbind-0"), limit=30)
        answered = await away.answer("push-0", house.item(case, "push-0").id, outcome="unbound")
        assert (answered.status_code, answered.json()["state"]) == (200, "unbound")
        await eventually(lambda: house.status(case) is RenewalStatus.CLOSED, limit=30)
        assert len(house.centre.texts) == 1
        house.verify()
        item = house.item(case, "push-0").id

    just_started = AnswerDesk(await engine.connect_later(engine.configured(), house.keys), house.database)
    (taken,) = await just_started.take([unbind.Acknowledge(item=item, enterprise="push-0")])
    assert isinstance(taken, EngineBusy)
    with pytest.raises(EngineBusy):
        await just_started.say(case, "act", None, Done)


def test_a_worker_says_that_temporal_is_away_and_ends(
    closed_port: int, folder: dict[str, str], database: Database, keys: KeyRing
) -> None:
    hand_out(database, keys)
    clean = {key: value for key, value in os.environ.items() if not key.startswith("JIEBANG_")}
    for address, said in ((f"127.0.0.1:{closed_port}", "does not answer at 127.0.0.1"), ("temporal", "host:port")):
        environment = {**clean, **folder, "TEMPORAL_ADDRESS": address}
        ended = subprocess.run(
            [sys.executable, "worker.py"], env=environment, capture_output=True, text=True, timeout=60
        )
        assert (ended.returncode, ended.stdout) == (4, ""), ended.stderr
        assert ended.stderr.startswith("cannot run: ") and ended.stderr.count("\n") == 1 and said in ended.stderr


async def test_a_silent_network_does_not_hold_up_a_submission(
    away: Doors, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody listens and never says a word."""
    monkeypatch.setattr("gateway.intake.CONNECT_AND_START_SECONDS", 0.3)
    monkeypatch.setattr("gateway.desk.UPDATE_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", closed_port)):
        taken = await away.submit()
        assert taken.status_code == 202
        path = f"/v1/renewals/{taken.json()['case']}/withdraw"
        withdrawn = await away.http.post(path, headers=away.bearer(CARRIER))
        assert (withdrawn.status_code, withdrawn.json()["code"]) == (503, "engine_busy")


async def test_another_fault_of_the_client_is_not_taken_for_an_absence(away: Doors) -> None:
    """Only what the SDK says of a connection that failed is; a fault of ours stays one."""
    with pytest.raises(RPCError) as refused:
        await away.house.client.start_workflow("any", id="any", task_queue="any")
    assert refused.value.status is RPCStatusCode.UNAVAILABLE
    calls = engine._AwayCalls(cast("OutboundInterceptor", Broken()))
    with pytest.raises(RuntimeError, match="a fault of ours"):
        await calls.start_workflow(cast("StartWorkflowInput", None))


class Broken:
    """The next in the chain, with a fault."""

    async def start_workflow(self, _: object) -> None:
        raise RuntimeError("a fault of ours")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [("TEMPORAL_ADDRESS", "temporal", "host:port"), ("TEMPORAL_PROFILE", "nobody", "cannot be read")],
)
def test_what_cannot_be_meant_is_said_at_once(
    variable: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(engine.EngineError, match=said):
        engine.configured()
