"""The outcome of an identity check (身份核验) as other case kinds carry it: who was checked how, and what the carrier said."""

from __future__ import annotations

from enum import StrEnum

from pydantic import AwareDatetime

from domain.case import CarrierCode, CaseId, Model


class Method(StrEnum):
    """How somebody's identity was checked. All methods have the same outcome."""

    CODE_AND_ID_TAIL = "code_and_id_tail"
    COUNTER = "counter"
    ENTERPRISE = "enterprise"


class Purpose(StrEnum):
    """What a check is for; its proof opens nothing else."""

    QUERY = "query"
    DISPUTE = "dispute"
    COMPLAINT = "complaint"
    RENEWAL = "renewal"
    FOLLOW = "follow"
    """Look into a case of one's own: masked detail, choices, withdrawal."""


class Proof(Model):
    """A spent identity check. `activated_at` is when the holder's contract began, by their carrier (the boundary date)."""

    check: CaseId
    method: Method
    carrier: CarrierCode
    activated_at: AwareDatetime
    verified_at: AwareDatetime
