"""The registry file: what it says, and that every mistake names its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain import registry as registries
from domain.refusal import Refusal, RefusalCode
from domain.registry import Channel, NumberForm, Registry, RegistryError
from domain.sla import DayKind
from tests.strategies import DAY

PRODUCT = Path(registries.__file__).with_name("registry.toml")

SMALL = """
version = "1"
[[carriers]]
code = "carrier"
name = "运营商"
[[enterprises]]
code = "alpha"
name = "甲"
apps = [{ code = "a-one", name = "一" }, { code = "a-two", name = "二" }]
[[enterprises]]
code = "beta"
name = "乙"
apps = [{ code = "b-one", name = "三" }]
"""


def refused(text: str, **variables: str) -> str:
    """What loading says about a file that does not fit."""
    with pytest.raises(RegistryError) as raised:
        registries.load(text, variables)
    return str(raised.value)


def test_the_products_registry_is_the_services_first_edition() -> None:
    """domain.md: 8 enterprises, 11 apps, 4 carriers."""
    registry = registries.load(PRODUCT.read_text())
    assert len(registry.enterprises) == 8
    assert len(registry.app_codes) == 11
    assert {carrier.code for carrier in registry.carriers} == {
        "china-mobile",
        "china-telecom",
        "china-unicom",
        "china-broadnet",
    }


def test_codes_find_what_they_name() -> None:
    registry = registries.load(SMALL)
    assert registry.enterprise("beta").name == "乙"
    assert registry.owner("a-two").code == "alpha"
    assert registry.app("b-one").name == "三"
    assert registry.carrier("carrier").name == "运营商"
    assert registry.app_codes == ("a-one", "a-two", "b-one")
    for unknown in (registry.enterprise, registry.owner, registry.app, registry.carrier):
        with pytest.raises(KeyError):
            unknown("nobody")


def test_defaults_collect_the_minimum() -> None:
    enterprise = registries.load(SMALL).enterprise("alpha")
    assert enterprise.channel is Channel.PULL
    assert enterprise.number_form is NumberForm.TOKEN
    assert (enterprise.sla.days, enterprise.sla.answer_within) == (DayKind.WORKING, 5 * DAY)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('code = "beta"', 'code = "alpha"', "enterprise code 'alpha' stands twice"),
        ('code = "b-one"', 'code = "a-one"', "app code 'a-one' stands twice"),
        ('code = "a-two"', 'code = "a-one"', "app code 'a-one' stands twice"),
        ('[[carriers]]', '[[carriers]]\ncode = "carrier"\nname = "x"\n[[carriers]]', "carrier code 'carrier' stands twice"),
    ],
)  # fmt: skip
def test_a_code_that_stands_twice(old: str, new: str, said: str) -> None:
    assert said in refused(SMALL.replace(old, new))


@pytest.mark.parametrize(
    ("line", "place", "said"),
    [
        ('channel = "push"', "enterprises.1", "channel push needs endpoint"),
        ('channel = "mail"', "enterprises.1", "channel mail needs mail"),
        ('channel = "push"\nendpoint = ""', "enterprises.1", "channel push needs endpoint"),
        ('channel = "pigeon"', "enterprises.1.channel", "push"),
        ('hotlin = "12345"', "enterprises.1.hotlin", "not permitted"),
        ('retry_first = "PT0S"', "enterprises.1.retry_first", "greater than"),
        ('sla = { answer_within = "PT36H" }', "enterprises.1.sla", "whole days"),
        ('sla = { days = "lunar" }', "enterprises.1.sla.days", "working"),
        ('number_form = "name"', "enterprises.1.number_form", "masked"),
    ],
)
def test_a_mistake_names_its_place(line: str, place: str, said: str) -> None:
    error = refused(SMALL.replace('name = "乙"', f'name = "乙"\n{line}'))
    assert error.startswith(f"registry, {place}: ")
    assert said in error


def test_a_category_has_to_exist() -> None:
    shop = '[[categories]]\ncode = "shopping"\nname = "购物"\n'
    text = SMALL.replace('name = "三" }', 'name = "三", category = "shopping" }')
    assert registries.load(text + shop).app("b-one").category == "shopping"
    assert registries.load(text + shop).app("a-one").category == ""
    assert "app 'b-one' has the category 'shopping', which does not exist: add it" in refused(text)


def test_an_enterprise_without_apps_and_a_code_in_capitals() -> None:
    assert "registry, enterprises.1.apps: " in refused(SMALL.replace('[{ code = "b-one", name = "三" }]', "[]"))
    assert "registry, enterprises.1.code: " in refused(SMALL.replace('code = "beta"', 'code = "Beta"'))
    assert "registry, version: " in refused(SMALL.replace('version = "1"', ""))


def test_broken_toml_names_the_line() -> None:
    assert "line 4" in refused(SMALL.replace('code = "carrier"', "code = "))


def test_variables() -> None:
    text = SMALL.replace('name = "乙"', 'name = "乙"\nchannel = "push"\nendpoint = "${BETA_URL}/hook"')
    assert registries.load(text, {"BETA_URL": "http://b"}).enterprise("beta").endpoint == "http://b/hook"
    assert refused(text, BETA_URL="") == "the registry uses ${BETA_URL}, which is not set: set JIEBANG_BETA_URL"
    error = refused(text, OTHER="x")
    assert error == "the registry uses ${BETA_URL}, which does not exist: write the value itself, or use ${OTHER}"
    assert refused(text).endswith("which does not exist: write the value itself")


def test_a_carrier_takes_part_with_both_addresses() -> None:
    def carrier(*lines: str) -> bool:
        text = SMALL.replace('name = "运营商"', "\n".join(('name = "运营商"', *lines)))
        return registries.load(text).carrier("carrier").takes_part

    assert carrier('endpoint = "http://c"', 'results = "http://c/results"')
    assert not carrier()
    assert not carrier('endpoint = "http://c"')
    assert not carrier('results = "http://c/results"')


@pytest.fixture(scope="module")
def small() -> Registry:
    return registries.load(SMALL)


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        (None, ("a-one", "a-two", "b-one")),
        (["b-one", "a-one", "b-one"], ("a-one", "b-one")),
        (["a-two"], ("a-two",)),
        ([], ()),
    ],
)
def test_select(small: Registry, wanted: list[str] | None, chosen: tuple[str, ...]) -> None:
    assert small.select(wanted) == chosen


def test_select_names_unknown_apps(small: Registry) -> None:
    refusal = small.select(["a-one", *(f"x-{n}" for n in range(7))])
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.field) == (RefusalCode.UNKNOWN_APP, "apps")
    assert refusal.sentence == "No app is registered as x-0, x-1, x-2, x-3, x-4 and 2 more."
    assert refusal.remedy
