"""`IdentityCheckWorkflow`: from a number and an ID tail to a proof, or to the reason why there is none.

code by short message → right code (or: attested another way) → the carriers' word. It ends by itself.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities import contracts
    from activities.contracts import CodeHandled, Confirmed, ConfirmHolder, ForgetCode, JudgeCode, SendCode
    from domain import identity
    from domain.case import CaseKind
    from domain.identity import Due
    from workflows.case import Case
    from workflows.clockwork import OWN_DATABASE, SOMEBODY_WAITS
    from workflows.messages import Done, IdentityOrder, TryCode

REPLY_WITHIN = timedelta(seconds=10)
"""How long whoever entered the right code is kept waiting for the carriers; then they look for the outcome later."""


@workflow.defn
class IdentityCheckWorkflow:
    """One identity check."""

    @workflow.init
    def __init__(self, order: IdentityOrder) -> None:
        first = order.first
        self._case: Case[identity.State] = Case(
            CaseKind.IDENTITY, first.case, identity.evolve, identity.decide, identity.evolve(None, first)
        )

    # ── the story ────────────────────────────────────────────────────────────────────────────────────

    @workflow.run
    async def run(self, order: IdentityOrder) -> identity.State:
        """Send codes, wait, ask the carriers, until there is an outcome; then leave nothing of the code."""
        steps = {Due.SEND: self._send, Due.WAIT: self._wait, Due.CONFIRM: self._confirm}
        while (due := identity.due(self._state)) is not None:
            await steps[due]()
        await self._forget()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self._state

    async def _send(self) -> None:
        """One code, known to count from the moment it is made."""
        serial = self._state.asked
        order = SendCode(
            case=self._case.id,
            serial=serial,
            give_up_at=workflow.now() + self._state.policy.send_again_after,
        )
        handled: CodeHandled = await workflow.execute_activity(contracts.send_code, order, **SOMEBODY_WAITS)
        self._case.memory.happened(handled.sent, written=True)
        if handled.not_sent:
            self._case.memory.happened(handled.not_sent, written=True)

    async def _wait(self) -> None:
        """For the code, for another wish to be sent one, for whoever attests: until the time is over."""
        try:
            await workflow.wait_condition(
                lambda: identity.due(self._state) is not Due.WAIT, timeout=_until(self._state.expires_at)
            )
        except TimeoutError:
            await self._case.decide(identity.Expire())

    async def _confirm(self) -> None:
        """The carriers' word, recorded by the activity together with what it costs."""
        order = ConfirmHolder(case=self._case.id, give_up_at=workflow.now() + self._state.policy.confirm_within)
        confirmed: Confirmed = await workflow.execute_activity(contracts.confirm_holder, order, **SOMEBODY_WAITS)
        self._case.memory.happened(confirmed.outcome, written=True)

    async def _forget(self) -> None:
        """Not before the number's next code may be sent: until then the row keeps the same origin from asking."""
        if self._state.resend_at is None:
            return  # it has no code
        await workflow.sleep(_until(self._state.resend_at))
        await workflow.execute_local_activity(contracts.forget_code, ForgetCode(case=self._case.id), **OWN_DATABASE)

    # ── doors ────────────────────────────────────────────────────────────────────────────────────────

    @workflow.update
    async def try_code(self, order: TryCode) -> Done:
        """The citizen enters a code; waits for the carriers if it is right."""
        await workflow.wait_condition(lambda: identity.due(self._state) is not Due.SEND)
        digests, serial = order.digests, self._state.sent
        right = 0 < serial <= len(digests) and await self._fits(digests[serial - 1])
        refusal = identity.told(await self._case.decide(identity.Try(right=right)))
        if refusal is None:
            await self._outcome()
        return Done(status=self._case.status, changed=refusal is None, refusal=refusal)

    @workflow.update
    async def send_again(self, command: identity.Resend) -> Done:
        """The citizen got no code."""
        return await self._case.take(command)

    @workflow.update
    async def attest(self, command: identity.Attest) -> Done:
        """Whoever was named at the opening has checked the identity another way."""
        return await self._case.take(command)

    # ── steps ────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _state(self) -> identity.State:
        return self._case.state

    async def _fits(self, digest: str) -> bool:
        order = JudgeCode(case=self._case.id, digest=digest)
        return await workflow.execute_local_activity(contracts.judge_code, order, **OWN_DATABASE)

    async def _outcome(self) -> None:
        try:
            await workflow.wait_condition(lambda: identity.due(self._state) is not Due.CONFIRM, timeout=REPLY_WITHIN)
        except TimeoutError:
            return


def _until(moment: datetime) -> timedelta:
    return max(moment - workflow.now(), timedelta(0))
