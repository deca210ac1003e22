"""Carriers: is this a re-issued number of this holder, and here is what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection
from temporalio import activity

from activities.contracts import AskEligibility, Tell
from activities.outside import outside
from activities.ports import CarrierRegistry, PortError, Webhooks
from domain import renewal
from domain.case import CaseKind
from domain.registry import Registry
from store.database import Database
from store.keys import KeyRing
from store.ledger import Append, append
from store.projection import load_state
from store.sent import OfRenewal, Sent, log
from store.vault import get


class Carriers:
    """Everything said to and heard from carriers."""

    def __init__(
        self,
        database: Database,
        keys: KeyRing,
        registry: Registry,
        carrier_registry: CarrierRegistry,
        webhooks: Webhooks,
    ) -> None:
        self._database = database
        self._keys = keys
        self._registry = registry
        self._carrier_registry = carrier_registry
        self._webhooks = webhooks

    @activity.defn(name="ask_eligibility")
    async def ask_eligibility(self, order: AskEligibility) -> renewal.Hear:
        """See `contracts.ask_eligibility`."""
        state = await self._database.read(lambda c: load_state(c, CaseKind.RENEWAL, order.case))
        person = await self._database.read(lambda c: get(c, self._keys, order.case))
        async with outside():
            return await self._carrier_registry.eligibility(
                state.carrier, person.number, person.id_tail, state.activated_at
            )

    @activity.defn(name="tell_carrier")
    async def tell_carrier(self, order: Tell) -> renewal.ResultSent:
        """See `contracts.tell_carrier`. A second try has the same message id, so the carrier sees it once."""
        carrier, body = self._registry.carrier(order.state.carrier), result_body(order.state)
        about = OfRenewal(case=order.case, summary=order.summary)
        at = activity.info().current_attempt_scheduled_time
        sent = Sent(carrier.code, f"{order.case}.result.{order.summary}", body["type"], about, at)
        async with outside():
            try:
                await self._webhooks.post(carrier.code, carrier.results, sent.message_id, body)
            except PortError as error:
                missed = replace(sent, failure=error.code)
                await self._database.write(lambda c: log(c, [missed]))
                raise
        return await self._database.write(lambda c: self._record(c, order, sent))

    def _record(self, connection: Connection, order: Tell, sent: Sent) -> renewal.ResultSent:
        event = renewal.ResultSent(at=sent.at, summary=order.summary)
        step = Append(order.case, CaseKind.RENEWAL, f"result-{order.summary}", (event,))
        (recorded,) = append(connection, self._keys, step)
        assert isinstance(recorded, renewal.ResultSent)
        log(connection, [sent])
        return recorded


def result_body(state: renewal.State) -> Mapping[str, Any]:
    """What the carrier's webhook gets: the case, where it stands, and every app's outcome."""
    return {
        "type": "renewal.refused" if state.status is renewal.RenewalStatus.REFUSED else "renewal.result",
        "data": {
            "case": state.case,
            "status": state.status.value,
            "reason": state.reason or None,
            "outcomes": {app: outcome.value for app, outcome in state.outcomes.items()},
        },
    }
