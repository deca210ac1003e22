"""The command line. `python starter.py --help` lists the commands; `--json` prints data for programs.

Exit codes:
0 done
1 not as it should be: verify found a difference, not all of many cases were done, the demo ended otherwise
2 wrong words on the command line
3 refused; the sentence says why
4 nobody answers
"""

from __future__ import annotations

import sys

import typer

from commands import access, accounts, carrier, cases, citizen, desk, house
from commands.common import NO_ANSWER, REFUSED, warn
from runtime.api import ApiError
from runtime.settings import CANNOT_RUN

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

PANELS = {
    "Everybody": cases.app,
    "Citizens, through a channel": citizen.app,
    "The case desk": desk.app,
    "Carriers": carrier.app,
    "Whoever runs it": house.app,
}
"""Whose commands stand together in the help."""

for panel, part in PANELS.items():
    for command in part.registered_commands:
        command.rich_help_panel = panel
    app.add_typer(part)
app.add_typer(carrier.numbers, name="number", rich_help_panel="Carriers")
for name, group in {
    "account": accounts.app,
    "client": access.clients_app,
    "key": access.keys_app,
    "enterprise": access.enterprises_app,
}.items():
    app.add_typer(group, name=name, rich_help_panel="Whoever runs it")


def main() -> None:
    """Run a command; what goes wrong is one sentence and an exit code."""
    try:
        app()
    except ApiError as error:
        warn(str(error), error.code or "no answer")
        sys.exit(REFUSED if error.code else NO_ANSWER)
    except CANNOT_RUN as error:
        warn(str(error), "cannot run")
        sys.exit(NO_ANSWER)


if __name__ == "__main__":
    main()
