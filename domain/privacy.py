"""Personal data as types: phone numbers and ID tails that know how to be masked.

The clear value of either lives in the vault only; everything else carries `mask()`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MOBILE = re.compile(r"^1[3-9][0-9]{9}\Z")
"""A mainland mobile number without its country code (MIIT numbering plan: 11 digits from 13 to 19)."""

ID_TAIL = re.compile(r"^(0[1-9]|[12][0-9]|3[01])[0-9]{3}[0-9X]\Z")
"""Day, three-digit sequence, check character (domain.md, 'last six of an ID')."""

_LOOKS_LIKE_NUMBER = re.compile(
    r"(?:(?<![0-9A-Za-z])|(?<=%2B))(?:(?:\+|00)?86[\s-]?)?(1[3-9][0-9])[\s-]?[0-9]{4}[\s-]?([0-9]{4})(?![0-9A-Za-z])"
)


@dataclass(frozen=True)
class PhoneNumber:
    """A mainland mobile number; `str()` and `repr()` give the mask, `.national` and `.e164` the number."""

    national: str

    def __post_init__(self) -> None:
        if not MOBILE.match(self.national):
            raise ValueError("a mainland mobile number has 11 digits and starts with 13 to 19")

    @classmethod
    def parse(cls, text: str) -> PhoneNumber:
        """From what people type: spaces, hyphens and +86 are allowed. Raises ValueError without the input."""
        digits = re.sub(r"[\s\-()]", "", text)
        digits = re.sub(r"^(\+|00)?86(?=1[3-9][0-9]{9}$)", "", digits)
        return cls(digits)

    @property
    def e164(self) -> str:
        """`+8613800138000`."""
        return "+86" + self.national

    def mask(self) -> str:
        """`138****8000`."""
        return f"{self.national[:3]}****{self.national[-4:]}"

    __str__ = mask

    def __repr__(self) -> str:
        return f"PhoneNumber({self.mask()})"


@dataclass(frozen=True)
class IdTail:
    """The last six characters of an ID card number (后六位); the checksum cannot be verified from six."""

    value: str

    def __post_init__(self) -> None:
        if not ID_TAIL.match(self.value):
            raise ValueError("the ID tail is a day (01-31), three digits and a digit or X")

    @classmethod
    def parse(cls, text: str) -> IdTail:
        """From what people type: a small x is a large X. Raises ValueError without the input."""
        return cls(text.strip().upper())

    def mask(self) -> str:
        """`****3X`."""
        return "****" + self.value[-2:]

    __str__ = mask

    def __repr__(self) -> str:
        return f"IdTail({self.mask()})"


def mask_text(text: str) -> str:
    """Any text with the phone numbers in it masked: the last fence before a log line."""
    return _LOOKS_LIKE_NUMBER.sub(r"\1****\2", text)
