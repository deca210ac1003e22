"""What we sent, sent again, and the keys it is signed with — at a partner's real endpoint with a third-party verifier."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from limits import parse
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from temporalio.service import RPCError, RPCStatusCode

from adapters.webhooks import HttpWebhooks, PartnerHttp
from gateway.limits import RATES, Window
from gateway.problems import ProblemError
from gateway.signing_keys import MOST_KEYS, ended, rotated
from store import sent, signing, trail
from store.database import Database
from store.keys import KeyRing
from store.sent import Wanted
from tests.gateway.conftest import Doors
from tests.house import CARRIER
from tests.serving import serving
from tests.support import eventually

DAY = timedelta(days=1)
NOW = datetime(2026, 11, 20, 8, tzinfo=UTC)


@dataclass
class Endpoint:
    """Every partner's endpoint, as one server: what came, as it came, and what is answered; by the sender's keys."""

    keys: signing.SigningKeys
    status: int = 200
    came: list[tuple[bytes, dict[str, str]]] = field(default_factory=list)

    async def take(self, request: Request) -> Response:
        self.came.append((await request.body(), dict(request.headers)))
        return Response(status_code=self.status)

    def times(self, message_id: str) -> int:
        """How often a message came."""
        return sum(headers["webhook-id"] == message_id for _, headers in self.came)

    def verified(self, secret: str, message_id: str) -> Any:
        """What a message said the last time, for who has this secret."""
        (*_, last) = [came for came in self.came if came[1]["webhook-id"] == message_id]
        return Webhook(secret).verify(*last)


@dataclass(frozen=True)
class Led:
    """Signs and sends as the worker does, wherever the registry says a partner is to that one server."""

    webhooks: HttpWebhooks
    url: str

    async def post(self, partner: str, url: str, message_id: str, body: Mapping[str, Any]) -> None:
        await self.webhooks.post(partner, self.url, message_id, body)

    async def ask(self, partner: str, url: str, message_id: str, body: Mapping[str, Any]) -> bytes:
        return await self.webhooks.ask(partner, self.url, message_id, body)


@asynccontextmanager
async def partners(doors: Doors) -> AsyncIterator[Endpoint]:
    """A worker whose messages really leave the house."""
    keys = signing.SigningKeys(doors.house.database, doors.house.keys)
    endpoint, app = Endpoint(keys), FastAPI()
    app.add_api_route("/hooks", endpoint.take, methods=["POST"], response_model=None)
    http = PartnerHttp(keys)
    try:
        async with serving(app) as url:
            doors.house.webhooks = Led(HttpWebhooks(http), f"{url}/hooks")  # type: ignore[assignment]
            async with doors.house.working():
                yield endpoint
    finally:
        await http.close()


async def ask(doors: Doors, code: str, method: str, path: str, **how: Any) -> httpx.Response:
    return await doors.http.request(method, path, headers=doors.bearer(code), **how)


async def listed(doors: Doors, code: str, **query: Any) -> dict[str, Any]:
    answer = await ask(doors, code, "GET", "/v1/webhooks", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_what_was_missed_comes_again(idle: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    doors = idle
    async with partners(doors) as endpoint:
        endpoint.status = 503
        apps = ["push-0-app", "push-1-app"]
        case = (await doors.submit(apps=apps)).json()["case"]
        await eventually(lambda: len(logged(doors, "push-0")) == len(logged(doors, "push-1")) == 1)
        page = await listed(doors, "push-0", taken=False, type="work_items.requested")
        (missed,) = page["messages"]
        item, message_id = doors.house.item(case, "push-0").id, missed["message_id"]
        assert (missed["taken"], missed["tries"], missed["failure"]) == (False, 1, "http_503")
        assert missed["work_items"] == [item] and page["next"] is None and "." in message_id
        assert case not in json.dumps(page) and "13800138000" not in json.dumps(page)

        for code, path in (("push-1", f"/v1/webhooks/{message_id}/replay"), ("push-0", "/v1/webhooks/none/replay")):
            foreign = await ask(doors, code, "POST", path)
            assert (foreign.status_code, foreign.json()["code"]) == (404, "unknown_message")

        endpoint.status = 204
        began = datetime.now(UTC)
        one = await ask(doors, "push-0", "POST", f"/v1/webhooks/{message_id}/replay")
        assert (one.status_code, one.json()) == (202, {"messages": 1})
        await eventually(lambda: logged(doors, "push-0") == {message_id: (True, "")})
        said = endpoint.verified(doors.issued["push-0"].secret, message_id)
        assert said["type"] == "work_items.requested" and said["data"]["work_items"][0]["id"] == item
        (*_, headers) = [headers for _, headers in endpoint.came if headers["webhook-id"] == message_id]
        assert headers["webhook-id"] == message_id and int(headers["webhook-timestamp"]) >= int(began.timestamp())
        assert (await listed(doors, "push-0", taken=False))["messages"] == []

        since = {"since": (began - DAY).isoformat()}
        many = await ask(doors, "push-1", "POST", "/v1/webhooks/replay", json=since)
        assert (many.status_code, many.json()) == (202, {"messages": 1})
        await eventually(lambda: list(logged(doors, "push-1").values()) == [(True, "")])
        for body, count in ((since, 0), ({**since, "only_missed": False}, 1)):
            again = await ask(doors, "push-1", "POST", "/v1/webhooks/replay", json=body)
            assert (again.status_code, again.json()) == (202, {"messages": count})
        (other,) = logged(doors, "push-1")
        await eventually(lambda: endpoint.times(other) == 3)

        await doors.answer("push-0", item, outcome="unbound")
        await doors.answer("push-1", doors.house.item(case, "push-1").id, outcome="unbound")
        await eventually(lambda: logged(doors, CARRIER))
        (result,) = (await listed(doors, CARRIER))["messages"]
        assert (result["type"], result["renewal"], result["taken"]) == ("renewal.result", case, True)
        assert endpoint.verified(doors.issued[CARRIER].secret, result["message_id"])["data"]["case"] == case

        pages = [await listed(doors, "push-0", limit=1)]
        assert pages[0]["next"] and not (await listed(doors, "push-0", after=pages[0]["next"]))["messages"]
        stolen = await ask(doors, "push-1", "GET", "/v1/webhooks", params={"after": pages[0]["next"]})
        assert (stolen.status_code, stolen.json()["field"]) == (422, "after")
        refused = await ask(doors, "mini-program", "GET", "/v1/webhooks")
        assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")

        beyond = {"since": "0001-01-01T00:00:00+14:00"}
        for bad in (
            await ask(doors, "push-0", "GET", "/v1/webhooks", params=beyond),
            await ask(doors, "push-0", "POST", "/v1/webhooks/replay", json=beyond),
        ):
            assert (bad.status_code, bad.json()["field"]) == (422, "since")

        monkeypatch.setattr(sent, "MOST_AGAIN", 0)
        monkeypatch.setattr("gateway.webhooks.MOST_AGAIN", 0)
        much = await ask(doors, "push-0", "POST", "/v1/webhooks/replay", json={**since, "only_missed": False})
        assert (much.status_code, much.json()["code"]) == (422, "too_many_messages")

        async def away(*_: object, **__: object) -> None:
            raise RPCError("down", RPCStatusCode.UNAVAILABLE, b"")

        monkeypatch.setitem(RATES, Window.REPLAYS, parse("1/minute"))
        often = [await ask(doors, "push-1", "POST", "/v1/webhooks/replay", json=since) for _ in range(2)]
        assert [one.status_code for one in often] == [202, 429] and often[1].headers["retry-after"]
        monkeypatch.undo()
        monkeypatch.setattr(doors.house.client, "start_workflow", away)
        busy = await ask(doors, "push-0", "POST", f"/v1/webhooks/{message_id}/replay")
        assert (busy.status_code, busy.json()["code"], busy.headers["retry-after"]) == (503, "engine_busy", "2")
        assert [one["replaying"] for one in (await listed(doors, "push-0"))["messages"]] == [False]


def logged(doors: Doors, code: str) -> dict[str, tuple[bool, str]]:
    rows = doors.house.database.read_now(lambda c: sent.page(c, Wanted(code), None, 50))
    return {row.message_id: (row.taken, row.failure) for row in rows}


async def test_keys_overlap_both_ways(idle: Doors) -> None:
    doors, code = idle, "push-0"
    old = doors.issued[code].secret
    async with partners(doors) as endpoint:
        first = (await ask(doors, code, "GET", "/v1/signing-keys")).json()["keys"]
        assert [set(one) for one in first] == [{"key_id", "created_at", "ends_at"}] and first[0]["ends_at"] is None
        last = await ask(doors, code, "DELETE", f"/v1/signing-keys/{first[0]['key_id']}")
        assert (last.status_code, last.json()["code"]) == (409, "last_key")

        made = await ask(doors, code, "POST", "/v1/signing-keys", json={"overlap": "P7D"})
        assert made.status_code == 201 and made.headers["cache-control"] == "no-store"
        new = made.json()["secret"]
        keys = (await ask(doors, code, "GET", "/v1/signing-keys")).json()["keys"]
        assert [one["key_id"] for one in keys] == [made.json()["key_id"], first[0]["key_id"]]
        ends = datetime.fromisoformat(keys[1]["ends_at"]) - datetime.now(UTC)
        assert keys[0]["ends_at"] is None and 6.9 * DAY < ends < 7.1 * DAY and new not in json.dumps(keys)

        case = (await doors.submit(apps=["push-0-app"])).json()["case"]
        await eventually(lambda: logged(doors, code))
        (message_id,) = logged(doors, code)
        assert endpoint.came[0][1]["webhook-signature"].count("v1,") == 2
        assert endpoint.verified(old, message_id) == endpoint.verified(new, message_id)
        item = doors.house.item(case, code).id
        for secret, path, body in (
            (old, "acknowledge", {}),
            (new, "answer", {"outcome": "not_found"}),
        ):
            doors.issued[code] = doors.issued[code].model_copy(update={"secret": secret})
            assert (await doors.say(code, f"/v1/work-items/{item}/{path}", body)).status_code == 200

        gone = await ask(doors, code, "DELETE", f"/v1/signing-keys/{first[0]['key_id']}")
        assert gone.status_code == 204
        endpoint.keys.forget(code)  # the worker learns of it by itself within seconds
        await ask(doors, code, "POST", f"/v1/webhooks/{message_id}/replay")
        await eventually(lambda: endpoint.times(message_id) == 2)
        assert endpoint.verified(new, message_id)
        with pytest.raises(WebhookVerificationError):
            endpoint.verified(old, message_id)
        amended = {"outcome": "unbound", "amends": 1}
        doors.issued[code] = doors.issued[code].model_copy(update={"secret": old})
        refused = await doors.say(code, f"/v1/work-items/{item}/answer", amended)
        assert (refused.status_code, refused.json()["code"]) == (401, "bad_signature")
        doors.issued[code] = doors.issued[code].model_copy(update={"secret": new})
        assert (await doors.say(code, f"/v1/work-items/{item}/answer", amended)).status_code == 200

        again = await ask(doors, code, "DELETE", f"/v1/signing-keys/{first[0]['key_id']}")
        foreign = await ask(doors, "push-1", "DELETE", f"/v1/signing-keys/{made.json()['key_id']}")
        assert again.json()["code"] == foreign.json()["code"] == "unknown_key"
        for overlap in ("P31D", "-P1D", "soon"):
            bad = await ask(doors, code, "POST", "/v1/signing-keys", json={"overlap": overlap})
            assert (bad.status_code, bad.json()["field"]) == (422, "overlap")
    noted = doors.house.database.read_now(lambda c: trail.page(c, trail.Wanted(actor=code), None, 9))
    assert [(one.action, one.about) for one in noted] == [
        ("key_ended", first[0]["key_id"]),
        ("key_rotated", made.json()["key_id"]),
    ]


def test_an_old_key_ends_with_its_overlap(database: Database, keys: KeyRing) -> None:
    def secrets(now: datetime) -> tuple[str, ...]:
        return database.read_now(lambda c: signing.secrets_of(c, keys, "push-0", now))

    old = database.write_now(lambda c: signing.issue(c, keys, "push-0", NOW))
    new = database.write_now(lambda c: rotated(c, keys, "push-0", NOW + DAY, 7 * DAY))
    assert secrets(NOW + 8 * DAY - timedelta(seconds=1)) == (new.secret, old.secret)
    assert secrets(NOW + 8 * DAY) == (new.secret,)
    with pytest.raises(ProblemError, match="last_key"):
        database.write_now(lambda c: ended(c, "push-0", new.key_id, NOW + 2 * DAY))
    assert secrets(NOW + 2 * DAY) == (new.secret, old.secret), "what ends soon is not enough to be left with"

    for _ in range(2, MOST_KEYS):
        database.write_now(lambda c: rotated(c, keys, "push-0", NOW + DAY, 7 * DAY))
    with pytest.raises(ProblemError, match="too_many_keys"):
        database.write_now(lambda c: rotated(c, keys, "push-0", NOW + DAY, 7 * DAY))
    at_once = database.write_now(lambda c: rotated(c, keys, "push-0", NOW + DAY, timedelta()))
    assert secrets(NOW + DAY) == (at_once.secret,)
