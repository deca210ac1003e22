"""Every kind of case with a known number, ID tail and name: nothing of it is anywhere but in the vault, encrypted."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from domain.case import CaseKind
from domain.privacy import PhoneNumber
from domain.registry import NumberForm
from runtime.stack import Stack
from sandbox.behaviour import Held
from tests.chaos import scan
from tests.chaos.conftest import PATIENT, PLAIN, registry, settles, stack_of, until
from tests.chaos.people import (
    CARRIER,
    CHANNEL,
    CHEN,
    LIN,
    SUPERVISOR,
    Answer,
    Citizen,
    Partners,
    accounts,
    unbind_all,
)
from tests.chaos.scan import Form, Scan, forms

NUMBER = "13987651234"
TAIL = "17482X"
"""With an X: it is in no file by chance, so that it can be looked for alone."""

NAME = "欧阳解绑测试"
WHO = f"{NAME}（{NUMBER}，{TAIL}）"

QUESTION = "该账号何时绑定、何时解绑？请一并说明依据（合欢路营业厅经办）。"
ASKED = ("tencent", CARRIER)
"""Who is asked this in the investigation."""

DATABASES = ("jiebang.db", "temporal.db")
OUTSIDE = ("sms.jsonl", "mail.jsonl")
"""What the holder's phone and the enterprises' mailboxes got: the outside world's, not ours."""

QUICK = {
    **PATIENT,
    '[query]\nanswer_within = "PT20S"': '[identity]\nsend_again_after = "PT2S"\n\n[query]\nanswer_within = "PT6S"',
}
REAL = ("tencent", "alibaba", "alipay", "baidu", "kuaishou", "douyin", "jd", "meituan")
KINDS = ("slow-01", "silent-03", "refusing-01", "exempt-01", "html-01", "down-01", "mail-01", "mail-02", "bulk-02")
MORE = ("replaying-01", "meddling-01", "doubling-01", "amending-01", "steady-001", "steady-002", "steady-003")
MINE = ("wechat", "qq", "taobao", "dingtalk", "kuaishou", "meituan")
REFUSES, OWN_CHECK, SILENT = "muduo-youxiang", "alipay", "banxia-zhaopin"
CARDS = ("sandbox-mobile-cards", "sandbox-telecom-cards")


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """Some of every kind, and queries that end soon."""
    return stack_of(tmp_path, registry(tmp_path, QUICK, (*REAL, *KINDS, *MORE)))


@dataclass
class Told:
    """What people wrote or were shown in the course of the story, and must not be anywhere else."""

    texts: list[str] = field(default_factory=list)
    """What staff may read: notes, reasons, complaints, questions, evidence."""
    labels: set[str] = field(default_factory=set)
    """Masked accounts, which only the citizen may read, and in one place."""
    former: set[str] = field(default_factory=set)
    """A former holder's, which nobody may."""
    tickets: set[str] = field(default_factory=set)
    """Of links to an enterprise's own check."""

    def wrote(self, text: str) -> str:
        """Somebody wrote this."""
        self.texts.append(text)
        return text


