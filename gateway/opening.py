"""What doors that open a case have in common: a proof looked at after the key, and the answer that says where the case is."""

from __future__ import annotations

from datetime import datetime

from fastapi import Response

from domain.proof import Purpose
from domain.refusal import Refusal
from gateway.intake import Admitted
from gateway.services import Services
from store import proofs
from store.proofs import Found


async def proven(
    services: Services, channel: str, key: str, wording: str, check: str, purpose: Purpose, at: datetime
) -> Found | Admitted | Refusal:
    """What a check proves, or the case its key brought before.

    The key comes first: a repetition finds its own proof used, even one that comes at the same time.
    """
    if earlier := await services.intake.earlier(channel, key, wording):
        return earlier
    found = await services.database.read(lambda c: proofs.look(c, services.keys, check, purpose, at, channel=channel))
    if isinstance(found, Refusal):
        return await services.intake.earlier(channel, key, wording) or found
    return found


def located(response: Response, admitted: Admitted, path: str) -> str:
    """Where a case is that was opened, below /v1; its headers say so, and whether its key brought it before."""
    url = f"/v1/{path}/{admitted.case}"
    response.headers["location"] = url
    if admitted.again:
        response.headers["idempotent-replayed"] = "true"
    return url
