"""Doors for identity checks: typos are free, the same words for every number, whose check it is, who attests."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from activities.ports import HolderAnswer, HolderVerdict, Refused
from domain import identity
from domain.case import CaseKind
from domain.identity import IdentityStatus
from domain.proof import Purpose
from gateway import identity as checks
from gateway.caller import Caller
from gateway.services import Services
from store import proofs
from store.projection import load_state
from store.tables import cases, ledger, slots, submissions, vault
from store.tables import codes as codes_table
from tests.gateway.conftest import Doors
from tests.support import eventually

CHECKS = "/v1/identity-checks"
NUMBER, TAIL = "13800138000", "01123X"
UNKNOWN = "K000000000000"
CHANNEL, OTHER, WORKER = "mini-program", "other-channel", "worker-chen"


class Citizen:
    """Somebody before a channel's screen."""

    def __init__(self, doors: Doors, channel: str = CHANNEL) -> None:
        self.doors = doors
        self.channel = channel
        self.asked = 0

    async def start(self, key: str = "", who: str = "", **changed: Any) -> httpx.Response:
        """Start a check; fields that are None are left out."""
        self.asked += 1
        body = {"number": NUMBER, "id_tail": TAIL, "purpose": "query", "origin": f"s-{self.asked}", **changed}
        headers = {**self.doors.bearer(who or self.channel), "idempotency-key": key or f"k-{self.asked}"}
        sent = {name: value for name, value in body.items() if value is not None}
        return await self.doors.http.post(CHECKS, json=sent, headers=headers)

    async def started(self, **changed: Any) -> str:
        """A check whose code has come."""
        before = len(self.doors.house.centre.texts)
        answer = await self.start(**changed)
        assert answer.status_code == 202, answer.text
        await eventually(lambda: len(self.doors.house.centre.texts) > before)
        return str(answer.json()["check"])

    def code(self, check: str) -> str:
        """The code of the last text."""
        (text,) = [text for text in self.doors.house.centre.texts if check in text][-1:]
        return re.findall(r"[0-9]{6}", text)[0]

    def wrong(self, check: str) -> str:
        """Another one."""
        return "271828" if self.code(check) != "271828" else "314159"

    async def enter(self, check: str, code: str) -> httpx.Response:
        """Enter a code."""
        return await self.post(f"{CHECKS}/{check}/code", {"code": code})

    async def post(self, path: str, body: Any = None, who: str = "") -> httpx.Response:
        """Anything else."""
        return await self.doors.http.post(path, json=body, headers=self.doors.bearer(who or self.channel))

    async def look(self, check: str, who: str = "") -> httpx.Response:
        """Where the check stands."""
        return await self.doors.http.get(f"{CHECKS}/{check}", headers=self.doors.bearer(who or self.channel))


@pytest.fixture
def citizen(doors: Doors) -> Citizen:
    """A citizen with the usual channel."""
    return Citizen(doors)


def said(answer: httpx.Response) -> tuple[int, str, str]:
    """Status, code and field of a problem."""
    problem = answer.json()
    assert problem["detail"] and problem["remedy"], "a refusal says why and what to do"
    return answer.status_code, problem["code"], problem["field"]


def rows(doors: Doors, *tables: Any) -> int:
    """How much is stored."""
    return sum(
        doors.house.database.read_now(lambda c, t=table: c.execute(select(func.count()).select_from(t)).scalar_one())  # type: ignore[misc]
        for table in tables
    )


# ── the good day ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_check_from_start_to_proof(citizen: Citizen, doors: Doors) -> None:
    started = await citizen.start()
    accepted = started.json()
    assert started.status_code == 202 and set(accepted) == {"check", "status_url", "expires_at"}
    assert started.headers["location"] == accepted["status_url"] == f"{CHECKS}/{accepted['check']}"
    check = accepted["check"]
    await eventually(lambda: doors.house.centre.texts)
    view = (await citizen.look(check)).json()
    assert (view["status"], view["tries_left"], view["opens_until"]) == ("code_sent", 5, None)
    assert view["number"] == "138****8000" and view["resend_at"] and view["problem"] is None

    wrong = await citizen.enter(check, citizen.wrong(check))
    assert said(wrong) == (422, "wrong_code", "code") and "4 tries are left" in wrong.json()["detail"]
    right = await citizen.enter(check, citizen.code(check))
    assert right.status_code == 200, right.text
    view = right.json()
    assert (view["status"], view["tries_left"], view["resend_at"]) == ("verified", 4, None)
    assert view["opens_until"] < view["follows_until"] and view["spent_by"] is None
    assert (await citizen.look(check)).json() == view

    assert said(await citizen.enter(check, citizen.code(check))) == (409, "code_used", "")
    assert said(await citizen.post(f"{CHECKS}/{check}/resend")) == (409, "code_used", "")
    at = load(doors, check).verified_at
    refusal = doors.house.database.write_now(
        lambda c: proofs.spend(c, doors.house.keys, check, Purpose.QUERY, "Q0123456789AB", at, CHANNEL)
    )
    assert refusal is None
    assert (await citizen.look(check)).json()["spent_by"] == "Q0123456789AB"
    doors.house.verify()


