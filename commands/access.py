"""Who may come in: clients, signing keys, enterprises. For whoever runs the house, on its own machine."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from commands.accounts import operator
from commands.common import REFUSED, AsJson, out, print_json, say, warn
from commands.house import database
from domain.access import SCOPES, Role, Scope
from runtime import settings as configuration

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from runtime.credentials import Issued
    from store.clients import Client
    from store.trail import Did

clients_app = typer.Typer(help="Programs that may come in: make, list, revoke.", no_args_is_help=True)
keys_app = typer.Typer(help="Keys that webhooks are signed with: rotate, list, end.", no_args_is_help=True)
enterprises_app = typer.Typer(help="Enterprises of the registry.", no_args_is_help=True)

Code = Annotated[str, typer.Argument(help="A carrier's or an enterprise's code in the registry, or somebody's own.")]


@clients_app.command("add")
def add_client(
    code: Code,
    role: Annotated[Role | None, typer.Option(help="For somebody outside the registry.")] = None,
    scope: Annotated[
        list[Scope] | None, typer.Option(help="May be repeated; left out: all the role may have.")
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(help="PEM file of the client certificate it has to come with.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a client for a code; it may come in at once, beside those the code has already."""
    from runtime.credentials import hand_out
    from store.trail import Did

    config, thumbprint = configuration.load(), _thumbprint(certificate) if certificate else ""
    registry, ring, now = config.registry_data, config.key_ring, datetime.now(UTC)

    def add(connection: Connection) -> Issued:
        issued = hand_out(connection, registry, ring, code, role, now, scope, thumbprint)
        _note(connection, Did.CLIENT_ADDED, issued.client_id, now)
        return issued

    with database() as opened:
        issued = opened.write_now(add)
    _hand_over(code, issued, as_json)


@clients_app.command("list")
def list_clients(
    code: Annotated[str | None, typer.Argument(help="Only this one's.")] = None, as_json: AsJson = False
) -> None:
    """Every client and what it may do; before its dot stands whose it is."""
    from store import clients

    with database() as opened:
        found = opened.read_now(lambda c: clients.listed(c, code))
    if as_json:
        print_json([_told(one) for one in found])
        return
    table = Table(Column("client", no_wrap=True), "role", "may", "since", "revoked", header_style="bold")
    for one in found:
        may = "all of its role" if one.scopes == SCOPES[one.role] else " ".join(sorted(one.scopes))
        revoked = f"{one.revoked_at:%Y-%m-%d %H:%M}" if one.revoked_at else ""
        table.add_row(one.client_id, one.role.value, may, f"{one.created_at:%Y-%m-%d}", revoked)
    out.print(table)


@clients_app.command("revoke")
def revoke_client(
    client_id: Annotated[str, typer.Argument(help="As `client list` shows it.")], as_json: AsJson = False
) -> None:
    """End a client; its tokens end within seconds."""
    from store import clients

    now = datetime.now(UTC)
    with database() as opened:
        found = opened.write_now(lambda c: clients.revoke(c, client_id, operator(), now))
    if found is None:
        warn(f"There is no client {client_id}: `starter.py client list` shows them.", "unknown_client")
        raise typer.Exit(REFUSED)
    if as_json:
        print_json(_told(found))
    else:
        say(f"{client_id} of {found.tenant} is revoked since {found.revoked_at:%Y-%m-%d %H:%M:%S} UTC.")


@keys_app.command("rotate")
def rotate_key(
    code: Code,
    overlap: Annotated[int, typer.Option(min=0, max=30, help="Days for which the older ones stay good.")] = 7,
    as_json: AsJson = False,
) -> None:
    """Make a fresh signing key for a carrier or an enterprise; the older ones end after the overlap."""
    from runtime.credentials import roles
    from store import signing

    config, now = configuration.load(), datetime.now(UTC)
    if code not in roles(config.registry_data):
        raise typer.BadParameter(f"the registry has no carrier or enterprise {code}")
    ring = config.key_ring
    with database() as opened:
        key = opened.write_now(lambda c: signing.rotate(c, ring, code, operator(), now, timedelta(days=overlap)))
    if as_json:
        print_json(key.model_dump())
        return
    say(f"Hand this to {code}; it is shown only now. Older keys are good for {overlap} more days.")
    say(f"  {key.key_id}: {key.secret}")


