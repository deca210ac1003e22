"""Questions to the sandbox's parties: who tells what, when, through which door, and what must not work."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from domain.question import DeclineReason, Detail, OwnCheck, QuestionKind
from domain.registry import Channel, Enterprise
from domain.unbind import Action, ItemState
from sandbox.behaviour import (
    ACCOUNTS,
    BEHAVIOURS,
    CANCELLED,
    CARDS,
    KEPT,
    NOT_FOUND,
    UNBOUND,
    Reply,
    Since,
    Span,
    Telling,
    activation,
    chosen,
    expected_count,
    expected_query,
    expected_state,
    held,
)
from sandbox.observed import Mischief
from sandbox.world import World
from store import answers
from tests.sandbox.conftest import Begin
from tests.sandbox.stub_gateway import StubGateway, item_id, question_id, token
from tests.support import eventually

CARRIER = "sandbox-mobile"
CARDS_APP = "sandbox-mobile-cards"
COUNTS, DETAIL, EVIDENCE = QuestionKind.COUNTS, QuestionKind.DETAIL, QuestionKind.EVIDENCE
SOON = 0.5
"""When an answer is due that is to be late; others have a minute, since one process plays everybody here."""


def counts(gateway: StubGateway) -> dict[str, int]:
    """Every count the gateway knows."""
    known = [one.answer for one in gateway.questions.values() if one.kind is COUNTS and one.answer]
    return {app: count for answer in known for app, count in answer.counts.items()}


def answer_to(gateway: StubGateway, party: str, kind: QuestionKind) -> Any:
    return gateway.questions[question_id(party, kind)].answer


async def visit(link: str, method: str = "GET") -> int:
    async with httpx.AsyncClient(trust_env=False) as citizen:
        return (await citizen.request(method, link)).status_code


# ── how many ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_query_over_all_230_apps_brings_what_can_be_told_beforehand(begin: Begin) -> None:
    world, gateway = await begin()
    parties = world.registry.enterprises
    expected = expected_query({e.code: [app.code for app in e.apps] for e in parties}, token)
    assert len(expected.counts) + len(expected.unanswered) == 230
    assert expected.supplements and expected.silent, "some must be late and some silent for this to say anything"

    late = [world.registry.owner(app) for app in expected.supplements]
    await gateway.ask_all(late, COUNTS, SOON)
    await gateway.ask_all([party for party in parties if party not in late], COUNTS)
    await eventually(lambda: counts(gateway) == {**expected.counts, **expected.supplements}, limit=30)
    answered = [one for one in gateway.questions.values() if one.answered_at]
    assert {one.party for one in answered if one.answered_at > one.due_at} == {party.code for party in late}

    observed = world.observed
    await eventually(lambda: not [m for m in Mischief if not observed.mischief[m]], limit=30)
    assert observed.answered == {one.id: 1 for one in gateway.questions.values() if one.answer}
    assert (observed.bugs, observed.refused, observed.not_genuine) == ({}, {}, {})
    assert set(observed.mischief[Mischief.FORGED]) == {401}
    assert set(observed.mischief[Mischief.REPLAYED]) == {409}
    assert set(observed.mischief[Mischief.DOUBLED]) == {200}
    assert set(observed.mischief[Mischief.MEDDLED]) == {404}


async def test_who_answers_at_once_says_the_same_whenever_it_is_asked(begin: Begin) -> None:
    world, gateway = await begin("tencent")
    party = world.registry.enterprise("tencent")
    id_ = await gateway.ask(party, COUNTS)
    assert counts(gateway) == {app: expected_count(app, token("tencent")) for app in ("wechat", "qq")}
    assert await gateway.ask_again(party, id_) == 1
    assert (world.observed.asked, world.observed.answered) == ({id_: 2}, {id_: 2})
    assert len(gateway.said[id_]) == 1


async def test_who_answers_later_does_so_once_however_often_it_is_asked(begin: Begin) -> None:
    world, gateway = await begin("slow-01")
    party = world.registry.enterprise("slow-01")
    id_ = await gateway.ask(party, COUNTS)
    assert await gateway.ask_again(party, id_) == 0
    await eventually(lambda: gateway.questions[id_].answer)
    assert (world.observed.asked, world.observed.answered) == ({id_: 2}, {id_: 1})


async def test_an_answer_survives_a_gateway_that_restarts(begin: Begin) -> None:
    slow = replace(BEHAVIOURS["slow"], telling=Telling(Span(30, 30)))
    world, gateway = await begin("slow-01", behaviours={"slow-01": slow})
    id_ = await gateway.ask(world.registry.enterprise("slow-01"), COUNTS)
    await gateway.http.close()
    await eventually(lambda: world.observed.answered[id_])
    assert gateway.questions[id_].answer is None
    await gateway.restart()
    await eventually(lambda: gateway.questions[id_].answer)
    assert (world.observed.answered, world.observed.refused, world.observed.bugs) == ({id_: 1}, {}, {})


async def test_a_test_may_choose_when_somebody_answers(begin: Begin) -> None:
    late = replace(BEHAVIOURS["steady"], telling=Telling(Span(0, 0), Since.DUE))
    world, gateway = await begin("steady-004", behaviours={"steady-004": late})
    id_ = await gateway.ask(world.registry.enterprise("steady-004"), COUNTS, due_in=0.2)
    answered = await eventually(lambda: gateway.questions[id_].answered_at)
    assert answered >= gateway.questions[id_].due_at


# ── which ────────────────────────────────────────────────────────────────────────────────────────────


async def test_detail_fits_the_counts_and_shows_nothing_but_masks(begin: Begin) -> None:
    world, gateway = await begin("tencent", "alibaba", "bulk-01", "steady-006")
    parties = [e for e in world.registry.enterprises if e.channel is Channel.PUSH]
    await gateway.ask_all(parties, COUNTS)
    await gateway.ask_all(parties, DETAIL)
    told = [one.answer for one in gateway.questions.values() if isinstance(one.answer, Detail)]
    assert {app: len(found) for answer in told for app, found in answer.accounts.items()} == counts(gateway)
    assert sum(counts(gateway).values()) > 3
    begun = activation(datetime.now(UTC))
    accounts = [one for party in parties for one in _accounts(gateway, party)]
    assert len({one.ref for one in accounts}) == len(accounts)
    assert all(re.fullmatch(r"\w\*\*\w", one.label) for one in accounts)
    bound = [one.bound_at for one in accounts]
    assert min(bound) < begun < max(bound) < datetime.now(UTC)


def _accounts(gateway: StubGateway, party: Enterprise) -> list[answers.SaidAccount]:
    (said,) = gateway.said[question_id(party.code, DETAIL)]
    assert isinstance(said, answers.SaidDetail)
    return [one for found in said.accounts.values() for one in found]


@pytest.mark.parametrize(
    ("code", "reason"), [("refusing-01", DeclineReason.OUT_OF_SCOPE), ("exempt-01", DeclineReason.LEGAL_HOLD)]
)
@pytest.mark.parametrize("identity_checked", [True, False])
async def test_some_decline_detail_and_tell_the_rest(
    begin: Begin, code: str, reason: DeclineReason, identity_checked: bool
) -> None:
    world, gateway = await begin(code)
    party = world.registry.enterprise(code)
    for kind in QuestionKind:
        await gateway.ask(party, kind, identity_checked=identity_checked)
    await eventually(lambda: all(one.answer for one in gateway.questions.values()))
    types = {kind: answer_to(gateway, code, kind).type for kind in QuestionKind}
    assert types == {COUNTS: "counts", DETAIL: "declined", EVIDENCE: "evidence"}
    assert answer_to(gateway, code, DETAIL).reason is reason


@pytest.mark.parametrize("code", ["alipay", "steady-005"])
async def test_an_own_check_comes_first_where_ours_is_not_accepted(begin: Begin, code: str) -> None:
    world, gateway = await begin(code)
    party = world.registry.enterprise(code)
    assert not party.accepts_proof
    id_ = await gateway.ask(party, DETAIL, identity_checked=party.accepts_proof)
    await eventually(lambda: isinstance(gateway.questions[id_].answer, OwnCheck))
    link = gateway.links[id_]
    assert link.startswith(f"{world.url}/e/{code}/check/")
    assert await visit(link[:-1]) == 404
    assert await visit(link.replace(code, "nobody")) == 404
    assert isinstance(gateway.questions[id_].answer, OwnCheck), "a wrong link opens nothing"

    if party.channel is Channel.PUSH:
        await gateway.ask_again(party, id_)
        assert gateway.links[id_] == link, "asked again, the link is the same"
    assert world.observed.answered == {}
    assert await visit(link) == 200
    await eventually(lambda: isinstance(gateway.questions[id_].answer, Detail))
    assert await visit(link, "POST") == 200
    assert (world.observed.answered, world.observed.refused) == ({id_: 1}, {})


async def test_how_many_and_what_the_books_say_takes_no_own_check(begin: Begin) -> None:
    world, gateway = await begin("alipay")
    party = world.registry.enterprise("alipay")
    for kind in (COUNTS, EVIDENCE):
        await gateway.ask(party, kind, identity_checked=False)
    assert [one.answer and one.answer.type for one in gateway.questions.values()] == ["evidence", "counts"]
    (evidence,) = gateway.said[question_id("alipay", EVIDENCE)]
    assert isinstance(evidence, answers.SaidEvidence)
    assert evidence.attachments


# ── carriers, as owners of phone cards ───────────────────────────────────────────────────────────────


async def test_a_carrier_tells_of_its_cards_as_an_enterprise_of_its_accounts(begin: Begin) -> None:
    world, gateway = await begin("steady-004")
    cards = world.registry.owner(CARDS_APP)
    for kind in QuestionKind:
        await gateway.ask(cards, kind)
    found = expected_count(CARDS_APP, token(CARRIER))
    assert answer_to(gateway, CARRIER, COUNTS).counts == {CARDS_APP: found}
    assert len(answer_to(gateway, CARRIER, DETAIL).accounts[CARDS_APP]) == found
    labels = [one.label for one in _accounts(gateway, cards)]
    assert labels and all(re.fullmatch(r"1[3-9]\d\*{4}\d{4}", label) for label in labels)
    assert answer_to(gateway, CARRIER, EVIDENCE).type == "evidence"
    assert world.observed.messages == {CARRIER: 3}


async def test_a_carrier_works_on_its_cards_like_a_steady_enterprise(begin: Begin) -> None:
    world, gateway = await begin("steady-004")
    parties = [carrier.cards for carrier in world.registry.carriers]
    gateway.open(world.registry, 60, parties)
    for party in parties:
        await gateway.push(party.code)
        await gateway.push(party.code, "reminded")
    items = gateway.current.items
    await eventually(lambda: not [item for item in gateway.current.items.values() if item.outcome is None])
    assert {id_: item.state for id_, item in gateway.current.items.items()} == {
        id_: expected_state(item.enterprise, id_) for id_, item in items.items()
    }
    assert world.observed.effects == dict.fromkeys(items, 1)
    assert all(item.acknowledged_at for item in gateway.current.items.values())


async def test_a_carrier_takes_no_message_that_is_not_genuine(begin: Begin) -> None:
    world, _ = await begin("steady-004")
    async with httpx.AsyncClient(base_url=world.url, trust_env=False) as client:
        assert (await client.post(f"/c/{CARRIER}/hooks", content=b"{}")).status_code == 401
        assert (await client.post("/c/nobody/hooks", content=b"{}")).status_code == 404
    assert world.observed.not_genuine == {CARRIER: 1}


# ── choices per account ──────────────────────────────────────────────────────────────────────────────

UNBIND, CANCEL = Action.UNBIND, Action.CANCEL


@pytest.mark.parametrize(
    ("reply", "wanted", "state"),
    [
        (CANCELLED, [UNBIND, UNBIND], ItemState.UNBOUND),
        (UNBOUND, [UNBIND, CANCEL], ItemState.CANCELLED),
        (CANCELLED, [], ItemState.CANCELLED),
        (NOT_FOUND, [CANCEL], ItemState.NOT_FOUND),
    ],
)
async def test_an_account_is_cancelled_only_if_that_was_chosen(
    begin: Begin, reply: Reply, wanted: list[Action], state: ItemState
) -> None:
    world, gateway = await begin(
        "steady-004", behaviours={"steady-004": replace(BEHAVIOURS["steady"], replies=reply)}
    )
    (app,) = world.registry.app_codes
    (item,) = gateway.open(world.registry, 60, chosen={app: wanted}).items
    await gateway.push("steady-004")
    await eventually(lambda: gateway.current.items[item].state is state)
    assert world.observed.refused == {}


async def test_a_choice_holds_for_uploads_amendments_and_mailed_forms_too(begin: Begin) -> None:
    cancelling = {
        code: replace(BEHAVIOURS[code[:4]], replies=CANCELLED) for code in ("bulk-01", "mail-01", "mail-02")
    }
    world, gateway = await begin(*cancelling, "amending-01", behaviours=cancelling)
    wanted = {app: [UNBIND] for app in world.registry.app_codes}
    for code in ("amending-01", "mail-02"):
        wanted[world.registry.enterprise(code).apps[0].code] = [UNBIND, CANCEL]
    gateway.open(world.registry, 60, chosen=wanted)
    await gateway.deliver(world.mail.port)
    ends = {app: ItemState.CANCELLED if CANCEL in actions else ItemState.UNBOUND for app, actions in wanted.items()}
    await eventually(lambda: {i.app: i.state for i in gateway.current.items.values()} == ends)
    assert world.observed.refused == {}


def test_a_choice_changes_no_refusal() -> None:
    for reply in (NOT_FOUND, KEPT):
        assert chosen(reply, True) is chosen(reply, False) is chosen(reply, None) is reply
    assert expected_state("steady-01", item_id("qq"), cancels=True) in BEHAVIOURS["steady"].expected
    assert expected_state("amending-01", item_id("qq"), cancels=True) is ItemState.CANCELLED


# ── what parties know ────────────────────────────────────────────────────────────────────────────────


def test_a_count_follows_from_app_and_token() -> None:
    tokens = [f"{number:064x}" for number in range(2000)]
    found = Counter(expected_count("wechat", one) for one in tokens)
    assert set(found) == set(ACCOUNTS)
    assert sum(found[few] for few in range(4)) > 1900
    assert set(expected_count(CARDS_APP, one) for one in tokens) == set(CARDS) == set(range(5))
    assert [expected_count("qq", one) for one in tokens] != [expected_count("wechat", one) for one in tokens]


def test_accounts_follow_from_app_and_token() -> None:
    own = Counter[bool]()
    for number in range(500):
        accounts = held("wechat", f"{number:064x}")
        assert len(accounts) == expected_count("wechat", f"{number:064x}")
        assert accounts == held("wechat", f"{number:064x}")
        assert all(one.ref.isalpha() for one in accounts), "a handle never looks like a number"
        own.update(one.bound > timedelta() for one in accounts)
    assert own[True] > own[False] > 50


def test_every_contract_began_sixty_days_ago_at_ten_in_the_morning() -> None:
    begun = activation(datetime(2026, 11, 20, 23, 30, tzinfo=UTC))
    assert begun.isoformat() == "2026-09-22T10:00:00+08:00"
    assert begun == activation(datetime(2026, 11, 21, 15, 59, 59, tzinfo=UTC))


def test_a_query_s_silent_and_late_apps_are_told_apart() -> None:
    asked = {"steady-01": ["a"], "late-01": ["b"], "silent-01": ["c", "d"], "forging-01": ["e"], CARRIER: [CARDS_APP]}
    expected = expected_query(asked, token)
    assert expected.counts.keys() == {"a", CARDS_APP}
    assert expected.supplements == {"b": expected_count("b", token("late-01"))}
    assert expected.silent == {"c", "d", "e"}
    assert expected.unanswered == {"b", "c", "d", "e"}
    assert "c" in expected_query(asked, token, {"silent-01": BEHAVIOURS["steady"]}).counts


# ── recycled numbers ─────────────────────────────────────────────────────────────────────────────────


async def test_what_is_said_of_recycled_numbers_is_kept_and_shown(begin: Begin) -> None:
    world, gateway = await begin("steady-004", "steady-006")
    one, other = token("steady-004"), token("steady-004", "+8613900139000")
    await _announce(world, gateway, "numbers.recycled", [one, other])
    await _announce(world, gateway, "numbers.recycled", [one])
    await _announce(world, gateway, "numbers.reinstated", [one])
    async with httpx.AsyncClient(base_url=world.url, trust_env=False) as client:
        seen = (await client.get("/world/state")).json()
    assert seen["recycled"] == {"steady-004": {one: 2, other: 1}}
    assert seen["reinstated"] == {"steady-004": {one: 1}}
    assert seen["bugs"] == {}


async def _announce(world: World, gateway: StubGateway, kind: str, tokens: list[str]) -> None:
    party = world.registry.enterprise("steady-004")
    await gateway.say(party.code, party.endpoint, kind, {"numbers": [{"token": one} for one in tokens]})
