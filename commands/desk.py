"""What case workers and supervisors do: look at queues, take cases on, decide, investigate."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from commands import citizen, search
from commands.common import (
    NOT_RIGHT,
    ApiUrl,
    As,
    AsJson,
    Case,
    Client,
    Number,
    Reason,
    api,
    ask,
    ask_all,
    ask_word,
    out,
    print_json,
    reference,
    reference_or_item,
    say,
    warn,
)
from commands.words import ITEM_ID, Bulk, CaseKind, Decision, Purpose, Queue, Result, Settlement, Way
from runtime import render
from runtime.render import plain

app = typer.Typer()
WORKER, SECOND, SUPERVISOR = search.WORKER, "worker-lin", "supervisor-wu"
"""Who one is at the embedded stack if one does not say: the first case worker, the second where two people are
needed, the supervisor where it takes one."""

DONE = {
    "claim": "You have {case} now.",
    "release": "{case} is back in the queue.",
    "assign": "{to} has {case} now.",
    "note": "Noted.",
    "pause": "The clock of {case} stands.",
    "resume": "The clock of {case} goes on.",
    "extend": "The deadline of {case} is later now.",
    "escalate": "{case} is with the supervisors.",
    "merge": "{case} is closed; {into} goes on.",
    "reopen": "{case} goes on.",
    "propose": "Proposed. It takes effect when somebody else approves: starter.py approve {case}",
    "approve": "Approved; it takes effect.",
    "reject": "Rejected; nothing comes of it.",
}
"""What an action did."""

CaseOrItem = Annotated[
    str,
    typer.Argument(
        help="The case's reference, or a work item's (W…) of an unbind request.",
        parser=reference_or_item,
        metavar="CASE",
    ),
]


# ── queues ───────────────────────────────────────────────────────────────────────────────────────────

MOST_COUNTED = 1000
"""How far the gateway counts the cases of a queue."""


@app.command()
def queue(
    name: Annotated[Queue | None, typer.Argument(help="Which queue; left out: how many cases are in each.")] = None,
    kind: Annotated[CaseKind | None, typer.Option(help="Only cases of this kind.")] = None,
    after: Annotated[str, typer.Option(help="Where the page before ended.")] = "",
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
    who: As = None,
) -> None:
    """The case workers' queues."""
    gateway = api(url, client, who or WORKER)
    if name is None:
        counts: dict[str, int] = gateway.call("GET", "/v1/queues")
        if as_json:
            print_json(counts)
            return
        for word, count in counts.items():
            many = f"{MOST_COUNTED}+" if count > MOST_COUNTED else str(count)
            say(f"{many:>6}  {plain(word)}")
        return
    wanted = {"queue": name.value, "kind": kind and kind.value, "after": after}
    listing = gateway.call("GET", "/v1/cases", params={key: value for key, value in wanted.items() if value})
    search.show(listing, as_json)


app.command()(search.search)
app.command()(search.export)


# ── one case ─────────────────────────────────────────────────────────────────────────────────────────


@app.command()
def claim(case: Case, as_json: AsJson = False, url: ApiUrl = None, client: Client = None, who: As = None) -> None:
    """Take a case on."""
    _act(case, {"action": "claim"}, as_json, url, client, who)


@app.command()
def release(case: Case, as_json: AsJson = False, url: ApiUrl = None, client: Client = None, who: As = None) -> None:
    """Give a case back to the queue."""
    _act(case, {"action": "release"}, as_json, url, client, who)


@app.command()
def assign(
    case: Case,
    to: Annotated[str | None, typer.Argument(help="A case worker's code; asked for if left out.")] = None,
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
    who: As = None,
) -> None:
    """Give a case to somebody (supervisors)."""
    _act(case, {"action": "assign", "to": ask("Whose it is to be", to)}, as_json, url, client, who or SUPERVISOR)


@app.command()
def note(
    case: Case,
    text: Annotated[str | None, typer.Argument(help="What to write down; kept in the vault. Asked for.")] = None,
    attach: Annotated[list[str] | None, typer.Option(help="A reference to a document; may be repeated.")] = None,
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
    who: As = None,
) -> None:
    """Write something down."""
    action = {"action": "note", "text": ask("Note", text), "attachments": attach or []}
    _act(case, action, as_json, url, client, who)


@app.command()
def pause(
    case: CaseOrItem,
    reason: Reason = None,
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
    who: As = None,
) -> None:
    """Stop the clock of a case, or of one work item of an unbind request."""
    _act(case, {"action": "pause", "reason": ask("Why", reason)}, as_json, url, client, who)


@app.command()
def resume(
    case: CaseOrItem, as_json: AsJson = False, url: ApiUrl = None, client: Client = None, who: As = None
) -> None:
    """Let a clock go on; deadlines are later by as long as it stood."""
    _act(case, {"action": "resume"}, as_json, url, client, who)


