"""What the sandbox saw: the figures the demo shows and the tests check afterwards."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from enum import StrEnum

import httpx

from sandbox.calls import problem_code


class Mischief(StrEnum):
    """What an enterprise may try that must not work, or must not count twice."""

    FORGED = "forged"
    REPLAYED = "replayed"
    DOUBLED = "doubled"
    MEDDLED = "meddled"


@dataclass
class Observed:
    """`effects` counts per work item how often its enterprise carried it out in its own books: once, if all is well."""

    effects: Counter[str] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)
    """Genuine messages per enterprise, repetitions included."""
    not_genuine: Counter[str] = field(default_factory=Counter)
    """Messages per partner whose signature did not fit."""
    asked: Counter[str] = field(default_factory=Counter)
    """How often each question came in a message, whatever was said to it."""
    answered: Counter[str] = field(default_factory=Counter)
    """How often its party composed an answer to each question: once, unless it was asked again after it had answered.
    A link to an own identity check is no answer yet."""
    recycled: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """Per enterprise, how often each number was announced as recycled, by its token."""
    reinstated: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """The same for numbers that were announced by mistake."""
    mischief: dict[Mischief, Counter[int]] = field(default_factory=lambda: {kind: Counter() for kind in Mischief})
    """The HTTP statuses each kind of mischief met with."""
    refused: Counter[str] = field(default_factory=Counter)
    """What the gateway refused of honest calls: `answer 409 case_closed`."""
    urls: list[str] = field(default_factory=list)
    """Every path and query the product called, so that a test can look for personal data in them."""
    bugs: Counter[str] = field(default_factory=Counter)
    """Errors of the sandbox itself, by place and type."""

    def refusal(self, call: str, response: httpx.Response) -> None:
        """Note an honest call that was refused."""
        self.refused[f"{call} {response.status_code} {problem_code(response)}".strip()] += 1
