"""Ids that say nothing: a case's reference is random, a work item's a keyed digest.

Work item ids of one case have nothing in common, so two enterprises cannot tell that theirs belong together.
"""

from __future__ import annotations

import secrets
from base64 import b32encode
from zlib import crc32

from domain.case import LETTERS, CaseKind
from store.keys import KeyRing

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RFC4648 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_TO_CROCKFORD = str.maketrans(_RFC4648, CROCKFORD)


def new_case_id(kind: CaseKind = CaseKind.RENEWAL) -> str:
    """The kind's letter and twelve random base-32 characters: 60 bits, readable over the telephone."""
    return LETTERS[kind] + _random(12)


def following_case_id(keys: KeyRing, kind: CaseKind, parent: str, step: str) -> str:
    """The reference of a case that follows from another's step: the same step always gives the same one."""
    return LETTERS[kind] + keys.token("following-case", f"{parent}/{kind.value}/{step}").translate(_TO_CROCKFORD)[:12]


def new_batch_id() -> str:
    """`B` and twelve random characters."""
    return "B" + _random(12)


def new_paper_id() -> str:
    """`P` and twelve random characters."""
    return "P" + _random(12)


def paper_id_of(digest: bytes) -> str:
    """`P` and twelve characters of a digest."""
    return "P" + b32encode(digest).decode().translate(_TO_CROCKFORD)[:12]


def _random(length: int) -> str:
    return "".join(secrets.choice(CROCKFORD) for _ in range(length))


def question_id(keys: KeyRing, case: str, kind: str, party: str) -> str:
    """`A` and twenty characters; the same case, kind and party always give the same id."""
    return "A" + keys.token("question", f"{case}/{kind}/{party}").translate(_TO_CROCKFORD)[:20]


def work_item_id(keys: KeyRing, case: str, app: str) -> str:
    """`W` and twenty characters; the same case and app always give the same id."""
    return "W" + keys.token("work-item", f"{case}/{app}").translate(_TO_CROCKFORD)[:20]


def sms_reference(case: str, step: str) -> int:
    """The 16-bit reference a short message carries; it tells its receipt apart from others of these minutes."""
    return crc32(f"{case}/{step}".encode()) % 0xFFFF + 1