class Life:
    """One citizen's way through every kind of case."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.partners = Partners(stack)
        self.citizen = Citizen(self.partners, NUMBER, TAIL)
        self.told = Told()
        self.cases: dict[str, str] = {}
        self.wrong_codes: list[tuple[str, str]] = []

    # ── the citizen ──────────────────────────────────────────────────────────────────────────────────

    def renew(self) -> None:
        """A renewal over everybody who answers, after two that are refused."""
        self.partners.refused(CARRIER, "/v1/renewals", self._renewal(name=NAME))
        self.partners.refused(CARRIER, "/v1/renewals", self._renewal(number=NUMBER + "0"))
        listed = self.partners.get(CARRIER, "/v1/apps")
        apps = [one["app"] for one in listed if settles(one["enterprise"])]
        self.cases["renewal"] = self.partners.post(CARRIER, "/v1/renewals", self._renewal(apps=apps))["case"]

    def _renewal(self, **changed: Any) -> dict[str, Any]:
        now = datetime.now(UTC)
        proof = {"checked_by": "counter-7", "method": "counter", "checked_at": now.isoformat()}
        begun = (now - timedelta(days=60)).isoformat()
        return {"number": NUMBER, "id_tail": TAIL, "activated_at": begun, "identity": proof, **changed}

    def prove_the_hard_way(self) -> str:
        """A check for a query: bad requests, bad codes, another code, the right one, and that once more."""
        citizen, partners = self.citizen, self.partners
        begin = {"number": NUMBER, "id_tail": TAIL, "purpose": "query", "origin": "session-1"}
        for wrong in (
            {"name": NAME},
            {"number": NUMBER + "0"},
            {"id_tail": TAIL + "1"},
            {"origin": f"{NAME} {TAIL}"},
        ):
            assert partners.refused(CHANNEL, "/v1/identity-checks", begin | wrong) == "malformed"
        check = citizen.begin("query")
        door = f"/v1/identity-checks/{check}/code"
        first = citizen.code(check)
        wrong_code = f"{(int(first) + 1) % 10**6:06}"
        self.wrong_codes.append((wrong_code, check))
        assert partners.refused(CHANNEL, door, {"code": f"{first}7"}) == "malformed"
        assert partners.refused(CHANNEL, door, {"code": wrong_code}) == "wrong_code"
        until(lambda: partners.post(CHANNEL, f"/v1/identity-checks/{check}/resend"))
        second = citizen.code(check, sent=2)
        if first != second:
            assert partners.refused(CHANNEL, door, {"code": first}) == "wrong_code"
        citizen.enter(check, second)
        assert partners.refused(CHANNEL, door, {"code": second}) == "code_used"
        return check

    def ask(self) -> None:
        """Both queries, and one that comes too soon."""
        check = self.prove_the_hard_way()
        asked = self.partners.post(CHANNEL, "/v1/queries", {"check": check, "target": "accounts", "language": "en"})
        self.cases["account query"] = asked["case"]
        self.cases["card query"] = self.citizen.query("cards")
        check = self.citizen.prove("query")
        assert (
            self.partners.refused(CHANNEL, "/v1/queries", {"check": check, "target": "accounts"}) == "query_running"
        )

    def dispute(self) -> None:
        """One that goes every way a claim can go, and one that is withdrawn."""
        books = accounts(self.stack, NUMBER)
        mine = [app for app in MINE if shown(books[app])]
        tells = [*mine, *CARDS, OWN_CHECK]
        for app in (*tells, "baidu"):
            own = shown(books[app], cards=app in CARDS)
            self.told.labels |= own
            self.told.former |= {one.label for one in books[app]} - own
        self.told.former -= self.told.labels
        assert self.told.labels
        case, check = self.citizen.dispute([*tells, REFUSES])
        self.cases["dispute"] = case
        self.partners.refused(CHANNEL, f"/v1/disputes/{case}/choose", {"check": check, "choices": {NAME: {}}})
        link = until(lambda: self.citizen.detail(case, check)[OWN_CHECK]["link"])
        self.told.tickets.add(link.rpartition("/")[2])
        assert PLAIN.get(link).is_success
        unbind_all(self.citizen, case, check, tells)
        until(lambda: self.citizen.claims(case)[REFUSES] == "hotline")
        self.partners.post(CHANNEL, f"/v1/disputes/{case}/unsolved", {"check": check, "app": REFUSES})

        other, check = self.citizen.dispute(["baidu", SILENT])
        self.cases["withdrawn dispute"] = other
        until(lambda: self.citizen.claims(other)["baidu"] != "asking_detail")
        self._misunderstand()
        self.citizen.detail(other, check)
        self.partners.post(CHANNEL, f"/v1/disputes/{other}/withdraw", {"check": check})

    def complain(self) -> None:
        """Once about what is still bound, once about a wrong account."""
        wrote = self.told.wrote(f"我是{WHO}，账号仍未解绑，请尽快处理。")
        about = self.cases["dispute"]
        self.cases["complaint"] = self.citizen.complain("still_bound", [SILENT], wrote, about=about)
        wrote = self.told.wrote(f"错解了我的账号！{WHO}")
        self.cases["second complaint"] = self.citizen.complain("wrong_account", ["wechat"], wrote)

    # ── the case desk ────────────────────────────────────────────────────────────────────────────────

    def work(self) -> None:
        """Notes and reasons about the dispute, decided by two people; what does not fit is refused."""
        case = self.cases["dispute"]
        self._act(CHEN, case, action="claim")
        self._act(CHEN, case, action="note", text=self._words("电话核实"), attachments=[self._words("录音")])
        self._act(CHEN, case, action="pause", reason=self._words("等候材料"))
        self._act(CHEN, case, action="resume")
        self._act(CHEN, case, action="escalate", reason=self._words("企业不配合"))
        self.partners.refused(CHEN, f"/v1/cases/{case}/act", {"action": "note", "text": "", "name": WHO})
        self.partners.refused(CHEN, f"/v1/cases/{case}/act", {"action": "propose", "decision": NAME, "reason": WHO})
        propose = {"decision": "override", "about": REFUSES, "reason": self._words("账号早于开户")}
        self._act(CHEN, case, action="propose", **propose)
        assert self.partners.refused(CHEN, f"/v1/cases/{case}/act", {"action": "approve"}) == "same_person"

    def investigate(self) -> None:
        """Evidence from an enterprise and a carrier, one result of two people; the complaint goes another way."""
        asked = dict.fromkeys(ASKED, ())
        body = {"from_case": self.cases["account query"], "parties": asked, "question": self.told.wrote(QUESTION)}
        case = self.partners.post(CHEN, "/v1/investigations", body)["case"]
        self.cases["investigation"] = case

        def record() -> list[dict[str, Any]] | None:
            parties: list[dict[str, Any]] = self.partners.get(CHEN, f"/v1/investigations/{case}")["parties"]
            return parties if all(one["statement"] for one in parties) else None

        for party in until(record):
            self.told.wrote(party["statement"])
            self.told.texts += party["attachments"]
        self._act(CHEN, case, action="claim")
        self._act(
            CHEN, case, action="propose", decision="conclude", about="citizen_right", reason=self._words("属实")
        )
        self._act(LIN, case, action="approve")
        route = {"to": "investigation", "reason": self._words("改为协查")}
        self.partners.post(LIN, f"/v1/complaints/{self.cases['complaint']}/route", route)

    def approve(self) -> None:
        """The dispute is decided."""
        self._act(LIN, self.cases["dispute"], action="approve")

    def _act(self, who: str, case: str, **action: Any) -> None:
        until(lambda: self.partners.post(who, f"/v1/cases/{case}/act", action))

    def _words(self, about: str) -> str:
        return self.told.wrote(f"{about}：{WHO}")

    # ── parties ──────────────────────────────────────────────────────────────────────────────────────

    def _misunderstand(self) -> None:
        """An enterprise says what it should not, in ways that are refused."""
        listed = self.partners.get("silent-03", "/v1/questions")["questions"]
        door = f"/v1/questions/{next(one['id'] for one in listed if one['kind'] == 'detail')}/answer"
        for wrong in (
            {"type": "detail", "accounts": {"wechat": [{"ref": NUMBER, "label": WHO}]}},
            {"type": "counts", "counts": {NAME: 1}, WHO: TAIL},
            {"type": "own_check", "link": f"ftp://{NUMBER}/{NAME}"},
            {"type": "evidence", "statement": WHO},
            {NAME: TAIL},
        ):
            assert self.partners.message("silent-03", door, wrong).status_code == 422
        assert self.partners.message("tencent", door, {"type": "evidence", "statement": WHO}).status_code == 404

    def look_around(self) -> None:
        """Every party looks at everything that is shown to it."""
        for party in self.partners.of("enterprise"):
            for door in ("work-items", "questions", "recycled-numbers"):
                self.partners.get(party, f"/v1/{door}")
        for carrier in self.partners.of("carrier"):
            self.partners.get(carrier, "/v1/questions")

    # ── the number ───────────────────────────────────────────────────────────────────────────────────

    def cancel(self) -> None:
        """The number's life: from its opening to its re-issue, in disorder and more than once."""
        now = datetime.now(UTC)
        self._report("cancellation", now)
        for event, days in (("activation", 60), ("transfer", 59), ("suspension", 3), ("resumption", 2)):
            self._report(event, now - timedelta(days=days))
        self._report("suspension", now - timedelta(days=3))
        for wrong in ({"number": NUMBER + "0"}, {"holder": NAME}, {"event": NAME}):
            body = {"number": NUMBER, "event_id": "e", "event": "freeze", "occurred_at": now.isoformat()} | wrong
            assert self.partners.refused(CARRIER, "/v1/number-events", body) == "malformed"
        assert self.partners.refused("sandbox-telecom", "/v1/numbers/find", {"number": NUMBER}) == "unknown_number"
        case = self.partners.post(CARRIER, "/v1/numbers/find", {"number": NUMBER})["case"]
        self.cases["number"] = case
        assert self.partners.refused(CARRIER, "/v1/numbers/release", {"number": NUMBER}) == "freeze_not_over"
        reason = self._words("应用已下线")
        self.partners.post(SUPERVISOR, f"/v1/numbers/{case}/override", {"reason": reason})
        check = self.citizen.prove("query")
        refused = self.partners.refused(CHANNEL, "/v1/queries", {"check": check, "target": "accounts"})
        assert refused == "cancelled_number"

    def release(self) -> None:
        """The batch is under way and the enterprises know; the number goes to its next holder."""
        case = self.cases["number"]
        until(lambda: self.partners.get(CARRIER, f"/v1/numbers/{case}")["unreported"] is not None)
        seen = until(lambda: (found := self.world()) and found["recycled"] and found)
        assert all(set(tokens.values()) == {1} for tokens in seen["recycled"].values())
        item = until(lambda: self.partners.get("silent-03", "/v1/work-items")["work_items"])[0]["id"]
        longer = {"by": "PT10S", "reason": self.told.wrote(f"机主{WHO}出国")}
        assert self.partners.message("silent-03", f"/v1/work-items/{item}/extend", longer, called=NUMBER).is_success
        self.partners.post(CARRIER, "/v1/numbers/release", {"number": NUMBER})
        certificate = self.partners.get(CARRIER, f"/v1/numbers/{case}/certificate")
        assert self.partners.post("tencent", "/v1/certificates/verify", {"certificate": certificate})["genuine"]
        self._report("reissue", datetime.now(UTC))

    def _report(self, event: str, at: datetime) -> None:
        """The carrier's own id of the event is the number, as some carrier's will be."""
        id_ = f"{NUMBER}-{event}"
        body = {"number": f"+86{NUMBER}", "event_id": id_, "event": event, "occurred_at": at.isoformat()}
        self.partners.post(CARRIER, "/v1/number-events", body)

    def end(self) -> None:
        """Whatever is still to be said is said."""
        partners, case = self.partners, self.cases
        assert partners.refused(CARRIER, f"/v1/renewals/{case['renewal']}/withdraw")
        until(lambda: partners.get(CARRIER, f"/v1/renewals/{case['renewal']}")["status"] == "summary_sent", limit=90)
        until(lambda: partners.get(CHANNEL, f"/v1/queries/{case['account query']}")["status"] == "closed")
        until(lambda: partners.get(CHANNEL, f"/v1/disputes/{case['dispute']}")["status"] == "closed")
        until(lambda: partners.get(CHANNEL, f"/v1/complaints/{case['second complaint']}")["follow_ups"])
        for one in case.values():
            if not one.startswith(("R", "D", "Q", "C")):
                continue
            kind = {"R": "renewals", "D": "disputes", "Q": "queries", "C": "complaints"}[one[0]]
            partners.get(CARRIER if one[0] == "R" else CHANNEL, f"/v1/{kind}/{one}")

    def stories(self, all_cases: Iterable[str]) -> dict[str, Any]:
        """Every case as staff see it."""
        return {case: self.partners.get(LIN, f"/v1/cases/{case}") for case in all_cases}

    def world(self) -> dict[str, Any]:
        """What the outside saw."""
        seen: dict[str, Any] = PLAIN.get(f"{self.stack.world}/world/state").json()
        return seen


