"""Short messages to citizens, in Chinese and English: plain words, masked numbers, the case's reference.

One table; `render` fills one in. A text that should fit one short message has at most 70 characters (UCS-2).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from domain.case import CaseId, Model


class Language(StrEnum):
    """Which language a citizen reads."""

    ZH = "zh"
    EN = "en"


class MessageKey(StrEnum):
    """Which text. The words each one needs are in the table below."""

    CODE = "code"
    QUERY_RESULT = "query_result"
    QUERY_SUPPLEMENT = "query_supplement"
    DISPUTE_OPENED = "dispute_opened"
    DISPUTE_OWN_CHECK = "dispute_own_check"
    DISPUTE_CHOOSE = "dispute_choose"
    DISPUTE_REMIND = "dispute_remind"
    DISPUTE_REFUSED = "dispute_refused"
    DISPUTE_HOTLINE = "dispute_hotline"
    DISPUTE_CLOSED = "dispute_closed"
    DISPUTE_SILENT = "dispute_silent"
    NUMBER_OPENED = "number_opened"
    NUMBER_TRANSFER = "number_transfer"
    NUMBER_CANCELLED = "number_cancelled"
    INVESTIGATION_OPENED = "investigation_opened"
    INVESTIGATION_DECIDED = "investigation_decided"
    INVESTIGATION_APPEAL = "investigation_appeal"
    COMPLAINT_TAKEN = "complaint_taken"
    COMPLAINT_CLOSED = "complaint_closed"


class Message(Model):
    """One text to one citizen, before it is worded. `words` never holds a number, a name or a code."""

    key: MessageKey
    case: CaseId
    number: str = ""
    words: Mapping[str, str] = {}
    language: Language = Language.ZH


def render(message: Message) -> str:
    """The text. KeyError if a word is missing."""
    template = TEXTS[message.key][message.language]
    return template.format(case=message.case, number=message.number, **message.words)


TEXTS: Mapping[MessageKey, Mapping[Language, str]] = {
    MessageKey.NUMBER_OPENED: {
        Language.ZH: "【解绑】{number}可能曾为他人使用，旧账号可请运营商一次解绑。编号{case}。",
        Language.EN: "[Jiebang] {number} may have been somebody else's. Your carrier can have old accounts unbound. "
        "Reference {case}.",
    },
    MessageKey.NUMBER_TRANSFER: {
        Language.ZH: "【解绑】{number}已过户。原机主的账号可能仍绑定，可请运营商一次解绑。编号{case}。",
        Language.EN: "[Jiebang] {number} was transferred. Accounts of its former holder may hang on it: your carrier "
        "can have them unbound. Reference {case}.",
    },
    MessageKey.NUMBER_CANCELLED: {
        Language.ZH: "【解绑】{number}即将停用，请先在各应用换绑，以免账号落入他人之手。编号{case}。",
        Language.EN: "[Jiebang] {number} is going out of use. Change the number in your apps first, so that nobody "
        "else gets into them. Reference {case}.",
    },
    MessageKey.CODE: {
        Language.ZH: "【解绑】验证码{code}，{minutes}分钟内有效。仅供您本人办理，切勿告诉任何人。编号{case}。",
        Language.EN: "[Jiebang] Your code is {code}, valid for {minutes} minutes. Do not share it with anybody. "
        "Reference {case}.",
    },
    MessageKey.QUERY_RESULT: {
        Language.ZH: "【解绑】您的号码{number}{result}编号{case}。",
        Language.EN: "[Jiebang] Number {number}: {result}Reference {case}.",
    },
    MessageKey.QUERY_SUPPLEMENT: {
        Language.ZH: "【解绑】结果更新：您的号码{number}{result}编号{case}。",
        Language.EN: "[Jiebang] Update. Number {number}: {result}Reference {case}.",
    },
    MessageKey.DISPUTE_OPENED: {
        Language.ZH: "【解绑】已受理您对{apps}的异议，每一步进展都会短信告知。编号{case}。",
        Language.EN: "[Jiebang] We have your dispute about {apps} and write to you at every step. Reference {case}.",
    },
    MessageKey.DISPUTE_OWN_CHECK: {
        Language.ZH: "【解绑】{apps}需您先完成企业的身份核验，链接在异议明细中。编号{case}。",
        Language.EN: "[Jiebang] {apps}: pass the enterprise's own identity check first; the link is in the detail of "
        "your dispute. Reference {case}.",
    },
    MessageKey.DISPUTE_CHOOSE: {
        Language.ZH: "【解绑】{apps}的账号明细已到，请选择解绑、注销或保留。编号{case}。",
        Language.EN: "[Jiebang] {apps}: look at the accounts and choose unbind, cancel or keep. Reference {case}.",
    },
    MessageKey.DISPUTE_REMIND: {
        Language.ZH: "【解绑】您对{apps}的异议正等您处理，长期未处理将关闭。编号{case}。",
        Language.EN: "[Jiebang] Your dispute about {apps} waits for you; it lapses if you do nothing. Reference {case}.",
    },
    MessageKey.DISPUTE_REFUSED: {
        Language.ZH: "【解绑】{apps}未支持您的异议：{why}。可致电{hotline}，未解决请告知我们。编号{case}。",
        Language.EN: "[Jiebang] {apps} said no: {why}. Call {hotline}; tell us if that does not solve it. "
        "Reference {case}.",
    },
    MessageKey.DISPUTE_HOTLINE: {
        Language.ZH: "【解绑】{apps}逾期未答复，已转人工跟进；您也可致电{hotline}。编号{case}。",
        Language.EN: "[Jiebang] {apps} is late; a case worker takes it on. You may also call {hotline}. "
        "Reference {case}.",
    },
    MessageKey.DISPUTE_CLOSED: {
        Language.ZH: "【解绑】您的异议已办结：{tally}。30日内可申请继续。编号{case}。",
        Language.EN: "[Jiebang] Your dispute is closed: {tally}. You may go on with it within 30 days. "
        "Reference {case}.",
    },
    MessageKey.DISPUTE_SILENT: {
        Language.ZH: "【解绑】因未收到您的答复，{apps}的异议已关闭，30日内可申请继续。编号{case}。",
        Language.EN: "[Jiebang] We heard nothing from you, so your dispute about {apps} has lapsed. You may go on with "
        "it within 30 days. Reference {case}.",
    },
    MessageKey.INVESTIGATION_OPENED: {
        Language.ZH: "【解绑】您反映的问题已开展协查，{due}前有结果。编号{case}。",
        Language.EN: "[Jiebang] Your matter is being investigated; you have the result by {due}. Reference {case}.",
    },
    MessageKey.INVESTIGATION_DECIDED: {
        Language.ZH: "【解绑】协查结果：{result}。不服可30日内申请复查，或向工信部申诉中心申诉。编号{case}。",
        Language.EN: "[Jiebang] Result of the investigation: {result}. If you disagree, ask us within 30 days or "
        "appeal to the MIIT. Ref {case}.",
    },
    MessageKey.INVESTIGATION_APPEAL: {
        Language.ZH: "【解绑】协查到期未有结果，我们继续办理。您可向工信部申诉中心申诉，30日内答复。编号{case}。",
        Language.EN: "[Jiebang] The investigation is late; we go on with it. You may appeal to the MIIT, which answers "
        "within 30 days. Reference {case}.",
    },
    MessageKey.COMPLAINT_TAKEN: {
        Language.ZH: "【解绑】您的投诉已受理，办结时短信告知。编号{case}。",
        Language.EN: "[Jiebang] We have your complaint and tell you when it is closed. Reference {case}.",
    },
    MessageKey.COMPLAINT_CLOSED: {
        Language.ZH: "【解绑】您的投诉已办结：{result}。不服可30日内申请复查。编号{case}。",
        Language.EN: "[Jiebang] Your complaint is closed: {result}. If you disagree, ask us again within 30 days. "
        "Reference {case}.",
    },
}
