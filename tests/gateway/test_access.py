"""Who may do what: every door, in every role, on what is their own and on what is somebody else's, as `docs/access.md` says."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_network

import httpx
import pytest

from domain.access import SCOPES, Role, Scope
from gateway import access_doc, tokens
from gateway.access_doc import ALL, ANYBODY, NEVER, OWN, Door
from gateway.app import bare
from gateway.limits import Limits
from store import clients
from tests.gateway.conftest import Doors
from tests.gateway.test_complaints import taken
from tests.gateway.test_disputes import opened
from tests.gateway.test_investigations import begun
from tests.gateway.test_numbers import report
from tests.gateway.test_queries import asked, proven
from tests.house import CARRIER
from tests.serving import serving

OWNERS = {
    Role.CHANNEL: ("mini-program", "other-channel"),
    Role.CARRIER: (CARRIER, "other-carrier"),
    Role.ENTERPRISE: ("push-0", "push-1"),
    Role.CASE_WORKER: ("worker-chen", "worker-lin"),
    Role.SUPERVISOR: ("supervisor-wu", "supervisor-wu"),
    Role.AUDITOR: ("auditor-qian", "auditor-qian"),
    Role.ADMINISTRATOR: ("admin-zhao", "admin-zhao"),
}
"""In each role somebody who has things, and somebody else."""

LISTS_FOR_ALL = {"/v1/apps", "/v1/clients", "/v1/audit-entries"}
"""What everybody who may see it sees in whole."""

ASKING = {"/v1/figures": "?from=2026-11-01&until=2026-12-01"}
"""What a list cannot be asked without."""

SPECIFICATION = bare().openapi()


async def belongings(doors: Doors) -> dict[str, str]:
    """One of everything, each belonging to the first owner of its role: by what its path parameter stands for."""
    renewal = await doors.running()
    (item, *_) = (await doors.listed("push-0"))["work_items"]
    query = await asked(doors, await proven(doors), target="accounts")
    dispute, check = await opened(doors)
    complaint = await taken(doors, about=renewal)
    number = (await report(doors, "activation", 400, number="13900139000")).json()["case"]
    questions = await doors.http.get("/v1/questions", headers=doors.bearer("pull-0"))
    investigation = await begun(doors, renewal)
    batch = await doors.http.post(
        "/v1/renewal-batches",
        content=json.dumps(doors.request(number="13700137000")),
        headers={**doors.bearer(CARRIER), "idempotency-key": "b", "content-type": "application/x-ndjson"},
    )
    assert questions.is_success and batch.is_success, batch.text
    client = doors.clients["mail-0"].client_id
    return {
        "renewals": renewal,
        "queries": query,
        "disputes": dispute,
        "complaints": complaint,
        "numbers": number,
        "investigations": investigation,
        "cases": renewal,
        "work-items": item["id"],
        "identity-checks": check,
        "questions": "E0123456789ABCDEFGHJK",
        "renewal-batches": batch.json()["batch"],
        "clients": client,
        "follows": check,
        "webhooks": f"{renewal}.result.1",
        "signing-keys": "wk000000000000",
    }


def example(door: Door) -> tuple[str, bytes]:
    """The media type and the body the OpenAPI shows for a door."""
    content = SPECIFICATION["paths"][door.path][door.method.lower()].get("requestBody", {}).get("content", {})
    for media, body in content.items():
        schema = body.get("schema", {})
        while "$ref" in schema:
            schema = SPECIFICATION["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        shown = [one["value"] for one in body.get("examples", {}).values()] or schema.get("examples") or [{}]
        first = body.get("example", shown[0])
        return media, first.encode() if isinstance(first, str) else json.dumps(first).encode()
    return "application/json", b"{}"


async def knock(doors: Doors, door: Door, who: Mapping[str, str], things: Mapping[str, str]) -> httpx.Response:
    """One request at a door, with its own example as the body."""
    what = door.path.split("/")[2] if door.path.startswith("/v1/") else ""
    path = door.path
    while "{" in path:
        path = path[: path.index("{")] + things[what] + path[path.index("}") + 1 :]
    path += ASKING.get(door.path, "")
    media, body = example(door)
    headers = {**who, "idempotency-key": f"k-{door.path}"}
    if door.method in ("GET", "DELETE"):
        return await doors.http.request(door.method, path, headers=headers)
    return await doors.http.request(
        door.method, path, content=body, headers={"content-type": media, "upload-offset": "0", **headers}
    )


def comes_as(doors: Doors, role: Role, code: str, door: Door) -> dict[str, str]:
    """A caller's headers; who signs, signs."""
    if role is Role.CITIZEN:
        client = doors.clients["mini-program"]
        access = tokens.Access(client.client_id, client.tenant, role, SCOPES[role], code)
        return {"authorization": f"Bearer {tokens.mint(doors.house.keys, access, datetime.now(UTC))}"}
    if door.scope in (Scope.WORK_ANSWER, Scope.CHECKS_ATTEST) and role in (Role.ENTERPRISE, Role.CARRIER):
        return doors.signed(code, example(door)[1])
    return doors.bearer(code)


