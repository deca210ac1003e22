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


class App(Model):
    """One app of an enterprise."""

    code: AppCode
    name: str
    name_en: str = ""


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
    sla: SlaPolicy = SlaPolicy()
    retry_first: timedelta = Field(default=timedelta(seconds=30), gt=timedelta(0))
    retry_at_most: timedelta = Field(default=timedelta(hours=1), gt=timedelta(0))
    apps: tuple[App, ...] = Field(min_length=1)

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

    @property
    def takes_part(self) -> bool:
        """Whether it can be asked and told; without both addresses it cannot hand renewals over."""
        return bool(self.endpoint and self.results)


class RenewalPolicy(Model):
    """The renewal's own clocks: when to ask a carrier again that does not know yet, how long answers may change."""

    ask_again: timedelta = timedelta(hours=6)
    give_up_after: timedelta = timedelta(days=30)
    late_window: timedelta = timedelta(days=30)
    identity_valid: timedelta = timedelta(days=1)


class Registry(Model):
    """All enterprises and carriers, checked for double codes."""

    version: str
    renewal: RenewalPolicy = RenewalPolicy()
    carriers: tuple[Carrier, ...] = ()
    enterprises: tuple[Enterprise, ...]

    _enterprise: dict[str, Enterprise] = PrivateAttr(default_factory=dict)
    _owner: dict[str, Enterprise] = PrivateAttr(default_factory=dict)
    _app: dict[str, App] = PrivateAttr(default_factory=dict)
    _carrier: dict[str, Carrier] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _codes_are_unique(self) -> Self:
        for carrier in self.carriers:
            _once(self._carrier, "carrier", carrier.code, carrier)
        for enterprise in self.enterprises:
            _once(self._enterprise, "enterprise", enterprise.code, enterprise)
            for app in enterprise.apps:
                _once(self._app, "app", app.code, app)
                self._owner[app.code] = enterprise
        return self

    def enterprise(self, code: str) -> Enterprise:
        """By code; KeyError if there is none."""
        return self._enterprise[code]

    def carrier(self, code: str) -> Carrier:
        """By code; KeyError if there is none."""
        return self._carrier[code]

    def app(self, code: str) -> App:
        """By code; KeyError if there is none."""
        return self._app[code]

    def owner(self, app: str) -> Enterprise:
        """The enterprise an app belongs to; KeyError if there is none."""
        return self._owner[app]

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


def _once(index: dict[str, T], what: str, code: str, value: T) -> None:
    if code in index:
        raise ValueError(f"{what} code {code!r} stands twice; codes are unique")
    index[code] = value


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
