"""The case desk's commands: queues, everything that can be done with a case, two people for a decision."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.chaos.conftest import until
from tests.cli.conftest import ID_TAIL, Terminal

APP = "muduo-youxiang"
"""Its enterprise refuses whatever it is asked."""


@pytest.fixture(scope="module")
def case(terminal: Terminal) -> str:
    """A dispute that a case worker has to see to."""
    return terminal.with_case_worker(APP)


def listed(terminal: Terminal, queue: str, *words: str) -> list[str]:
    """What stands in a queue."""
    return [one["case"] for one in terminal("queue", queue, *words, "--json").json["cases"]]


def test_queues_and_who_has_a_case(terminal: Terminal, case: str) -> None:
    assert case in listed(terminal, "unassigned") and case in terminal("queue", "unassigned").out
    assert case in listed(terminal, "open", "--kind", "dispute") and not listed(terminal, "open", "--kind", "number")
    assert "nothing here" in terminal("queue", "paused").out
    assert terminal("queue", "--json").json["mine"] == 0 and "unassigned" in terminal("queue").out
    assert "You have" in terminal("claim", case).out
    assert "Nothing to do" in terminal("claim", case).out
    taken = terminal("claim", case, who="worker-lin")
    assert taken.code == 3 and "worker-chen has this case" in taken.err
    assert case in listed(terminal, "mine")
    assert terminal("assign", case, who="worker-chen", typed=["worker-lin"]).code == 3
    assert "worker-lin has" in terminal("assign", case, "worker-lin").out
    assert terminal("release", case).code == 3
    assert "back in the queue" in terminal("release", case, who="worker-lin").out
    assert terminal("claim", case, "--json").json == {"case": case, "status": "open", "changed": True}


def test_search_and_export(terminal: Terminal, case: str, tmp_path: Path) -> None:
    def found(*words: str) -> list[str]:
        return [one["case"] for one in terminal("search", *words, "--json").json["cases"]]

    assert found("--case", case.lower()) == [case] and case in terminal("search", "--kind", "dispute").out
    number = terminal("search", "--case", case, "--json").json["cases"][0]["number"]
    assert found("--number", number) == [case] and found("--number", number, "--status", "closed") == []
    assert (
        found("--number", terminal.number()) == []
        and "nothing here" in terminal("search", "--enterprise", "nobody").out
    )
    assert terminal("search", "--number", terminal.number(), "--status", "open").code == 2
    assert case in found("--assignee", "worker-chen", "--sort", "-opened", "--queue", "all")
    table = tmp_path / "cases.csv"
    assert terminal("export", str(table), "--case", case).out == f"1 cases in {table}.\n"
    assert f"\n{case},dispute,open,{number}," in table.read_text("utf-8-sig")
    assert terminal("export", str(tmp_path)).code == 3


def test_notes_clocks_and_escalation(terminal: Terminal, case: str) -> None:
    assert terminal("note", case, "--attach", "doc-1", typed=["Called [them]."]).out.startswith("Noted.")
    assert "stands" in terminal("pause", case, typed=["Waits for a letter."]).out
    assert case in listed(terminal, "paused")
    assert "The clock stands since" in terminal("show", case).out
    assert "paused" in terminal("pause", case, "Again").err and terminal("extend", case, "More").code == 3
    assert "goes on" in terminal("resume", case).out
    due = terminal("show", case, "--json").json["due_at"]
    assert terminal("extend", case, "More time", "--days", "3").code == 0
    assert terminal("show", case, "--json").json["due_at"] > due
    assert terminal("extend", case, "More time", "--days", "16", who="supervisor-wu").code == 3
    assert "supervisors" in terminal("escalate", case, typed=["Difficult"]).out
    assert case in listed(terminal, "escalated")
    story = terminal("show", case).out
    for said in ("Wrote a note. “Called [them]. / doc-1”", "Stopped the clock. “Waits", "Moved the deadline to"):
        assert said in story


def test_two_people_decide(terminal: Terminal, case: str) -> None:
    terminal("claim", case)
    assert "nothing_proposed" in terminal("approve", case).err
    done = terminal("decide", case, typed=["perhaps", "override", APP, "The contract is older."])
    assert done.code == 0 and f"approve {case}" in done.out
    waiting = terminal("show", case)
    assert "Next: Somebody else approves or rejects what worker-chen proposed." in waiting.out
    assert "decision_pending" in terminal("decide", case, "refuse", "No", "--about", APP).err
    assert "same_person" in terminal("approve", case, who="worker-chen").err
    assert "nothing comes of it" in terminal("reject", case).out
    assert terminal("decide", case, "override", "The contract is older.", "--about", APP, "--json").json["changed"]
    assert "takes effect" in terminal("approve", case, who="supervisor-wu").out
    until(lambda: terminal("show", case, "--json").json["status"] == "closed")
    assert "Settled, in favour: muduo-youxiang. “The contract is older.”" in terminal("show", case).out
    assert "case_closed" in terminal("escalate", case, "x").err
    assert "goes on" in terminal("reopen", case, typed=["New facts"]).out
    assert "not_closed" in terminal("reopen", case, "x").err
    settled = terminal("settle", case, typed=[APP, "perhaps", "explained", "They know why not."])
    assert settled.code == 0 and "Settled" in settled.out
    until(lambda: terminal("show", case, "--json").json["status"] == "closed")


def test_an_investigation(terminal: Terminal) -> None:
    origin = terminal.complaint("not_done", "wechat")
    words = ("investigate", origin, "When was it unbound?", "--party", "tencent:wechat,qq")
    case = terminal(*words, "--party", "sandbox-mobile", "--json").json["case"]
    asked = terminal("investigate", origin, typed=["By whom?", "jd:jd", ""])
    assert asked.code == 0 and "starter.py evidence X" in asked.out
    until(lambda: all(one["statement"] for one in terminal("evidence", case, "--json").json["parties"]))
    record = terminal("evidence", case).out
    assert "asked: When was it unbound?" in record and "tencent  腾讯: answered" in record and "attachment" in record
    assert "not_claimed" in terminal("decide", case, "conclude", "x", "--about", "citizen_right").err
    terminal("claim", case)
    assert terminal("decide", case, "conclude", "x", "--about", "perhaps").code == 3
    done = terminal("decide", case, "conclude", typed=["perhaps", "citizen_right", "The record shows it."])
    assert done.code == 0
    assert "proposed by worker-chen: citizen right “The record shows it.”" in terminal("evidence", case).out
    assert terminal("approve", case, "--json").json["status"] in ("decided", "closed")
    until(lambda: terminal("evidence", case, "--json").json["ended_at"])
    assert "result: citizen right" in terminal("evidence", case).out
    assert "Two people have decided: citizen right." in terminal("show", case).out


def test_complaints_are_sent_another_way_and_merged(terminal: Terminal) -> None:
    case, other = terminal.complaint("not_done", "jd"), terminal.complaint("not_done", "jd")
    sent = terminal("route", case, typed=["nowhere", "dispute", "They never asked."])
    assert sent.code == 0 and "It goes that way." in sent.out
    until(lambda: terminal("show", case, "--json").json["status"] == "in_dispute")
    assert "Sent it another way: dispute. “They never asked.”" in terminal("show", case).out
    assert terminal("route", case, "dispute", "Again", "--json").json["changed"] is False
    assert f"{case} goes on" in terminal("merge", other, case).out
    assert f"Merged it into {case}" in terminal("show", other).out
    for words, said in (
        (("merge", case, case), "cannot_merge"),
        (("merge", case, "C000000000000"), "cannot_merge"),
        (("merge", other, case), "case_closed"),
        (("route", "C000000000000", "dispute", "x"), "unknown_case"),
    ):
        refused = terminal(*words)
        assert refused.code == 3 and said in refused.err, (words, refused)


def test_many_cases_at_once(terminal: Terminal) -> None:
    cases = [terminal.complaint("not_done", "wechat") for _ in range(2)]
    assert terminal("bulk", "claim", *cases).out == "2 of 2 done.\n"
    some = terminal("bulk", "pause", *cases, "C000000000000", typed=["Holiday"])
    assert some.code == 1 and "2 of 3 done, these not:" in some.out and "C000000000000: There is no case" in some.err
    for words in (
        ("resume",),
        ("note", "--text", "Seen"),
        ("extend", "--reason", "x"),
        ("assign", "--to", "worker-lin"),
    ):
        assert terminal("bulk", words[0], *cases, *words[1:], "--json").json["done"] == 2, words
    none = terminal("bulk", "release", *cases, "--json")
    assert none.code == 1 and '"done": 0' in none.out


def test_a_work_item_s_clock(terminal: Terminal) -> None:
    check = terminal.proof(terminal.number(), "dispute")
    claims = [{"app": "banxia-zhaopin", "reason": "not_mine"}]
    silent = terminal.channel.open("/v1/disputes", {"check": check, "claims": claims})["case"]
    assert "Next: The enterprise says which accounts there are (banxia-zhaopin)." in terminal("show", silent).out
    renewal = terminal("renew", "--apps", "banxia-zhaopin", "--json", typed=[terminal.number(), "2026-08-01"]).json[
        "case"
    ]
    part = f"{renewal}-unbind-0"

    def delivered() -> re.Match[str] | None:
        return re.search(r"was sent 1 work item \((W\w{20})\)", terminal("show", part).out)

    item = until(delivered)[1]
    assert "stands" in terminal("pause", item, typed=["The court"]).out
    assert "goes on" in terminal("resume", item.lower()).out
    assert terminal("resume", item, "--json").json["changed"] is False
    story = terminal("show", part)
    assert f"Stopped the clock of 1 work item ({item})." in story.out and "Next: " in story.out
    assert "no_case_work" in terminal("claim", part).err
    assert "unknown_work_item" in terminal("pause", f"W{'0' * 20}", "x").err
    assert "Handed in a renewal" in terminal("show", renewal, who="worker-chen").out
    assert "Renewal" in terminal("show", renewal).out


def test_a_check_at_a_counter(terminal: Terminal) -> None:
    number = terminal.number()
    begun = terminal("counter", "--for", "dispute", "--json", typed=[number, ID_TAIL]).json
    assert "asked" in terminal("attest", begun["check"], "--matched").out
    until(lambda: "verified" in terminal("show", begun["check"]).out)
    opened = terminal("dispute", "--claim", "wechat:not_mine", "--check", begun["check"], "--json").json
    assert opened["check"] == begun["check"]
    other = terminal("counter", "--for", "query", "--number", number, "--id-tail", ID_TAIL)
    assert other.code == 0 and "attest K" in other.out


def test_wrong_people_and_wrong_words(terminal: Terminal, case: str) -> None:
    for words, code, said in (
        (("claim", "D000000000000"), 3, "unknown_case"),
        (("claim", "nonsense"), 2, "no reference"),
        (("claim", case, "--as", "nobody"), 3, "unknown_person"),
        (("claim", case, "--as", "channel"), 3, "not_allowed"),
        (("queue", "everything"), 2, "unassigned"),
        (("queue", "open", "--kind", "party"), 2, "party"),
        (("decide", case, "forgive", "x"), 2, "forgive"),
        (("decide", case), 2, "Decision"),
        (("settle", case, APP, "forgiven", "x"), 2, "forgiven"),
        (("note", case), 2, "Note is missing"),
        (("evidence", case), 3, "unknown_case"),
        (("investigate", case, "x", "--party", "nobody-knows"), 3, "unknown_app"),
        (("bulk", "bury", case), 2, "bury"),
        (("bulk", "claim"), 2, "CASE"),
        (("reopen", case, "--check", "K000000000000"), 3, "unknown_case"),
        (("show", "X000000000000"), 3, "unknown_case"),
        (("show", "R000000000000", "--as", "worker-chen"), 3, "unknown_case"),
        (("queue", "--api", "http://127.0.0.1:9", "--client", "x:y"), 4, "does not answer"),
    ):
        refused = terminal(*words)
        assert refused.code == code and said in refused.err, (words, refused)