async def test_every_door_in_every_role(doors: Doors) -> None:
    things = await belongings(doors)
    await doors.house.overview.count(doors.house.database)
    owners = {**OWNERS, Role.CITIZEN: (things["queries"], things["disputes"])}
    wrong: list[str] = []

    def expect(fine: bool, door: Door, who: str, answer: httpx.Response) -> None:
        if not fine:
            wrong.append(f"{door.method} {door.path} by {who}: {answer.status_code} {answer.text[:160]}")

    guarded = [door for door in access_doc.doors() if not door.open]
    for door in guarded:
        nobody = await knock(doors, door, {}, things)
        expect(nobody.status_code == 401, door, "nobody", nobody)
        for role in Role:
            _, other = owners[role]
            may = door.may(role)
            if may not in (NEVER, OWN):
                continue
            answer = await knock(doors, door, comes_as(doors, role, other, door), things)
            if may == NEVER:
                refused = answer.status_code == 403 and answer.json()["code"] == "not_allowed"
                expect(refused, door, role.value, answer)
            elif "{" in door.path:
                expect(answer.status_code in (404, 422), door, f"another {role.value}", answer)
            elif door.path not in LISTS_FOR_ALL and door.method == "GET":
                seen = [thing for thing in {*things.values()} - {other} if thing in answer.text]
                expect(answer.is_success and not seen, door, f"another {role.value}", answer)
    for door in guarded:
        for role, (owner, _) in owners.items():
            if (may := door.may(role)) in (OWN, ALL, ANYBODY):
                answer = await knock(doors, door, comes_as(doors, role, owner, door), things)
                let_in = answer.status_code != 401 and "needs the scope" not in answer.text
                expect(let_in and answer.status_code < 500, door, f"{may} {owner}", answer)
    assert not wrong, "\n".join(wrong)