# ── what may be known ────────────────────────────────────────────────────────────────────────────────


def shown(books: Iterable[Held], cards: bool = False) -> set[str]:
    """The labels that the citizen may see: cards, and accounts younger than the contract."""
    return {one.label for one in books if cards or one.bound >= timedelta(0)}


def everything(life: Life) -> Iterator[Form]:
    """All there is to be found, in every form."""
    told = life.told
    yield from scan.person_forms(NUMBER, TAIL)
    for text in (TAIL, NAME, *told.texts, *told.labels, *told.former, *told.tickets):
        yield from forms(text)
    for code, check in codes(life):
        yield from scan.code_forms(code, check, NUMBER)


def codes(life: Life) -> Iterator[tuple[str, str]]:
    """Every code that was sent or entered, with its check."""
    sent = ((code, check) for check, found in life.citizen.codes.items() for code in found)
    return chain(sent, life.wrong_codes)


def without(texts: Iterable[str], body: bytes) -> bytes:
    """An answer without what its reader may read."""
    for text in sorted(texts, key=len, reverse=True):
        body = body.replace(text.encode(), b"").replace(json.dumps(text)[1:-1].encode(), b"")
    return body


def may_read(answer: Answer, life: Life) -> set[str]:
    """What of all this belongs into this answer."""
    told, person = life.told, set[str]()
    if answer.role in ("case_worker", "supervisor"):
        return set(told.texts)
    if answer.role == "channel":
        detail = answer.asked.startswith("GET ") and answer.asked.endswith("/detail")
        return {*told.labels, *told.tickets} if detail else set()
    if not answer.asked.startswith(("GET /v1/questions", "GET /v1/work-items")):
        return set()
    form = life.stack.settings.registry_data.enterprise(answer.who).number_form
    if form in (NumberForm.FULL, NumberForm.FULL_WITH_ID_TAIL):
        person.add(NUMBER)
    if form is NumberForm.FULL_WITH_ID_TAIL:
        person.add(TAIL)
    return person | ({QUESTION} if answer.who in ASKED else set())