@app.command()
def extend(
    case: Case,
    reason: Reason = None,
    days: Annotated[int, typer.Option(min=1, help="By how many days, 15 at most.")] = 5,
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
    who: As = None,
) -> None:
    """Move a case's deadline."""
    _act(case, {"action": "extend", "by": f"P{days}D", "reason": ask("Why", reason)}, as_json, url, client, who)


@app.command()
def escalate(
    case: Case,
    reason: Reason = None,
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
    who: As = None,
) -> None:
    """Hand a case up to a supervisor."""
    _act(case, {"action": "escalate", "reason": ask("Why", reason)}, as_json, url, client, who)


@app.command()
def merge(
    case: Case,
    into: Annotated[str, typer.Argument(help="The case that goes on.", parser=reference, metavar="CASE")],
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
    who: As = None,
) -> None:
    """Close a case in favour of one of the same kind that says the same."""
    _act(case, {"action": "merge", "into": into}, as_json, url, client, who)


@app.command()
def reopen(
    case: Case,
    reason: Reason = None,
    check: citizen.Check = None,
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
    who: As = None,
) -> None:
    """Let a closed case go on: as a case worker with a reason, or as the citizen of a dispute with --check."""
    if check:
        citizen.reopen(api(url, client, citizen.CHANNEL), case, check, as_json)
        return
    _act(case, {"action": "reopen", "reason": ask("Why", reason)}, as_json, url, client, who)


@app.command()
def decide(
    case: Case,
    decision: Annotated[
        Decision | None,
        typer.Argument(help="Refuse the wish, override an enterprise's answer, or conclude an investigation."),
    ] = None,
    reason: Reason = None,
    about: Annotated[
        str | None, typer.Option(help=f"The app; or an investigation's result: {', '.join(Result)}.")
    ] = None,
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
    who: As = None,
) -> None:
    """Decide; it takes effect when somebody else approves."""
    chosen = ask_word("Decision", Decision, decision)
    if about is None and chosen is Decision.CONCLUDE:
        about = ask_word("Result", Result).value
    elif about is None and decision is None:
        about = ask("App, by its code (empty: the case as a whole)", empty=True)
    action = {"action": "propose", "decision": chosen.value, "about": about or "", "reason": ask("Why", reason)}
    _act(case, action, as_json, url, client, who)


@app.command()
def approve(case: Case, as_json: AsJson = False, url: ApiUrl = None, client: Client = None, who: As = None) -> None:
    """Approve what somebody else decided."""
    _act(case, {"action": "approve"}, as_json, url, client, who or SECOND)


@app.command()
def reject(case: Case, as_json: AsJson = False, url: ApiUrl = None, client: Client = None, who: As = None) -> None:
    """Do not approve what somebody else decided."""
    _act(case, {"action": "reject"}, as_json, url, client, who or SECOND)


def _act(
    case: str, action: dict[str, Any], as_json: bool, url: str | None, client: str | None, who: str | None
) -> None:
    gateway = api(url, client, who or WORKER)
    if item := re.fullmatch(ITEM_ID, case):
        given = {"reason": action["reason"]} if "reason" in action else None
        done = gateway.call("POST", f"/v1/work-items/{item[0]}/{action['action']}", json=given)
    else:
        done = gateway.call("POST", f"/v1/cases/{case}/act", json=action)
    if as_json:
        print_json(done)
        return
    said = DONE[action["action"]].format(case=case, **{key: action[key] for key in ("to", "into") if key in action})
    stands = plain(done.get("status") or done["state"])
    say(f"{said if done['changed'] else 'Nothing to do, it is so already.'} ({case} is {stands}.)")


# ── several cases ────────────────────────────────────────────────────────────────────────────────────


@app.command()
def bulk(
    action: Annotated[Bulk, typer.Argument(help="What to do with each.")],
    cases: Annotated[list[str], typer.Argument(help="The cases.", parser=reference, metavar="CASE...")],
    reason: Annotated[str | None, typer.Option(help="For pause, extend, escalate and reopen; asked for.")] = None,
    text: Annotated[str | None, typer.Option(help="For note; asked for.")] = None,
    to: Annotated[str | None, typer.Option(help="For assign; asked for.")] = None,
    days: Annotated[int, typer.Option(min=1, help="For extend.")] = 5,
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
    who: As = None,
) -> None:
    """One action on many cases; says which were not done and why (exit code 1)."""
    body: dict[str, str] = {"action": action.value}
    if action in (Bulk.PAUSE, Bulk.EXTEND, Bulk.ESCALATE, Bulk.REOPEN):
        body["reason"] = ask("Why", reason)
    if action is Bulk.EXTEND:
        body["by"] = f"P{days}D"
    if action is Bulk.NOTE:
        body["text"] = ask("Note", text)
    if action is Bulk.ASSIGN:
        body["to"] = ask("Whose they are to be", to)
    usual = {Bulk.ASSIGN: SUPERVISOR, Bulk.APPROVE: SECOND, Bulk.REJECT: SECOND}.get(action, WORKER)
    done = api(url, client, who or usual).call("POST", "/v1/cases/act", json={"cases": cases, "action": body})
    if as_json:
        print_json(done)
    else:
        say(f"{done['done']} of {done['of']} done" + (", these not:" if done["not_done"] else "."))
        for one in done["not_done"]:
            warn(f"  {one['case']}: {one['problem']['detail']} {one['problem']['remedy']}")
    if done["not_done"]:
        raise typer.Exit(NOT_RIGHT)


