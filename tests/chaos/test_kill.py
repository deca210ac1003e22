"""`kill -9` in the middle of a renewal over 220 apps, a query and a dispute: nothing is lost, done twice or left running."""

from __future__ import annotations

import socket
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from domain.unbind import OPEN, ItemState
from runtime.api import Api
from runtime.stack import Stack
from sandbox.behaviour import PHONE_CARDS
from store import audit
from store.database import Database
from store.messages import MessageState
from store.tables import ledger, short_messages, work_items
from tests.chaos.conftest import PATIENT, PLAIN, database, registry, settles, stack_of, until
from tests.chaos.people import CHANNEL, Citizen, Partners, accounts, unbind_all

PARTIES, HANGS = ("tencent", "alibaba", "kuaishou", "baidu", "jd", "mail-01"), "hanging-01"
MORE_PARTIES = ("douyin", "meituan", "doubling-01", "bulk-02")

ONCE = ["submitted", "reported", "told", "closed"]
"""What happens to a query once, whoever is killed."""


def world(stack: Stack) -> dict[str, Any]:
    """What the outside saw."""
    seen: dict[str, Any] = PLAIN.get(f"{stack.world}/world/state").json()
    return seen


def events(database: Database, case: str) -> list[str]:
    """What has happened to a case, by the ledger."""
    found = select(ledger.c.type).where(ledger.c.case_id == case).order_by(ledger.c.seq)
    return list(database.read_now(lambda c: c.execute(found).scalars()))


def short_message(database: Database, case: str) -> MessageState | None:
    """How far the one short message of a case is."""
    found = select(short_messages.c.state).where(short_messages.c.case_id == case)
    state = database.read_now(lambda c: c.execute(found).scalar_one_or_none())
    return MessageState(state) if state else None


def open_items(connection: Connection) -> list[str]:
    """Work items that wait for their enterprise."""
    return list(connection.execute(select(work_items.c.item_id).where(work_items.c.open)).scalars())


def whole(stack: Stack, database: Database) -> audit.Verified:
    """Every chain is whole, every read model says what the ledger says."""
    return database.read_now(lambda c: audit.verify(c, stack.settings.key_ring))


def nothing_is_left(stack: Stack) -> None:
    """Where the parts of a stack that has ended answered, nobody does."""
    for port in asdict(stack.ports).values():
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=10).close()


def somebody_with(stack: Stack, at_least: int) -> tuple[str, list[str]]:
    """A number on which accounts of so many apps hang, and these apps."""
    for number in (f"1370013{n:04}" for n in range(2000, 9999)):
        apps = [app for app, known in accounts(stack, number).items() if known and not app.endswith(PHONE_CARDS)]
        if len(apps) >= at_least:
            return number, apps
    raise AssertionError("nobody has so many")


@pytest.mark.timeout(240)
def test_worker_server_and_gateway_killed_half_way(stack: Stack) -> None:
    with stack:
        assert PLAIN.get(f"{stack.api}/healthz").json() == {"status": "ok"}
        api = Api.from_folder(stack.folder, None, None)
        apps = [a["app"] for a in api.apps() if settles(a["enterprise"])]
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

        until(lambda: api.show(case)["status"] == "summary_sent", limit=120, every=0.5)
        until(lambda: len(world(stack)["sms"]) == api.show(case)["summaries"])
        seen, view = world(stack), api.show(case)
        assert len(seen["effects"]) == len(apps)
        assert set(seen["effects"].values()) == {1}, "every work item's effect was carried out once"
        texts = [sms["text"] for sms in seen["sms"]]
        assert len(set(texts)) == len(texts), "each short message went out once"
        assert len([text for text in texts if "焕新结果：" in text]) == 1, (
            "another one tells of an amendment that came late"
        )
        assert {result["deliveries"] for result in seen["results"]} == {1}
        assert not seen["bugs"]
        assert all(ItemState(app["state"]) not in OPEN for app in view["apps"])
    nothing_is_left(stack)
    with database(stack) as books:
        assert whole(stack, books).work_items == len(apps)


