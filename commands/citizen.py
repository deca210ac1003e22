"""What a citizen does, through a channel such as a mini program: prove who they are, ask, dispute, choose, complain."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer
from rich.live import Live

from commands.common import ApiUrl, AsJson, Case, Token, api, err, out, print_json
from runtime import render
from runtime.api import Api, ApiError

app = typer.Typer()
CHANNEL = "channel"
ORIGIN = "command-line"
WAIT_SECONDS = 0.5
OVER = frozenset({"verified", "locked", "expired", "mismatch", "cooling_down", "cancelled_number", "unconfirmed"})

Number = Annotated[str | None, typer.Option(help="The phone number; asked for if left out.")]
IdTail = Annotated[str | None, typer.Option("--id-tail", help="Last six of the ID; asked for if left out.")]
Check = Annotated[
    str | None, typer.Option(help="A verified identity check (K…); left out: number, ID tail and code are asked for.")
]
Language = Annotated[str, typer.Option(help="zh or en: the language of short messages.")]


@app.command()
def check(
    purpose: Annotated[str, typer.Option("--for", help="query, dispute, complaint or follow.")] = "query",
    number: Number = None,
    id_tail: IdTail = None,
    language: Language = "zh",
    as_json: AsJson = False,
    url: ApiUrl = None,
    token: Token = None,
) -> None:
    """Begin an identity check: a code goes out by short message. `code` enters it."""
    begun = _begin(api(url, token, CHANNEL), purpose, number, id_tail, language)
    if as_json:
        print_json(begun)
    else:
        out.print(
            f"If the number is in use, a code is on its way to it. Enter it with: starter.py code {begun['check']} CODE"
        )


@app.command()
def code(
    check: Annotated[str, typer.Argument(help="The identity check, K and twelve characters.")],
    digits: Annotated[str, typer.Argument(help="The six digits of the short message.")],
    as_json: AsJson = False,
    url: ApiUrl = None,
    token: Token = None,
) -> None:
    """Enter the code of an identity check."""
    found = _enter(api(url, token, CHANNEL), check, digits)
    if as_json:
        print_json(found)
    else:
        out.print(f"{check} is {found['status'].replace('_', ' ')}.")


@app.command()
def query(
    target: Annotated[str, typer.Option(help="accounts (of a number) or cards (under an ID).")] = "accounts",
    check: Check = None,
    number: Number = None,
    id_tail: IdTail = None,
    language: Language = "zh",
    wait: Annotated[bool, typer.Option("--wait", help="Follow the query until its result is sent.")] = False,
    as_json: AsJson = False,
    url: ApiUrl = None,
    token: Token = None,
) -> None:
    """How many accounts hang on my number, or how many phone cards stand under my ID."""
    gateway = api(url, token, CHANNEL)
    proof = check or _prove(gateway, "query", number, id_tail, language)
    body = {"check": proof, "target": target, "language": language}
    case = gateway.open("/v1/queries", body)["case"]
    if wait:
        _follow(gateway, case, as_json)
    elif as_json:
        print_json({"case": case})
    else:
        out.print(f"Case {case}. Follow it with: starter.py result {case}")


@app.command()
def result(
    case: Case,
    wait: Annotated[bool, typer.Option("--wait", help="Until the result is sent.")] = False,
    as_json: AsJson = False,
    url: ApiUrl = None,
    token: Token = None,
) -> None:
    """Where a query stands, app by app."""
    gateway = api(url, token, CHANNEL)
    if wait:
        _follow(gateway, case, as_json)
        return
    view = gateway.call("GET", f"/v1/queries/{case}")
    print_json(view) if as_json else out.print(render.query(view))


@app.command()
def dispute(
    claim: Annotated[
        list[str],
        typer.Option(
            help="APP:REASON, e.g. wechat:not_mine; may be repeated. A carrier's cards: CARRIER-cards:not_mine."
        ),
    ],
    of_query: Annotated[str | None, typer.Option("--query", help="The query (Q…) it comes from.")] = None,
    check: Check = None,
    number: Number = None,
    id_tail: IdTail = None,
    language: Language = "zh",
    as_json: AsJson = False,
    url: ApiUrl = None,
    token: Token = None,
) -> None:
    """Dispute accounts or cards: not mine, mine but not wanted, asked before, wrong data, other."""
    claims = [dict(zip(("app", "reason"), one.split(":", 1), strict=False)) for one in claim]
    gateway = api(url, token, CHANNEL)
    proof = check or _prove(gateway, "dispute", number, id_tail, language)
    body = {"check": proof, "claims": claims, "query": of_query, "language": language}
    opened = gateway.open("/v1/disputes", body)
    if as_json:
        print_json(opened)
    else:
        out.print(
            f"Dispute {opened['case']}. The same check opens its detail: starter.py detail {opened['case']} --check {proof}"
        )


@app.command()
def detail(case: Case, check: Check = None, as_json: AsJson = False, url: ApiUrl = None, token: Token = None) -> None:
    """The accounts of a dispute, masked; only the citizen sees them."""
    gateway = api(url, token, CHANNEL)
    proof = check or _prove(gateway, "follow", None, None, "zh")
    found = gateway.call("GET", f"/v1/disputes/{case}/detail", params={"check": proof})
    print_json(found) if as_json else out.print(render.detail(found))


@app.command()
def choose(
    case: Case,
    choices: Annotated[list[str], typer.Argument(help="APP/REF=unbind, cancel or keep, one per account.")],
    check: Check = None,
    as_json: AsJson = False,
    url: ApiUrl = None,
    token: Token = None,
) -> None:
    """Say what is to become of each account of a dispute."""
    gateway = api(url, token, CHANNEL)
    proof = check or _prove(gateway, "follow", None, None, "zh")
    wanted: dict[str, dict[str, str]] = {}
    for one in choices:
        place, _, action = one.partition("=")
        app_code, _, ref = place.partition("/")
        if not (app_code and ref and action):
            raise typer.BadParameter("write APP/REF=unbind, cancel or keep", param_hint="choices")
        wanted.setdefault(app_code, {})[ref] = action
    done = gateway.call("POST", f"/v1/disputes/{case}/choose", json={"check": proof, "choices": wanted})
    _say(done, as_json)


@app.command()
def unsolved(
    case: Case,
    of_app: Annotated[str, typer.Argument(help="The app that is not settled.")],
    check: Check = None,
    as_json: AsJson = False,
    url: ApiUrl = None,
    token: Token = None,
) -> None:
    """An enterprise's answer did not settle it: a case worker takes over."""
    gateway = api(url, token, CHANNEL)
    proof = check or _prove(gateway, "follow", None, None, "zh")
    _say(gateway.call("POST", f"/v1/disputes/{case}/unsolved", json={"check": proof, "app": of_app}), as_json)


