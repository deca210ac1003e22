"""One enterprise at work: it takes work items up, carries them out and answers, in the manner of its kind.

All acknowledge before they touch anything, because an acknowledged work item can no longer be withdrawn, and answer
after they did, because an answer reports what is done. A work item is taken up once, however often it comes.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from base64 import b64encode
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import httpx

from sandbox.behaviour import MEDDLERS, TOKEN_UNKNOWN, Behaviour, Fault, Manner, Reply, Since
from sandbox.calls import Account, Gateway, problem_code
from sandbox.observed import Mischief, Observed

MADE_UP_ITEM = "W" + "0" * 20
FORGED_SECRET = "whsec_" + b64encode(b"not the secret they were handed.").decode()
TAKEN_BEFORE = "replayed"
"""The gateway's word for a message that was taken although its sender saw no answer: nothing is lost."""

REPEAT = "repeat"
"""The gateway's word for a line of an upload that it could not take now."""

Start = Callable[[Coroutine[Any, Any, None]], None]
"""Runs work beside everything else, until it is done or the world stops."""


@dataclass(frozen=True)
class WorkItem:
    """What an enterprise reads of a work item."""

    id: str
    token: str
    number: str
    bound_before: datetime
    due_at: datetime

    @classmethod
    def read(cls, data: Mapping[str, Any]) -> Self:
        """From the gateway's JSON; fields it does not know are no fault."""
        return cls(
            id=data["id"],
            token=data["subject"]["token"],
            number=data["subject"].get("number") or "",
            bound_before=datetime.fromisoformat(data["bound_before"]),
            due_at=datetime.fromisoformat(data["due_at"]),
        )


@dataclass(frozen=True)
class Surroundings:
    """What all enterprises share. `overheard` is who got which work item: what a meddler may have picked up."""

    gateway: Gateway
    observed: Observed
    overheard: dict[str, str]
    pace: float
    start: Start


