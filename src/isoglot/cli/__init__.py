"""The command line: parse, build a configuration, call; no logic.

The commands call what `isoglot` has at its top, which is imported on first use, so that help and errors come at once.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from isoglot.cli.checking import doctor
from isoglot.cli.converting import convert, split
from isoglot.cli.data import data_app
from isoglot.cli.help import App
from isoglot.cli.making import debias, demo, export, merge, train, trim
from isoglot.cli.measuring import audit, compare, evaluate, report
from isoglot.cli.searching import encode, index, search
from isoglot.cli.serving import serve
from isoglot.cli.shared import say, without_controls
from isoglot.cli.studying import study
from isoglot.common.errors import IsoglotError
from isoglot.common.extras import naming_extra
from isoglot.common.progress import console
from isoglot.diagnosis import described

app = App(help="Train and audit multilingual retrievers that rank by meaning, not by language.")
for panel, commands in {
    "Measure": (audit, evaluate, compare, report),
    "Make models": (debias, train, merge, trim, export),
    "Search": (encode, index, search, serve),
    "The whole way": (demo, study),
    "Help": (doctor,),
}.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
for command in (convert, split):
    data_app.command()(command)
app.add_typer(data_app, name="data", rich_help_panel="Data")


def main() -> None:
    """Run the command line; exit code 2 and one line for anything the user can mend."""
    try:
        with naming_extra():
            sys.exit(app(standalone_mode=False) or 0)
    except (typer.Abort, KeyboardInterrupt):
        console.print("interrupted")
        sys.exit(130)
    except IsoglotError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or 'the system'}: {error.strerror or error}")
    except Exception as error:
        # Usage errors of the parser, which know how to say what is wrong.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        _fail(f"{message()} (isoglot --help shows what there is)")


def _fail(message: str) -> None:
    print(f"isoglot: {' '.join(without_controls(message).split())}", file=sys.stderr)
    sys.exit(2)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the versions that matter")] = False) -> None:
    if version:
        for name, words in described().items():
            say(f"{name} {words}")
        raise typer.Exit