# ── many ──────────────────────────────────────────────────────────────────────────────────────────────

PEOPLE = 100
AT_ONCE = 8


def somebody(partners: Partners, n: int) -> Citizen:
    """One of many, each with a number and an ID tail of their own."""
    mark = hashlib.sha256(f"citizen {n}".encode()).digest()
    middle = int.from_bytes(mark[:4]) % 10**5
    tail = f"{1 + mark[4] % 28:02}{int.from_bytes(mark[5:7]) % 1000:03}{'0123456789X'[mark[7] % 11]}"
    return Citizen(partners, f"1{3 + mark[8] % 7}{middle:05}{2000 + n:04}", tail)


def _query(citizen: Citizen) -> str:
    return citizen.query()


def _cards(citizen: Citizen) -> str:
    return citizen.query("cards")


def _check(citizen: Citizen) -> str:
    """A check that comes to nothing: the code is not the one."""
    check = citizen.begin("query")
    wrong = {"code": f"{(int(citizen.code(check)) + 1) % 10**6:06}"}
    assert citizen.partners.refused(CHANNEL, f"/v1/identity-checks/{check}/code", wrong) == "wrong_code"
    return check


def _dispute(citizen: Citizen) -> str:
    case, check = citizen.dispute(["wechat", "qq", "jd"])
    until(lambda: "asking_detail" not in citizen.claims(case).values())
    citizen.detail(case, check)
    return case