async def test_a_token_is_good_for_its_scopes_until_it_ends_or_its_client_does(idle: Doors) -> None:
    async def status(token: str) -> tuple[int, str]:
        answer = await idle.http.get("/v1/renewals", headers={"authorization": f"Bearer {token}"})
        return answer.status_code, answer.json().get("code", "")

    async def token(code: str = CARRIER, **words: str) -> httpx.Response:
        issued = idle.issued[code]
        asked = {"grant_type": "client_credentials", **words}
        return await idle.http.post("/oauth/token", data=asked, auth=(issued.client_id, issued.client_secret))

    whole, less = (await token()).json(), (await token(scope="renewals:write")).json()
    assert (whole["token_type"], whole["expires_in"], less["scope"]) == ("Bearer", 600, "renewals:write")
    assert await status(whole["access_token"]) == (200, "")
    assert await status(less["access_token"]) == (403, "not_allowed")
    beyond = await token(scope="desk:read")
    assert (beyond.status_code, beyond.json()["code"]) == (400, "invalid_scope")
    issued = idle.issued[CARRIER]
    in_the_body = {"grant_type": "client_credentials", "client_id": issued.client_id}
    assert (
        await idle.http.post("/oauth/token", data=in_the_body | {"client_secret": issued.client_secret})
    ).is_success
    for wrong in ({"client_secret": "x"}, {"client_id": "nobody"}, {}):
        refused = await idle.http.post("/oauth/token", data=in_the_body | wrong)
        assert (refused.status_code, refused.json()["code"]) == (401, "invalid_client")

    client, now, keys = idle.clients[CARRIER], datetime.now(UTC), idle.house.keys
    access = tokens.Access(client.client_id, client.tenant, client.role, client.scopes)
    for bad in (
        tokens.mint(keys, access, now - timedelta(minutes=11)),
        tokens.mint(keys, access, now + timedelta(minutes=1)),
        tokens.mint(type(keys).new(), access, now),
        whole["access_token"][:-2],
        "nonsense",
    ):
        assert (await status(bad))[0] == 401
    more = tokens.Access(client.client_id, client.tenant, client.role, frozenset(Scope))
    greedy = await idle.http.get("/v1/queues", headers={"authorization": f"Bearer {tokens.mint(keys, more, now)}"})
    assert greedy.status_code == 403, "a token never gives more than its client has now"

    revoked = await idle.http.post(f"/v1/clients/{client.client_id}/revoke", headers=idle.bearer("admin-zhao"))
    again = await idle.http.post(f"/v1/clients/{client.client_id}/revoke", headers=idle.bearer("admin-zhao"))
    assert revoked.json()["revoked_at"] and again.json() == revoked.json()
    assert (await token()).status_code == 401
    async with asyncio.timeout(10):
        while (await status(whole["access_token"]))[0] != 401:
            await asyncio.sleep(0.1)


async def test_a_client_that_needs_its_certificate(idle: Doors) -> None:
    certificate, other = b"DER of a client certificate", b"DER of another"

    def header(der: bytes) -> dict[str, str]:
        return {"client-cert": f":{b64encode(der).decode()}:"}

    thumb = sha256(certificate).hexdigest()
    bound = idle.house.database.write_now(
        lambda c: clients.issue(c, CARRIER, Role.CARRIER, datetime.now(UTC), certificate=thumb)
    )
    asked = {"grant_type": "client_credentials"}
    auth = (bound.client_id, bound.client_secret)
    for shown in ({}, header(other), {"client-cert": "rubbish"}, header(certificate)):
        answer = await idle.http.post("/oauth/token", data=asked, auth=auth, headers=shown)
        assert (answer.status_code, answer.json()["code"]) == (401, "certificate_needed"), "no proxy is trusted here"

    trusting = replace(idle.house.services, limits=Limits(proxies=[ip_network("127.0.0.0/8")]))
    application = bare()
    application.state.services = trusting
    async with serving(application) as url, httpx.AsyncClient(base_url=url, trust_env=False) as behind:
        for shown, status in (({}, 401), (header(other), 401), (header(certificate), 200)):
            answer = await behind.post("/oauth/token", data=asked, auth=auth, headers=shown)
            assert answer.status_code == status
        token = {"authorization": f"Bearer {answer.json()['access_token']}"}
        assert (await behind.get("/v1/renewals", headers={**token, **header(certificate)})).status_code == 200
        assert (await behind.get("/v1/renewals", headers=token)).json()["code"] == "certificate_needed"


def test_the_document_is_current() -> None:
    assert access_doc.FILE.read_text() == access_doc.document(), "run `python -m gateway.access_doc`"


@pytest.mark.parametrize("role", list(Role))
def test_every_scope_of_a_role_opens_a_door(role: Role) -> None:
    asked_for = {door.scope for door in access_doc.doors()}
    assert asked_for >= SCOPES[role], "a scope nobody asks for"
