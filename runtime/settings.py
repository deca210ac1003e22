"""Settings, all from the environment (`JIEBANG_*`). The connection to Temporal is Temporal's own (`TEMPORAL_*`)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from domain import registry as registries
from domain.registry import Channel
from runtime.partners import Partners, PartnersError
from store.keys import KeyRing, KeyRingError

HOUSE = Path(__file__).resolve().parent.parent
PREFIX = "JIEBANG_"


class SettingsError(ValueError):
    """A setting does not fit: the sentence names the variable and the remedy."""


CANNOT_RUN = (SettingsError, KeyRingError, PartnersError, registries.RegistryError)
"""What keeps a process from starting: one sentence each, said without a traceback."""


class MailTls(StrEnum):
    """How the connection to the mail server is protected."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


class Settings(BaseModel):
    """Where things are. Every default works for one machine; README lists them as a table."""

    model_config = ConfigDict(frozen=True)

    folder: Path = HOUSE / "var"
    database_url: str = ""
    keys: Path = Path()
    partners: Path = Path()
    registry: Path = HOUSE / "domain" / "registry.toml"
    sandbox_url: str = ""
    public_url: str = "http://127.0.0.1:8080"
    desk_mail: str = "desk@example.org"
    mail_from: str = "jiebang@example.org"
    smpp_host: str = "127.0.0.1"
    smpp_port: int = 2775
    smpp_system_id: str = "jiebang"
    smpp_password: str = "jiebang"  # noqa: S105 - the sandbox's; a real centre's comes from the environment
    smpp_tls: bool = False
    smtp_host: str = "127.0.0.1"
    smtp_port: int = 25
    smtp_username: str = ""
    smtp_password: str = ""
    smtp_tls: MailTls = MailTls.NONE
    metrics_address: str = ""
    workflow_sandbox: bool = True
    log_level: str = "INFO"

    @model_validator(mode="before")
    @classmethod
    def _in_the_folder(cls, given: dict[str, Any]) -> dict[str, Any]:
        """What is not named is in the folder."""
        folder = Path(given.get("folder") or HOUSE / "var").resolve()
        defaults = {
            "database_url": f"sqlite:///{folder}/jiebang.db",
            "keys": folder / "keys.json",
            "partners": folder / "partners.json",
        }
        return {**defaults, **given}

    @cached_property
    def key_ring(self) -> KeyRing:
        """Raises KeyRingError."""
        return KeyRing.load(self.keys)

    @cached_property
    def partner_book(self) -> Partners:
        """Raises PartnersError."""
        return Partners.load(self.partners)

    @cached_property
    def registry_data(self) -> registries.Registry:
        """Raises RegistryError."""
        try:
            text = self.registry.read_text()
        except OSError as error:
            raise registries.RegistryError(f"no registry at {self.registry}: set JIEBANG_REGISTRY") from error
        return registries.load(text, {"SANDBOX_URL": self.sandbox_url})


def load(environment: Mapping[str, str] = os.environ) -> Settings:
    """From an environment; nothing else is looked at. Raises SettingsError."""
    given = {name: environment[variable(name)] for name in Settings.model_fields if variable(name) in environment}
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise SettingsError(f"{variable(str(first['loc'][0]))}: {first['msg']}") from error


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def check_partners(settings: Settings) -> None:
    """Registry and partners' book fit, so that nobody's message fails days later.

    Raises PartnersError naming the first who has an address but no credentials, or credentials but no address.
    """
    registry, book = settings.registry_data, settings.partner_book
    for enterprise in registry.enterprises:
        if enterprise.channel is Channel.PUSH and book.secret(enterprise.code) is None:
            raise PartnersError(
                f"enterprise {enterprise.code} is pushed to but has no credentials: "
                f"run `starter.py issue {enterprise.code}`"
            )
    for carrier in registry.carriers:
        if book.secret(carrier.code) is not None and not carrier.takes_part:
            raise PartnersError(
                f"carrier {carrier.code} has credentials but no address: "
                "give it endpoint and results in the registry, or take it out of the partners' file"
            )