def _renewal(citizen: Citizen) -> str:
    now = datetime.now(UTC)
    body = {
        "number": citizen.number,
        "id_tail": citizen.tail,
        "activated_at": (now - timedelta(days=60)).isoformat(),
        "apps": ["wechat", "baidu", "taoxun-kuaidi"],
        "identity": {"checked_by": "counter-7", "method": "counter", "checked_at": now.isoformat()},
    }
    return str(citizen.partners.post(CARRIER, "/v1/renewals", body)["case"])


def _complaint(citizen: Citizen) -> str:
    return citizen.complain("wrong_account", ["wechat"], f"我的号码是{citizen.number}，身份证后六位{citizen.tail}。")


def _number(citizen: Citizen) -> str:
    for event, days in (("activation", 90), ("suspension", 2), ("resumption", 1)):
        at = datetime.now(UTC) - timedelta(days=days)
        id_ = f"{citizen.number}-{event}"
        body = {"number": citizen.number, "event_id": id_, "event": event, "occurred_at": at.isoformat()}
        case = str(citizen.partners.post(CARRIER, "/v1/number-events", body)["case"])
    return case


def has_its_result(partners: Partners, case: str) -> bool:
    """Whether a query or a renewal has told its citizen; others have been asked all there is."""
    match case[0]:
        case "Q":
            return partners.get(CHANNEL, f"/v1/queries/{case}")["delivered"] is True
        case "R":
            return bool(partners.get(CARRIER, f"/v1/renewals/{case}")["status"] == "summary_sent")
        case _:
            return True


