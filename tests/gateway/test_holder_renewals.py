"""A holder's own renewal through a channel: their proof opens one, their carrier is asked and told, nobody else sees it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from sqlalchemy import select

from domain.proof import Method, Proof
from domain.renewal import CheckMethod, RenewalStatus
from gateway import holder_renewals
from store.tables import submissions
from store.views import renewal_view
from tests.gateway.conftest import Doors
from tests.gateway.test_follow import my_case, said, token
from tests.gateway.test_queries import proven
from tests.house import CARRIER, DAY, TAIL, registry
from tests.support import eventually

CHANNEL, OTHER = "mini-program", "other-channel"
APPS = ["push-0-app", "pull-0-app"]


async def renew(doors: Doors, check: str, key: str = "", channel: str = CHANNEL, **body: Any) -> httpx.Response:
    """A holder's renewal."""
    doors.sent += 1
    headers = {**doors.bearer(channel), "idempotency-key": key or f"renewal-{doors.sent}"}
    return await doors.http.post("/v1/holder-renewals", json={"check": check, **body}, headers=headers)


async def check_for(doors: Doors, **how: Any) -> str:
    """A verified check for a renewal."""
    return await proven(doors, purpose="renewal", **how)


async def shown(doors: Doors, case: str, code: str) -> httpx.Response:
    return await doors.http.get(f"/v1/renewals/{case}", headers=doors.bearer(code))


async def listed(doors: Doors, code: str) -> list[str]:
    found = await doors.http.get("/v1/renewals", headers=doors.bearer(code))
    return [one["case"] for one in found.json()["cases"]]


async def test_a_holder_renews_and_their_carrier_is_told(doors: Doors) -> None:
    check = await check_for(doors)
    answer = await renew(doors, check, apps=APPS)
    assert answer.status_code == 202, answer.text
    case = answer.json()["case"]
    assert answer.json()["status_url"] == answer.headers["location"] == f"/v1/renewals/{case}"
    await eventually(lambda: "noticed" in doors.house.events(f"{case}-unbind-0"))

    view = doors.house.database.read_now(lambda c: renewal_view(c, case))
    assert view is not None
    state = view.state
    assert (state.carrier, state.identity.checked_by, state.identity.method) == (
        CARRIER,
        CHANNEL,
        CheckMethod.CODE_AND_ID_TAIL,
    )
    assert abs(state.activated_at - (datetime.now(UTC) - 60 * DAY)) < timedelta(minutes=1), "as the carrier says"
    assert state.apps == tuple(APPS)
    story = await doors.http.get(f"/v1/cases/{case}", headers=doors.bearer("worker-chen"))
    assert story.json()["lines"][0]["who"] == f"channel {CHANNEL}"

    for code in ("push-0", "pull-0"):
        assert (await doors.answer(code, doors.house.item(case, code).id, outcome="unbound")).status_code == 200
    await eventually(lambda: doors.house.status(case) is RenewalStatus.SUMMARY_SENT)
    await eventually(lambda: "renewal.result" in doors.house.webhooks.told(CARRIER))
    assert any("焕新" in text for text in doors.house.centre.texts)
    doors.house.verify()


async def test_who_sees_it(doors: Doors) -> None:
    case = (await renew(doors, await check_for(doors))).json()["case"]
    theirs = await doors.running(number="13900139000")
    for code in (CHANNEL, CARRIER):
        assert (await shown(doors, case, code)).json()["number"] == "138****8000"
    for code in (OTHER, "other-carrier"):
        assert said(await shown(doors, case, code)) == (404, "unknown_case")
    assert said(await shown(doors, theirs, CHANNEL)) == (404, "unknown_case"), "a carrier's own is not the channel's"
    assert await listed(doors, CHANNEL) == [case] and await listed(doors, CARRIER) == [theirs]
    assert await listed(doors, OTHER) == await listed(doors, "other-carrier") == []
    apps = await doors.http.get("/v1/apps", headers=doors.bearer(CHANNEL))
    assert [one["app"] for one in apps.json()] == list(doors.house.registry.app_codes)
    for wrong in (CARRIER, "push-0", "worker-chen"):
        assert said(await renew(doors, "K0123456789AB", channel=wrong)) == (403, "not_allowed")


async def test_the_holder_follows_and_withdraws(doors: Doors) -> None:
    case = (await renew(doors, await check_for(doors))).json()["case"]
    whose = await token(doors, case)
    seen = await my_case(doors, whose)
    assert (seen["kind"], seen["may_withdraw"], len(seen["apps"])) == ("renewal", True, 4)
    assert seen["happened"][0]["what"]["zh"] == "提交焕新"
    assert not (await my_case(doors, whose, "/withdraw"))["may_withdraw"]
    await eventually(lambda: "withdrawn" in doors.house.events(case))
    doors.house.verify()


