"""Accounts of people at the case desk and of enterprises' clerks, for whoever runs the house, on its own machine."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.table import Table

from commands.common import REFUSED, AsJson, out, print_json, say, warn
from commands.house import database
from domain.access import PEOPLE, Role
from runtime import settings as configuration
from runtime.credentials import roles

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from store.accounts import Account, Credentials

app = typer.Typer(help="People who may sign in: add, link, list, disable, reset.", no_args_is_help=True)
T = TypeVar("T")

Code = Annotated[str, typer.Argument(help="What the ledger names the person by, such as worker-chen.")]
SubjectOption = Annotated[
    str | None, typer.Option("--oidc-subject", help="`sub` of the person at the OpenID provider: no password then.")
]


@app.command()
def add(
    code: Code,
    role: Annotated[Role, typer.Option(help=f"One of {', '.join(sorted(PEOPLE))}; enterprise for a clerk.")],
    enterprise: Annotated[
        str, typer.Option(help="Code of the enterprise a clerk works for, as the registry has it.")
    ] = "",
    oidc_subject: SubjectOption = None,
    as_json: AsJson = False,
) -> None:
    """Let somebody sign in, with a password and one-time codes, or through the OpenID provider."""
    from store import accounts

    config = configuration.load()
    ring, now, who = config.key_ring, datetime.now(UTC), operator()
    if role is Role.ENTERPRISE:
        _check_clerk(code, enterprise, config)
    issuer = _issuer() if oidc_subject else ""
    given = None if oidc_subject else accounts.Credentials.new()

    def job(connection: Connection) -> None:
        accounts.add(connection, ring, code, role, given, who, now, enterprise)
        if oidc_subject:
            accounts.link(connection, ring, code, issuer, oidc_subject, who, now)

    _written(job)
    _hand_over(code, given, as_json)


@app.command()
def link(
    code: Code,
    subject: Annotated[str, typer.Argument(help="`sub` of the person at the OpenID provider.")],
    as_json: AsJson = False,
) -> None:
    """Let somebody sign in through the OpenID provider too."""
    from store import accounts

    ring, now, issuer = configuration.load().key_ring, datetime.now(UTC), _issuer()
    _written(lambda c: accounts.link(c, ring, code, issuer, subject, operator(), now))
    _done(code, f"{code} may sign in through {issuer}.", as_json)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Everybody who may or might sign in."""
    from store import accounts

    with database() as opened:
        found, now = opened.read_now(accounts.listed), datetime.now(UTC)
    if as_json:
        print_json([_told(one, now) for one in found])
        return
    table = Table("account", "role", "enterprise", "signs in by", "since", "state", header_style="bold")
    for one in found:
        told = _told(one, now)
        by = " or ".join(told["signs_in_by"]) or "nothing"
        table.add_row(one.code, one.role.value, one.tenant, by, f"{one.created_at:%Y-%m-%d}", told["state"])
    out.print(table)


@app.command()
def disable(code: Code, as_json: AsJson = False) -> None:
    """Keep somebody out from now on; who is signed in is out at once. Their code stays taken."""
    from store import accounts

    _written(lambda c: accounts.disable(c, code, operator(), datetime.now(UTC)))
    _done(code, f"{code} cannot sign in any more and is signed out.", as_json)


@app.command()
def reset(code: Code, as_json: AsJson = False) -> None:
    """Make a new password and a new secret for one-time codes, end a lock and all sessions."""
    from store import accounts

    ring, given = configuration.load().key_ring, accounts.Credentials.new()
    _written(lambda c: accounts.reset(c, ring, code, given, operator(), datetime.now(UTC)))
    _hand_over(code, given, as_json)


def operator() -> str:
    """Who is at the command line, for the audit trail."""
    try:
        return f"operator:{pwd.getpwuid(os.getuid()).pw_name}"[:80]
    except KeyError:
        return f"operator:{os.getuid()}"


def _check_clerk(code: str, enterprise: str, config: configuration.Settings) -> None:
    """A clerk is of an enterprise in the registry, and goes by a code that nobody in it has."""
    known = roles(config.registry_data)
    if not enterprise:
        warn("A clerk works for one enterprise: give --enterprise and its code.", "refused")
    elif known.get(enterprise) is not Role.ENTERPRISE:
        warn(f"The registry has no enterprise {enterprise}: correct the code, or add it there first.", "refused")
    elif code in known:
        warn(
            f"{code} is the code of a {known[code].value} itself: choose one for the person, as clerk-li.", "refused"
        )
    else:
        return
    raise typer.Exit(REFUSED)


def _issuer() -> str:
    """The provider that subjects are of."""
    found = configuration.load().oidc_issuer
    if not found:
        warn("There is no OpenID provider: set JIEBANG_OIDC_ISSUER to what the gateway has.", "no_provider")
        raise typer.Exit(REFUSED)
    return found


def _written(job: Callable[[Connection], T]) -> T:
    """Do it; a refusal is one sentence."""
    from store.accounts import AccountError

    try:
        with database() as opened:
            return opened.write_now(job)
    except AccountError as error:
        warn(str(error), "refused")
        raise typer.Exit(REFUSED) from None


def _hand_over(code: str, given: Credentials | None, as_json: bool) -> None:
    if given is None:
        _done(code, f"{code} may sign in through the OpenID provider.", as_json)
    elif as_json:
        print_json({"account": code, "password": given.password, "otpauth": given.uri(code)})
    else:
        say(f"Hand these to {code}; they are shown only now:")
        say(f"  password: {given.password}")
        say(f"  for an authenticator application: {given.uri(code)}")


def _done(code: str, sentence: str, as_json: bool) -> None:
    if as_json:
        print_json({"account": code})
    else:
        say(sentence)


def _told(one: Account, now: datetime) -> dict[str, Any]:
    locked = f"locked until {one.locked_until:%Y-%m-%d %H:%M} UTC" if one.locked(now) else ""
    ways = {"password": bool(one.password), "openid": one.linked}
    return {
        "account": one.code,
        "role": one.role.value,
        "enterprise": one.tenant or None,
        "signs_in_by": [way for way, open_ in ways.items() if open_],
        "created_at": one.created_at,
        "state": "disabled" if one.disabled_at else locked or "open",
    }
