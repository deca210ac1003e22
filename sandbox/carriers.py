"""The carriers: a number registry that answers by a number's last four digits, and a webhook for results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from domain.renewal import NotEligible, Verdict
from sandbox.calls import Account, BadMessageError, opened
from sandbox.observed import Observed


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


@dataclass(frozen=True)
class Result:
    """A result as a carrier got it, the first time."""

    carrier: str
    message_id: str
    type: str
    data: Mapping[str, Any]


class Carriers:
    """All carriers of a registry. `results` has every result once; `deliveries` counts repetitions too."""

    def __init__(self, accounts: Mapping[str, Account], observed: Observed) -> None:
        self._accounts = accounts
        self._observed = observed
        self._asked: Counter[tuple[str, str]] = Counter()
        self._results: dict[tuple[str, str], Result] = {}
        self.deliveries: Counter[str] = Counter()
        self.router = APIRouter(prefix="/c")
        self.router.add_api_route("/{code}/eligibility", self._eligibility, methods=["POST"], response_model=None)
        self.router.add_api_route("/{code}/results", self._result, methods=["POST"], response_model=None)

    @property
    def results(self) -> list[Result]:
        """In the order they came."""
        return list(self._results.values())

    async def _eligibility(self, code: str, request: Request) -> Response:
        """Is this a re-issued number of this holder? Every question counts, a repeated one too: it changes nothing."""
        question = await self._opened(code, request)
        if isinstance(question, Response):
            return question
        number = question["number"]
        opinions = OPINIONS.get(number[-4:], (YES,))
        asked = self._asked[code, number]
        self._asked[code, number] += 1
        opinion = opinions[min(asked, len(opinions) - 1)]
        if opinion is UNAVAILABLE:
            return Response(status_code=503, headers={"retry-after": "1"})
        return JSONResponse({"verdict": opinion.verdict, "reason": opinion.reason})

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
