"""Ids that say nothing: a case's reference is random, a work item's a keyed digest.

Work item ids of one case have nothing in common, so two enterprises cannot tell that theirs belong together.
"""

from __future__ import annotations

import secrets
from zlib import crc32

from store.keys import KeyRing

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RFC4648 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_TO_CROCKFORD = str.maketrans(_RFC4648, CROCKFORD)


def new_case_id() -> str:
    """`R` and twelve random base-32 characters: 60 bits, readable over the telephone."""
    return "R" + "".join(secrets.choice(CROCKFORD) for _ in range(12))


def work_item_id(keys: KeyRing, case: str, app: str) -> str:
    """`W` and twenty characters; the same case and app always give the same id."""
    return "W" + keys.token("work-item", f"{case}/{app}").translate(_TO_CROCKFORD)[:20]


def sms_reference(case: str, step: str) -> int:
    """The 16-bit reference a short message carries; it tells its receipt apart from others of these minutes."""
    return crc32(f"{case}/{step}".encode()) % 0xFFFF + 1