MIXED = (*[_query] * 10, *[_check] * 3, _cards, _dispute, _dispute, _renewal, _complaint, _number, _number)
"""What a hundred citizens come for, twenty of them at a time."""


@pytest.fixture
def small_stack(tmp_path: Path) -> Stack:
    """With few enterprises: there are many citizens."""
    return stack_of(tmp_path, registry(tmp_path, QUICK, ("tencent", "alibaba", "baidu", "jd", "mail-01", "down-01")))


# ── the tests ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.timeout(240)
def test_no_trace_of_the_person_outside_the_vault(stack: Stack) -> None:
    with stack:
        life = Life(stack)
        life.renew()
        life.ask()
        life.dispute()
        life.complain()
        life.work()
        life.look_around()
        life.investigate()
        life.approve()
        life.cancel()
        life.look_around()
        life.release()
        life.end()
        metrics = PLAIN.get(stack.metrics).content
        seen = life.world()
        texts = "\n".join(life.citizen.texts())
        histories = scan.histories(stack)
        stories = life.stories({name.split()[3] for name in histories})
        running = scan.files(stack.folder, but=OUTSIDE)
    stopped = scan.files(stack.folder, but=OUTSIDE)

    visits = tuple(f"/check/{ticket}?" for ticket in life.told.tickets)
    called = [url for url in seen["urls"] if not url.endswith(visits)]
    written = {f"{name}, running": content for name, content in running.items()}
    written |= {f"{name}, stopped": content for name, content in stopped.items()} | histories
    written |= {"metrics": metrics, "URLs": "\n".join(called).encode()}
    written |= {"mails": (stack.folder / "mail.jsonl").read_bytes()}
    said = {
        f"answer {n} to {one.who} on {one.asked}": without(may_read(one, life), one.body)
        for n, one in enumerate(life.partners.answers)
    }
    found = Scan(everything(life)).over(written | said)
    short = [TAIL, *(code for code, _ in codes(life))]
    found += [hit for name in DATABASES for hit in scan.cells(stack.folder / name, short)]
    assert not found, "\n".join(found)
    personal = [NUMBER, TAIL, NAME, *life.told.texts, *life.told.labels, *life.told.tickets]
    assert not [text for text in personal if text in texts], "short messages have the masked number"
    _the_scan_saw_it_all(life, written, stories)


