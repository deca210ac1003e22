"""The bare minimum, driven: fifty signals at a time, or one after the other."""

from __future__ import annotations

from functools import partial
from uuid import uuid4

from temporalio.client import Client

from bench.bare_flow import Bare
from bench.contender import Contender, Kept, at_most
from bench.meter import Meter
from bench.plan import Answers
from bench.temporal import kept_of

SIGNALS_AT_ONCE = 50


class BareMinimum(Contender):
    """There is nothing to deliver and nothing to record; a signal counts as taken when the server has it."""

    _client: Client

    def on(self, client: Client) -> BareMinimum:
        """With a client that has no converter of ours."""
        self._client = client
        return self

    async def open(self, apps: int) -> None:
        """See Contender."""
        self._id = f"bare-{uuid4().hex}"
        within = self.run.timing.answer_within if self.run.answers is Answers.NOBODY else 3600.0
        self._handle = await self._client.start_workflow(
            Bare.run, args=[apps, within], id=self._id, task_queue="bench-bare"
        )

    async def delivered(self) -> None:
        """Nothing to wait for."""

    async def answer(self, number: int) -> None:
        """See Contender."""
        await self._handle.signal(Bare.answer, "unbound")

    async def answer_all(self, apps: int) -> None:
        """The workflow completes with the last signal."""
        await at_most(SIGNALS_AT_ONCE, [partial(self.answer, number) for number in range(apps)])
        await self._handle.result()

    async def overdue(self, apps: int) -> None:
        """The workflow completes."""
        await self._handle.result()

    async def ended(self, meter: Meter) -> None:
        """See Contender."""
        await self._handle.result()

    async def kept(self) -> Kept:
        """See Contender."""
        return await kept_of(self._client, [self._id])
