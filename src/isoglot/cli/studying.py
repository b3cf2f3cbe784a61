"""The command that runs a study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

import isoglot
from isoglot.cli.shared import Json, say


def study(
    name: Annotated[
        str,
        typer.Argument(
            help="strategies, low-resource, domains, mkqa, losses, ratio, or a recipe's .yaml", metavar="NAME"
        ),
    ],
    folder: Annotated[
        Path, typer.Option("--out", help="Folder for arms and answer; one that was begun is gone on with")
    ],
    quick: Annotated[bool, typer.Option("--quick", help="The short form: minutes, to see that it runs")] = False,
    override: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, for example training.steps=300 or data_dir=FOLDER")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what is left to do and how long it would take; write nothing")
    ] = False,
    as_json: Json = False,
) -> None:
    """Answer a question by training and scoring many models, with tables, plots and tests."""
    recipe = isoglot.load_study(name, override or (), quick=quick)
    if dry_run:
        found = isoglot.forecast(recipe, folder)
        print(json.dumps(found.to_json())) if as_json else say(found.text())
        return
    record = isoglot.run_study(recipe, folder)
    if as_json:
        shown = {key: record[key] for key in ("question", "quick", "answer", "limits", "versions")}
        print(json.dumps({"study": record["study"]["name"], **shown, "folder": str(folder)}, ensure_ascii=False))
        return
    for paragraph in (*record["answer"], *record["limits"]):
        say(f"{paragraph}\n")
    say(f"The report is {folder / 'report.html'}; page.md, the CSV files and study.json are beside it")
