"""A door for channels: the holder of a second-hand number has it renewed, once their identity is proven.

It is their carrier's renewal like one the carrier hands in: the carrier named by the proof is asked and told.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from domain.access import Scope
from domain.case import AppCode, CaseId
from domain.proof import Method, Proof, Purpose
from domain.refusal import Refusal, RefusalCode
from domain.registry import Registry
from domain.renewal import CheckMethod, IdentityProof
from gateway.auth import Using, may
from gateway.caller import Caller
from gateway.intake import Admitted, Wish
from gateway.opening import located, proven
from gateway.problems import ProblemError, of_refusal
from gateway.renewals import Accepted, Key
from gateway.services import Services
from store import proofs
from store.proofs import Found

router = APIRouter(prefix="/v1", tags=["renewals"])

METHODS: Mapping[Method, CheckMethod] = {
    Method.CODE_AND_ID_TAIL: CheckMethod.CODE_AND_ID_TAIL,
    Method.COUNTER: CheckMethod.COUNTER,
}
"""How the holder may have been checked: one enterprise's word is not enough to ask all of them."""


class HolderRenewalRequest(BaseModel):
    """A holder's own wish. Number, ID tail and boundary date are those of the identity check, which it uses up."""

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra={
            "examples": [{"check": "K0123456789AB"}, {"check": "K0123456789AB", "apps": ["wechat", "taobao"]}]
        },
    )

    check: CaseId = Field(description="A verified identity check of purpose `renewal`")
    apps: list[AppCode] | None = Field(None, max_length=6000, description="App codes; left out: all")


@router.post("/holder-renewals", status_code=202)
async def submit_for_holder(
    body: HolderRenewalRequest,
    response: Response,
    channel: Annotated[Caller, may(Scope.CASES_OPEN)],
    services: Using,
    idempotency_key: Key,
) -> Accepted:
    """Hand in a renewal for its holder; the same Idempotency-Key with the same body gives the same case."""
    admitted = await _admitted(services, channel.code, body, idempotency_key)
    if isinstance(admitted, Refusal):
        raise ProblemError(of_refusal(admitted))
    return Accepted(case=admitted.case, status_url=located(response, admitted, "renewals"))


async def _admitted(services: Services, channel: str, body: HolderRenewalRequest, key: str) -> Admitted | Refusal:
    """The key comes first: a repetition finds its own proof used and its own number held."""
    wording, at, keys = body.model_dump_json(), datetime.now(UTC), services.keys
    found = await proven(services, channel, key, wording, body.check, Purpose.RENEWAL, at)
    if not isinstance(found, Found):
        return found
    if refusal := _unfit(found.proof, services.registry):
        return refusal
    wish = Wish(
        key=key,
        wording=wording,
        person=found.person,
        activated_at=found.proof.activated_at,
        apps=body.apps,
        identity=IdentityProof(
            checked_by=channel, method=METHODS[found.proof.method], checked_at=found.proof.verified_at
        ),
        channel=channel,
        spend=lambda c, case: proofs.spend(c, keys, body.check, Purpose.RENEWAL, case, at, channel=channel),
    )
    return await services.intake.submit(found.proof.carrier, wish)


def _unfit(proof: Proof, registry: Registry) -> Refusal | None:
    """Why no renewal can rest on a proof that is good otherwise."""
    if proof.method not in METHODS:
        return Refusal(
            code=RefusalCode.IDENTITY_NOT_PROVEN,
            field="check",
            sentence="An enterprise's own check is not enough for a renewal, which asks others too.",
            remedy="Have the holder prove who they are by a code, or at a counter.",
        )
    carrier = next((one for one in registry.carriers if one.code == proof.carrier), None)
    if carrier is None or not carrier.takes_part:
        hotline = f" Its hotline is {carrier.hotline}." if carrier and carrier.hotline else ""
        return Refusal(
            code=RefusalCode.CARRIER_TAKES_NO_PART,
            field="check",
            sentence=f"{carrier.name if carrier else 'The carrier'} does not take part in renewals.",
            remedy=f"Ask the carrier of the number to have it renewed.{hotline}",
        )
    return None
