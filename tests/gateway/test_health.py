"""Whether the gateway lives and is ready, and what can be seen of it: metrics, logs and traces without personal data."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families as families
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from temporalio.client import Client, WorkflowHistory
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer

import worker
from gateway import app as gateway_app
from gateway import health
from gateway.metrics import Metrics, Scrape
from gateway.watched import NOWHERE
from runtime import engine, logs, telemetry
from runtime.settings import SettingsError
from store import schema
from store.database import Database
from store.keys import KeyRing
from tests.gateway.conftest import Doors, hand_out
from tests.house import CARRIER, House, binary, registry, saved_ring
from tests.replay.scenario import HISTORIES
from tests.serving import serving
from tests.support import eventually

NUMBER = "13800138000"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that was found is told again."""
    monkeypatch.setattr(health, "KEPT_SECONDS", 0.0)


# ── health ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_ready_means_that_everything_is_there(idle_dev: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ready() -> tuple[int, dict[str, str]]:
        answer = await idle_dev.http.get("/readyz")
        found = answer.json()
        assert found["ready"] is (answer.status_code == 200)
        return answer.status_code, {name: part["wrong"] for name, part in found["parts"].items() if not part["ok"]}

    assert (await idle_dev.http.get("/healthz")).json() == {"status": "ok"}
    status, wrong = await ready()
    assert status == 503 and set(wrong) == {"worker"}
    async with idle_dev.house.working():
        seen = [await ready()]
        while seen[-1][0] != 200 and len(seen) < 200:
            seen.append(await ready())
        assert seen[-1] == (200, {})
    database = idle_dev.house.database
    database.write_now(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '0001'")))
    assert set((await ready())[1]) == {"schema"}
    monkeypatch.setattr(Database, "read_now", _broken)
    assert set((await ready())[1]) == {"database", "schema"}
    assert (await idle_dev.http.get("/healthz")).status_code == 200


def _broken(*_: object) -> None:
    raise OperationalError("SELECT 1", None, Exception("gone"))


async def test_asking_often_costs_nothing(database: Database, keys: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "KEPT_SECONDS", 60.0)
    client = await engine.connect_later({"target_host": "127.0.0.1:1"}, keys)
    readiness = health.Readiness(database, client)
    asked = []
    monkeypatch.setattr(schema, "current", lambda c: asked.append(c) or schema.newest())
    found = [await readiness.look() for _ in range(5)]
    assert len(asked) == 1 and not found[0].ready and found[0] is found[4]
    assert not found[0].parts["engine"].ok and found[0].parts["database"].ok
    assert "127.0.0.1" not in found[0].model_dump_json()


# ── what can be seen ─────────────────────────────────────────────────────────────────────────────────────


class Said:
    """The log, as a process writes it."""

    def __init__(self) -> None:
        self._file = io.StringIO()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._file.getvalue().splitlines()]

    def write(self, text: str) -> int:
        return self._file.write(text)

    def flush(self) -> None:
        pass


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[Said]:
    """Logs as configured for a process; put back afterwards."""
    before, handlers, level = structlog.get_config(), logging.root.handlers, logging.root.level
    file = Said()
    monkeypatch.setattr(sys, "stderr", file)
    logs.configure("test", "INFO")
    structlog.configure(cache_logger_on_first_use=False)
    yield file
    structlog.configure(**before)
    logging.root.handlers = handlers
    logging.root.setLevel(level)


@pytest.fixture
def spans() -> InMemorySpanExporter:
    """What would leave for a collector of traces."""
    return InMemorySpanExporter()


@dataclass
class Seen(Doors):
    """Doors that are watched."""

    metrics: Metrics | None = None


@pytest.fixture
async def seen(database: Database, keys: KeyRing, spans: InMemorySpanExporter) -> AsyncIterator[Seen]:
    """The gateway and a worker, traced."""
    server = await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=binary("temporal-test-server"), data_converter=engine.data_converter(keys)
    )
    tracing = telemetry.provider("test", SimpleSpanProcessor(telemetry.CutDown(spans)))
    client = Client(**{**server.client.config(), "interceptors": telemetry.interceptors(tracing)})
    house = House(client, database, keys, registry())
    app = gateway_app.bare()
    app.state.services, app.state.tracing = house.services, tracing
    app.state.metrics.watch(database, house.services.limits)
    async with (
        server,
        house.working(),
        serving(app) as url,
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http,
    ):
        yield Seen(house, http, *hand_out(database, keys), metrics=app.state.metrics)


