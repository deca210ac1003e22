"""Settings and partners: production's variables stay out of the embedded stack, and misfits end a start."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain import registry as registries
from runtime import settings as configuration
from runtime.partners import PartnerKind, Partners, PartnersError, add_partner, issue, issue_missing
from runtime.settings import Settings, SettingsError, check_partners
from runtime.stack import SANDBOX_REGISTRY, Stack
from store.keys import KeyRing

REGISTRY = """
version = "1"
[[carriers]]
code = "carrier"
name = "运营商"
endpoint = "http://127.0.0.1:9"
results = "http://127.0.0.1:9/results"
[[carriers]]
code = "idle"
name = "尚未参加"
[[enterprises]]
code = "pushed"
name = "甲"
channel = "push"
endpoint = "http://127.0.0.1:9/hooks"
apps = [{ code = "pushed-app", name = "一" }]
[[enterprises]]
code = "pulling"
name = "乙"
apps = [{ code = "pulling-app", name = "二" }]
"""

PRODUCTION = {
    "JIEBANG_FOLDER": "/production",
    "JIEBANG_DATABASE_URL": "postgresql://production/x",
    "JIEBANG_KEYS": "/production/keys.json",
    "JIEBANG_PARTNERS": "/production/partners.json",
    "JIEBANG_REGISTRY": "/production/registry.toml",
    "JIEBANG_PUBLIC_URL": "https://production.example",
    "JIEBANG_SMPP_HOST": "smsc.production.example",
    "JIEBANG_SMPP_TLS": "true",
    "JIEBANG_SMTP_HOST": "mail.production.example",
    "JIEBANG_SMTP_USERNAME": "production",
    "TEMPORAL_ADDRESS": "production.example:7233",
    "TEMPORAL_API_KEY": "production",
    "TEMPORAL_TLS": "true",
    "TEMPORAL_CONFIG_FILE": "/production/temporal.toml",
}


@pytest.fixture
def production(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator's shell, with everything exported."""
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("production")
def test_the_stack_heeds_nothing_meant_for_production(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    given = stack._process_environment()
    ours = {name: value for name, value in given.items() if name.startswith(("JIEBANG_", "TEMPORAL_"))}
    assert ours == stack.environment and "PATH" in given
    assert not set(ours.values()) & set(PRODUCTION.values())
    assert not {"TEMPORAL_API_KEY", "TEMPORAL_TLS", "JIEBANG_SMPP_TLS", "JIEBANG_SMTP_USERNAME"} & ours.keys()
    settings = stack.settings
    assert settings.database_url == f"sqlite:///{tmp_path}/jiebang.db"
    assert {settings.keys.parent, settings.partners.parent, settings.folder} == {tmp_path}
    assert settings.registry == SANDBOX_REGISTRY and settings.smtp_username == ""
    assert (settings.smpp_host, settings.smtp_host, settings.smpp_tls) == ("127.0.0.1", "127.0.0.1", False)


@pytest.mark.usefixtures("production")
def test_the_stack_works_beside_production_s_variables(tmp_path: Path) -> None:
    with Stack(tmp_path) as stack:
        assert stack.alive("worker") and stack.alive("gateway")


def test_settings_come_from_the_environment_given() -> None:
    settings = configuration.load({"JIEBANG_FOLDER": "/f", "JIEBANG_SMTP_TLS": "starttls", "JIEBANG_SMPP_TLS": "yes"})
    assert settings.database_url == "sqlite:////f/jiebang.db" and settings.keys == Path("/f/keys.json")
    assert (settings.smtp_tls, settings.smpp_tls) == ("starttls", True)
    with pytest.raises(SettingsError, match=r"JIEBANG_SMTP_TLS: .*starttls"):
        configuration.load({"JIEBANG_SMTP_TLS": "perhaps"})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A registry with everybody who takes part having credentials."""
    (tmp_path / "registry.toml").write_text(REGISTRY)
    known = Settings(folder=tmp_path, registry=tmp_path / "registry.toml")
    KeyRing.new().save(known.keys)
    issue_missing(known.registry_data, known.key_ring, known.partners, tmp_path / "credentials.json")
    return known


def with_partners(settings: Settings, *wanted: str) -> Settings:
    """The same with a book of just these."""
    book = tuple(issue(code, PartnerKind.CARRIER, settings.key_ring)[0] for code in wanted)
    Partners(partners=book).save(settings.partners)
    return Settings(folder=settings.folder, registry=settings.registry)


def test_partners_that_fit_may_start(settings: Settings) -> None:
    check_partners(settings)
    check_partners(with_partners(settings, "pushed"))


def test_a_misfit_is_named_before_anything_starts(settings: Settings) -> None:
    with pytest.raises(PartnersError, match=r"enterprise pushed .*starter\.py issue pushed"):
        check_partners(with_partners(settings, "carrier", "pulling"))
    with pytest.raises(PartnersError, match=r"carrier idle .*endpoint and results"):
        check_partners(with_partners(settings, "carrier", "pushed", "idle"))


def test_a_carrier_without_addresses_gets_no_credentials(settings: Settings) -> None:
    assert settings.partner_book.secret("idle") is None
    with pytest.raises(PartnersError, match="carrier idle needs endpoint and results"):
        add_partner("idle", settings.registry_data, settings.key_ring, settings.partners)


def test_partners_are_found_by_token() -> None:
    registry, keys = registries.load(REGISTRY), KeyRing.new()
    made = [issue(carrier.code, PartnerKind.CARRIER, keys) for carrier in registry.carriers]
    book = Partners(partners=tuple(partner for partner, _ in made))
    assert [book.by_token(issued.token) for _, issued in made] == list(book.partners)
    assert [book.secret(partner.code) for partner, _ in made] == [issued.secret for _, issued in made]
    assert book.by_token("nobody's") is None and book.by_token(book.partners[0].token_digest) is None
