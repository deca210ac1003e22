"""The carriers: a number registry that answers by a number's last four digits, a webhook for results, and what they
report of a number's life. As owners of phone cards they are parties like any other (`sandbox/enterprises.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from domain.identity import HolderVerdict
from domain.renewal import NotEligible, Verdict
from sandbox.behaviour import activation
from sandbox.calls import Account, BadMessageError, Gateway, opened
from sandbox.observed import Observed

T = TypeVar("T")


@dataclass(frozen=True)
class Opinion:
    """What a carrier's registry says of a number."""

    verdict: Verdict
    reason: NotEligible | None = None


YES = Opinion(Verdict.YES)
UNKNOWN = Opinion(Verdict.UNKNOWN)
UNAVAILABLE = None

OPINIONS: Mapping[str, Sequence[Opinion | None]] = {
    "0001": (Opinion(Verdict.NO, NotEligible.NEVER_CANCELLED),),
    "0002": (UNKNOWN, UNKNOWN, YES),
    "0003": (UNKNOWN,),
    "0004": (Opinion(Verdict.NO, NotEligible.HOLDER_MISMATCH),),
    "0005": (UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, YES),
}
"""By a number's last four digits: one opinion per question, the last one for ever; every other number is a yes."""

HOLDERS: Mapping[str, Sequence[HolderVerdict | None]] = {
    "0006": (HolderVerdict.CANCELLED,),
    "0007": (UNAVAILABLE, UNAVAILABLE, HolderVerdict.MATCH),
}
"""The same for whose number it is; every other number is its holder's, whose ID tail is any but `WRONG_TAIL`."""

WRONG_TAIL = "31999X"
SECOND_CARRIERS = frozenset(f"{ending:04}" for ending in range(11, 20))
"""Numbers that end so are served by the second carrier, all others by the first."""


@dataclass(frozen=True)
class Result:
    """A result as a carrier got it, the first time."""

    carrier: str
    message_id: str
    type: str
    data: Mapping[str, Any]


class Carriers:
    """All carriers of a registry. `results` has every result once; `deliveries` counts repetitions too."""

    def __init__(
        self, codes: Sequence[str], accounts: Mapping[str, Account], gateway: Gateway, observed: Observed
    ) -> None:
        self._codes = codes
        self._accounts = accounts
        self._gateway = gateway
        self._observed = observed
        self._asked: Counter[tuple[str, str, str]] = Counter()
        self._results: dict[tuple[str, str], Result] = {}
        self.deliveries: Counter[str] = Counter()
        self.router = APIRouter(prefix="/c")
        self.router.add_api_route("/{code}/eligibility", self._eligibility, methods=["POST"], response_model=None)
        self.router.add_api_route("/{code}/confirm", self._confirm, methods=["POST"], response_model=None)
        self.router.add_api_route("/{code}/results", self._result, methods=["POST"], response_model=None)

    @property
    def results(self) -> list[Result]:
        """In the order they came."""
        return list(self._results.values())

    async def report(self, carrier: str, event: Mapping[str, Any]) -> httpx.Response:
        """Tell the gateway what happened to a number, as this carrier. KeyError if there is none."""
        return await self._gateway.post(self._accounts[carrier], "/v1/number-events", event)

    async def _eligibility(self, code: str, request: Request) -> Response:
        """Is this a re-issued number of this holder? Every question counts, a repeated one too: it changes nothing."""
        question = await self._opened(code, request)
        if isinstance(question, Response):
            return question
        number = question["number"]
        opinion = self._next("eligibility", code, number, OPINIONS.get(number[-4:], (YES,)))
        if opinion is UNAVAILABLE:
            return _unavailable()
        return JSONResponse({"verdict": opinion.verdict, "reason": opinion.reason})

    async def _confirm(self, code: str, request: Request) -> Response:
        """Is this ID tail the holder's, and since when is the number theirs?"""
        question = await self._opened(code, request)
        if isinstance(question, Response):
            return question
        verdict = self._holder(code, question["number"], question["id_tail"])
        if verdict is UNAVAILABLE:
            return _unavailable()
        begun = activation(datetime.now(UTC)).isoformat() if verdict is HolderVerdict.MATCH else None
        return JSONResponse({"verdict": verdict, "activated_at": begun})

    def _holder(self, code: str, number: str, id_tail: str) -> HolderVerdict | None:
        if code != self._serving(number):
            return HolderVerdict.NOT_OURS
        verdict = self._next("confirm", code, number, HOLDERS.get(number[-4:], (HolderVerdict.MATCH,)))
        wrong = verdict is HolderVerdict.MATCH and id_tail == WRONG_TAIL
        return HolderVerdict.MISMATCH if wrong else verdict

    def _serving(self, number: str) -> str:
        """The carrier of a number."""
        return self._codes[1 if number[-4:] in SECOND_CARRIERS else 0]

    def _next(self, door: str, code: str, number: str, answers: Sequence[T]) -> T:
        """The answer that is due at this door, the last one for ever."""
        asked = self._asked[door, code, number]
        self._asked[door, code, number] += 1
        return answers[min(asked, len(answers) - 1)]

    async def _result(self, code: str, request: Request) -> Response:
        """What came of a renewal."""
        message = await self._opened(code, request)
        if isinstance(message, Response):
            return message
        message_id = request.headers["webhook-id"]
        self.deliveries[message_id] += 1
        result = Result(code, message_id, message["type"], message["data"])
        self._results.setdefault((code, message_id), result)
        return Response(status_code=202)

    async def _opened(self, code: str, request: Request) -> Any:
        """The body of a properly signed request, or what to answer instead."""
        if code not in self._accounts:
            return Response(status_code=404)
        try:
            return await opened(request, self._accounts[code].secret)
        except BadMessageError:
            self._observed.not_genuine[code] += 1
            return JSONResponse({"code": "bad_signature"}, 401)


def _unavailable() -> Response:
    return Response(status_code=503, headers={"retry-after": "1"})
