"""Disputes through the doors: what the citizen alone sees and does, through every hand up to a case worker's."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from domain.case import CaseKind
from store.projection import load_state
from tests.gateway.conftest import Doors
from tests.gateway.test_queries import asked, proven
from tests.house import DAY, NUMBER
from tests.support import eventually
from tests.workflows.test_dispute import LABEL, detail, item_of, own_check

REASON = "张女士说她打过三次电话"


async def dispute(doors: Doors, check: str, *apps: str, key: str = "", **body: Any) -> httpx.Response:
    """A dispute."""
    doors.sent += 1
    claims = [{"app": app, "reason": "not_mine"} for app in apps]
    headers = {**doors.bearer(body.pop("channel", "mini-program")), "idempotency-key": key or f"dispute-{doors.sent}"}
    return await doors.http.post("/v1/disputes", json={"check": check, "claims": claims, **body}, headers=headers)


async def opened(doors: Doors, *apps: str, **body: Any) -> tuple[str, str]:
    """A dispute that is taken, and the check that opened it."""
    check = await proven(doors, purpose="dispute")
    answer = await dispute(doors, check, *(apps or ("push-0-app",)), **body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["case"]), check


async def do(doors: Doors, case: str, what: str, who: str = "mini-program", **body: Any) -> httpx.Response:
    return await doors.http.post(f"/v1/disputes/{case}/{what}", json=body, headers=doors.bearer(who))


async def done(doors: Doors, case: str, what: str, who: str = "mini-program", **body: Any) -> dict[str, Any]:
    answer = await do(doors, case, what, who, **body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def shown(doors: Doors, case: str, channel: str = "mini-program") -> dict[str, Any]:
    answer = await doors.http.get(f"/v1/disputes/{case}", headers=doors.bearer(channel))
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def detail_of(doors: Doors, case: str, check: str, channel: str = "mini-program") -> httpx.Response:
    return await doors.http.get(f"/v1/disputes/{case}/detail", params={"check": check}, headers=doors.bearer(channel))


async def act(doors: Doors, who: str, case: str, action: str, **words: Any) -> None:
    answer = await doors.http.post(
        f"/v1/cases/{case}/act", json={"action": action, **words}, headers=doors.bearer(who)
    )
    assert answer.status_code == 200, answer.text


def states(doors: Doors, case: str) -> list[str]:
    state = doors.house.database.read_now(lambda c: load_state(c, CaseKind.DISPUTE, case))
    return [claim.state.value for claim in state.claims.values()]


async def reached(doors: Doors, case: str, *wanted: str) -> None:
    await eventually(lambda: states(doors, case) == list(wanted))


async def delivered(doors: Doors, case: str, part: int = 0) -> None:
    await eventually(lambda: "noticed" in doors.house.events(f"{case}-unbind-{part}"))


async def test_from_the_detail_to_the_end(doors: Doors) -> None:
    doors.house.webhooks.answers = {"push-0": detail(1, 400)}
    case, check = await opened(doors)
    await reached(doors, case, "choosing")
    seen = await detail_of(doors, case, check)
    assert seen.headers["cache-control"] == "no-store"
    (claim,) = seen.json()["claims"]
    assert claim["accounts"] == [
        {"ref": "a0", "own": True, "label": LABEL, "may": ["unbind", "cancel", "keep"], "chosen": None},
        {"ref": "a1", "own": False, "label": None, "may": ["unbind"], "chosen": None},
    ]
    (view,) = (await shown(doors, case))["claims"]
    assert view["next"]["what"] and view["next"]["seconds_left"] > 13 * 86400
    wishes = {"push-0-app": {"a0": "cancel", "a1": "cancel"}}
    refused = await do(doors, case, "choose", check=check, choices=wishes)
    assert (refused.status_code, refused.json()["code"]) == (409, "former_holders")
    wishes["push-0-app"]["a1"] = "unbind"
    assert (await done(doors, case, "choose", check=check, choices=wishes))["changed"]
    assert not (await done(doors, case, "choose", check=check, choices=wishes))["changed"]
    await delivered(doors, case)
    item = item_of(doors.house, case, "push-0-app")
    listed = (await doors.listed("push-0"))["work_items"]
    assert listed[0]["accounts"] == [{"ref": "a0", "action": "cancel"}, {"ref": "a1", "action": "unbind"}]
    (view,) = (await shown(doors, case))["claims"]
    assert datetime.fromisoformat(view["next"]["at"]) == item.due_at
    answered = await doors.answer("push-0", item.id, outcome="cancelled")
    assert answered.status_code == 200, answered.text
    await reached(doors, case, "done")
    whole = await shown(doors, case)
    assert (whole["status"], whole["waiting"], whole["claims"][0]["outcome"]) == ("closed", "nobody", "cancelled")
    assert whole["reopen_until"] > whole["ended_at"]
    doors.house.verify()


async def test_a_query_s_result_is_disputed(doors: Doors) -> None:
    counts = {"push-0-app": 2, "push-1-app": 0}
    doors.house.webhooks.answers = {
        party: lambda q: {"type": "counts", "counts": {app: counts[app] for app in q["apps"]}}
        for party in ("push-0", "push-1")
    }
    query = await asked(doors, await proven(doors))
    await eventually(lambda: "heard" in doors.house.events(query))
    check = await proven(doors, purpose="dispute")
    nothing = await dispute(doors, check, "push-1-app", query=query)
    assert (nothing.status_code, nothing.json()["code"]) == (422, "nothing_to_dispute")
    answer = await dispute(doors, check, "push-0-app", "pull-0-app", query=query)
    assert answer.status_code == 202, answer.text
    view = await shown(doors, answer.json()["case"])
    assert view["links"] == [query]
    assert [claim["counted"] for claim in view["claims"]] == [2, None], "no answer is not zero"
    await eventually(lambda: "linked" in doors.house.events(query))


async def test_what_is_refused_at_the_door(doors: Doors) -> None:
    check = await proven(doors, purpose="dispute")
    for body, code in (
        ({"claims": []}, "nothing_to_dispute"),
        ({"claims": [{"app": "no-such-app", "reason": "other"}]}, "unknown_app"),
        ({"query": "Q0123456789AB"}, "unknown_case"),
        ({"claims": [{"app": "push-0-app", "reason": "other"}] * 2}, "malformed"),
        ({"claims": [{"app": "push-0-app", "reason": "because"}]}, "malformed"),
    ):
        answer = await dispute(doors, check, "push-0-app", **body)
        assert answer.json()["code"] == code, answer.text
    wrong = await dispute(doors, await proven(doors, purpose="query"), "push-0-app")
    assert wrong.json()["code"] == "wrong_purpose"
    assert (await dispute(doors, check, "push-0-app", channel="other-channel")).status_code == 404
    first = await dispute(doors, check, "push-0-app", key="one")
    again = await dispute(doors, check, "push-0-app", key="one")
    assert first.json() == again.json() and again.headers["idempotent-replayed"] == "true"
    assert (await dispute(doors, check, "push-0-app", key="two")).json()["code"] == "proof_used"


async def test_somebody_else_s_query_is_not_disputed(doors: Doors) -> None:
    query = await asked(doors, await proven(doors, number="13900139000"))
    check = await proven(doors, purpose="dispute")
    answer = await dispute(doors, check, "push-0-app", query=query)
    assert (answer.json()["code"], answer.json()["field"]) == ("unknown_case", "query")


async def test_only_the_citizen_looks_into_it(doors: Doors) -> None:
    doors.house.webhooks.answers = {"push-0": detail(1)}
    case, check = await opened(doors)
    await reached(doors, case, "choosing")
    for who in ("other-channel", "worker-chen", "supervisor-wu", "push-0"):
        assert (await detail_of(doors, case, check, who)).status_code in (403, 404)
    stranger = await proven(doors, purpose="follow", number="13900139000")
    assert (await detail_of(doors, case, stranger)).status_code == 404
    assert (await do(doors, case, "withdraw", check=stranger)).status_code == 404
    foreign = await doors.http.get(f"/v1/disputes/{case}", headers=doors.bearer("other-channel"))
    assert foreign.status_code == 404
    unknown = await do(doors, "D0000000000AB", "withdraw", check=check)
    assert unknown.status_code == 404
    later = await proven(doors, purpose="follow")
    assert (await detail_of(doors, case, later)).json()["claims"][0]["accounts"][0]["label"] == LABEL
    other, _ = await opened(doors, "push-1-app")
    assert (await detail_of(doors, other, later)).json()["code"] == "proof_used", "good for one case"
    story = (await doors.http.get(f"/v1/cases/{case}", headers=doors.bearer("worker-chen"))).text
    assert LABEL not in story and case in story


async def test_own_check_s_link_is_the_citizen_s(doors: Doors) -> None:
    doors.house.webhooks.answers = {"push-0": own_check}
    case, check = await opened(doors)
    await reached(doors, case, "own_check")
    (claim,) = (await detail_of(doors, case, check)).json()["claims"]
    assert claim["link"] == "https://push-0.example/check/h7Kq" and claim["accounts"] is None
    assert "example" not in str(await shown(doors, case))
    (asked_,) = (await doors.http.get("/v1/questions", headers=doors.bearer("push-0"))).json()["questions"]
    bound_at = (datetime.now(UTC) - DAY).isoformat()
    said = {
        "type": "detail",
        "accounts": {"push-0-app": [{"ref": "a0", "label": LABEL, "bound_at": bound_at}]},
    }
    taken = await doors.say("push-0", f"/v1/questions/{asked_['id']}/answer", said)
    assert taken.status_code == 200, taken.text
    await reached(doors, case, "choosing")


async def test_up_the_ladder(doors: Doors) -> None:
    doors.house.webhooks.answers = {"push-0": detail(1)}
    case, check = await opened(doors, language="en")
    await reached(doors, case, "choosing")
    await done(doors, case, "choose", check=check, choices={"push-0-app": {"a0": "unbind"}})
    await delivered(doors, case)
    item = item_of(doors.house, case, "push-0-app")
    await doors.answer("push-0", item.id, outcome="exempt", reason="legal_hold")
    await reached(doors, case, "hotline")
    (claim,) = (await shown(doors, case))["claims"]
    why = claim["refusal"]
    assert why["ground"] == "legal_hold" and "art. 32" in why["law"] and why["remedy"]
    early = await do(doors, case, "settle", "worker-chen", app="push-0-app", settlement="solved", reason=REASON)
    assert (early.status_code, early.json()["code"]) == (409, "not_claimed")
    await done(doors, case, "unsolved", check=check, app="push-0-app")
    assert (await shown(doors, case))["waiting"] == "case_worker"
    await act(doors, "worker-chen", case, "claim")
    await act(doors, "worker-chen", case, "propose", decision="override", about="push-0-app", reason=REASON)
    await act(doors, "worker-lin", case, "approve")
    await delivered(doors, case, 1)
    again = item_of(doors.house, case, "push-0-app", 1)
    await doors.answer("push-0", again.id, outcome="rejected", reason="out_of_scope")
    await reached(doors, case, "hotline")
    await done(doors, case, "unsolved", check=check, app="push-0-app")
    assert (await do(doors, case, "settle", "worker-chen", app="x-y", settlement="refused", reason="no")).json()[
        "code"
    ] == "malformed"
    ended = await done(doors, case, "settle", "worker-chen", app="push-0-app", settlement="explained", reason=REASON)
    assert ended["status"] == "closed"
    rows = doors.house.database.read_now(lambda c: c.exec_driver_sql("SELECT data FROM ledger").scalars().all())
    assert not any(REASON in row for row in rows)
    reopened = await done(doors, case, "reopen", check=check)
    assert reopened["status"] == "open" and states(doors, case) == ["with_case_worker"]
    doors.house.verify()


async def test_withdrawal_before_acknowledgement(doors: Doors) -> None:
    doors.house.webhooks.answers = {"push-0": detail(1)}
    case, check = await opened(doors)
    await reached(doors, case, "choosing")
    await done(doors, case, "choose", check=check, choices={"push-0-app": {"a0": "unbind"}})
    await delivered(doors, case)
    assert await done(doors, case, "withdraw", check=check) == {"case": case, "status": "withdrawn", "changed": True}
    item = item_of(doors.house, case, "push-0-app")
    late = await doors.say("push-0", f"/v1/work-items/{item.id}/acknowledge")
    assert late.json()["code"] in ("withdrawn", "case_closed"), "once all is withdrawn and told, the request closes"


async def test_a_card_dispute(doors: Doors) -> None:
    doors.house.webhooks.answers = {"carrier": detail(400)}
    case, check = await opened(doors, "carrier-cards")
    await reached(doors, case, "choosing")
    (claim,) = (await detail_of(doors, case, check)).json()["claims"]
    assert claim["accounts"][0]["own"] and claim["accounts"][0]["may"] == ["unbind", "cancel", "keep"]
    await done(doors, case, "choose", check=check, choices={"carrier-cards": {"a0": "cancel"}})
    await delivered(doors, case)
    item = item_of(doors.house, case, "carrier-cards")
    assert (await doors.answer("carrier", item.id, outcome="cancelled")).status_code == 200
    await reached(doors, case, "done")


async def test_a_clerk_reads_what_was_chosen_on_the_mailed_page(doors: Doors) -> None:
    case, check = await opened(doors, "mail-0-app")
    await eventually(lambda: "heard" in doors.house.events(case))
    (asked_,) = (await doors.http.get("/v1/questions", headers=doors.bearer("mail-0"))).json()["questions"]
    said = {"type": "detail", "accounts": {"mail-0-app": [{"ref": "a0", "label": LABEL}]}}
    assert (await doors.say("mail-0", f"/v1/questions/{asked_['id']}/answer", said)).status_code == 200
    await done(doors, case, "choose", check=check, choices={"mail-0-app": {"a0": "unbind"}})
    await delivered(doors, case)
    link = re.search(r"http://us(/m/\S+)", doors.house.mailer.mails[-1][2])
    assert link
    page = (await doors.http.get(link[1])).text
    assert "<code>a0</code> 解绑号码" in page and LABEL not in page


@pytest.mark.parametrize("kind", ["renewal", "dispute"])
async def test_paused_clock(doors: Doors, kind: str) -> None:
    """A case worker stops the clock of one work item, of whatever case, and lets it go on."""
    if kind == "renewal":
        case = await doors.running(apps=["push-0-app"])
        item = doors.house.item(case, "push-0")
    else:
        doors.house.webhooks.answers = {"push-0": detail(1)}
        case, check = await opened(doors)
        await reached(doors, case, "choosing")
        await done(doors, case, "choose", check=check, choices={"push-0-app": {"a0": "unbind"}})
        await delivered(doors, case)
        item = item_of(doors.house, case, "push-0-app")

    async def clock(what: str, who: str = "worker-chen", item_id: str = item.id, **body: Any) -> httpx.Response:
        return await doors.http.post(f"/v1/work-items/{item_id}/{what}", json=body, headers=doors.bearer(who))

    assert (await clock("pause", "push-0", reason=REASON)).status_code == 403
    assert (await clock("pause", item_id="W" + "9" * 20, reason=REASON)).status_code == 404
    assert (await clock("resume", item_id="W" + "9" * 20)).status_code == 404
    assert (await clock("pause")).status_code == 422
    assert (await clock("pause", reason=REASON)).json()["changed"]
    assert not (await clock("pause", reason=REASON)).json()["changed"]
    extended = await doors.say("push-0", f"/v1/work-items/{item.id}/extend", {"by": "P1D", "reason": "audit"})
    assert extended.json()["code"] == "extension_not_allowed"
    assert (await clock("resume")).json()["changed"]
    assert not (await clock("resume")).json()["changed"]
    after = item_of(doors.house, case, "push-0-app")
    assert after.paused_at is None and timedelta(0) < after.due_at - item.due_at < timedelta(minutes=5)
    assert after.due_at - after.remind_at == item.due_at - item.remind_at
    await doors.answer("push-0", item.id, outcome="unbound")
    answered = await clock("pause", reason=REASON)
    assert (answered.status_code, answered.json()["code"]) == (409, "clock_not_running")
    rows = doors.house.database.read_now(lambda c: c.exec_driver_sql("SELECT data FROM ledger").scalars().all())
    assert not any(REASON in row or NUMBER.national in row for row in rows)
    doors.house.verify()
