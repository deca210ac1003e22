"""The registry: which enterprises exist, which apps are theirs, how they are reached and how long they have.

Data, not code: a TOML file (`domain/registry.toml`; the sandbox has its own). `docs/add-an-enterprise.md`
walks through adding one. `${NAME}` in a value is replaced from the variables given, so that addresses
that differ by installation stay out of the file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Self, TypeVar

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from domain.case import AppCode, CarrierCode, EnterpriseCode, Model
from domain.refusal import Refusal, RefusalCode
from domain.sla import SlaPolicy


class RegistryError(ValueError):
    """The registry file does not fit: the sentence names the place and the remedy."""


class Channel(StrEnum):
    """How an enterprise gets its work items."""

    PUSH = "push"
    PULL = "pull"
    MAIL = "mail"


class NumberForm(StrEnum):
    """In which form an enterprise may see the number; the keyed token always comes with it."""

    TOKEN = "token"  # noqa: S105 - a form's name, not a secret
    MASKED = "masked"
    FULL = "full"
    FULL_WITH_ID_TAIL = "full_with_id_tail"
    """For carriers only: it is their own contract that is asked about."""


class Category(Model):
    """What an app is for, so that people find theirs among hundreds."""

    code: AppCode
    name: str
    name_en: str = ""


class App(Model):
    """One app of an enterprise. `category` is a category's code; one without is among the others."""

    code: AppCode
    name: str
    name_en: str = ""
    category: str = ""


class Enterprise(Model):
    """One enterprise: its apps, its channel, its clock, its hotline (empty where the sources name none)."""

    code: EnterpriseCode
    name: str
    name_en: str = ""
    hotline: str = ""
    channel: Channel = Channel.PULL
    endpoint: str = ""
    mail: str = ""
    number_form: NumberForm = NumberForm.TOKEN
    queries: bool = True
    """Whether it takes part in the account query; the first edition began with 11 apps (S0–S2)."""
    accepts_proof: bool = True
    """Whether our identity check is enough for it to give detail; otherwise it sends the citizen through its own."""
    sla: SlaPolicy = SlaPolicy()
    retry_first: timedelta = Field(default=timedelta(seconds=30), gt=timedelta(0))
    retry_at_most: timedelta = Field(default=timedelta(hours=1), gt=timedelta(0))
    apps: tuple[App, ...] = Field(min_length=1)

    @property
    def has_cards(self) -> bool:
        """Whether it is a carrier, asked about the phone cards under an ID."""
        return self.number_form is NumberForm.FULL_WITH_ID_TAIL

    @model_validator(mode="after")
    def _channel_has_an_address(self) -> Self:
        address = {Channel.PUSH: ("endpoint", self.endpoint), Channel.MAIL: ("mail", self.mail)}
        name, value = address.get(self.channel, ("", "none"))
        if not value:
            raise ValueError(f"channel {self.channel.value} needs {name}")
        return self


class Carrier(Model):
    """One carrier: where its number registry and its result webhook are."""

    code: CarrierCode
    name: str
    name_en: str = ""
    hotline: str = ""
    endpoint: str = ""
    results: str = ""
    sla: SlaPolicy = SlaPolicy()

    @property
    def takes_part(self) -> bool:
        """Whether it can be asked and told; without both addresses it cannot hand renewals over."""
        return bool(self.endpoint and self.results)

    @property
    def cards(self) -> Enterprise:
        """The carrier as a party that is asked about phone cards: its cards are its one app."""
        return Enterprise(
            code=self.code,
            name=self.name,
            name_en=self.name_en,
            hotline=self.hotline,
            channel=Channel.PUSH,
            endpoint=f"{self.endpoint}/hooks",
            number_form=NumberForm.FULL_WITH_ID_TAIL,
            sla=self.sla,
            apps=(
                App(
                    code=cards_of(self.code), name=f"{self.name}电话卡", name_en=f"{self.name_en or self.name} cards"
                ),
            ),
        )


def cards_of(carrier: str) -> str:
    """The app code a carrier's phone cards go by."""
    return f"{carrier[:34]}-cards"


class RenewalPolicy(Model):
    """The renewal's own clocks: when to ask a carrier again that does not know yet, how long answers may change."""

    ask_again: timedelta = timedelta(hours=6)
    give_up_after: timedelta = timedelta(days=30)
    late_window: timedelta = timedelta(days=30)
    identity_valid: timedelta = timedelta(days=1)


class IdentityPolicy(Model):
    """The identity check's clocks and limits (domain.md, 'code' and 'after a failed query')."""

    code_valid: timedelta = Field(default=timedelta(minutes=5), gt=timedelta(0))
    tries: int = Field(default=5, ge=1)
    send_again_after: timedelta = timedelta(seconds=60)
    sends: int = Field(default=3, ge=1, le=9)
    attest_within: timedelta = timedelta(days=1)
    confirm_within: timedelta = timedelta(minutes=5)
    opens_within: timedelta = timedelta(minutes=10)
    follows_within: timedelta = timedelta(minutes=30)
    cool_down: timedelta = timedelta(hours=24)


class QueryPolicy(Model):
    """The query's clocks (domain.md: 48 h, one result in 24 h)."""

    answer_within: timedelta = timedelta(hours=48)
    ask_again_first: timedelta = timedelta(minutes=1)
    ask_again_at_most: timedelta = timedelta(hours=2)
    late_window: timedelta = timedelta(days=7)
    one_result_in: timedelta = timedelta(hours=24)


class DisputePolicy(Model):
    """The dispute's clocks: how long a case worker has, when a silent citizen is reminded, when they are given up."""

    handle_within: timedelta = timedelta(days=15)
    remind_citizen_after: tuple[timedelta, ...] = (timedelta(days=3), timedelta(days=7))
    citizen_silent_after: timedelta = timedelta(days=14)
    detail_within: timedelta = timedelta(days=5)
    late_window: timedelta = timedelta(days=30)


