"""`kill -9` in the middle of a renewal over 220 apps: nothing is lost, nothing is done twice."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from domain.unbind import OPEN, ItemState
from runtime.api import Api
from runtime.stack import Stack
from store import audit
from store.database import Database
from tests.chaos.conftest import CHANGING, until


@pytest.mark.timeout(240)
def test_worker_server_and_gateway_killed_half_way(stack: Stack) -> None:
    with stack:
        api = Api.from_folder(stack.folder, None, None)
        apps = [a["app"] for a in api.apps() if a["enterprise"].rpartition("-")[0] not in CHANGING]
        assert len(apps) >= 205
        now = datetime.now(UTC)
        case = api.renew("13700137000", now - timedelta(days=60), apps, None, now, "kill-test")

        def answered() -> int:
            return sum(ItemState(app["state"]) not in OPEN for app in api.show(case)["apps"])

        until(lambda: answered() > 5)
        stack.kill("worker")
        assert answered() < len(apps), "the worker was killed too late to show anything"
        stack.start("worker")
        half = until(lambda: (n := answered()) > len(apps) * 0.6 and n)
        stack.kill("temporal")
        assert half < len(apps), "the server was killed too late to show anything"
        stack.start("temporal")
        stack.kill("gateway")
        stack.start("gateway")

        until(lambda: api.show(case)["status"] == "summary_sent", limit=120)
        seen = httpx.get(f"{stack.world}/world/state", trust_env=False).json()
        view = api.show(case)
        assert len(seen["effects"]) == len(apps)
        assert set(seen["effects"].values()) == {1}, "every work item's effect was carried out once"
        assert [sms["text"].count(case) for sms in seen["sms"]] == [1], "one short message went out"
        assert Counter(result["deliveries"] for result in seen["results"]) == Counter({1: 1})
        assert not seen["bugs"]
        assert all(ItemState(app["state"]) not in OPEN for app in view["apps"])
    database = Database(stack.settings.database_url)
    found = database.read_now(lambda c: audit.verify(c, stack.settings.key_ring))
    database.close()
    assert found.work_items == len(apps)


def test_stack_leaves_nothing_running(stack: Stack) -> None:
    with stack:
        ports = json.loads((stack.folder / "up.json").read_text())
        assert httpx.get(f"{ports['api']}/healthz", trust_env=False).json() == {"status": "ok"}
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{ports['api']}/healthz", trust_env=False)
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{ports['world']}/world/state", trust_env=False)
