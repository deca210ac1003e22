"""Settings, all from the environment (`JIEBANG_*`). The connection to Temporal is Temporal's own (`TEMPORAL_*`)."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain import registry as registries
from runtime.partners import Partners
from store.keys import KeyRing

HOUSE = Path(__file__).resolve().parent.parent


class SettingsError(ValueError):
    """A setting does not fit: the sentence names the variable and the remedy."""


class Settings(BaseSettings):
    """Where things are. Every default works for one machine; README lists them as a table."""

    model_config = SettingsConfigDict(env_prefix="JIEBANG_", frozen=True)

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
    smtp_host: str = "127.0.0.1"
    smtp_port: int = 25
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
        return registries.load(text, {"SANDBOX_URL": self.sandbox_url} if self.sandbox_url else {})


def load() -> Settings:
    """From the environment. Raises SettingsError."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        raise SettingsError(f"JIEBANG_{str(first['loc'][0]).upper()}: {first['msg']}") from error