class Enterprise:
    """One enterprise at work."""

    def __init__(self, code: str, behaviour: Behaviour, account: Account, around: Surroundings) -> None:
        self.code = code
        self.behaviour = behaviour
        self.account = account
        self._gateway = around.gateway
        self._observed = around.observed
        self._around = around
        self._taken: set[str] = set()
        self._withdrawn: set[str] = set()
        self._requests = 0
        self._first_request: float | None = None
        self._routine: Mapping[Manner, Callable[[WorkItem, Reply], Awaitable[object]]] = {
            Manner.PLAIN: self._answer,
            Manner.DOUBLING: self._answer_twice,
            Manner.REPLAYING: self._answer_and_replay,
            Manner.AMENDING: self._answer_and_amend,
            Manner.MEDDLING: self._meddle_and_answer,
        }

    # ── what comes in ────────────────────────────────────────────────────────────────────────────────

    def take(self, items: Iterable[WorkItem]) -> None:
        """Take up what is new."""
        new = [item for item in items if item.id not in self._taken]
        self._taken.update(item.id for item in new)
        self._around.overheard.update((item.id, self.code) for item in new)
        if self.behaviour.manner is not Manner.BULK:
            work_on = self._forge if self.behaviour.manner is Manner.FORGING else self._work_on
            for item in new:
                self._around.start(work_on(item))
        elif new:
            self._around.start(self._work_off(new))

    def drop(self, items: Iterable[WorkItem]) -> None:
        """The holder has withdrawn these: what is not acknowledged yet is left alone."""
        self._withdrawn.update(item.id for item in items)

    def fault(self) -> Fault | None:
        """What is wrong with the endpoint at this request."""
        trouble = self.behaviour.trouble
        now = asyncio.get_running_loop().time()
        if self._first_request is None:
            self._first_request = now
        self._requests += 1
        if trouble is None:
            return None
        early = now - self._first_request < trouble.seconds * self._around.pace
        return trouble.fault if early or self._requests <= trouble.requests else None

    # ── one work item ────────────────────────────────────────────────────────────────────────────────

    async def _work_on(self, item: WorkItem) -> None:
        reply = self._reply(item)
        if reply is None or not await self._acknowledged(item):
            return
        if self.behaviour.extends_by:
            await self._call(item, "extend", {"by": self.behaviour.extends_by, "reason": "人工核实中"})
        await self._until(item)
        self._observed.effects[item.id] += 1
        await self._routine[self.behaviour.manner](item, reply)

    def _reply(self, item: WorkItem) -> Reply | None:
        """The behaviour's answer, unless a token does not belong to the number it came with."""
        genuine = hmac.new(bytes.fromhex(self.account.token_key), item.number.encode(), hashlib.sha256).hexdigest()
        if item.number.startswith("+") and not hmac.compare_digest(item.token, genuine):
            return TOKEN_UNKNOWN
        return self.behaviour.reply(item.id)

    async def _acknowledged(self, item: WorkItem) -> bool:
        await self._sleep(self.behaviour.acknowledges_after)
        if item.id in self._withdrawn:
            return False
        return _taken(await self._call(item, "acknowledge", {}))

    async def _until(self, item: WorkItem) -> None:
        """Wait for the moment to answer."""
        after = self.behaviour.answers_after.of(item.id)
        if self.behaviour.since is Since.DUE:
            await asyncio.sleep(max(0.0, (item.due_at - datetime.now(UTC)).total_seconds()))
            await self._sleep(after)
        else:
            await self._sleep(after - self.behaviour.acknowledges_after)

    # ── manners of answering ─────────────────────────────────────────────────────────────────────────

    async def _answer(self, item: WorkItem, reply: Reply) -> httpx.Response:
        return await self._call(item, "answer", _wording(item, reply))

    async def _answer_twice(self, item: WorkItem, reply: Reply) -> None:
        """As two messages, at the same time."""
        for response in await asyncio.gather(self._answer(item, reply), self._answer(item, reply)):
            self._observed.mischief[Mischief.DOUBLED][response.status_code] += 1

    async def _answer_and_replay(self, item: WorkItem, reply: Reply) -> None:
        again = await self._gateway.repeat(await self._answer(item, reply))
        self._observed.mischief[Mischief.REPLAYED][again.status_code] += 1

    async def _answer_and_amend(self, item: WorkItem, reply: Reply) -> None:
        await self._answer(item, reply)
        await self._sleep(self.behaviour.amends_after)
        if self.behaviour.amendment:
            await self._call(item, "answer", _wording(item, self.behaviour.amendment) | {"amends": 1})

    async def _meddle_and_answer(self, item: WorkItem, reply: Reply) -> None:
        """First answer a work item of somebody else, overheard or made up."""
        others = (id_ for id_, code in self._around.overheard.items() if code != self.code)
        path = f"/v1/work-items/{next(others, MADE_UP_ITEM)}/answer"
        response = await self._gateway.post(self.account, path, _wording(item, MEDDLERS))
        self._observed.mischief[Mischief.MEDDLED][response.status_code] += 1
        await self._answer(item, reply)

    async def _forge(self, item: WorkItem) -> None:
        """As somebody would who has the token, but not the secret."""
        await self._until(item)
        path = f"/v1/work-items/{item.id}/answer"
        response = await self._gateway.post(self.account, path, _wording(item, MEDDLERS), FORGED_SECRET)
        self._observed.mischief[Mischief.FORGED][response.status_code] += 1

    # ── many work items at once ──────────────────────────────────────────────────────────────────────

    async def _work_off(self, items: Sequence[WorkItem]) -> None:
        await self._sleep(self.behaviour.acknowledges_after)
        wanted = [item for item in items if item.id not in self._withdrawn]
        accepted = await self._upload({item.id: {"acknowledge": True} for item in wanted})
        await self._until(items[0])
        answers = {}
        for item in wanted:
            reply = self._reply(item)
            if reply and item.id in accepted:
                self._observed.effects[item.id] += 1
                answers[item.id] = _wording(item, reply)
        await self._upload(answers)

    async def _upload(self, bodies: Mapping[str, Mapping[str, Any]]) -> set[str]:
        """One line per work item; lines that may be taken later are sent again. Returns whose were taken."""
        left, taken, tries = dict(bodies), set[str](), 0
        while left:
            lines = [{"work_item": id_, **body} for id_, body in left.items()]
            response = await self._gateway.post_lines(self.account, "/v1/answers", lines)
            if problem_code(response) == TAKEN_BEFORE:
                continue  # the answer was lost; sent as a new message, every line says how it stands
            if not response.is_success:
                self._observed.refusal("answers", response)
                return taken
            for line in (json.loads(text) for text in response.text.splitlines() if text):
                if line["status"] == REPEAT:
                    continue
                left.pop(line["work_item"], None)
                if line["status"] == "refused":
                    self._observed.refused[f"answers line {line['problem']['code']}"] += 1
                else:
                    taken.add(line["work_item"])
            if left:
                await self._gateway.pause(tries)
                tries += 1
        return taken

    # ── small things ─────────────────────────────────────────────────────────────────────────────────

    async def _call(self, item: WorkItem, what: str, body: object) -> httpx.Response:
        response = await self._gateway.post(self.account, f"/v1/work-items/{item.id}/{what}", body)
        if not _taken(response):
            self._observed.refusal(what, response)
        return response

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds) * self._around.pace)


def _taken(response: httpx.Response) -> bool:
    return response.is_success or problem_code(response) == TAKEN_BEFORE


def _wording(item: WorkItem, reply: Reply) -> dict[str, Any]:
    """A reply as the gateway reads it."""
    body = {
        "outcome": reply.outcome.value,
        "reason": reply.reason and reply.reason.value,
        "bound_at": reply.bound is not None and (item.bound_before + reply.bound).isoformat(),
    }
    return {name: value for name, value in body.items() if value}