def killed_under_way(stack: Stack, books: Database, citizen: Citizen) -> bool:
    """A query whose worker is killed when its short message goes out, which it does once; False: it was out before."""
    case = citizen.query()
    state = until(lambda: short_message(books, case), every=0.001)
    stack.kill("worker")
    in_time = state in (MessageState.INTENDED, MessageState.SUBMITTED) and "told" not in events(books, case)
    stack.start("worker")
    until(lambda: citizen.partners.get(CHANNEL, f"/v1/queries/{case}")["status"] == "closed")
    assert len(citizen.texts(case)) == 1, "one short message went out"
    return in_time


@pytest.mark.timeout(240)
def test_worker_killed_in_a_querys_fan_out_and_while_its_short_message_is_under_way(tmp_path: Path) -> None:
    """One enterprise hangs, so that the others have been asked, and answered, while nothing is recorded of it."""
    clocks = {
        '[query]\nanswer_within = "PT20S"': '[query]\nanswer_within = "PT5M"',
        'at_most = "PT3S"\nlate_window = "PT15S"': 'at_most = "PT3S"\nlate_window = "PT1S"',
    }
    stack = stack_of(tmp_path, registry(tmp_path, {**PATIENT, **clocks}, (*PARTIES, HANGS), asked=[HANGS]))
    with stack, database(stack) as books:
        citizen = Citizen(Partners(stack), "13700137001", "17482X")
        case = citizen.query()
        until(lambda: len(world(stack)["asked"]) >= 3 and "questions_put" in events(books, case), every=0.05)
        stack.kill("worker")
        assert events(books, case) == ["submitted", "questions_put"], "killed too late to show anything"
        stack.start("worker")

        until(lambda: citizen.partners.get(CHANNEL, f"/v1/queries/{case}")["status"] == "closed")
        view = citizen.partners.get(CHANNEL, f"/v1/queries/{case}")
        seen = world(stack)
        assert len(citizen.texts(case)) == 1, "one short message went out"
        assert view["delivered"] is True and not view["silent"]
        known = accounts(stack, citizen.number)
        assert all(one["count"] == len(known[one["app"]]) for one in view["counts"])
        hung, *others = sorted(seen["asked"].values())
        assert hung == 1 and min(others) == 2, "who was asked before the crash was asked again"
        by_door = [times for one, times in seen["answered"].items() if one not in seen["asked"]]
        assert by_door == [1, 1, 1], "who is not pushed to answered once"
        assert [event for event in events(books, case) if event in ONCE] == ONCE
        tries = (Citizen(citizen.partners, f"1370013700{digit}", "17482X") for digit in "23456")
        assert any(killed_under_way(stack, books, one) for one in tries), "too late every time to show anything"
        assert not seen["bugs"]
        whole(stack, books)
    nothing_is_left(stack)


@pytest.mark.timeout(240)
def test_gateway_and_temporal_killed_in_the_middle_of_a_dispute(tmp_path: Path) -> None:
    stack = stack_of(tmp_path, registry(tmp_path, PATIENT, (*PARTIES, *MORE_PARTIES)))
    with stack, database(stack) as books:
        number, apps = somebody_with(stack, at_least=8)
        citizen = Citizen(Partners(stack), number, "17482X")
        case, check = citizen.dispute(apps)
        until(lambda: set(citizen.claims(case).values()) == {"choosing"})
        unbind_all(citizen, case, check, apps)
        until(lambda: world(stack)["effects"], every=0.05)
        stack.kill("gateway")
        stack.kill("temporal")
        assert books.read_now(open_items), "killed too late to show anything"
        stack.start("temporal")
        stack.start("gateway")

        until(lambda: citizen.partners.get(CHANNEL, f"/v1/disputes/{case}")["status"] == "closed", limit=120)
        seen = world(stack)
        assert len(seen["effects"]) == len(apps)
        assert set(seen["effects"].values()) == {1}, "every work item's effect was carried out once"
        texts = Counter(citizen.texts(case))
        assert set(texts.values()) == {1} and len(texts) >= 3, "opened, to choose, closed: each was said once"
        assert set(citizen.claims(case).values()) == {"done"}
        until(lambda: events(books, case).count("told") == len(texts))
        assert not seen["bugs"]
        assert not books.read_now(open_items)
        whole(stack, books)
    nothing_is_left(stack)
