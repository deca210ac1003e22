"""What a citizen reads of a query: the result, and at most one supplement. Counts and names of apps, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from domain.messages import Language, Message, MessageKey
from domain.query.words import State, Target

MOST_FOUND = 20
"""Apps named with their counts; the rest is a number."""

MOST_SILENT = 10
"""Silent apps named."""


@dataclass(frozen=True)
class Phrases:
    """How one language says it, of one target."""

    found: str
    none_found: str
    nobody: str
    others: str
    silent: str
    comma: str
    count: str
    more: str


ACCOUNTS_ZH = Phrases(
    found="共查到{total}个互联网账号：{names}。",
    none_found="未查到互联网账号（{n}个应用已反馈）。",
    nobody="暂无应用反馈。",
    others="另有{n}个应用没有账号。",
    silent="未反馈：{names}。",
    comma="、",
    count="{name}{apart}{n}",
    more="等{n}个",
)
CARDS_ZH = Phrases(
    found="机主名下共查到{total}张电话卡：{names}。",
    none_found="机主名下未查到电话卡（{n}家运营商已反馈）。",
    nobody="暂无运营商反馈。",
    others="另有{n}家运营商没有。",
    silent="未反馈：{names}。",
    comma="、",
    count="{name}{apart}{n}",
    more="等{n}家",
)
ACCOUNTS_EN = Phrases(
    found="internet accounts found: {total} ({names}). ",
    none_found="no internet accounts found ({n} apps replied). ",
    nobody="no app has replied yet. ",
    others="Apps without any: {n}. ",
    silent="No reply yet: {names}. ",
    comma=", ",
    count="{name} {n}",
    more=" and others, {n} in all",
)
CARDS_EN = Phrases(
    found="phone cards under the holder's ID: {total} ({names}). ",
    none_found="no phone cards found under the holder's ID ({n} carriers replied). ",
    nobody="no carrier has replied yet. ",
    others="Carriers without any: {n}. ",
    silent="No reply yet: {names}. ",
    comma=", ",
    count="{name} {n}",
    more=" and others, {n} in all",
)
PHRASES = {
    (Target.ACCOUNTS, Language.ZH): ACCOUNTS_ZH,
    (Target.CARDS, Language.ZH): CARDS_ZH,
    (Target.ACCOUNTS, Language.EN): ACCOUNTS_EN,
    (Target.CARDS, Language.EN): CARDS_EN,
}


def messages(state: State) -> tuple[Message, ...]:
    """Everything the citizen has to be told by now, in order; each is told once."""
    wanted = (
        (state.reported_at, MessageKey.QUERY_RESULT),
        (state.supplemented_at, MessageKey.QUERY_SUPPLEMENT),
    )
    return tuple(_message(state, key) for since, key in wanted if since is not None)


def _message(state: State, key: MessageKey) -> Message:
    words = {"result": result(state)}
    return Message(key=key, case=state.case, number=state.masked_number, words=words, language=state.language)


def result(state: State) -> str:
    """The result in words: how many in all, where, how many apps have none, and who has not replied."""
    say = PHRASES[state.target, state.language]
    name = {one.app: one.name for one in state.apps}
    found = [_counted(say, name[app], n) for app, n in state.counts.items() if n]
    empty = len(state.counts) - len(found)
    if found:
        told = say.found.format(total=sum(state.counts.values()), names=_list(found, MOST_FOUND, say))
        told += say.others.format(n=empty) if empty else ""
    else:
        told = say.none_found.format(n=empty) if empty else say.nobody
    if state.silent:
        told += say.silent.format(names=_list([name[app] for app in state.silent], MOST_SILENT, say))
    return told


def _counted(say: Phrases, name: str, n: int) -> str:
    """A name that ends in a digit keeps away from the count after it."""
    apart = " " if name[-1:].isdecimal() else ""
    return say.count.format(name=name, apart=apart, n=n)


def _list(names: Sequence[str], most: int, say: Phrases) -> str:
    """The names, cut where nobody reads on."""
    shown = say.comma.join(names[:most])
    return shown if len(names) <= most else shown + say.more.format(n=len(names))