async def test_a_request_is_followed_to_the_activity_without_personal_data(
    seen: Seen, spans: InMemorySpanExporter, said: Said
) -> None:
    seen.house.webhooks.failing_once["push-0"] = RuntimeError(f"refused for {NUMBER}")
    headers = {**seen.bearer(CARRIER), "idempotency-key": "k", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    headers["baggage"] = f"number={NUMBER}"
    taken = await seen.http.post("/v1/renewals?why=secret", json=seen.request(number=NUMBER), headers=headers)
    case = taken.json()["case"]
    await eventually(lambda: "noticed" in seen.house.events(f"{case}-unbind-0"), limit=20)
    await seen.http.get(f"/v1/renewals/{case}", headers=seen.bearer(CARRIER))
    await seen.http.get(f"/v1/nowhere/{NUMBER}")

    found = {span.name: span for span in spans.get_finished_spans()}
    assert {"POST /v1/renewals", "GET /v1/renewals/{case}", f"GET {NOWHERE}"} <= set(found)
    traced = [name for name, span in found.items() if span.context and f"{span.context.trace_id:032x}" == TRACE]
    kinds = {name.split(":")[0] for name in traced}
    assert {"POST /v1/renewals", "StartWorkflow", "RunWorkflow", "RunActivity", "StartChildWorkflow"} <= kinds
    assert found["POST /v1/renewals"].attributes == {
        "http.request.method": "POST", "http.route": "/v1/renewals", "http.response.status_code": 202,
        "jiebang.case": case,
    }  # fmt: skip
    told = "".join(span.to_json() for span in spans.get_finished_spans())
    assert NUMBER not in told and "secret" not in told and "refused for" not in told

    lines = [line for line in said.lines if line["message"] == "answered"]
    posted, got, lost = lines
    assert (posted["route"], posted["method"], posted["status"], posted["case"]) == (
        "/v1/renewals",
        "POST",
        202,
        case,
    )
    assert posted["client"] == seen.clients[CARRIER].client_id and posted["process"] == "test" and posted["ms"] >= 0
    assert posted["request"] == taken.headers["x-request-id"] != got["request"]
    assert (got["route"], got["case"]) == ("/v1/renewals/{case}", case)
    assert lost["route"] == NOWHERE and "case" not in lost
    working = [line for line in said.lines if line.get("activity")]
    assert all(line["case"].startswith(case) and line["attempt"] for line in working)
    assert NUMBER not in json.dumps(said.lines) and "secret" not in json.dumps(said.lines)

    assert seen.metrics
    await seen.metrics.measure(seen.house.database)
    scrape = Scrape("127.0.0.1:0", seen.metrics)
    async with httpx.AsyncClient(trust_env=False) as prometheus:
        told = (await prometheus.get(f"http://127.0.0.1:{scrape.port}/metrics")).text
    with pytest.raises(SettingsError, match="choose another"):
        Scrape(f"127.0.0.1:{scrape.port}", seen.metrics)
    scrape.close()
    samples = [sample for family in families(told) for sample in family.samples]
    requests = {
        (one.labels["route"], one.labels["status"]): one.value
        for one in samples if one.name == "jiebang_gateway_requests_total"
    }  # fmt: skip
    assert requests[("/v1/renewals", "202")] == 1 and requests[(NOWHERE, "404")] == 1
    names = {one.name.removeprefix("jiebang_gateway_") for one in samples}
    assert {"not_started", "writer_queue", "in_work", "overdue_cases", "open_cases", "limits_alone"} <= names
    assert NUMBER not in told and case not in told


async def test_lines_of_a_worker_name_the_case_and_what_is_done(seen: Doors, said: Said) -> None:
    async def post(*_: object) -> None:
        structlog.get_logger().warning("at the partner's")

    seen.house.webhooks.post = post  # type: ignore[method-assign]
    case = (await seen.submit()).json()["case"]
    await eventually(lambda: [line for line in said.lines if line["message"] == "at the partner's"], limit=20)
    line = next(line for line in said.lines if line["message"] == "at the partner's")
    assert line["case"].startswith(case) and line["activity"] and line["attempt"] == 1


def test_exceptions_leave_without_their_texts(spans: InMemorySpanExporter) -> None:
    tracing = telemetry.provider("test", SimpleSpanProcessor(telemetry.CutDown(spans)))
    with (
        pytest.raises(RuntimeError),
        tracing.get_tracer("x").start_as_current_span("doing", attributes={"number": NUMBER, "http.route": "/a"}),
    ):
        raise RuntimeError(NUMBER)
    (span,) = spans.get_finished_spans()
    assert NUMBER not in span.to_json() and dict(span.attributes or {}) == {"http.route": "/a"}
    assert (span.events[0].attributes or {})["exception.type"] == "RuntimeError" and not span.status.is_ok


@pytest.mark.parametrize("name", ["renewal-v1", "unbind-v1"])
async def test_what_was_saved_before_there_were_traces_still_replays(name: str, spans: InMemorySpanExporter) -> None:
    tracing = telemetry.provider("test", SimpleSpanProcessor(spans))
    replayer = Replayer(
        workflows=worker.WORKFLOWS,
        workflow_runner=worker.runner(True),
        data_converter=engine.data_converter(saved_ring()),
        interceptors=telemetry.interceptors(tracing),
    )
    await replayer.replay_workflow(WorkflowHistory.from_json(name, (HISTORIES / f"{name}.json").read_text()))
    assert spans.get_finished_spans() == ()


async def test_the_gateways_client_traces(keys: KeyRing, spans: InMemorySpanExporter) -> None:
    tracing = telemetry.provider("test", SimpleSpanProcessor(spans))
    client = await engine.connect_later({"target_host": "127.0.0.1:1"}, keys, telemetry.interceptors(tracing))
    with pytest.raises(RPCError):
        await client.start_workflow("any", id="any", task_queue="any")
    assert [span.name for span in spans.get_finished_spans()] == ["StartWorkflow:any"]


def test_traces_are_made_only_where_somebody_wants_them() -> None:
    assert telemetry.configured("test", {}) is None and telemetry.interceptors(None) == []
    made = telemetry.configured("test", {telemetry.ENDPOINT: "http://127.0.0.1:1"})
    assert isinstance(made, TracerProvider) and made.resource.attributes["service.name"] == "jiebang-test"
    made.shutdown()