@keys_app.command("list")
def list_keys(code: Code, as_json: AsJson = False) -> None:
    """A code's signing keys that are good now, without their secrets."""
    from store import signing

    now = datetime.now(UTC)
    with database() as opened:
        found = opened.read_now(lambda c: signing.listed(c, code, now))
    if as_json:
        print_json([vars(one) for one in found])
        return
    for one in found:
        ends = f"ends {one.ends_at:%Y-%m-%d %H:%M} UTC" if one.ends_at else "has no end"
        say(f"{one.key_id}  since {one.created_at:%Y-%m-%d %H:%M} UTC, {ends}")
    if not found:
        say(f"{code} has no signing key; `starter.py key rotate {code}` makes one.")


@keys_app.command("end")
def end_key(code: Code, key_id: Annotated[str, typer.Argument(help="As `key list` shows it.")]) -> None:
    """End a signing key at once."""
    from store import signing

    now = datetime.now(UTC)
    with database() as opened:
        ended = opened.write_now(lambda c: signing.end(c, code, key_id, operator(), now))
    if not ended:
        warn(f"{code} has no key {key_id}: `starter.py key list {code}` shows them.", "unknown_key")
        raise typer.Exit(REFUSED)
    say(f"{key_id} is not good any more.")


@enterprises_app.command("add")
def add_enterprise(
    entry: Annotated[Path, typer.Argument(help="A TOML file with one [[enterprises]] entry.", exists=True)],
    as_json: AsJson = False,
) -> None:
    """Put an entry into the registry, if the whole then still fits, and hand out the enterprise's credentials.

    Restart worker and gateway afterwards.
    """
    from domain import registry as registries
    from runtime.credentials import hand_out
    from store.trail import Did

    config = configuration.load()
    before, added = config.registry.read_text() if config.registry.exists() else "", entry.read_text()
    known = {enterprise.code for enterprise in config.registry_data.enterprises}
    whole = f"{before.rstrip()}\n\n{added.strip()}\n"
    registry = registries.load(whole, {"SANDBOX_URL": config.sandbox_url})
    new = [enterprise.code for enterprise in registry.enterprises if enterprise.code not in known]
    if len(new) != 1:
        raise typer.BadParameter(f"{entry} has {len(new)} new enterprises: one at a time")
    ring, now = config.key_ring, datetime.now(UTC)

    def add(connection: Connection) -> Issued:
        _note(connection, Did.ENTERPRISE_ADDED, new[0], now)
        return hand_out(connection, registry, ring, new[0], None, now)

    with database() as opened:
        issued = opened.write_now(add)
        fresh = config.registry.with_suffix(".new")
        fresh.write_text(whole)
        fresh.replace(config.registry)
    if not as_json:
        say(f"{new[0]} is in {config.registry}; restart worker and gateway.")
    _hand_over(new[0], issued, as_json)


def _hand_over(code: str, issued: Issued, as_json: bool) -> None:
    if as_json:
        print_json(issued.model_dump())
        return
    say(f"Hand these to {code}; they are shown only now:")
    for name, value in issued.model_dump().items():
        if value:
            say(f"  {name.replace('_', ' ')}: {value}")


def _note(connection: Connection, did: Did, about: str, now: datetime) -> None:
    from store import trail
    from store.trail import Entry

    trail.note(connection, Entry(now, operator(), did, about))


def _told(client: Client) -> dict[str, object]:
    return {**vars(client), "role": client.role.value, "scopes": sorted(client.scopes)}


def _thumbprint(certificate: Path) -> str:
    """SHA-256 (hex) of a certificate's DER form."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{certificate} is no PEM certificate ({type(error).__name__})") from None
    return hashlib.sha256(found.public_bytes(Encoding.DER)).hexdigest()
