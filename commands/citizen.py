"""What a citizen does, through a channel such as a mini program: prove who they are, ask, dispute, choose, complain."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.live import Live

from commands.common import (
    ApiUrl,
    AsJson,
    Case,
    Client,
    Number,
    api,
    ask,
    ask_all,
    ask_word,
    err,
    out,
    print_json,
    reference,
    say,
    warn,
)
from commands.words import ClaimReason, ComplaintKind, Language, Purpose, Target, Wish
from runtime import render
from runtime import settings as configuration
from runtime.api import Api, ApiError, texts
from runtime.render import local, plain

app = typer.Typer()
CHANNEL = "channel"
ORIGIN = "command-line"
WAIT_SECONDS = 0.5
TRY_AGAIN = frozenset({"wrong_code", "malformed", "wait_before_sending"})
"""Refusals after which another code may be entered."""

FOLLOWED = frozenset({"asking", "reported"})
"""Statuses of a query whose short message is still to come."""

ID_TAIL = "Last six of the ID"

IdTail = Annotated[str | None, typer.Option("--id-tail", help=f"{ID_TAIL}; asked for if left out.")]
CheckCase = Annotated[
    str, typer.Argument(help="The identity check, K and twelve characters.", parser=reference, metavar="CHECK")
]
Check = Annotated[
    str | None,
    typer.Option(
        help="A verified identity check (K…); left out: number, ID tail and code are asked for.",
        parser=reference,
        metavar="CHECK",
    ),
]
Speaks = Annotated[Language, typer.Option("--language", help="What short messages are written in.")]
Wait = Annotated[bool, typer.Option("--wait", help="Follow the query until its result is sent.")]


# ── the identity check ───────────────────────────────────────────────────────────────────────────────


@app.command()
def check(
    purpose: Annotated[Purpose, typer.Option("--for", help="What the check is good for.")] = Purpose.QUERY,
    number: Number = None,
    id_tail: IdTail = None,
    language: Speaks = Language.ZH,
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
) -> None:
    """Begin an identity check: a code goes out by short message. `code` enters it."""
    begun = _begin(api(url, client, CHANNEL), purpose, number, id_tail, language)
    if as_json:
        print_json(begun)
        return
    say("If the number is in use, a code is on its way to it. Enter it with:")
    say(f"  starter.py code {begun['check']} CODE")


@app.command()
def code(
    check: CheckCase,
    digits: Annotated[
        str | None, typer.Argument(help="The six digits of the short message; asked for if left out.")
    ] = None,
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
) -> None:
    """Enter the code of an identity check."""
    found = _enter(api(url, client, CHANNEL), check, ask("Code from the short message", digits))
    if as_json:
        print_json(found)
        return
    until = f" It opens a case until {local(found['opens_until'])} (Shanghai)." if found["opens_until"] else ""
    say(f"{check} is {plain(found['status'])}.{until}")


@app.command()
def resend(check: CheckCase, as_json: AsJson = False, url: ApiUrl = None, client: Client = None) -> None:
    """Have another code sent, a minute after the last; earlier ones count no more."""
    found = api(url, client, CHANNEL).call("POST", f"/v1/identity-checks/{check}/resend")
    if as_json:
        print_json(found)
    else:
        say(f"If the number is in use, another code is on its way to it. Tries left: {found['tries_left']}.")


@app.command()
def phone(
    number: Annotated[
        str | None, typer.Argument(help="A phone number of the sandbox; asked for if left out.")
    ] = None,
    last: Annotated[int, typer.Option(min=1, help="How many texts, the newest last.")] = 5,
    as_json: AsJson = False,
) -> None:
    """The short messages a phone of the sandbox got (only with `make up`)."""
    found = texts(configuration.load().folder, ask("Phone number", number))[-last:]
    if as_json:
        print_json(found)
        return
    for one in found:
        say(f"{local(one['received_at'])}  {one['text']}")
    if not found:
        say("This phone got no short message.")


# ── queries ──────────────────────────────────────────────────────────────────────────────────────────


@app.command()
def query(
    target: Annotated[Target, typer.Option(help="Accounts of a number, or cards under an ID.")] = Target.ACCOUNTS,
    check: Check = None,
    number: Number = None,
    id_tail: IdTail = None,
    language: Speaks = Language.ZH,
    wait: Wait = False,
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
) -> None:
    """How many accounts hang on my number, or how many phone cards stand under my ID."""
    gateway = api(url, client, CHANNEL)
    proof = check or _prove(gateway, Purpose.QUERY, number, id_tail, language)
    case = gateway.open("/v1/queries", {"check": proof, "target": target.value, "language": language.value})["case"]
    if wait:
        _follow(gateway, case, as_json)
    elif as_json:
        print_json({"case": case})
    else:
        say(f"Query {case}. Follow it with: starter.py result {case} --wait")


@app.command()
def result(
    case: Case,
    wait: Wait = False,
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
) -> None:
    """Where my query, my dispute or my complaint stands, and what comes next."""
    gateway = api(url, client, CHANNEL)
    if case[0] not in VIEWS:
        raise typer.BadParameter("a citizen's case begins with Q, D or C", param_hint="CASE")
    if wait and case[0] == "Q":
        _follow(gateway, case, as_json)
        return
    path, show = VIEWS[case[0]]
    view = gateway.call("GET", f"/v1/{path}/{case}")
    print_json(view) if as_json else out.print(show(view))


@app.command()
def follow(
    case: Case,
    id_tail: IdTail = None,
    language: Speaks = Language.ZH,
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
) -> None:
    """Look into a case of mine by its reference: a code goes to the number it is about."""
    gateway = api(url, client, CHANNEL)
    body = {
        "reference": case,
        "id_tail": ask(ID_TAIL, id_tail, hidden=True),
        "origin": ORIGIN,
        "language": language.value,
    }
    check = gateway.open("/v1/follows", body)["check"]
    warn("If reference and ID tail fit, a code is on its way to the number of the case.")
    token = _coded(gateway, check, lambda digits: _token(gateway, check, digits))["token"]
    view = gateway.call("GET", "/v1/my-case", headers={"authorization": f"Bearer {token}"}, auth=None)
    print_json(view) if as_json else out.print(render.my_case(view, language.value))


def _token(gateway: Api, check: str, digits: str) -> dict[str, Any]:
    """The token for the case; while the code goes out, or the carriers are asked, wait: both end, or the check does."""
    while True:
        try:
            found: dict[str, Any] = gateway.call("POST", f"/v1/follows/{check}/code", json={"code": digits})
        except ApiError as error:
            if error.code not in ("confirming", "not_your_turn"):
                raise
            time.sleep(WAIT_SECONDS)
        else:
            return found


VIEWS: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], RenderableType]]] = {
    "Q": ("queries", render.query),
    "D": ("disputes", render.dispute),
    "C": ("complaints", render.complaint),
}
"""A citizen's cases by the letter of their reference."""


