"""The citizen's commands, asked and answered as somebody at a terminal would."""

from __future__ import annotations

from tests.chaos.conftest import until
from tests.cli.conftest import ID_TAIL, Terminal


def test_a_query_typed_in(terminal: Terminal) -> None:
    number = terminal.number()
    code = terminal.newest_code(number)
    typed = [number, ID_TAIL, "12345", lambda: "999999" if code() != "999999" else "999998", code]
    done = terminal("query", "--target", "cards", "--wait", "--json", typed=typed)
    view = done.json
    assert view["status"] in ("result_sent", "closed") and view["target"] == "cards" and not view["silent"]
    assert "code: " in done.err and "4 tries are left" in done.err, "a wrong code is asked for again"
    shown = terminal("result", view["case"])
    assert view["case"] in shown.out and "sandbox-mobile-cards" in shown.out and "139****" in shown.out
    assert terminal("result", view["case"], "--json").json["counts"] == view["counts"]
    story = terminal("show", view["case"])
    assert "Asked for the cards" in story.out and "The citizen was told the result" in story.out
    waited = terminal("result", view["case"], "--wait")
    assert "4 of 4 answered" in waited.out or "answered" in waited.out
    texts = terminal("phone", number, "--json").json
    assert view["case"] in texts[-1]["text"] and view["case"] in terminal("phone", number).out
    again = terminal("query", "--target", "cards", "--check", terminal.proof(number, "query"))
    assert again.code == 3 and "one_result_a_day" in again.err


def test_a_check_step_by_step(terminal: Terminal) -> None:
    number = terminal.number()
    begun = terminal("check", "--number", number, "--id-tail", ID_TAIL, "--for", "query", "--json").json
    check = begun["check"]
    early = terminal("resend", check)
    assert early.code == 3 and "wait_before_sending" in early.err
    assert terminal("query", "--check", check).code == 3, "not verified yet"
    done = terminal("code", check.lower(), typed=[lambda: terminal.code(number, check)])
    assert done.code == 0 and "is verified. It opens a case until" in done.out
    used = terminal("code", check, "123456")
    assert used.code == 3 and "code_used" in used.err
    assert "139****" in terminal("show", check).out
    wrong = terminal("check", "--number", number, "--id-tail", "31999X", "--language", "en")
    assert wrong.code == 3 and "wait_before_sending" in wrong.err


def test_who_is_not_the_holder_is_told_so(terminal: Terminal) -> None:
    number = terminal.number()
    check = terminal("check", "--number", number, "--id-tail", "31999X", "--json").json["check"]
    done = terminal("code", check, terminal.code(number, check), "--json")
    assert done.code == 3 and done.err.startswith("mismatch: ") and not done.out


def test_a_dispute_from_choice_to_reopening(terminal: Terminal) -> None:
    number = terminal.number()
    typed = ["qq", "muduo-youxiang", "", "mine", "not_mine", "wrong_data", number, ID_TAIL]
    opened = terminal("dispute", "--json", typed=[*typed, terminal.newest_code(number)]).json
    case, check = opened["case"], ("--check", opened["check"])
    until(lambda: terminal.claims(case) != {} and "asking_detail" not in terminal.claims(case).values())
    states = terminal.claims(case)
    assert states["muduo-youxiang"] == "hotline" and states["qq"] in ("choosing", "done")
    found = terminal("detail", case, *check, "--json").json["claims"][0]
    shown = terminal("detail", case, *check)
    assert all(one["ref"] in shown.out for one in found["accounts"])
    if states["qq"] == "choosing":
        answers = [word for one in found["accounts"] for word in ("perhaps", one["may"][0])]
        done = terminal("choose", case, *check, typed=answers)
        assert done.code == 0 and f"starter.py result {case}" in done.out
    nothing = terminal("choose", case, *check)
    assert nothing.code == 3 and "not_your_turn" in nothing.err
    said = terminal("result", case)
    assert "个人信息保护法" in said.out and "hotline" in said.out, "why not, the law and the remedy"
    assert terminal("unsolved", case, *check, typed=["muduo-youxiang"]).code == 0
    assert terminal("unsolved", case, "muduo-youxiang", *check, "--json").json["changed"] is False
    until(lambda: terminal.claims(case)["qq"] == "done")
    assert terminal("withdraw", case, *check, "--json").json["status"] in ("closed", "withdrawn")
    until(lambda: "reopen_until" in terminal("result", case, "--json").out)
    assert "you may go on with it until" in terminal("result", case).out
    assert terminal("reopen", case, *check).code == 0
    story = terminal("show", case).out
    assert "Said that it is not solved" in story and "Went on with it." in story and "Next: " in story