def _the_scan_saw_it_all(life: Life, written: Mapping[str, bytes], stories: Mapping[str, Any]) -> None:
    """Every place holds what it should: each case, the masked number, what staff and the citizen may read."""
    masked = PhoneNumber(NUMBER).mask()
    for case in life.cases.values():
        of_case = [name for name, content in written.items() if case.encode() in content]
        assert {f"{file}, {when}" for file in DATABASES for when in ("running", "stopped")} <= {
            name.replace(".db-wal", ".db") for name in of_case
        }
        assert masked.encode() in next(content for name, content in written.items() if f" {case} " in name)
    logs = b"".join(content for name, content in written.items() if name.startswith("logs/"))
    assert any(case.encode() in logs for case in life.cases.values())
    assert b"temporal_" in written["metrics"]
    assert written["URLs"].count(b"/hooks?") > 50
    assert masked.encode() in written["mails"]
    assert {story["kind"] for story in stories.values()} == {kind.value for kind in CaseKind}
    answers = life.partners.answers
    desk = b"".join(one.body for one in answers if one.role in ("case_worker", "supervisor")).decode()
    assert [text for text in life.told.texts if text not in desk] == []
    details = b"".join(one.body for one in answers if one.asked.endswith("/detail")).decode()
    assert [text for text in (*life.told.labels, *life.told.tickets) if text not in details] == []


@pytest.mark.timeout(300)
def test_privacy_after_100_cases(small_stack: Stack) -> None:
    stack = small_stack
    with stack:
        partners = Partners(stack)
        people = [somebody(partners, n) for n in range(PEOPLE)]
        with ThreadPoolExecutor(AT_ONCE) as room:
            opened = [room.submit(MIXED[n % len(MIXED)], citizen) for n, citizen in enumerate(people)]
            cases = [one.result() for one in opened]
        for case in cases:  # one by one: who has it is not asked again
            until(lambda case=case: has_its_result(partners, case), limit=120)
        world = PLAIN.get(f"{stack.world}/world/state").json()
        written = {"metrics": PLAIN.get(stack.metrics).content, **scan.histories(stack)}
    written |= scan.files(stack.folder, but=OUTSIDE)
    written["URLs"] = "\n".join(world["urls"]).encode()
    written["mails"] = json.dumps(world["mails"], ensure_ascii=False).encode()
    written["answers"] = b"\n".join(answer.body for answer in partners.answers)
    written["texts"] = "\n".join(sms["text"] for sms in world["sms"]).encode()

    assert len({(citizen.number, citizen.tail) for citizen in people}) == PEOPLE == len(set(cases))
    found = Scan(form for one in people for form in scan.person_forms(one.number, one.tail)).over(written)
    found += [hit for name in DATABASES for hit in scan.cells(stack.folder / name, {one.tail for one in people})]
    assert not found, "\n".join(found)

    controls = Scan((case, case.encode()) for case in cases)
    assert all(set(controls.of(written[name])) == set(cases) for name in DATABASES), "every case left its marks"
    masks = Scan((citizen.number, PhoneNumber(citizen.number).mask().encode()) for citizen in people)
    assert len(set(masks.of(written["jiebang.db"]))) == PEOPLE
    assert all(any(f" {case} " in name for name in written) for case in cases), "every history was read"


def test_the_scan_finds_every_form_at_every_offset() -> None:
    wanted = Scan(
        [*scan.person_forms(NUMBER, TAIL), *forms(NAME), *scan.code_forms("012345", "K0123456789AB", NUMBER)]
    )
    noise = random.Random(1).randbytes(2**20)
    assert not wanted.of(noise)
    for form, what in wanted.forms.items():
        for offset in range(8):
            assert what in wanted.of(noise[: 40 + offset] + form + noise[:50]), what
    for text in (NUMBER, f"+86{NUMBER}", NAME):
        for before in ("", "a", "ab"):
            whole = json.dumps({"who": f"{before}{text} etc."}, ensure_ascii=False)
            for written in (whole.encode(), whole.encode("utf-16"), base64.b64encode(whole.encode())):
                assert wanted.of(written), f"{text} in {written!r}"
        assert wanted.of(base64.b64encode(hashlib.sha256(text.encode()).digest()))
        assert wanted.of(json.dumps({"who": text}).encode()) and wanted.of(f"?who={quote(text)}".encode())