def load(doors: Doors, check: str) -> Any:
    """The read model."""
    return doors.house.database.read_now(lambda c: load_state(c, CaseKind.IDENTITY, check))


async def test_the_same_key_is_the_same_check(citizen: Citizen, doors: Doors) -> None:
    first, again = [await citizen.start(key="one", origin="s") for _ in range(2)]
    assert first.json() | {"expires_at": ""} == again.json() | {"expires_at": ""}
    assert again.headers["idempotent-replayed"] == "true"
    assert said(await citizen.start(key="one", origin="s", purpose="dispute"))[1] == "idempotency_key_reused"
    await eventually(lambda: doors.house.centre.texts)
    assert len(doors.house.centre.texts) == 1


# ── typos are free ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"number": "1380013800"}, "number"),
        ({"number": "23800138000"}, "number"),
        ({"number": "1" * 40}, "number"),
        ({"id_tail": "3200011"}, "id_tail"),
        ({"id_tail": "321234"}, "id_tail"),
        ({"id_tail": "01123Y"}, "id_tail"),
        ({"purpose": "curiosity"}, "purpose"),
        ({"origin": "with space"}, "origin"),
        ({"origin": None}, "origin"),
        ({"name": "欧阳"}, "name"),
        ({"method": "enterprise"}, "enterprise"),
        ({"method": "enterprise", "enterprise": "nobody"}, "enterprise"),
        ({"enterprise": "push-0"}, "enterprise"),
        ({"channel": OTHER}, "channel"),
    ],
)
async def test_typos_are_free(citizen: Citizen, doors: Doors, changed: dict[str, Any], field: str) -> None:
    answer = (
        await citizen.start(origin="mine", **changed) if "origin" not in changed else await citizen.start(**changed)
    )
    assert said(answer) == (422, "malformed", field)
    for personal in ("number", "id_tail", "name"):
        assert str(changed.get(personal, "\0")) not in answer.text
    assert rows(doors, cases, ledger, codes_table, slots, vault, submissions) == 0
    assert doors.house.centre.tries == 0
    assert await citizen.started(origin="mine"), "no minute to wait either"


@pytest.mark.parametrize("code", ["12345", "1234567", "12345a", " 12345", "", "١٢٣٤٥٦", 123456])
async def test_typos_are_free_in_the_code_too(citizen: Citizen, doors: Doors, code: Any) -> None:
    check = await citizen.started()
    assert said(await citizen.enter(check, code)) == (422, "malformed", "code")
    assert (await citizen.look(check)).json()["tries_left"] == 5
    assert (await citizen.enter(check, citizen.code(check))).json()["status"] == "verified"


@pytest.mark.parametrize("number", ["+86 138-0013-8000", "8613800138000", "138 0013 8000"])
async def test_as_people_type_it(citizen: Citizen, number: str) -> None:
    check = await citizen.started(number=number, id_tail=" 01123x ")
    assert (await citizen.enter(check, citizen.code(check))).json()["status"] == "verified"


# ── the same words for every number ──────────────────────────────────────────────────────────────────


async def test_the_same_words_for_an_unknown_number(citizen: Citizen, doors: Doors) -> None:
    known = await citizen.started()
    doors.house.centre.failing = Refused("sms_bad_destination", "no such number")
    answers = [await citizen.start(), await citizen.start(number="19900000000")]
    unknown = answers[1].json()["check"]
    await eventually(lambda: "code_not_sent" in doors.house.events(unknown))
    assert same(answers[0]) == same(answers[1])
    assert same(await citizen.look(known)) == same(await citizen.look(unknown))
    for _ in range(5):
        assert same(await citizen.enter(known, citizen.wrong(known))) == same(await citizen.enter(unknown, "271828"))
    assert same(await citizen.look(known)) == same(await citizen.look(unknown))
    assert said(await citizen.enter(unknown, "271828")) == (409, "locked", "")