class NumberPolicy(Model):
    """The number's clocks (domain.md: not re-issued before day 90; unbound in one go before that)."""

    freeze: timedelta = timedelta(days=90)
    batch_after: timedelta = timedelta(days=7)
    late_window: timedelta = timedelta(days=90)


class InvestigationPolicy(Model):
    """The investigation's clocks (domain.md: answer within 15 days, then an appeal)."""

    answer_within: timedelta = timedelta(days=15)
    evidence_within: timedelta = timedelta(days=7)


class Registry(Model):
    """All enterprises and carriers, checked for double codes."""

    version: str
    renewal: RenewalPolicy = RenewalPolicy()
    identity: IdentityPolicy = IdentityPolicy()
    query: QueryPolicy = QueryPolicy()
    dispute: DisputePolicy = DisputePolicy()
    number: NumberPolicy = NumberPolicy()
    investigation: InvestigationPolicy = InvestigationPolicy()
    categories: tuple[Category, ...] = ()
    carriers: tuple[Carrier, ...] = ()
    enterprises: tuple[Enterprise, ...]

    _enterprise: dict[str, Enterprise] = PrivateAttr(default_factory=dict)
    _owner: dict[str, Enterprise] = PrivateAttr(default_factory=dict)
    _app: dict[str, App] = PrivateAttr(default_factory=dict)
    _cards: dict[str, App] = PrivateAttr(default_factory=dict)
    _party: dict[str, Enterprise] = PrivateAttr(default_factory=dict)
    _carrier: dict[str, Carrier] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _categories_are_known(self) -> Self:
        known = {one.code for one in self.categories} | {""}
        for app in (app for enterprise in self.enterprises for app in enterprise.apps):
            if app.category not in known:
                raise ValueError(f"app {app.code!r} has the category {app.category!r}, which does not exist: add it")
        return self

    @model_validator(mode="after")
    def _codes_are_unique(self) -> Self:
        for carrier in self.carriers:
            _once(self._carrier, "carrier", carrier.code, carrier)
        for enterprise in self.enterprises:
            _once(self._enterprise, "enterprise", enterprise.code, enterprise)
            _once(self._party, "enterprise", enterprise.code, enterprise)
            for app in enterprise.apps:
                _once(self._app, "app", app.code, app)
                self._owner[app.code] = enterprise
        for carrier in self.carriers:
            if carrier.takes_part:
                party = _once(self._party, "enterprise or carrier", carrier.code, carrier.cards)
                self._cards.update((app.code, app) for app in party.apps)
                self._owner.update((app.code, party) for app in party.apps)
        return self

    def enterprise(self, code: str) -> Enterprise:
        """An enterprise, or a carrier as the party asked about its cards; KeyError if there is none."""
        return self._party[code]

    def carrier(self, code: str) -> Carrier:
        """By code; KeyError if there is none."""
        return self._carrier[code]

    def app(self, code: str) -> App:
        """By code, a carrier's cards included; KeyError if there is none."""
        return self._app.get(code) or self._cards[code]

    def owner(self, app: str) -> Enterprise:
        """The enterprise an app belongs to, or the carrier whose cards they are; KeyError if there is none."""
        return self._owner[app]

    @property
    def query_codes(self) -> tuple[str, ...]:
        """The apps an account query asks for, in the file's order."""
        return tuple(code for code in self._app if self._owner[code].queries)

    @property
    def card_codes(self) -> tuple[str, ...]:
        """The cards of every carrier that can be asked."""
        return tuple(self._cards)

    @property
    def app_codes(self) -> tuple[str, ...]:
        """Every app, in the file's order."""
        return tuple(self._app)

    def select(self, wanted: Iterable[str] | None) -> tuple[str, ...] | Refusal:
        """The apps asked for, each once and in the registry's order; None means all."""
        if wanted is None:
            return self.app_codes
        asked = set(wanted)
        unknown = sorted(asked - self._app.keys())
        if unknown:
            shown = ", ".join(unknown[:5]) + (f" and {len(unknown) - 5} more" if len(unknown) > 5 else "")
            return Refusal(
                code=RefusalCode.UNKNOWN_APP,
                field="apps",
                sentence=f"No app is registered as {shown}.",
                remedy="Use codes from GET /v1/apps, or leave apps out to ask all.",
            )
        return tuple(code for code in self._app if code in asked)


T = TypeVar("T")


def _once(index: dict[str, T], what: str, code: str, value: T) -> T:
    if code in index:
        raise ValueError(f"{what} code {code!r} stands twice; codes are unique")
    index[code] = value
    return value


_VARIABLE = re.compile(r"\$\{([A-Z][A-Z0-9_]*)\}")


def load(text: str, variables: Mapping[str, str] | None = None) -> Registry:
    """Read a registry from TOML. Raises RegistryError naming the place."""
    known = variables or {}

    def value_of(match: re.Match[str]) -> str:
        name = match[1]
        if name not in known:
            usable = " or ".join(f"${{{other}}}" for other in known)
            remedy = f"write the value itself, or use {usable}" if usable else "write the value itself"
            raise RegistryError(f"the registry uses ${{{name}}}, which does not exist: {remedy}")
        if not known[name]:
            raise RegistryError(f"the registry uses ${{{name}}}, which is not set: set JIEBANG_{name}")
        return known[name]

    try:
        return Registry.model_validate(tomllib.loads(_VARIABLE.sub(value_of, text)))
    except tomllib.TOMLDecodeError as error:
        raise RegistryError(f"the registry is not valid TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RegistryError(f"registry, {place or 'whole file'}: {first['msg']}") from error
