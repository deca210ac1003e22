"""What all commands share: how they print and ask, whom they speak as, and what their options are called."""

from __future__ import annotations

import json
import re
import sys
from datetime import datetime
from enum import StrEnum
from getpass import getpass
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from commands import words
from domain.sla import SHANGHAI
from runtime import settings as configuration
from runtime.api import Api

out = Console()
err = Console(stderr=True)

NOT_RIGHT, USAGE, REFUSED, NO_ANSWER = 1, 2, 3, 4
"""Exit codes; `starter.py --help` explains them."""

Word = TypeVar("Word", bound=StrEnum)


def reference(text: str) -> str:
    """A case's reference as people write it."""
    written = text.strip().upper().replace("-UNBIND-", "-unbind-")
    if not re.fullmatch(words.CASE_ID, written):
        raise typer.BadParameter(f"{text!r} is no reference: a letter and twelve characters, such as Q2TAWT84E9EYG")
    return written


def reference_or_item(text: str) -> str:
    """A case's reference, or a work item's."""
    written = text.strip().upper()
    return written if re.fullmatch(words.ITEM_ID, written) else reference(text)


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ApiUrl = Annotated[str | None, typer.Option("--api", envvar="JIEBANG_API", help="The gateway's address.")]
Client = Annotated[
    str | None,
    typer.Option("--client", envvar="JIEBANG_CLIENT", help="Your client, as id:secret; best in the environment."),
]
As = Annotated[
    str | None,
    typer.Option("--as", envvar="JIEBANG_AS", help="Whose client of `make up`: worker-lin, supervisor-wu, …"),
]
Case = Annotated[
    str,
    typer.Argument(help="The case's reference: a letter and twelve characters.", parser=reference, metavar="CASE"),
]
Reason = Annotated[str | None, typer.Argument(help="Why, in a sentence; it is kept in the vault. Asked for.")]
Number = Annotated[str | None, typer.Option(help="The phone number; asked for if left out.")]


def api(url: str | None, client: str | None, who: str) -> Api:
    """The gateway, as this role or person."""
    return Api.from_folder(configuration.load().folder, url, client, who)


def moment(option: str, text: str) -> datetime:
    """A date, or a time with its zone; a date is midnight in Shanghai."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("give a date (2026-08-01) or a time with zone", param_hint=option) from None
    return found if found.tzinfo else found.replace(tzinfo=SHANGHAI)


def say(text: str) -> None:
    """A sentence for people: never broken, so that what is to be typed next can be copied."""
    out.print(Text(text), soft_wrap=True)


def warn(text: str, what: str = "") -> None:
    """What went wrong, on standard error."""
    err.print(Text.assemble((f"{what}: ", "bold red") if what else "", text), soft_wrap=True)


def print_json(data: Any) -> None:
    """Data for programs."""
    sys.stdout.write(json.dumps(data, ensure_ascii=False, indent=1, default=str) + "\n")
    sys.stdout.flush()  # `up --json` goes on running


# ── asking ───────────────────────────────────────────────────────────────────────────────────────────


def ask(what: str, given: str | None = None, *, hidden: bool = False, empty: bool = False) -> str:
    """What was given, or what the person types now; `empty` where nothing is an answer too."""
    while given is None:
        answer = _typed(what, hidden).strip()
        given = answer if answer or empty else None
    return given


def _typed(what: str, hidden: bool) -> str:
    """One line; it is asked for on standard error, so that standard output is the answer's alone."""
    if hidden and sys.stdin.isatty():
        return getpass(f"{what}: ")
    err.print(Text(f"{what}: "), end="", soft_wrap=True)
    if line := sys.stdin.readline():
        return line
    err.print()
    raise typer.BadParameter(f"{what} is missing: give it, or type it in a terminal")


def ask_word(what: str, kind: type[Word], given: Word | None = None) -> Word:
    """One of the words of a kind."""
    while given is None:
        answer = ask(f"{what} ({', '.join(kind)})")
        given = next((word for word in kind if word.value == answer), None)
    return given


def ask_all(what: str, given: list[str] | None = None) -> list[str]:
    """One or more answers; an empty one ends them."""
    answers = list(given or ())
    while not given and (answer := ask(f"{what} (empty: that is all)" if answers else what, empty=bool(answers))):
        answers.append(answer)
    return answers