def same(answer: httpx.Response) -> tuple[int, str]:
    """An answer without its times, numbers and references."""
    text = re.sub(r"K[0-9A-Z]{12}|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z|[0-9]{3}\*{4}[0-9]{4}", "_", answer.text)
    return answer.status_code, text


async def test_a_minute_between_codes(citizen: Citizen, doors: Doors) -> None:
    check = await citizen.started(origin="mine")
    for answer in (await citizen.start(origin="mine"), await citizen.post(f"{CHECKS}/{check}/resend")):
        assert said(answer) == (429, "wait_before_sending", "")
        seconds = int(answer.headers["retry-after"])
        assert 50 <= seconds <= 60 and f"in {seconds} s" in answer.json()["detail"]
    assert await citizen.started(origin="other"), "another origin is not held up"
    assert await Citizen(doors, OTHER).start(origin="mine", key="o"), "nor is another channel's word"


# ── outcomes ─────────────────────────────────────────────────────────────────────────────────────────


async def test_outcomes_with_reason_and_remedy(citizen: Citizen, doors: Doors) -> None:
    doors.house.carriers.verdict = HolderAnswer(HolderVerdict.CANCELLED)
    check = await citizen.started()
    assert said(await citizen.enter(check, citizen.code(check))) == (409, "cancelled_number", "number")
    doors.house.carriers.verdict = None
    check = await citizen.started(id_tail="019999")
    answer = await citizen.enter(check, citizen.code(check))
    assert said(answer) == (409, "mismatch", "id_tail") and "(Beijing)" in answer.json()["remedy"]
    assert (await citizen.look(check)).json()["problem"] == answer.json()
    check = await citizen.started()
    assert said(await citizen.enter(check, citizen.code(check))) == (429, "cooling_down", "number")
    assert said(await citizen.enter(check, citizen.code(check))) == (409, "code_used", "")


# ── whose check it is ────────────────────────────────────────────────────────────────────────────────


async def test_another_channels_check_is_no_check(citizen: Citizen, doors: Doors) -> None:
    check = await citizen.started()
    stranger = Citizen(doors, OTHER)
    for ask in (
        lambda c: stranger.look(c),
        lambda c: stranger.enter(c, "123456"),
        lambda c: stranger.post(f"{CHECKS}/{c}/resend"),
    ):
        foreign, none = await ask(check), await ask(UNKNOWN)
        assert said(foreign) == (404, "unknown_case", "check") and same(foreign) == same(none)
    assert (await citizen.look(check)).json()["tries_left"] == 5


@pytest.mark.parametrize(
    ("who", "path", "status"),
    [
        ("push-0", CHECKS, 403),
        ("carrier", CHECKS, 403),
        ("push-0", f"{CHECKS}/{UNKNOWN}/code", 403),
        (WORKER, f"{CHECKS}/{UNKNOWN}/code", 403),
        (WORKER, f"{CHECKS}/{UNKNOWN}/resend", 403),
        (CHANNEL, f"{CHECKS}/{UNKNOWN}/attest", 403),
        ("carrier", f"{CHECKS}/{UNKNOWN}/attest", 403),
        (WORKER, f"{CHECKS}/{UNKNOWN}/attest", 404),
    ],
)
async def test_who_comes_in(citizen: Citizen, who: str, path: str, status: int) -> None:
    body = {"matched": True} if path.endswith("attest") else {"code": "123456"}
    assert (await citizen.post(path, body, who)).status_code == status


# ── other methods ────────────────────────────────────────────────────────────────────────────────────


