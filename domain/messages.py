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


TEXTS: Mapping[MessageKey, Mapping[Language, str]] = {}
