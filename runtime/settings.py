"""Settings, all from the environment (`JIEBANG_*`). The connection to Temporal is Temporal's own (`TEMPORAL_*`)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from domain import registry as registries
from store.keys import KeyRing, KeyRingError

HOUSE = Path(__file__).resolve().parent.parent
PREFIX = "JIEBANG_"
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
Network = IPv4Network | IPv6Network


class SettingsError(ValueError):
    """A setting does not fit: the sentence names the variable and the remedy."""


class CredentialsError(ValueError):
    """Credentials and registry do not fit: says why and what to do."""


CANNOT_RUN = (SettingsError, KeyRingError, CredentialsError, registries.RegistryError)
"""What keeps a process from starting: one sentence each, said without a traceback."""


class Environment(StrEnum):
    """What this installation is for; in production nothing insecure starts (`runtime/production.py`)."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class MailTls(StrEnum):
    """How the connection to the mail server is protected."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


class Settings(BaseModel):
    """Where things are. Every default works for one machine; README lists them as a table."""

    model_config = ConfigDict(frozen=True)

    env: Environment = Environment.DEVELOPMENT
    folder: Path = HOUSE / "var"
    database_url: str = ""
    sqlite_in_production: bool = False
    keys: Path = Path()
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
    temporal_ui: str = Field("", pattern=r"^$|^https?://")
    metrics_address: str = ""
    gateway_metrics: str = Field("", pattern=r"^$|:[0-9]{1,5}$")
    limits: str = Field("", pattern=r"^$|^rediss?://")
    trusted_proxies: str = ""
    oidc_issuer: str = ""
    oidc_client_id: str = Field("", validate_default=True)
    oidc_client_secret: str = Field("", repr=False)
    local_accounts: bool = True
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
        }
        return {**defaults, **given}

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, given: str) -> str:
        """Raises ValueError for what is no address or network."""
        _networks(given)
        return given

    @field_validator("oidc_issuer")
    @classmethod
    def _is_safe(cls, given: str) -> str:
        """Raises ValueError for an issuer anybody on the way could speak for."""
        url = urlsplit(given)
        if given and url.scheme != "https" and not (url.scheme == "http" and url.hostname in LOOPBACK):
            raise ValueError("give an https address")
        return given

    @field_validator("oidc_client_id")
    @classmethod
    def _is_registered(cls, given: str, others: ValidationInfo) -> str:
        """Raises ValueError where a provider does not know us."""
        if others.data.get("oidc_issuer") and not given:
            raise ValueError("register with the provider of JIEBANG_OIDC_ISSUER and give the id it gave you")
        return given

    @field_validator("local_accounts")
    @classmethod
    def _somebody_comes_in(cls, given: bool, others: ValidationInfo) -> bool:
        """Raises ValueError where nobody could sign in."""
        if not given and not others.data.get("oidc_issuer"):
            raise ValueError("nobody could sign in: set JIEBANG_OIDC_ISSUER, or leave this out")
        return given

    @cached_property
    def proxies(self) -> Sequence[Network]:
        """The proxies whose word for where a request came from is believed."""
        return _networks(self.trusted_proxies)

    @cached_property
    def key_ring(self) -> KeyRing:
        """Raises KeyRingError."""
        return KeyRing.load(self.keys)

    @cached_property
    def registry_data(self) -> registries.Registry:
        """Raises RegistryError."""
        try:
            text = self.registry.read_text()
        except OSError as error:
            raise registries.RegistryError(f"no registry at {self.registry}: set JIEBANG_REGISTRY") from error
        return registries.load(text, {"SANDBOX_URL": self.sandbox_url})


def _networks(given: str) -> tuple[Network, ...]:
    return tuple(ip_network(word.strip()) for word in given.split(",") if word.strip())


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