def _follow(gateway: Api, case: str, as_json: bool) -> None:
    with Live(console=err, refresh_per_second=4, transient=True) as live:
        while (view := gateway.call("GET", f"/v1/queries/{case}"))["status"] in FOLLOWED:
            live.update(render.query(view))
            time.sleep(WAIT_SECONDS)
    print_json(view) if as_json else out.print(render.query(view))


# ── disputes ─────────────────────────────────────────────────────────────────────────────────────────


@app.command()
def dispute(
    claim: Annotated[
        list[str] | None,
        typer.Option(
            help="APP:REASON, e.g. wechat:not_mine; may be repeated. A carrier's cards: CARRIER-cards:not_mine. "
            f"Reasons: {', '.join(ClaimReason)}. Asked for if left out."
        ),
    ] = None,
    of_query: Annotated[
        str | None,
        typer.Option("--query", help="The query (Q…) it comes from.", parser=reference, metavar="CASE"),
    ] = None,
    check: Check = None,
    number: Number = None,
    id_tail: IdTail = None,
    language: Speaks = Language.ZH,
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
) -> None:
    """Dispute accounts or cards that should not hang on my number or stand under my ID."""
    claims = [_claim(one) for one in claim or ()]
    gateway = api(url, client, CHANNEL)
    if not claims:
        apps = ask_all("App, by its code")
        claims = [{"app": one, "reason": ask_word(f"Why {one}", ClaimReason).value} for one in apps]
    proof = check or _prove(gateway, Purpose.DISPUTE, number, id_tail, language)
    body = {"check": proof, "claims": claims, "query": of_query, "language": language.value}
    opened = gateway.open("/v1/disputes", body)
    if as_json:
        print_json({**opened, "check": proof})
        return
    say(f"Dispute {opened['case']}. For half an hour the same check looks into it:")
    say(f"  starter.py detail {opened['case']} --check {proof}")