def test_a_choice_in_words(terminal: Terminal) -> None:
    choosing: list[str] = []
    while not choosing:  # whether a number has accounts there is drawn by the key ring
        case, check = terminal.dispute("taobao", "douyin", "jd")
        until(lambda case=case: "asking_detail" not in terminal.claims(case).values())
        choosing = [app for app, state in terminal.claims(case).items() if state == "choosing"]
    done = terminal("choose", case, *(f"{app}=unbind" for app in choosing), "--check", check, "--json")
    assert done.json["changed"] is True
    for words, code, said in (
        (("choose", case, "jd"), 2, "APP/ACCOUNT=WISH"),
        (("choose", case, "jd=perhaps"), 2, "unbind, cancel, keep"),
        (("choose", case, "wechat/a=keep", "--check", check), 3, "unknown_app"),
        (("detail", case, "--check", "K000000000000"), 3, "unknown_case"),
        (("detail", "D000000000000", "--check", check), 3, "unknown_case"),
        (("unsolved", case, "qq", "--check", check), 3, "unknown_app"),
        (("dispute", "--claim", "qq"), 2, "APP:REASON"),
        (("dispute", "--claim", "qq:perhaps"), 2, "not_mine"),
        (("result", "R000000000000"), 2, "Q, D or C"),
        (("withdraw", "C000000000000"), 2, "disputes"),
        (("result", "Q000000000000"), 3, "unknown_case"),
        (("phone", "123"), 3, "11 digits"),
    ):
        refused = terminal(*words)
        assert refused.code == code and said in refused.err, (words, refused)


def test_a_complaint(terminal: Terminal) -> None:
    number = terminal.number()
    typed = ["lost", "still_bound", "They still [send] codes.", "wechat", "", number, ID_TAIL]
    opened = terminal("complain", "--json", typed=[*typed, terminal.newest_code(number)]).json
    case = opened["case"]
    until(lambda: terminal("result", case, "--json").json["follow_ups"])
    assert "goes on as the dispute D" in terminal("result", case).out
    assert "“They still [send] codes.”" in terminal("show", case).out
    words = ("complain", "not_done", "It is not.", "--app", "wechat", "--about", case)
    strangers = terminal(*words, "--check", terminal.proof(terminal.number(), "complaint"))
    assert strangers.code == 3 and "unknown_case" in strangers.err


def test_what_is_missing_is_said(terminal: Terminal) -> None:
    for words, said in (
        (("query",), "Phone number is missing"),
        (("check", "--number", "13900010099"), "Last six of the ID is missing"),
        (("complain", "still_bound"), "In your own words is missing"),
        (("dispute",), "App, by its code is missing"),
    ):
        done = terminal(*words)
        assert done.code == 2 and said in done.err, (words, done)


def test_a_case_is_followed_by_its_reference(terminal: Terminal) -> None:
    number = terminal.number()
    case, _ = terminal.dispute("muduo-youxiang", number=number)
    terminal.brought_to(case, "muduo-youxiang", "hotline")
    done = terminal("follow", case.lower(), "--language", "en", typed=[ID_TAIL, terminal.newest_code(number)])
    assert done.code == 0 and "a code is on its way" in done.err, done
    assert "The citizen disputed muduo-youxiang" in done.out and "Next: " in done.out
    nobodys = terminal("follow", "D0123456789AB", "--json", typed=[ID_TAIL, "123456", "123456", *["123456"] * 3])
    assert nobodys.code == 3 and "locked" in nobodys.err and not nobodys.out
