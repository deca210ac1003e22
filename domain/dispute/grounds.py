"""Why a party may say no, and what a citizen is told of it: the reason, the law it rests on, and what they can do
(PIPL art. 47 and 50: a refusal states its reason; Anti-Telecom-Fraud Law art. 32: so does a measure, with its remedy).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from domain.case import Model
from domain.messages import Language
from domain.question import DeclineReason
from domain.unbind import Reason


class Ground(StrEnum):
    """Why a party refuses, whether to say which accounts there are or to do what was chosen."""

    LEGAL_HOLD = "legal_hold"
    UNDER_INVESTIGATION = "under_investigation"
    FUNDS_REMAIN = "funds_remain"
    TOKEN_UNKNOWN = "token_unknown"  # noqa: S105 - a reason's name, not a secret
    OUT_OF_SCOPE = "out_of_scope"
    DATA_INCOMPLETE = "data_incomplete"
    IDENTITY_NOT_ACCEPTED = "identity_not_accepted"
    NO_ACCOUNT = "no_account"


class Explanation(Model):
    """What the citizen reads. `short` is for a short message."""

    short: str
    reason: str
    law: str
    remedy: str


def of_reason(reason: Reason | None) -> Ground:
    """An enterprise's reason for exempting or rejecting."""
    return Ground(reason.value) if reason else Ground.OUT_OF_SCOPE


def of_decline(reason: DeclineReason) -> Ground:
    """A party's reason for giving no detail."""
    return Ground(reason.value)


PIPL_47_ZH = "《个人信息保护法》第四十七条"
PIPL_50_ZH = "《个人信息保护法》第五十条"
FRAUD_32_ZH = "《反电信网络诈骗法》第三十二条"
PIPL_47 = "Personal Information Protection Law, art. 47"
PIPL_50 = "Personal Information Protection Law, art. 50"
FRAUD_32 = "Anti-Telecom and Online Fraud Law, art. 32"

EXPLANATIONS: Mapping[Ground, Mapping[Language, Explanation]] = {
    Ground.LEGAL_HOLD: {
        Language.ZH: Explanation(
            short="依法保全",
            reason="该账号依法保全（如法院裁定或涉诈处置），企业目前不得解绑或注销。",
            law=f"{FRAUD_32_ZH}，或法院的裁定。",
            remedy="企业应告知处置原因和申诉渠道，您可向其申诉；对裁定不服，可向作出裁定的法院提出异议。",
        ),
        Language.EN: Explanation(
            short="legal hold",
            reason="The account is held by law (a court order, or a measure against fraud); it must not be touched now.",
            law=f"{FRAUD_32}, or the court's order.",
            remedy="The enterprise has to state the reason and how to appeal: appeal there; against an order, to its court.",
        ),
    },
    Ground.UNDER_INVESTIGATION: {
        Language.ZH: Explanation(
            short="调查中",
            reason="该账号正在接受有权机关的调查，期间不得变更。",
            law=f"{FRAUD_32_ZH}。",
            remedy="调查结束后可再次申请；对处置措施不服，可向采取措施的单位申诉。",
        ),
        Language.EN: Explanation(
            short="under investigation",
            reason="An authority is investigating the account; it must not be changed meanwhile.",
            law=f"{FRAUD_32}.",
            remedy="Ask again when the investigation is over; against the measure you may appeal to whoever took it.",
        ),
    },
    Ground.FUNDS_REMAIN: {
        Language.ZH: Explanation(
            short="账户有余额",
            reason="账户内尚有资金、权益或未完结的交易。",
            law=f"{PIPL_47_ZH}：法定保存期限未届满的，可不予删除，但应停止其他处理。",
            remedy="请先处理余额和未完结的交易；如账户不是您的，请致电企业客服说明。",
        ),
        Language.EN: Explanation(
            short="funds remain",
            reason="Money, benefits or unfinished transactions are left in the account.",
            law=f"{PIPL_47}: what the law requires to be kept need not be deleted, but must not be used otherwise.",
            remedy="Settle what is left first; if the account is not yours, tell the enterprise's hotline.",
        ),
    },
    Ground.TOKEN_UNKNOWN: {
        Language.ZH: Explanation(
            short="未识别号码",
            reason="企业未能按我们给出的标识找到您的号码。",
            law=f"{PIPL_50_ZH}：拒绝请求应当说明理由。",
            remedy="请致电企业客服核对号码；未能解决的，请告诉我们，由人工跟进。",
        ),
        Language.EN: Explanation(
            short="number not recognised",
            reason="The enterprise did not find your number by the mark we gave it.",
            law=f"{PIPL_50}: a refusal has to state its reason.",
            remedy="Have the hotline check your number; if that does not solve it, tell us and a case worker takes it on.",
        ),
    },
    Ground.OUT_OF_SCOPE: {
        Language.ZH: Explanation(
            short="不在受理范围",
            reason="企业认为该请求不在其受理范围。",
            law=f"{PIPL_50_ZH}：拒绝请求应当说明理由，个人可依法向人民法院提起诉讼。",
            remedy="请致电企业客服询问；未能解决的，请告诉我们，由人工跟进。",
        ),
        Language.EN: Explanation(
            short="out of scope",
            reason="The enterprise says that the request is not for it to handle.",
            law=f"{PIPL_50}: a refusal has to state its reason, and you may go to court.",
            remedy="Ask the hotline; if that does not solve it, tell us and a case worker takes it on.",
        ),
    },
    Ground.DATA_INCOMPLETE: {
        Language.ZH: Explanation(
            short="信息不完整",
            reason="企业需要更多信息才能处理。",
            law=f"{PIPL_50_ZH}：拒绝请求应当说明理由。",
            remedy="请致电企业客服补充信息；未能解决的，请告诉我们，由人工跟进。",
        ),
        Language.EN: Explanation(
            short="data incomplete",
            reason="The enterprise needs to know more.",
            law=f"{PIPL_50}: a refusal has to state its reason.",
            remedy="Tell the hotline what is missing; if that does not solve it, tell us and a case worker takes it on.",
        ),
    },
    Ground.IDENTITY_NOT_ACCEPTED: {
        Language.ZH: Explanation(
            short="身份核验未通过",
            reason="企业未认可本次身份核验。",
            law=f"{PIPL_50_ZH}：拒绝请求应当说明理由。",
            remedy="请致电企业客服，按其要求核验身份；未能解决的，请告诉我们，由人工跟进。",
        ),
        Language.EN: Explanation(
            short="identity not accepted",
            reason="The enterprise does not accept the identity check.",
            law=f"{PIPL_50}: a refusal has to state its reason.",
            remedy="Have the hotline check your identity its way; if that does not solve it, tell us.",
        ),
    },
    Ground.NO_ACCOUNT: {
        Language.ZH: Explanation(
            short="未查到账号",
            reason="企业未查到绑定您号码的账号。",
            law=f"{PIPL_50_ZH}：拒绝请求应当说明理由。",
            remedy="如仍收到该应用的短信，请致电企业客服；未能解决的，请告诉我们，由人工跟进。",
        ),
        Language.EN: Explanation(
            short="no account found",
            reason="The enterprise found no account on your number.",
            law=f"{PIPL_50}: a refusal has to state its reason.",
            remedy="If the app still writes to you, call the hotline; if that does not solve it, tell us.",
        ),
    },
}
"""One row per ground, in both languages."""
