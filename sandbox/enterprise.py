"""One enterprise at work: it takes work items up, carries them out and answers, in the manner of its kind, and tells
what its books say when it is asked.

All acknowledge before they touch anything, because an acknowledged work item can no longer be withdrawn, and answer
after they did, because an answer reports what is done. A work item is taken up once, however often it comes; so is a
question that is answered through the door. A question answered at once is answered as often as it is asked.
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
from typing import Any

import httpx

from domain.question import QuestionKind
from sandbox.behaviour import TOKEN_UNKNOWN, Behaviour, Fault, Manner, Reply, Since, Span, Telling, chosen
from sandbox.calls import Account, Gateway, problem_code
from sandbox.inbox import Question, WorkItem
from sandbox.observed import Mischief, Observed

FORGED_SECRET = "whsec_" + b64encode(b"not the secret they were handed.").decode()
TAKEN_BEFORE = "replayed"
"""The gateway's word for a message that was taken although its sender saw no answer: nothing is lost."""

REPEAT = "repeat"
"""The gateway's word for a line of an upload that it could not take now."""

Wanted = WorkItem | Question
Body = Mapping[str, Any]
Start = Callable[[Coroutine[Any, Any, None]], None]
"""Runs work beside everything else, until it is done or the world stops."""


@dataclass(frozen=True)
class Surroundings:
    """What all enterprises share. `overheard` is who got which work item or question: what a meddler may have picked
    up. `url` is where their own pages are."""

    gateway: Gateway
    observed: Observed
    overheard: dict[str, tuple[str, Wanted]]
    pace: float
    start: Start
    url: str


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
        self._own_checks: dict[str, Question] = {}
        self._checked: set[str] = set()
        self._requests = 0
        self._first_request: float | None = None
        self._routine: Mapping[Manner, Callable[[Wanted, Body], Awaitable[object]]] = {
            Manner.DOUBLING: self._answer_twice,
            Manner.REPLAYING: self._answer_and_replay,
            Manner.MEDDLING: self._meddle_and_answer,
        }

    # ── what comes in ────────────────────────────────────────────────────────────────────────────────

    def take(self, items: Iterable[WorkItem]) -> None:
        """Take up work items that are new."""
        new = [item for item in items if self._is_new(item)]
        if self.behaviour.manner is not Manner.BULK:
            work_on = self._forge if self.behaviour.manner is Manner.FORGING else self._work_on
            for item in new:
                self._around.start(work_on(item))
        elif new:
            self._around.start(self._work_off(new))

    def drop(self, items: Iterable[WorkItem]) -> None:
        """The holder has withdrawn these: what is not acknowledged yet is left alone."""
        self._withdrawn.update(item.id for item in items)

    def asked(self, questions: Iterable[Question]) -> list[dict[str, Any]]:
        """Questions of a message: the answers that are given at once. The others come later through the door, or never."""
        questions = list(questions)
        self._observed.asked.update(question.id for question in questions)
        telling = self.behaviour.telling
        if telling is None or telling.after is not None:
            self.found(questions)
            return []
        for question in questions:
            self._overhear(question)
        return [{"question": question.id, "answer": self._say(question, telling)} for question in questions]

    def found(self, questions: Iterable[Question]) -> None:
        """Questions to be answered through the door: take up what is new."""
        work_on = self._forge if self.behaviour.manner is Manner.FORGING else self._tell
        for question in questions:
            if self._is_new(question):
                self._around.start(work_on(question))

    def own_check_passed(self, ticket: str) -> bool:
        """A citizen was here, through the link they got, and passed the check; False if no link ends so."""
        question, telling = self._own_checks.get(ticket), self.behaviour.telling
        if question is None or telling is None:
            return False
        if question.id not in self._checked:
            self._checked.add(question.id)
            self._around.start(self._answer(question, self._say(question, telling)))
        return True

    def numbers_recycled(self, tokens: Iterable[str]) -> None:
        """Numbers that were cancelled: whoever has one of these on an account is no longer its holder."""
        self._observed.recycled[self.code].update(tokens)

    def numbers_reinstated(self, tokens: Iterable[str]) -> None:
        """Numbers that were cancelled by mistake."""
        self._observed.reinstated[self.code].update(tokens)

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

    def _is_new(self, wanted: Wanted) -> bool:
        self._overhear(wanted)
        new = wanted.id not in self._taken
        self._taken.add(wanted.id)
        return new

    def _overhear(self, wanted: Wanted) -> None:
        self._around.overheard.setdefault(wanted.id, (self.code, wanted))

    # ── one work item ────────────────────────────────────────────────────────────────────────────────

    async def _work_on(self, item: WorkItem) -> None:
        reply = self._reply(item)
        if reply is None or not await self._acknowledged(item):
            return
        if self.behaviour.extends_by:
            await self._call(item, "extend", {"by": self.behaviour.extends_by, "reason": "人工核实中"})
        await self._until_answer(item)
        self._observed.effects[item.id] += 1
        await self._answer(item, item.wording(reply))
        if self.behaviour.amendment:
            await self._sleep(self.behaviour.amends_after)
            amendment = chosen(self.behaviour.amendment, item.cancels)
            await self._send(item, item.wording(amendment) | {"amends": 1})

    def _reply(self, item: WorkItem) -> Reply | None:
        """The behaviour's answer, unless a token does not belong to the number it came with. (A carrier has no key.)"""
        genuine = hmac.new(bytes.fromhex(self.account.token_key), item.number.encode(), hashlib.sha256).hexdigest()
        known = bool(self.account.token_key) and item.number.startswith("+")
        if known and not hmac.compare_digest(item.token, genuine):
            return TOKEN_UNKNOWN
        reply = self.behaviour.reply(item.id)
        return reply and chosen(reply, item.cancels)

    async def _acknowledged(self, item: WorkItem) -> bool:
        await self._sleep(self.behaviour.acknowledges_after)
        if item.id in self._withdrawn:
            return False
        return _taken(await self._call(item, "acknowledge", {}))

    async def _until_answer(self, item: WorkItem) -> None:
        """Wait for the moment to answer a work item that was acknowledged, or might have been."""
        behaviour = self.behaviour
        await self._until(item, behaviour.answers_after, behaviour.since, spent=behaviour.acknowledges_after)

    # ── one question ─────────────────────────────────────────────────────────────────────────────────

    async def _tell(self, question: Question) -> None:
        """Through the door, in the manner of the kind."""
        telling = self.behaviour.telling
        if telling is None:
            return
        if telling.after is not None:
            await self._until(question, telling.after, telling.since)
        await self._answer(question, self._say(question, telling))

    def _say(self, question: Question, telling: Telling) -> dict[str, Any]:
        """What the books say; who does not trust our identity check sends the citizen through its own first."""
        own_check = question.kind is QuestionKind.DETAIL and not question.identity_checked
        if own_check and not telling.declines and question.id not in self._checked:
            self._own_checks[question.ticket] = question
            link = f"{self._around.url}/e/{self.code}/check/{question.ticket}"
            return question.wording(datetime.now(UTC), own_check=link)
        self._observed.answered[question.id] += 1
        return question.wording(datetime.now(UTC), telling.declines)

    # ── manners of answering ─────────────────────────────────────────────────────────────────────────

    async def _answer(self, wanted: Wanted, body: Body) -> None:
        await self._routine.get(self.behaviour.manner, self._send)(wanted, body)

    async def _send(self, wanted: Wanted, body: Body) -> httpx.Response:
        response = await self._gateway.post(self.account, wanted.door, body)
        if not _taken(response):
            self._observed.refusal(wanted.called, response)
        return response

    async def _answer_twice(self, wanted: Wanted, body: Body) -> None:
        """As two messages, at the same time."""
        for response in await asyncio.gather(self._send(wanted, body), self._send(wanted, body)):
            self._observed.mischief[Mischief.DOUBLED][response.status_code] += 1

    async def _answer_and_replay(self, wanted: Wanted, body: Body) -> None:
        again = await self._gateway.repeat(await self._send(wanted, body))
        self._observed.mischief[Mischief.REPLAYED][again.status_code] += 1

    async def _meddle_and_answer(self, wanted: Wanted, body: Body) -> None:
        """First answer for somebody else, what was overheard or is made up."""
        heard = self._around.overheard.values()
        others = (one for code, one in heard if code != self.code and type(one) is type(wanted))
        target = next(others, wanted.made_up)
        response = await self._gateway.post(self.account, target.door, target.slander)
        self._observed.mischief[Mischief.MEDDLED][response.status_code] += 1
        await self._send(wanted, body)

    async def _forge(self, wanted: Wanted) -> None:
        """As somebody would who has the token, but not the secret."""
        await self._until(wanted, self.behaviour.answers_after, self.behaviour.since)
        response = await self._gateway.post(self.account, wanted.door, wanted.slander, FORGED_SECRET)
        self._observed.mischief[Mischief.FORGED][response.status_code] += 1

    # ── many work items at once ──────────────────────────────────────────────────────────────────────

    async def _work_off(self, items: Sequence[WorkItem]) -> None:
        await self._sleep(self.behaviour.acknowledges_after)
        wanted = [item for item in items if item.id not in self._withdrawn]
        accepted = await self._upload({item.id: {"acknowledge": True} for item in wanted})
        await self._until_answer(items[0])
        answers = {}
        for item in wanted:
            reply = self._reply(item)
            if reply and item.id in accepted:
                self._observed.effects[item.id] += 1
                answers[item.id] = item.wording(reply)
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

    async def _until(self, wanted: Wanted, after: Span, since: Since, spent: float = 0.0) -> None:
        """Wait for the moment to answer, of which some seconds are spent already."""
        delay = after.of(wanted.id)
        if since is Since.DUE:
            await asyncio.sleep(max(0.0, (wanted.due_at - datetime.now(UTC)).total_seconds()))
            await self._sleep(delay)
        else:
            await self._sleep(delay - spent)

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds) * self._around.pace)


def _taken(response: httpx.Response) -> bool:
    return response.is_success or problem_code(response) == TAKEN_BEFORE
