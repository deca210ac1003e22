"""What people read: short messages and mails, in plain words, with the case's reference and masked numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from domain.renewal import NotEligible, RenewalStatus, State
from domain.unbind import ItemState, Notice

OUTCOME_ZH: Mapping[ItemState, str] = {
    ItemState.UNBOUND: "已解绑",
    ItemState.CANCELLED: "已注销",
    ItemState.NOT_FOUND: "未绑定",
    ItemState.KEPT: "本人保留",
    ItemState.EXEMPT: "豁免",
    ItemState.REJECTED: "被拒绝",
    ItemState.WITHDRAWN: "已撤回",
    ItemState.OVERDUE: "逾期未反馈",
}

REFUSED_ZH: Mapping[NotEligible, str] = {
    NotEligible.NEVER_CANCELLED: "该号码未曾销户，不是二次号码。如有异议请联系您的运营商",
    NotEligible.NOT_ACTIVE: "该号码目前不在用。请先复机再办理",
    NotEligible.HOLDER_MISMATCH: "机主信息不符。请机主本人到营业厅办理",
    NotEligible.ACTIVATION_MISMATCH: "开户时间与登记不符。请联系您的运营商更正后再办理",
    NotEligible.NO_ANSWER: "运营商长期未能确认号码情况。请联系您的运营商",
}


def renewal_message(state: State, counts: Mapping[ItemState, int], summary: int) -> str:
    """The holder's short message: what came of the renewal, or why it was refused."""
    reference = f"编号{state.case}。"
    subject = f"【解绑】您的号码{state.masked_number}焕新"
    if state.status is RenewalStatus.REFUSED:
        return f"{subject}未能办理：{REFUSED_ZH[NotEligible(state.reason)]}。{reference}"
    if state.status is RenewalStatus.WITHDRAWN:
        return f"{subject}已按您的要求撤回。{reference}"
    kind = "结果" if summary == 1 else "结果更新"
    lines = "，".join(f"{word}{counts[key]}" for key, word in OUTCOME_ZH.items() if counts.get(key))
    chased = "逾期的已转人工跟进。" if counts.get(ItemState.OVERDUE) else ""
    return f"{subject}{kind}：共{sum(counts.values())}个应用，{lines}。{chased}{reference}"


NOTICE_ZH: Mapping[Notice, tuple[str, str]] = {
    Notice.REQUEST: ("解绑工单", "请核实并处理以下工单，在期限前反馈结果。"),
    Notice.REMINDER: ("催办：解绑工单即将到期", "以下工单即将到期，请尽快反馈。"),
    Notice.WITHDRAWAL: ("撤回：解绑工单", "用户已撤回以下工单，无需再处理。"),
}


def enterprise_mail(
    notice: Notice, case: str, number: str, items: Sequence[tuple[str, str]], link: str
) -> tuple[str, str]:
    """Subject and text of one digest; `items` are app names with due times, `number` is masked."""
    subject, ask = NOTICE_ZH[notice]
    lines = "\n".join(f"  · {name}    期限 {due}" for name, due in items)
    where = "" if notice is Notice.WITHDRAWAL else f"\n打开以下链接反馈（仅限贵公司使用，到期失效）：\n{link}\n"
    return f"{subject} {case}（{len(items)}项）", f"{ask}\n\n号码 {number}\n{lines}\n{where}\n——解绑服务"


def overdue_mail(case: str, items: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """Subject and text to the case desk; `items` are enterprise and app names."""
    lines = "\n".join(f"  · {enterprise}：{app}" for enterprise, app in items)
    return f"逾期工单 {case}（{len(items)}项）", f"以下工单逾期未反馈，请跟进：\n\n{lines}\n"
