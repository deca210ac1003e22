"""What all commands share: how they print, whom they speak as, and what their options are called."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console

from domain.sla import SHANGHAI
from runtime import settings as configuration
from runtime.api import Api

out = Console()
err = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ApiUrl = Annotated[str | None, typer.Option("--api", envvar="JIEBANG_API", help="The gateway's address.")]
Token = Annotated[str | None, typer.Option("--token", envvar="JIEBANG_TOKEN", help="Your token.")]
As = Annotated[
    str | None,
    typer.Option("--as", envvar="JIEBANG_AS", help="Whose token of `make up`: worker-lin, supervisor-wu, …"),
]
Case = Annotated[str, typer.Argument(help="The case's reference: a letter and twelve characters.")]


def api(url: str | None, token: str | None, who: str) -> Api:
    """The gateway, as this role or person."""
    return Api.from_folder(configuration.load().folder, url, token, who)


def moment(option: str, text: str) -> datetime:
    """A date, or a time with its zone; a date is midnight in Shanghai."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("give a date (2026-08-01) or a time with zone", param_hint=option) from None
    return found if found.tzinfo else found.replace(tzinfo=SHANGHAI)


def local(text: str | None) -> str:
    """A time as people in China read it."""
    return f"{datetime.fromisoformat(text).astimezone(SHANGHAI):%Y-%m-%d %H:%M:%S}" if text else ""


def print_json(data: Any) -> None:
    """Data for programs."""
    sys.stdout.write(json.dumps(data, ensure_ascii=False, indent=1, default=str) + "\n")
    sys.stdout.flush()  # `up --json` goes on running
