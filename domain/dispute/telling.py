"""What a citizen reads of a dispute: its short messages, and what comes next for each claim."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum

from domain.case import AppCode
from domain.dispute.grounds import EXPLANATIONS, Explanation
from domain.dispute.words import (
    FOR_THE_CITIZEN,
    Claim,
    ClaimState,
    Ending,
    Owed,
    Settlement,
    State,
)
from domain.messages import Language, Message, MessageKey

MOST_NAMES = 2
"""Apps a short message names; of more it says how many."""

MORE: Mapping[Language, str] = {Language.ZH: "{names}等{n}项", Language.EN: "{names} and {rest} more"}
BETWEEN: Mapping[Language, str] = {Language.ZH: "、", Language.EN: ", "}
NO_HOTLINE: Mapping[Language, str] = {Language.ZH: "企业客服", Language.EN: "the enterprise's service"}


def message(state: State, owed: Owed) -> Message:
    """The short message that is owed."""
    words = WORDS.get(owed.key, _names)(state, owed)
    return Message(key=owed.key, case=state.case, number=state.masked_number, words=words, language=state.language)


def name(claim: Claim, language: Language) -> str:
    """How people call the app."""
    return claim.name_en or claim.name if language is Language.EN else claim.name


def explanation(claim: Claim, language: Language) -> Explanation | None:
    """Why the party said no, by which law, and what can be done; None if it did not."""
    return EXPLANATIONS[claim.ground][language] if claim.ground else None


def _named(state: State, apps: Iterable[AppCode]) -> str:
    names = [name(state.claims[app], state.language) for app in apps]
    shown = BETWEEN[state.language].join(names[:MOST_NAMES])
    if len(names) <= MOST_NAMES:
        return shown
    return MORE[state.language].format(names=shown, n=len(names), rest=len(names) - MOST_NAMES)


def _names(state: State, owed: Owed) -> dict[str, str]:
    return {"apps": _named(state, owed.apps or state.claims)}


def _why(state: State, owed: Owed) -> dict[str, str]:
    claim = state.claims[owed.apps[0]]
    why = explanation(claim, state.language)
    return {**_hotline(state, owed), "why": why.short if why else ""}


def _hotline(state: State, owed: Owed) -> dict[str, str]:
    hotline = state.claims[owed.apps[0]].hotline
    return {**_names(state, owed), "hotline": hotline or NO_HOTLINE[state.language]}


def _tally(state: State, owed: Owed) -> dict[str, str]:
    counted = tally(state)
    words = TALLY[state.language]
    return {"tally": BETWEEN[state.language].join(f"{words[end]}{n}" for end, n in counted.items())}


WORDS: Mapping[MessageKey, Callable[[State, Owed], dict[str, str]]] = {
    MessageKey.DISPUTE_REFUSED: _why,
    MessageKey.DISPUTE_HOTLINE: _hotline,
    MessageKey.DISPUTE_CLOSED: _tally,
}
"""What each text needs; the others name the apps."""


class End(StrEnum):
    """How claims end, as the closing message counts them."""

    SOLVED = "solved"
    REFUSED = "refused"
    INVESTIGATED = "investigated"
    SILENT = "silent"
    WITHDRAWN = "withdrawn"


TALLY: Mapping[Language, Mapping[End, str]] = {
    Language.ZH: {
        End.SOLVED: "已解决",
        End.REFUSED: "未支持",
        End.INVESTIGATED: "已协查",
        End.SILENT: "未答复",
        End.WITHDRAWN: "已撤回",
    },
    Language.EN: {
        End.SOLVED: "solved ",
        End.REFUSED: "refused ",
        End.INVESTIGATED: "investigated ",
        End.SILENT: "no word from you ",
        End.WITHDRAWN: "withdrawn ",
    },
}

SETTLED: Mapping[Settlement, End] = {
    Settlement.SOLVED: End.SOLVED,
    Settlement.IN_FAVOUR: End.SOLVED,
    Settlement.EXPLAINED: End.REFUSED,
    Settlement.REFUSED: End.REFUSED,
    Settlement.INVESTIGATED: End.INVESTIGATED,
}


def _end(claim: Claim) -> End:
    if claim.state is ClaimState.SETTLED and claim.settlement:
        return SETTLED[claim.settlement]
    if claim.state is ClaimState.LAPSED:
        return End.REFUSED if claim.ground else End.SILENT
    return End.WITHDRAWN if claim.state is ClaimState.WITHDRAWN else End.SOLVED


def tally(state: State) -> dict[End, int]:
    """How many claims ended how, in the order people care about."""
    counted = Counter(_end(claim) for claim in state.claims.values())
    return {end: counted[end] for end in End if counted[end]}


def ending(state: State) -> Ending:
    """How the whole dispute ended."""
    if state.work.merged_into:
        return Ending.MERGED
    ends = [_solved(claim) for claim in state.claims.values() if claim.state is not ClaimState.WITHDRAWN]
    if not ends:
        return Ending.WITHDRAWN
    return Ending.SOLVED if all(ends) else Ending.NOT_SOLVED


def _solved(claim: Claim) -> bool:
    return claim.state is ClaimState.DONE or claim.settlement in FOR_THE_CITIZEN


NEXT: Mapping[ClaimState, Mapping[Language, str]] = {
    ClaimState.ASKING_DETAIL: {
        Language.ZH: "企业正在查询账号明细；逾期未答复，由人工跟进。",
        Language.EN: "The enterprise looks up the accounts; if it stays silent, a case worker takes it on.",
    },
    ClaimState.OWN_CHECK: {
        Language.ZH: "请打开明细中的链接，完成企业的身份核验；长期未完成，该项将关闭。",
        Language.EN: "Open the link in the detail and pass the enterprise's own check; otherwise the claim lapses.",
    },
    ClaimState.CHOOSING: {
        Language.ZH: "请查看明细，为每个账号选择解绑、注销或保留；长期未选择，该项将关闭。",
        Language.EN: "Look at the detail and choose for each account; otherwise the claim lapses.",
    },
    ClaimState.UNBINDING: {
        Language.ZH: "企业正在按您的选择处理；逾期未答复，由人工跟进。",
        Language.EN: "The enterprise does what you chose; if it stays silent, a case worker takes it on.",
    },
    ClaimState.DONE: {Language.ZH: "已办结。", Language.EN: "Done."},
    ClaimState.REFUSED: {Language.ZH: "企业未支持。", Language.EN: "The enterprise said no."},
    ClaimState.OVERDUE: {Language.ZH: "企业逾期未答复。", Language.EN: "The enterprise is late."},
    ClaimState.HOTLINE: {
        Language.ZH: "请致电企业客服；仍未解决的请告诉我们，由人工跟进。长期未答复，该项将关闭。",
        Language.EN: "Call the enterprise's hotline; tell us if that does not solve it. Otherwise the claim lapses.",
    },
    ClaimState.WITH_CASE_WORKER: {
        Language.ZH: "人工正在跟进。",
        Language.EN: "A case worker sees to it.",
    },
    ClaimState.INVESTIGATING: {
        Language.ZH: "正在协查，结果将短信告知。",
        Language.EN: "It is being investigated; you are told the result.",
    },
    ClaimState.SETTLED: {Language.ZH: "已办结。", Language.EN: "Settled."},
    ClaimState.LAPSED: {
        Language.ZH: "因未收到您的答复已关闭；关闭后30日内可申请继续。",
        Language.EN: "Lapsed without a word from you; you may go on with it within 30 days of the close.",
    },
    ClaimState.WITHDRAWN: {Language.ZH: "已按您的要求撤回。", Language.EN: "Withdrawn as you asked."},
}
"""What comes next for a claim in each state."""