# ── kinds ────────────────────────────────────────────────────────────────────────────────────────────


@app.command()
def settle(
    case: Case,
    of_app: Annotated[
        str | None, typer.Argument(help="The app whose claim is settled; asked for.", metavar="APP")
    ] = None,
    settlement: Annotated[
        Settlement | None, typer.Argument(help="Solved; or explained: the citizen knows why not.")
    ] = None,
    reason: Reason = None,
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
    who: As = None,
) -> None:
    """Settle a dispute's claim that was solved by telephone."""
    body = {
        "app": ask("App, by its code", of_app),
        "settlement": ask_word("How", Settlement, settlement).value,
        "reason": ask("Why", reason),
    }
    done = api(url, client, who or WORKER).call("POST", f"/v1/disputes/{case}/settle", json=body)
    print_json(done) if as_json else say(f"Settled. ({case} is {plain(done['status'])}.)")


@app.command()
def route(
    case: Case,
    to: Annotated[Way | None, typer.Argument(help="Where it is to go; asked for.")] = None,
    reason: Reason = None,
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
    who: As = None,
) -> None:
    """Send a complaint another way: it goes on as a dispute or an investigation."""
    body = {"to": ask_word("Where to", Way, to).value, "reason": ask("Why", reason)}
    done = api(url, client, who or WORKER).call("POST", f"/v1/complaints/{case}/route", json=body)
    said = "It goes that way." if done["changed"] else "Nothing to do, it went that way already."
    print_json(done) if as_json else say(f"{said} ({case} is {plain(done['status'])}.)")


@app.command()
def investigate(
    case: Case,
    question: Annotated[
        str | None, typer.Argument(help="What the parties are asked; it is kept in the vault. Asked for.")
    ] = None,
    party: Annotated[
        list[str] | None,
        typer.Option(help="PARTY or PARTY:APP,APP …; may be repeated. PARTY alone: all of its apps. Asked for."),
    ] = None,
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
    who: As = None,
) -> None:
    """Open an investigation from a case: one task with a deadline per party."""
    asked = ask("What the parties are asked", question)
    given = [one.partition(":") for one in ask_all("Party, or PARTY:APP,APP", party)]
    parties = {code: apps.split(",") if apps else [] for code, _, apps in given}
    body = {"from_case": case, "question": asked, "parties": parties}
    opened = api(url, client, who or WORKER).open("/v1/investigations", body)
    if as_json:
        print_json(opened)
    else:
        say(f"Investigation {opened['case']}. Read its record with: starter.py evidence {opened['case']}")


@app.command()
def evidence(case: Case, as_json: AsJson = False, url: ApiUrl = None, client: Client = None, who: As = None) -> None:
    """An investigation's joined record: what each party said, and who is missing."""
    found = api(url, client, who or WORKER).call("GET", f"/v1/investigations/{case}")
    print_json(found) if as_json else out.print(render.evidence(found))


@app.command()
def attest(
    check: citizen.CheckCase,
    matched: Annotated[bool, typer.Option("--matched/--not-matched", help="Whether they are the holder.")],
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
    who: As = None,
) -> None:
    """Say what came of an identity check at a counter (`counter` begins one)."""
    done = api(url, client, who or WORKER).call(
        "POST", f"/v1/identity-checks/{check}/attest", json={"matched": matched}
    )
    if as_json:
        print_json(done)
    else:
        say("Recorded; the carrier is asked." if matched else "Recorded; the check proves nothing.")


@app.command()
def counter(
    purpose: Annotated[Purpose, typer.Option("--for", help="What the check is good for.")],
    number: Number = None,
    id_tail: citizen.IdTail = None,
    channel: Annotated[str, typer.Option(help="The channel through which the proof will be used.")] = "mini-program",
    as_json: AsJson = False,
    url: ApiUrl = None,
    client: Client = None,
    who: As = None,
) -> None:
    """Begin an identity check for somebody at a counter: no code goes out, `attest` says what came of it."""
    body = {
        "number": ask("Phone number", number),
        "id_tail": ask(citizen.ID_TAIL, id_tail, hidden=True),
        "purpose": purpose.value,
        "method": "counter",
        "channel": channel,
    }
    begun = api(url, client, who or WORKER).open("/v1/identity-checks", body)
    if as_json:
        print_json(begun)
    else:
        say(f"Check {begun['check']}. Look at their ID, then: starter.py attest {begun['check']} --matched")
