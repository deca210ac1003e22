"""A citizen's visit: what this browser has proven, in one signed cookie that no script can read.

There are no citizens' accounts. A visit is a random word that codes are counted by, the identity checks that were begun
here, and the cases somebody may look into until a time: those they opened, and those they followed with a code.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime

from fastapi import Request, Response
from pydantic import BaseModel, ValidationError

from gateway import sessions
from gateway.services import Services

COOKIE = "jiebang-visit"
SECONDS = 1800
"""How long a visit lasts after the last thing that was proven in it."""

MOST_CHECKS, MOST_CASES = 4, 12
"""How many one visit remembers: the newest."""


class Visit(BaseModel):
    """What one browser has begun and proven. `checks`: what each is for, in a word of the page that began it; `cases`:
    until when (Unix seconds) it may look into each."""

    origin: str
    checks: dict[str, str] = {}
    cases: dict[str, int] = {}

    def began(self, check: str, what_for: str) -> None:
        """An identity check was begun here. The word is for small things only: browsers keep 4 KiB of a cookie."""
        others = {key: value for key, value in self.checks.items() if key != check}
        self.checks = dict([*others.items(), (check, what_for)][-MOST_CHECKS:])

    def may_see(self, case: str, until: datetime) -> None:
        """Whoever sits here may look into a case until then."""
        others = {key: value for key, value in self.cases.items() if key != case}
        self.cases = dict([*others.items(), (case, int(until.timestamp()))][-MOST_CASES:])

    def sees(self, case: str, now: datetime) -> bool:
        """Whether they may look into it now."""
        return self.cases.get(case, 0) > now.timestamp()


def read(request: Request, services: Services, nonce: str) -> Visit:
    """The visit of a request; a fresh one without a cookie, or with one that is not ours.

    One browser has one `nonce`: its first form, sent twice before it is answered, comes from one visit.
    """
    fresh = Visit(origin=f"v-{nonce}")
    try:
        word = sessions.read(request, services, COOKIE)
        return Visit.model_validate_json(urlsafe_b64decode(word)) if word else fresh
    except (ValueError, ValidationError):
        return fresh


def give(response: Response, services: Services, visit: Visit) -> None:
    """Let the browser remember it; `sessions` signs it."""
    word = urlsafe_b64encode(visit.model_dump_json().encode()).decode()
    sessions.give(response, services, COOKIE, word, SECONDS)


def end(response: Response, services: Services) -> None:
    """Let the browser forget it: for telephones that several people use."""
    sessions.take_away(response, services, COOKIE)