@app.command()
def complain(
    kind: Annotated[str, typer.Argument(help="wrong_account, still_bound or not_done.")],
    text: Annotated[str, typer.Argument(help="What happened; it is kept in the vault.")],
    of_app: Annotated[list[str], typer.Option("--app", help="The app; may be repeated.")],
    about: Annotated[str | None, typer.Option(help="The case it is about.")] = None,
    check: Check = None,
    number: Number = None,
    id_tail: IdTail = None,
    language: Language = "zh",
    as_json: AsJson = False,
    url: ApiUrl = None,
    token: Token = None,
) -> None:
    """Complain: the wrong account was unbound, it is still bound, the enterprise says done and it is not."""
    gateway = api(url, token, CHANNEL)
    proof = check or _prove(gateway, "complaint", number, id_tail, language)
    body = {"check": proof, "kind": kind, "about": about, "apps": of_app, "text": text, "language": language}
    opened = gateway.open("/v1/complaints", body)
    print_json(opened) if as_json else out.print(f"Complaint {opened['case']}.")


# ── the identity check ───────────────────────────────────────────────────────────────────────────────


def _begin(gateway: Api, purpose: str, number: str | None, id_tail: str | None, language: str) -> dict[str, Any]:
    body = {
        "number": number or typer.prompt("Phone number"),
        "id_tail": id_tail or typer.prompt("Last six of the ID", hide_input=True),
        "purpose": purpose,
        "origin": ORIGIN,
        "language": language,
    }
    return gateway.open("/v1/identity-checks", body)


def _enter(gateway: Api, check: str, digits: str) -> dict[str, Any]:
    """The check after the code; while the carrier is asked, wait for its word."""
    found: dict[str, Any] = gateway.call("POST", f"/v1/identity-checks/{check}/code", json={"code": digits})
    while found["status"] not in OVER:
        time.sleep(WAIT_SECONDS)
        found = gateway.call("GET", f"/v1/identity-checks/{check}")
    return found


def _prove(gateway: Api, purpose: str, number: str | None, id_tail: str | None, language: str) -> str:
    """Number, ID tail and code, asked for one after the other; a wrong code is asked for again."""
    check: str = _begin(gateway, purpose, number, id_tail, language)["check"]
    while True:
        try:
            found = _enter(gateway, check, typer.prompt("Code from the short message"))
        except ApiError as error:
            if error.code not in ("wrong_code", "malformed"):
                raise
            err.print(str(error))
            continue
        if found["status"] != "verified":
            raise ApiError(f"The identity check is {found['status'].replace('_', ' ')}.", found["status"])
        return check


def _follow(gateway: Api, case: str, as_json: bool) -> None:
    with Live(console=err, refresh_per_second=4) as live:
        while (view := gateway.call("GET", f"/v1/queries/{case}"))["status"] == "asking":
            live.update(render.query(view))
            time.sleep(WAIT_SECONDS)
        live.update(render.query(view))
    if as_json:
        print_json(view)


def _say(done: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(done)
    else:
        out.print(f"{done['case']} is {done['status'].replace('_', ' ')}.")
