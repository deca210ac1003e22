"""The sandbox world on real sockets, against a stub gateway: who answers how, and what must not work."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
import tomllib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from activities.ports import Unavailable
from adapters.webhooks import HttpCarrierRegistry, PartnerHttp
from domain.identity import HolderVerdict
from domain.privacy import IdTail, PhoneNumber
from domain.unbind import OPEN, ItemState
from sandbox.behaviour import BEHAVIOURS, Span, activation, expected_state
from sandbox.calls import signed
from sandbox.mail_server import MailRefusal, ReceivedMail
from sandbox.observed import Mischief
from sandbox.server import HttpServer
from sandbox.sms_centre import CentreMode, ReceivedSms
from sandbox.world import REGISTRY, World
from tests.house import KnownKeys
from tests.sandbox.conftest import Begin
from tests.sandbox.stub_gateway import NUMBER, StubGateway, accounts, item_id
from tests.support import eventually

DUE_IN = 4.0
"""Longer than the 25 s of the registry at this pace: one process plays everybody here."""
SLOW_TO_ACKNOWLEDGE = replace(BEHAVIOURS["steady"], acknowledges_after=10.0)


def states(gateway: StubGateway) -> dict[str, ItemState]:
    return {item.id: item.state for item in gateway.current.items.values()}


def expected(gateway: StubGateway) -> dict[str, ItemState]:
    return {item.id: expected_state(item.enterprise, item.id) for item in gateway.current.items.values()}


# ── enterprises ──────────────────────────────────────────────────────────────────────────────────────


async def test_every_work_item_of_all_230_apps_ends_as_expected(begin: Begin) -> None:
    world, gateway = await begin()
    gateway.open(world.registry, DUE_IN)
    await gateway.deliver(world.mail.port)
    observed = world.observed
    ends = expected(gateway)
    await eventually(lambda: states(gateway) == ends, limit=30)
    await eventually(lambda: not [m for m in Mischief if not observed.mischief[m]], limit=10)

    answered = {item.id for item in gateway.current.items.values() if item.outcome}
    assert observed.effects == dict.fromkeys(answered, 1)
    assert set(observed.refused) <= {"extend 409 extension_not_allowed"}, (
        "at this pace the wish may come after the due time"
    )
    assert observed.bugs == {}
    assert observed.not_genuine == {}
    assert set(observed.mischief[Mischief.FORGED]) == {401}
    assert set(observed.mischief[Mischief.REPLAYED]) == {409}
    assert set(observed.mischief[Mischief.DOUBLED]) == {200}
    assert set(observed.mischief[Mischief.MEDDLED]) == {404}
    versions = {item.enterprise: item.version for item in gateway.current.items.values()}
    assert {code for code, version in versions.items() if version > 1} == {
        "amending-01",
        "amending-02",
        "amending-03",
    }
    late = {i.enterprise for i in gateway.current.items.values() if i.overdue_at and i.outcome}
    assert {"late-01", "late-02", "late-03"} <= late


async def test_more_time_is_asked_for_and_used(begin: Begin) -> None:
    world, gateway = await begin("extending-01")
    (item,) = gateway.open(world.registry, 1.0).items.values()
    await gateway.push("extending-01")
    await eventually(lambda: states(gateway) == expected(gateway))
    (answered,) = gateway.current.items.values()
    assert answered.answered_at and answered.answered_at > item.due_at
    assert answered.due_at - item.due_at == timedelta(seconds=10)
    assert not answered.overdue_at


async def test_bulk_answers_in_one_upload_and_repeats_only_the_lines_that_may_be_taken_later(begin: Begin) -> None:
    world, gateway = await begin("bulk-01")
    gateway.open(world.registry, 60)
    await gateway.deliver(world.mail.port)
    await eventually(lambda: states(gateway) == expected(gateway))
    assert len(states(gateway)) == 4
    assert gateway.bulk_uploads["bulk-01"] == 3, "acknowledge, acknowledge the refused line again, answer"


async def test_answers_survive_a_gateway_that_restarts(begin: Begin) -> None:
    world, gateway = await begin("steady-004", "steady-005", "bulk-01", "mail-01")
    gateway.open(world.registry, 60)
    await gateway.deliver(world.mail.port)
    await gateway.http.close()
    await asyncio.sleep(0.5)
    assert set(states(gateway).values()) & OPEN
    await gateway.restart()
    await eventually(lambda: states(gateway) == expected(gateway))
    assert set(world.observed.effects.values()) == {1}
    assert world.observed.bugs == {}


async def test_what_comes_again_is_taken_up_once(begin: Begin) -> None:
    world, gateway = await begin("steady-004")
    gateway.open(world.registry, 60)
    await gateway.push("steady-004")
    await gateway.push("steady-004")
    await gateway.push("steady-004", "reminded")
    await eventually(lambda: states(gateway) == expected(gateway))
    assert world.observed.messages == {"steady-004": 3}
    assert set(world.observed.effects.values()) == {1}


async def test_a_withdrawn_work_item_is_left_alone(begin: Begin) -> None:
    told, untold = "steady-004", "steady-006"
    slow = dict.fromkeys((told, untold), SLOW_TO_ACKNOWLEDGE)
    world, gateway = await begin(told, untold, behaviours=slow)
    gateway.open(world.registry, 60)
    await gateway.push(told)
    await gateway.push(untold)
    await gateway.push(told, "withdrawn")
    gateway.withdraw()
    await eventually(lambda: world.observed.refused == {"acknowledge 409 withdrawn": 1})
    assert world.observed.effects == {}


async def test_a_message_that_is_not_genuine_is_not_taken(begin: Begin) -> None:
    world, gateway = await begin("steady-004")
    gateway.open(world.registry, 60)
    body = json.dumps(
        {"type": "work_items.requested", "data": {"work_items": gateway.items_of("steady-004")}}
    ).encode()
    wrong = accounts(["somebody-else"], []).enterprises["somebody-else"].secret
    async with httpx.AsyncClient(base_url=world.url, trust_env=False) as client:
        for headers in ({}, signed(wrong, "m-1", body), {"webhook-signature": "nonsense"}):
            response = await client.post("/e/steady-004/hooks", content=body, headers=headers)
            assert response.status_code == 401
        assert (await client.post("/e/nobody-01/hooks", content=body)).status_code == 404
    assert world.observed.not_genuine == {"steady-004": 3}
    assert world.observed.messages == {}


async def test_a_token_that_is_not_the_number_s_is_rejected(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    code = next(part["code"] for part in tomllib.loads(REGISTRY.read_text())["enterprises"] if _full_and_pushed(part))
    world, gateway = await begin(code)
    gateway.open(world.registry, 60)
    genuine = gateway.items_of
    monkeypatch.setattr(gateway, "items_of", lambda code: genuine(code, number="+8613900139000"))
    await gateway.push(code)
    await eventually(lambda: set(states(gateway).values()) == {ItemState.REJECTED})


def _full_and_pushed(enterprise: dict[str, Any]) -> bool:
    kind = enterprise["code"].rpartition("-")[0]
    return enterprise.get("number_form") == "full" and enterprise["channel"] == "push" and kind == "steady"


async def test_a_test_may_give_an_enterprise_another_behaviour(begin: Begin) -> None:
    quick = replace(BEHAVIOURS["refusing"], acknowledges_after=0.0, answers_after=Span(0, 0))
    world, gateway = await begin("silent-01", pace=1.0, behaviours={"silent-01": quick})
    gateway.open(world.registry, 60)
    await gateway.push("silent-01")
    await eventually(lambda: set(states(gateway).values()) == {ItemState.REJECTED}, limit=2)


# ── carriers ─────────────────────────────────────────────────────────────────────────────────────────

CARRIER, OTHER_CARRIER = "sandbox-mobile", "sandbox-telecom"
MATCH, MISMATCH = HolderVerdict.MATCH, HolderVerdict.MISMATCH
CANCELLED, NOT_OURS = HolderVerdict.CANCELLED, HolderVerdict.NOT_OURS
AWAY = None
Asking = Callable[[World], HttpCarrierRegistry]
YES, UNKNOWN = ("yes", None), ("unknown", None)


async def _say(
    world: World, door: str, message_id: str, content: dict[str, Any], as_: str = CARRIER
) -> httpx.Response:
    body = json.dumps(content).encode()
    headers = signed(accounts([], [as_]).carriers[as_].secret, message_id, body)
    async with httpx.AsyncClient(base_url=world.url, trust_env=False) as client:
        return await client.post(f"/c/{CARRIER}/{door}", content=body, headers=headers)


@pytest.mark.parametrize(
    ("tail", "answers"),
    [
        ("8000", [YES, YES]),
        ("0001", [("no", "never_cancelled")] * 2),
        ("0002", [UNKNOWN, UNKNOWN, YES, YES]),
        ("0003", [UNKNOWN] * 5),
        ("0004", [("no", "holder_mismatch")]),
        ("0005", [503, 503, 503, YES]),
    ],
)
async def test_a_carrier_s_verdict_is_in_the_last_four_digits(begin: Begin, tail: str, answers: list[Any]) -> None:
    world, _ = await begin("steady-004")
    for time, answer in enumerate(answers):
        question = {"number": f"+861380013{tail}", "id_tail": None, "activated_at": "2026-09-01T00:00:00Z"}
        response = await _say(world, "eligibility", f"q-{time}", question)
        if answer == 503:
            assert (response.status_code, response.headers["retry-after"]) == (503, "1")
        else:
            assert response.json() == {"verdict": answer[0], "reason": answer[1]}


async def test_a_carrier_takes_a_result_once_and_only_from_us(begin: Begin) -> None:
    world, _ = await begin("steady-004")
    result = {"type": "renewal.result", "data": {"case": "R0123456789AB", "outcomes": {"qq": "unbound"}}}
    for _ in range(2):
        assert (await _say(world, "results", "R0123456789AB.result.1", result)).status_code == 202
    assert (await _say(world, "results", "forged", result, as_="sandbox-telecom")).status_code == 401
    assert [(r.carrier, r.type, r.data["outcomes"]) for r in world.carriers.results] == [
        (CARRIER, "renewal.result", {"qq": "unbound"})
    ]
    assert world.carriers.deliveries == {"R0123456789AB.result.1": 2}
    assert world.observed.not_genuine == {CARRIER: 1}


@pytest.fixture
async def asking() -> AsyncIterator[Asking]:
    """The product's own client for a world's carriers."""
    carriers = accounts([], [CARRIER, OTHER_CARRIER]).carriers
    http = PartnerHttp(KnownKeys({code: account.secret for code, account in carriers.items()}))
    yield lambda world: HttpCarrierRegistry(http, {code: f"{world.url}/c/{code}" for code in carriers})
    await http.close()


HOLDERS_TAIL, OTHER_TAIL = IdTail("01123X"), IdTail("31999X")


ANSWERS: list[tuple[str, IdTail, list[HolderVerdict | None]]] = [
    ("8000", HOLDERS_TAIL, [MATCH, MATCH]),
    ("8000", IdTail("151238"), [MATCH]),
    ("8000", OTHER_TAIL, [MISMATCH]),
    ("0006", HOLDERS_TAIL, [CANCELLED]),
    ("0006", OTHER_TAIL, [CANCELLED]),
    ("0007", HOLDERS_TAIL, [AWAY, AWAY, MATCH, MATCH]),
    ("0011", HOLDERS_TAIL, [NOT_OURS]),
    ("0019", OTHER_TAIL, [NOT_OURS]),
    ("0020", HOLDERS_TAIL, [MATCH]),
]


async def test_a_carrier_says_whose_a_number_is(begin: Begin, asking: Asking) -> None:
    world, _ = await begin("steady-004")
    carriers = asking(world)
    for ending, tail, verdicts in ANSWERS:
        number = PhoneNumber(f"1380013{ending}")
        for verdict in verdicts:
            if verdict is AWAY:
                with pytest.raises(Unavailable) as away:
                    await carriers.confirm(CARRIER, number, tail)
                assert away.value.retry_after == 1
                continue
            answer = await carriers.confirm(CARRIER, number, tail)
            begun = activation(datetime.now(UTC)) if verdict is MATCH else None
            assert (ending, answer.verdict, answer.activated_at) == (ending, verdict, begun)


async def test_every_number_is_served_by_one_carrier(begin: Begin, asking: Asking) -> None:
    world, _ = await begin("steady-004")
    for ending, expected in (("8000", [MATCH, NOT_OURS]), ("0011", [NOT_OURS, MATCH]), ("0019", [NOT_OURS, MATCH])):
        number = PhoneNumber(f"1380013{ending}")
        found = [await asking(world).confirm(one, number, HOLDERS_TAIL) for one in (CARRIER, OTHER_CARRIER)]
        assert [one.verdict for one in found] == expected
    mismatch = await asking(world).confirm(OTHER_CARRIER, PhoneNumber("13800130011"), OTHER_TAIL)
    assert mismatch.verdict is MISMATCH


async def test_a_carrier_can_be_made_to_report_what_happened_to_a_number(begin: Begin) -> None:
    world, gateway = await begin("steady-004")
    order = {
        "carrier": OTHER_CARRIER,
        "number": NUMBER,
        "event": "cancellation",
        "occurred_at": "2026-11-20T02:00:00Z",
    }
    async with httpx.AsyncClient(base_url=world.url, trust_env=False) as client:
        response = await client.post("/world/number-event", json=order)
        assert (response.status_code, response.json()) == (200, {"case": "N0123456789AB"})
        again = await client.post("/world/number-event", json=order | {"event_id": "e-1"})
        assert again.status_code == 200
        assert (await client.post("/world/number-event", json=order | {"carrier": "nobody"})).status_code == 404
        assert (await client.post("/world/number-event", json=order | {"occurred_at": "soon"})).status_code == 422
    (reporter, first), (_, second) = gateway.number_events
    assert reporter == OTHER_CARRIER
    assert (first["number"], first["event"], first["occurred_at"]) == (NUMBER, "cancellation", "2026-11-20T02:00:00Z")
    assert first["event_id"] and second["event_id"] == "e-1"
    assert NUMBER[3:] not in "".join(world.observed.urls)


# ── watching and steering ────────────────────────────────────────────────────────────────────────────


async def test_the_world_can_be_watched_and_hides_numbers(begin: Begin) -> None:
    world, gateway = await begin("steady-004", "forging-01")
    gateway.open(world.registry, 60)
    await gateway.deliver(world.mail.port)
    await eventually(lambda: world.observed.mischief[Mischief.FORGED] and world.observed.effects)
    now = datetime.now(UTC)
    world.sms.messages.append(ReceivedSms("10699000", NUMBER.removeprefix("+"), "结果", 7, now, 1, ("m1",)))
    async with httpx.AsyncClient(base_url=world.url, trust_env=False) as client:
        response = await client.get("/world/state")
    assert NUMBER[3:] not in response.text
    seen = response.json()
    assert seen["sms"][0]["text"] == "结果"
    assert seen["effects"] == {item_id(app.code): 1 for app in world.registry.enterprise("steady-004").apps}
    assert seen["mischief"]["forged"] == {"401": 1}
    assert seen["messages"] == {"steady-004": 1, "forging-01": 1}


async def test_a_phone_shows_its_own_texts_the_newest_last(begin: Begin) -> None:
    world, _ = await begin("steady-004")
    other, now = "8613900139000", datetime.now(UTC)
    for place, (to, text) in enumerate([(NUMBER[1:], "验证码"), (other, "别人的"), (NUMBER[1:], "结果")]):
        world.sms.messages.append(ReceivedSms("10699000", to, text, place, now, 1, (f"m{place}",)))
    async with httpx.AsyncClient(base_url=world.url, trust_env=False) as client:
        for number in (NUMBER, NUMBER[3:], "138 0013 8000"):
            texts = (await client.post("/world/phone", json={"number": number})).json()["texts"]
            assert [(one["sender"], one["text"]) for one in texts] == [("10699000", "验证码"), ("10699000", "结果")]
        assert (await client.post("/world/phone", json={"number": "13700137000"})).json() == {"texts": []}
        assert (await client.post("/world/phone", json={"number": "12345"})).status_code == 422
        assert (await client.get("/world/phone", params={"number": NUMBER})).status_code == 405


async def test_people_look_at_telephones_and_mailboxes(begin: Begin) -> None:
    world, gateway = await begin("steady-004")
    texts = [("8613800138000", "<b>first</b>"), ("8613900139000", "another's"), ("8613800138000", "second")]
    for place, (to, text) in enumerate(texts):
        world.sms.messages.append(ReceivedSms("10699000", to, text, place, datetime.now(UTC), 1, (f"m{place}",)))
    mail = ("us@jiebang", ("clerk@one",), "Work", "https://site/m/abc", "m1", datetime.now(UTC))
    world.mail.messages.append(ReceivedMail(*mail))
    async with httpx.AsyncClient(base_url=world.url, trust_env=False) as client:
        assert gateway.http.url in (await client.get("/")).text
        shown = (await client.post("/phone", data={"number": "138 0013 8000"})).text
        assert shown.index("second") < shown.index("&lt;b&gt;first") and "another" not in shown
        assert 'role="alert"' in (await client.post("/phone", data={"number": "12345"})).text
        assert '<a href="https://site/m/abc"' in (await client.get("/mailbox")).text


def nobody_listens(port: int) -> bool:
    """Whether a port is closed. The library closes its listener a moment after it says so; and a connection from
    the very port it goes to, which loopback allows, meets nobody but itself."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            return connection.getsockname() == connection.getpeername()
    except OSError:
        return True


