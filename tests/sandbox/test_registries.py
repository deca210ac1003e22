"""Both registries load, hold what domain.md says, and the sandbox knows how everybody in its own behaves."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from domain.registry import Channel, Registry, RegistryError, load
from domain.sla import DayKind
from domain.unbind import REASONS, ItemState
from sandbox.behaviour import BEHAVIOURS, MIXED, REAL, Reply, behaviour_of, expected_state
from sandbox.world import REGISTRY

HOUSE = Path(__file__).resolve().parents[2]
FIRST_APPS = [
    "wechat",
    "qq",
    "taobao",
    "xianyu",
    "dingtalk",
    "alipay",
    "baidu",
    "kuaishou",
    "douyin",
    "jd",
    "meituan",
]


@pytest.fixture(scope="module")
def real() -> Registry:
    return load((HOUSE / "domain" / "registry.toml").read_text())


@pytest.fixture(scope="module")
def sandbox() -> Registry:
    return load(REGISTRY.read_text(), {"SANDBOX_URL": "http://127.0.0.1:9"})


def test_the_real_registry_holds_the_first_apps_and_the_four_carriers(real: Registry) -> None:
    assert len(real.enterprises) == 8
    assert list(real.app_codes) == FIRST_APPS
    assert [carrier.hotline for carrier in real.carriers] == ["10086", "10000", "10010", "10099"]
    for enterprise in real.enterprises:
        assert enterprise.channel is Channel.PULL
        assert (enterprise.sla.days, enterprise.sla.answer_within) == (DayKind.WORKING, timedelta(days=5))


def test_the_sandbox_registry_has_230_apps_and_every_channel(real: Registry, sandbox: Registry) -> None:
    assert len(sandbox.app_codes) == 230
    assert sandbox.app_codes[:11] == real.app_codes
    names = Counter(sandbox.app(code).name for code in sandbox.app_codes)
    assert not [name for name, times in names.items() if times > 1]
    channels = Counter(enterprise.channel for enterprise in sandbox.enterprises)
    assert channels[Channel.PUSH] > channels[Channel.PULL] > channels[Channel.MAIL] >= 2
    assert [carrier.code for carrier in sandbox.carriers] == ["sandbox-mobile", "sandbox-telecom"]


def test_the_sandbox_registry_needs_to_know_where_the_sandbox_is() -> None:
    with pytest.raises(RegistryError, match="SANDBOX_URL"):
        load(REGISTRY.read_text())


def test_every_sandbox_enterprise_has_a_behaviour_and_every_behaviour_an_enterprise(sandbox: Registry) -> None:
    kinds = {REAL.get(e.code) or e.code.rpartition("-")[0] for e in sandbox.enterprises}
    assert kinds == set(BEHAVIOURS)
    for enterprise in sandbox.enterprises:
        behaviour = behaviour_of(enterprise.code)
        assert (enterprise.channel is Channel.MAIL) == (enterprise.code.startswith("mail-"))
        assert behaviour.trouble is None or enterprise.channel is Channel.PUSH, "only an endpoint can be in trouble"


def test_every_reply_has_a_reason_that_fits() -> None:
    for behaviour in BEHAVIOURS.values():
        replies = [behaviour.replies] if isinstance(behaviour.replies, Reply) else list(behaviour.replies or ())
        for reply in [*replies, *filter(None, [behaviour.amendment])]:
            assert reply.reason in (REASONS[reply.outcome] or {None})


@pytest.mark.parametrize("kind", BEHAVIOURS)
def test_the_state_a_work_item_ends_in_can_be_told_beforehand(kind: str) -> None:
    states = Counter(expected_state(f"{kind}-01", f"W{number:020}") for number in range(2000))
    assert set(states) == BEHAVIOURS[kind].expected
    if BEHAVIOURS[kind].replies is MIXED:
        assert states[ItemState.UNBOUND] == pytest.approx(1400, rel=0.1)


def test_an_enterprise_of_no_known_kind_is_steady() -> None:
    assert behaviour_of("example-reader") is BEHAVIOURS["steady"]
