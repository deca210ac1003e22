"""A case in its citizen's words: what they are shown of it, in Chinese and English.

Tables only. What is not in them is not for the citizen: who of the case desk did what, what was noted, proposed or
decided by whom, who was asked. The English of what happened is the story's (`domain/story.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

from domain import story
from domain.case import CaseKind, Event, Model
from domain.complaint import ComplaintStatus
from domain.dispute import DisputeStatus
from domain.query import AnswerState, QueryStatus
from domain.renewal import NotEligible, RenewalStatus
from domain.unbind import ItemState


class Words(Model):
    """The same in both languages."""

    zh: str
    en: str


NOTHING = Words(zh="", en="")

STATUS: Mapping[CaseKind, Mapping[str, Words]] = {
    CaseKind.QUERY: {
        QueryStatus.ASKING: Words(zh="正在查询", en="The apps are being asked"),
        QueryStatus.REPORTED: Words(zh="结果已出", en="The result is there"),
        QueryStatus.RESULT_SENT: Words(zh="结果已短信告知", en="You were sent the result"),
        QueryStatus.UNDELIVERED: Words(zh="结果短信未能送达", en="The result could not be sent to you"),
        QueryStatus.CLOSED: Words(zh="已办结", en="Closed"),
    },
    CaseKind.DISPUTE: {
        DisputeStatus.OPEN: Words(zh="办理中", en="Under way"),
        DisputeStatus.CLOSED: Words(zh="已办结", en="Closed"),
        DisputeStatus.WITHDRAWN: Words(zh="已撤回", en="Withdrawn"),
    },
    CaseKind.COMPLAINT: {
        ComplaintStatus.TAKEN: Words(zh="已受理", en="We have your complaint"),
        ComplaintStatus.IN_DISPUTE: Words(zh="已转为异议", en="It goes on as a dispute"),
        ComplaintStatus.IN_INVESTIGATION: Words(zh="正在协查", en="It is being investigated"),
        ComplaintStatus.CLOSED: Words(zh="已办结", en="Closed"),
    },
    CaseKind.RENEWAL: {
        RenewalStatus.SUBMITTED: Words(zh="已受理", en="Handed in"),
        RenewalStatus.WAITING_FOR_DATA: Words(zh="等待运营商确认", en="Waiting for your carrier's word"),
        RenewalStatus.RUNNING: Words(zh="企业正在处理", en="The enterprises are at work"),
        RenewalStatus.SUMMARY_SENT: Words(zh="结果已短信告知", en="You were sent the result"),
        RenewalStatus.CLOSED: Words(zh="已办结", en="Closed"),
        RenewalStatus.REFUSED: Words(zh="未能办理", en="It could not be done"),
        RenewalStatus.WITHDRAWN: Words(zh="已撤回", en="Withdrawn"),
    },
}
"""Where it stands."""

NEXT: Mapping[CaseKind, Mapping[str, Words]] = {
    CaseKind.QUERY: {
        QueryStatus.ASKING: Words(
            zh="全部应用答复后短信告知结果，最迟不超过期限。",
            en="You are sent the result when all have answered, at the latest at the time given.",
        ),
        QueryStatus.REPORTED: Words(zh="短信正在发送。", en="The short message is on its way."),
        QueryStatus.RESULT_SENT: Words(
            zh="期限内如有补充答复，将再次短信告知。", en="If late answers change it, you are told once more."
        ),
        QueryStatus.UNDELIVERED: Words(zh="人工将与您联系。", en="A case worker will reach out to you."),
    },
    CaseKind.DISPUTE: {
        DisputeStatus.OPEN: Words(zh="请看每一项的进展。", en="See below what is next for each app."),
        DisputeStatus.CLOSED: Words(zh="30日内可申请继续。", en="You may go on with it within 30 days."),
        DisputeStatus.WITHDRAWN: Words(zh="30日内可申请继续。", en="You may go on with it within 30 days."),
    },
    CaseKind.RENEWAL: {
        RenewalStatus.SUBMITTED: Words(zh="正在向运营商确认号码情况。", en="Your carrier is asked about the number."),
        RenewalStatus.WAITING_FOR_DATA: Words(zh="将再次向运营商确认。", en="Your carrier is asked again."),
        RenewalStatus.RUNNING: Words(
            zh="企业答复后短信告知结果。", en="You are sent the result when the enterprises have answered."
        ),
        RenewalStatus.SUMMARY_SENT: Words(
            zh="期限内如有补充答复，将再次短信告知。", en="If late answers change it, you are told once more."
        ),
    },
}
"""What comes next; a status that is not here is an end. Of a complaint, `gateway/complaints.py` says it."""

NOT_ELIGIBLE: Mapping[NotEligible, Words] = {
    NotEligible.NEVER_CANCELLED: Words(
        zh="运营商答复：该号码并非二次号码，没有原机主的绑定可以清理。仍有不认识的账号，可查询号码后提出异议。",
        en="Your carrier says that nobody had this number before you. If accounts on it are not yours, check the number "
        "and dispute them.",
    ),
    NotEligible.NOT_ACTIVE: Words(
        zh="运营商答复：该号码当前未在使用。请先致电运营商恢复使用，再申请焕新。",
        en="Your carrier says that the number is not in use. Have it restored by your carrier, then ask again.",
    ),
    NotEligible.HOLDER_MISMATCH: Words(
        zh="运营商答复：您不是该号码的机主。请携带证件到运营商营业厅核对登记信息。",
        en="Your carrier says that you are not the holder. Take your ID to its counter and have the records checked.",
    ),
    NotEligible.ACTIVATION_MISMATCH: Words(
        zh="运营商答复的开户时间与申请不一致。请致电运营商核对后再次申请。",
        en="The date your contract began does not fit your carrier's records. Have it checked there, then ask again.",
    ),
    NotEligible.NO_ANSWER: Words(
        zh="运营商一直未能确认号码情况。请致电运营商，之后可再次申请。",
        en="Your carrier could not say whether the number is re-issued. Call your carrier; you may ask again later.",
    ),
}
"""Why a renewal could not be done, and what its holder can do."""

ANSWERS: Mapping[AnswerState, Words] = {
    AnswerState.PENDING: Words(zh="等待答复", en="No answer yet"),
    AnswerState.COUNTED: Words(zh="已答复", en="Answered"),
    AnswerState.UNREACHABLE: Words(zh="暂时联系不上，将再次查询", en="Not reached; it is asked again"),
    AnswerState.NO_REPLY: Words(zh="未反馈", en="No reply"),
}
"""What one app said in a query."""

ITEMS: Mapping[ItemState, Words] = {
    ItemState.QUEUED: Words(zh="待送达", en="Not sent yet"),
    ItemState.DELIVERED: Words(zh="已送达企业", en="The enterprise has it"),
    ItemState.ACKNOWLEDGED: Words(zh="企业正在处理", en="The enterprise is at work on it"),
    ItemState.OVERDUE: Words(zh="逾期未反馈", en="The enterprise is late"),
    ItemState.UNBOUND: Words(zh="已解绑", en="Unbound"),
    ItemState.CANCELLED: Words(zh="已注销", en="Cancelled"),
    ItemState.NOT_FOUND: Words(zh="未绑定", en="Nothing was bound"),
    ItemState.KEPT: Words(zh="本人保留", en="Kept as yours"),
    ItemState.EXEMPT: Words(zh="豁免", en="Exempt"),
    ItemState.REJECTED: Words(zh="被拒绝", en="Refused"),
    ItemState.WITHDRAWN: Words(zh="已撤回", en="Withdrawn"),
}
"""What became of one app in a renewal."""

EVERYWHERE: Mapping[str, str] = {
    "told": "已发送短信",
    "paused": "办理暂停",
    "resumed": "办理恢复",
    "due_moved": "期限调整",
    "reopened": "重新办理",
    "merged": "并入另一案件继续办理",
    "closed": "办结",
}

HAPPENED: Mapping[CaseKind, Mapping[str, str]] = {
    CaseKind.QUERY: {"submitted": "提交查询", "reported": "得出结果", "supplemented": "结果有更新"},
    CaseKind.DISPUTE: {
        "opened": "提交异议",
        "own_check_wanted": "企业要求您先通过其身份核验",
        "detail_given": "企业提供了账号明细，请您选择",
        "nothing_found": "企业未查到账号",
        "chosen": "您作出了选择",
        "all_kept": "您保留全部账号",
        "solved": "企业已处理",
        "party_refused": "企业未支持",
        "unanswered": "企业逾期未答复",
        "hotline_given": "告知企业客服电话",
        "desk_asked": "转人工跟进",
        "unbinding_again": "再次要求企业处理",
        "under_investigation": "转入协查",
        "settled": "该项办结",
        "lapsed": "该项关闭",
        "withdrawal_asked": "申请撤回",
        "claims_withdrawn": "已撤回",
        "reopened_by_citizen": "您申请继续",
        "reopened_by_amendment": "企业更正答复，重新办理",
        "withdrawn": "全部撤回",
    },
    CaseKind.COMPLAINT: {
        "taken": "受理投诉",
        "followed_up": "转交办理",
        "concluded": "转交的案件已有结果",
        "returned": "转人工跟进",
    },
    CaseKind.RENEWAL: {
        "submitted": "提交焕新",
        "eligibility_answered": "运营商答复号码情况",
        "started": "已要求企业处理",
        "reported": "得出结果",
        "summary_sent": "结果已短信告知",
        "withdrawal_asked": "申请撤回",
        "withdrawn": "全部撤回",
        "refused": "未能办理",
    },
}
"""What a citizen is shown of what happened, in Chinese, by the event's type; `EVERYWHERE` holds for all kinds."""

FOLLOWED = frozenset(HAPPENED)
"""The kinds of case a citizen may look into."""


def told(kind: CaseKind, event: Event) -> Words | None:
    """One event as its citizen reads it; None for what is not theirs to see."""
    zh = HAPPENED[kind].get(event.type) or EVERYWHERE.get(event.type)
    return Words(zh=zh, en=story.tell(kind, event)) if zh else None