async def test_the_message_centre_and_the_mail_server_can_be_steered(begin: Begin) -> None:
    world, _ = await begin("steady-004")
    async with httpx.AsyncClient(base_url=world.url, trust_env=False) as client:
        assert (await client.post("/world/sms", json={"mode": "throttled"})).status_code == 204
        assert world.sms.mode is CentreMode.THROTTLED
        assert (await client.post("/world/sms", json={"down": True})).status_code == 204
        await eventually(lambda: nobody_listens(world.sms.port))
        assert (await client.post("/world/sms", json={"down": False, "mode": "normal"})).status_code == 204
        _, writer = await asyncio.open_connection("127.0.0.1", world.sms.port)
        writer.close()
        assert (await client.post("/world/mail", json={"refusing": "4xx"})).status_code == 204
        assert world.mail.refusing is MailRefusal.TEMPORARY
        assert (await client.post("/world/mail", json={"refusing": None})).status_code == 204
        assert world.mail.refusing is None
        assert (await client.post("/world/sms", json={"mode": "sulking"})).status_code == 422


async def test_the_world_runs_as_a_process_and_ends_when_told(tmp_path: Path) -> None:
    known = tomllib.loads(REGISTRY.read_text())
    credentials = accounts([e["code"] for e in known["enterprises"]], [c["code"] for c in known["carriers"]])
    clear = {
        "enterprises": {code: vars(account) for code, account in credentials.enterprises.items()},
        "carriers": {code: vars(account) for code, account in credentials.carriers.items()},
    }
    (tmp_path / "credentials.json").write_text(json.dumps(clear))
    ports = [HttpServer("127.0.0.1") for _ in range(3)]
    for port in ports:
        await port.close()
    settings = {
        "http_port": ports[0].port,
        "smpp_port": ports[1].port,
        "smtp_port": ports[2].port,
        "gateway_url": "http://127.0.0.1:9",
        "credentials": str(tmp_path / "credentials.json"),
        "folder": str(tmp_path / "messages"),
    }
    (tmp_path / "world.json").write_text(json.dumps(settings))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sandbox.world", "--settings", str(tmp_path / "world.json")),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with httpx.AsyncClient(
        base_url=ports[0].url, transport=httpx.AsyncHTTPTransport(retries=8), trust_env=False
    ) as client:
        seen = (await client.get("/world/state", timeout=20)).json()
    assert (seen["sms"], seen["bugs"], seen["refused"]) == ([], {}, {})
    process.send_signal(signal.SIGTERM)
    printed, _ = await process.communicate()
    assert (process.returncode, printed) == (0, b"")