def _claim(text: str) -> dict[str, str]:
    app_code, _, reason = text.partition(":")
    if not app_code or reason not in list(ClaimReason):
        raise typer.BadParameter(f"write APP:REASON; reasons are {', '.join(ClaimReason)}", param_hint="--claim")
    return {"app": app_code, "reason": reason}


@app.command()
def detail(
    case: Case, check: Check = None, as_json: AsJson = False, url: ApiUrl = None, client: Client = None
) -> None:
    """The accounts of a dispute, masked; only the citizen sees them."""
    gateway = api(url, client, CHANNEL)
    found = _detail(gateway, case, check or _prove(gateway, Purpose.FOLLOW))
    print_json(found) if as_json else out.print(render.detail(found))


@app.command()
def choose(
    case: Case,
    choices: Annotated[
        list[str] | None,
        typer.Argument(
            help="APP/ACCOUNT=unbind, cancel or keep, one per account; APP=… for all of an app's. Asked for if left out."
        ),
    ] = None,
    check: Check = None,
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
) -> None:
    """Say what is to become of each account of a dispute."""
    given = [_choice(one) for one in choices or ()]
    gateway = api(url, client, CHANNEL)
    proof = check or _prove(gateway, Purpose.FOLLOW)
    found = {one["app"]: one for one in _detail(gateway, case, proof)["claims"]}
    wanted: dict[str, dict[str, str]] = {}
    for app_code, ref, wish in given or _asked(found):
        refs = [ref] if ref else [one["ref"] for one in found.get(app_code, {}).get("accounts") or ()]
        wanted.setdefault(app_code, {}).update(dict.fromkeys(refs, wish.value))
    if not wanted:
        raise ApiError("No account of this dispute waits for a choice.", "not_your_turn")
    _acted(gateway, case, "choose", {"check": proof, "choices": wanted}, as_json)


def _choice(text: str) -> tuple[str, str, Wish]:
    place, _, wish = text.partition("=")
    app_code, _, ref = place.partition("/")
    if not app_code or wish not in list(Wish):
        raise typer.BadParameter(
            f"write APP/ACCOUNT=WISH or APP=WISH; wishes are {', '.join(Wish)}", param_hint="choices"
        )
    return app_code, ref, Wish(wish)


def _asked(found: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str, Wish]]:
    """Account by account, of what waits for the citizen."""
    choosing = [(claim, one) for claim in found.values() if claim["state"] == "choosing" for one in claim["accounts"]]
    return [(claim["app"], one["ref"], _wish(claim["name"], one)) for claim, one in choosing]


def _wish(name: str, account: Mapping[str, Any]) -> Wish:
    """One account's; only what may be chosen is offered."""
    whose = account["label"] or "a former holder's account"
    while True:
        answer = ask(f"{name}, {whose} ({', '.join(account['may'])})")
        if answer in account["may"]:
            return Wish(answer)


@app.command()
def unsolved(
    case: Case,
    of_app: Annotated[
        str | None, typer.Argument(help="The app that is not settled; asked for if left out.", metavar="APP")
    ] = None,
    check: Check = None,
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
) -> None:
    """The enterprise's answer or hotline did not settle it: a case worker takes over."""
    gateway = api(url, client, CHANNEL)
    app_code = ask("App, by its code", of_app)
    proof = check or _prove(gateway, Purpose.FOLLOW)
    _acted(gateway, case, "unsolved", {"check": proof, "app": app_code}, as_json)


def withdraw(gateway: Api, case: str, check: str | None, as_json: bool) -> None:
    """Withdraw what no enterprise has acknowledged of a dispute."""
    _acted(gateway, case, "withdraw", {"check": check or _prove(gateway, Purpose.FOLLOW)}, as_json)