async def test_a_key_gives_one_case(doors: Doors) -> None:
    check = await check_for(doors)
    answers = await asyncio.gather(*(renew(doors, check, "same") for _ in range(8)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["case"] for answer in answers}) == 1
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 7
    assert said(await renew(doors, check, "same", apps=APPS)) == (409, "idempotency_key_reused")
    of_carrier = await doors.submit("same", number="13900139000")
    assert of_carrier.status_code == 202, "a carrier's keys are its own"
    assert of_carrier.json()["case"] != answers[0].json()["case"]
    assert (await renew(doors, check, "same")).json() == answers[0].json()
    doors.house.verify()


async def test_a_proof_opens_one_renewal(doors: Doors) -> None:
    check = await check_for(doors)
    answers = await asyncio.gather(*(renew(doors, check) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [202, *[409] * 5]
    refused = {said(answer)[1] for answer in answers if answer.status_code == 409}
    assert refused <= {"proof_used", "renewal_running"}
    assert said(await renew(doors, check)) == (409, "proof_used")
    rows = doors.house.database.read_now(lambda c: c.execute(select(submissions)).all())
    assert len([row for row in rows if row.case_id.startswith("R")]) == 1
    doors.house.verify()


async def test_a_refusal_uses_nothing_up(doors: Doors) -> None:
    running = await doors.running()
    check = await check_for(doors)
    assert said(await renew(doors, check)) == (409, "renewal_running")
    assert said(await renew(doors, check, apps=["no-such-app"])) == (422, "unknown_app")
    assert said(await renew(doors, check, apps=[])) == (422, "no_apps")
    withdrawn = await doors.http.post(f"/v1/renewals/{running}/withdraw", headers=doors.bearer(CARRIER))
    assert withdrawn.status_code == 200
    await eventually(lambda: "withdrawn" in doors.house.events(running))
    assert (await renew(doors, check)).status_code == 202, "the proof was good all the time"


async def test_whose_proof_and_what_for(doors: Doors) -> None:
    assert said(await renew(doors, await proven(doors))) == (409, "wrong_purpose")
    number = "13900139000"
    check = await check_for(doors, number=number)
    assert said(await renew(doors, check, channel=OTHER)) == (404, "unknown_case")
    assert said(await renew(doors, "K0123456789AB")) == (404, "unknown_case")
    query = await doors.http.post(
        "/v1/queries", json={"check": check}, headers={**doors.bearer(CHANNEL), "idempotency-key": "q"}
    )
    assert said(query) == (409, "wrong_purpose")
    for body in ({"check": "13900139000"}, {"check": check, "number": number}, {}):
        refused = await doors.http.post(
            "/v1/holder-renewals", json=body, headers={**doors.bearer(CHANNEL), "idempotency-key": "x"}
        )
        assert said(refused) == (422, "malformed") and number not in refused.text
    begun = {"number": number, "id_tail": TAIL.value, "purpose": "renewal", "origin": "unfinished"}
    unfinished = await doors.http.post(
        "/v1/identity-checks", json=begun, headers={**doors.bearer(CHANNEL), "idempotency-key": "unfinished"}
    )
    assert said(await renew(doors, unfinished.json()["check"])) == (409, "not_verified")


def test_a_carrier_that_takes_no_part() -> None:
    whole = registry()
    quiet = whole.carrier(CARRIER).model_copy(update={"results": "", "hotline": "10086"})
    for carriers in ((quiet,), ()):
        refusal = holder_renewals._unfit(proof(), whole.model_copy(update={"carriers": carriers}))
        assert refusal is not None and refusal.code == "carrier_takes_no_part"
        assert ("10086" in refusal.remedy) is bool(carriers)
    assert holder_renewals._unfit(proof(), whole) is None


def test_one_enterprises_word_is_not_enough() -> None:
    refusal = holder_renewals._unfit(proof(Method.ENTERPRISE), registry())
    assert refusal is not None and refusal.code == "identity_not_proven"
    assert holder_renewals._unfit(proof(Method.COUNTER), registry()) is None


def proof(method: Method = Method.CODE_AND_ID_TAIL) -> Proof:
    """A proof by the carrier."""
    now = datetime.now(UTC)
    return Proof(check="K0123456789AB", method=method, carrier=CARRIER, activated_at=now - 60 * DAY, verified_at=now)