async def test_a_counter_check(citizen: Citizen, doors: Doors) -> None:
    how = {"method": "counter", "channel": CHANNEL, "origin": None, "purpose": "dispute"}
    assert said(await citizen.start(who=WORKER, **{**how, "channel": None})) == (422, "malformed", "channel")
    assert said(await citizen.start(who=WORKER, **{**how, "channel": "push-0"})) == (422, "malformed", "channel")
    assert said(await citizen.start(who=WORKER, channel=CHANNEL)) == (422, "malformed", "method")
    assert (await citizen.start(who=WORKER, **{**how, "channel": "website"})).status_code == 202, (
        "the site needs none"
    )
    check = (await citizen.start(who=WORKER, **how)).json()["check"]
    attest = f"{CHECKS}/{check}/attest"
    assert said(await citizen.enter(check, "123456")) == (403, "not_allowed", "")
    assert said(await doors.say("push-0", attest, {"matched": True})) == (404, "unknown_case", "check")
    assert (await citizen.post(attest, {"matched": True}, WORKER)).json() == {"check": check, "changed": True}
    await eventually(lambda: load(doors, check).status == "verified")
    assert (await citizen.look(check)).json()["method"] == "counter", "the channel it was opened for sees it"
    assert (await citizen.look(check, WORKER)).json()["status"] == "verified"
    assert (await citizen.post(attest, {"matched": True}, "supervisor-wu")).json()["changed"] is False
    assert said(await citizen.post(attest, {"matched": False}, WORKER)) == (409, "already_answered", "")
    assert doors.house.centre.tries == 0
    doors.house.verify()


async def test_an_enterprises_check(citizen: Citizen, doors: Doors) -> None:
    started = await citizen.start(method="enterprise", enterprise="push-0", origin=None)
    check = started.json()["check"]
    attest = f"{CHECKS}/{check}/attest"
    unsigned = await citizen.post(attest, {"matched": True}, "push-0")
    assert said(unsigned) == (401, "bad_signature", "")
    assert said(await doors.say("push-1", attest, {"matched": True})) == (404, "unknown_case", "check")
    assert said(await citizen.post(attest, {"matched": True}, WORKER)) == (403, "not_allowed", "")
    told = await doors.say("push-0", attest, {"matched": True}, message_id="m-1")
    assert told.json() == {"check": check, "changed": True}, "not what the carrier makes of it"
    assert said(await doors.say("push-0", attest, {"matched": True}, message_id="m-1"))[1] == "replayed"
    await eventually(lambda: load(doors, check).status == "verified")
    assert load(doors, check).attester == "push-0"
    doors.house.verify()


async def test_an_enterprise_says_no(citizen: Citizen, doors: Doors) -> None:
    check = (await citizen.start(method="enterprise", enterprise="push-0", origin=None)).json()["check"]
    await doors.say("push-0", f"{CHECKS}/{check}/attest", {"matched": False})
    view = (await citizen.look(check)).json()
    assert (view["status"], view["problem"]["code"]) == ("not_attested", "not_verified")
    assert doors.house.carriers.confirmed == 0


# ── the engine ───────────────────────────────────────────────────────────────────────────────────────


async def test_started_without_a_worker_and_taken_up_later(idle: Doors) -> None:
    citizen = Citizen(idle)
    check = (await citizen.start()).json()["check"]
    assert (await citizen.look(check)).json()["status"] == "opened"
    assert said(await citizen.enter(check, "123456")) == (409, "not_your_turn", "code")
    async with idle.house.working():
        await eventually(lambda: idle.house.centre.texts)
        assert (await citizen.enter(check, citizen.code(check))).json()["status"] == "verified"


# ── on the site ──────────────────────────────────────────────────────────────────────────────────────────


async def test_the_page_of_a_code_goes_on_by_itself_while_the_carriers_are_asked(
    idle: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    english = {"accept-language": "en", "accept": "text/html"}
    start = await idle.http.get("/", headers=english)
    csrf = re.findall(r'name="csrf" value="([^"]+)"', start.text)[0]
    form = {"csrf": csrf, "number": NUMBER, "id_tail": "01123X", "target": "accounts"}
    begun = await idle.http.post("/", data=form, headers=english)
    page = begun.headers["location"]
    assert "Enter the code" in (await idle.http.get(page, headers=english)).text
    own = checks.own

    async def confirming(services: Services, partner: Caller, check: str) -> identity.State:
        state = await own(services, partner, check)
        return state.model_copy(update={"status": IdentityStatus.CONFIRMING})

    monkeypatch.setattr(checks, "own", confirming)
    waiting = await idle.http.get(page, headers=english)
    assert "Your carrier is asked" in waiting.text and waiting.headers["refresh"] == f"3; url={page}"
    sent_again = await idle.http.post(page, data={"csrf": csrf, "code": "123456"}, headers=english)
    assert "Your carrier is asked" in sent_again.text