def reopen(gateway: Api, case: str, check: str, as_json: bool) -> None:
    """Go on with a closed dispute."""
    _acted(gateway, case, "reopen", {"check": check}, as_json)


def _detail(gateway: Api, case: str, proof: str) -> dict[str, Any]:
    found: dict[str, Any] = gateway.call("GET", f"/v1/disputes/{case}/detail", params={"check": proof})
    return found


def _acted(gateway: Api, case: str, action: str, body: Mapping[str, Any], as_json: bool) -> None:
    done = gateway.call("POST", f"/v1/disputes/{case}/{action}", json=body)
    if as_json:
        print_json(done)
        return
    word = "Taken" if done["changed"] else "Nothing changes"
    say(f"{word}: {case} is {plain(done['status'])}. Where it stands: starter.py result {case}")


# ── complaints ───────────────────────────────────────────────────────────────────────────────────────


@app.command()
def complain(
    kind: Annotated[ComplaintKind | None, typer.Argument(help="What of; asked for if left out.")] = None,
    text: Annotated[str | None, typer.Argument(help="What happened; it is kept in the vault. Asked for.")] = None,
    of_app: Annotated[
        list[str] | None, typer.Option("--app", help="The app; may be repeated. Asked for if left out.")
    ] = None,
    about: Annotated[str | None, typer.Option(help="The case it is about.", parser=reference, metavar="CASE")] = None,
    check: Check = None,
    number: Number = None,
    id_tail: IdTail = None,
    language: Speaks = Language.ZH,
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
) -> None:
    """Complain: the wrong account was unbound, it is still bound, the enterprise says done and it is not."""
    gateway = api(url, client, CHANNEL)
    body = {
        "kind": ask_word("What happened", ComplaintKind, kind).value,
        "text": ask("In your own words", text),
        "apps": ask_all("App, by its code", of_app),
        "about": about,
        "language": language.value,
        "check": check or _prove(gateway, Purpose.COMPLAINT, number, id_tail, language),
    }
    opened = gateway.open("/v1/complaints", body)
    if as_json:
        print_json(opened)
    else:
        say(f"Complaint {opened['case']}. Follow it with: starter.py result {opened['case']}")


# ── proving ──────────────────────────────────────────────────────────────────────────────────────────


def _begin(
    gateway: Api, purpose: Purpose, number: str | None, id_tail: str | None, language: Language
) -> dict[str, Any]:
    body = {
        "number": ask("Phone number", number),
        "id_tail": ask(ID_TAIL, id_tail, hidden=True),
        "purpose": purpose.value,
        "origin": ORIGIN,
        "language": language.value,
    }
    return gateway.open("/v1/identity-checks", body)


def _enter(gateway: Api, check: str, digits: str) -> dict[str, Any]:
    """The check after the code; while the carrier is asked, wait for its word. Raises ApiError if it proves nothing."""
    found: dict[str, Any] = gateway.call("POST", f"/v1/identity-checks/{check}/code", json={"code": digits})
    while found["status"] == "confirming":
        time.sleep(WAIT_SECONDS)
        found = gateway.call("GET", f"/v1/identity-checks/{check}")
    if problem := found["problem"]:
        raise ApiError(f"{problem['detail']} {problem['remedy']}", problem["code"])
    return found


def _prove(
    gateway: Api,
    purpose: Purpose,
    number: str | None = None,
    id_tail: str | None = None,
    language: Language = Language.ZH,
) -> str:
    """Number, ID tail and code, asked for one after the other; a wrong code is asked for again."""
    check: str = _begin(gateway, purpose, number, id_tail, language)["check"]
    _coded(gateway, check, lambda digits: _enter(gateway, check, digits))
    return check


def _coded(gateway: Api, check: str, enter: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """What entering the code gives; a wrong one is asked for again."""
    while True:
        digits = ask("Code from the short message (empty: send another)", empty=True)
        try:
            if digits:
                return enter(digits)
            gateway.call("POST", f"/v1/identity-checks/{check}/resend")
        except ApiError as error:
            if error.code not in TRY_AGAIN:
                raise
            warn(str(error))
