"""Commands that make models: demo, train, debias, trim."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

import isoglot
from isoglot.cli import shared
from isoglot.cli.shared import Encoding, Json, Languages, Model, NewModel, RemoteCode, encodes, given, listed, say
from isoglot.common.errors import InputError


def demo(
    folder: Annotated[Path, typer.Option("--out", help="Where results go")] = Path("runs/demo"),
    pairs: Annotated[str | None, typer.Option(help="Other parallel pairs than Debian's: a file")] = None,
) -> None:
    """The whole story on real data: measure the bias, take it out for free, train, and do both."""
    from isoglot.demo import run_demo

    run_demo(folder, pairs)


def train(
    config: Annotated[Path, typer.Argument(help="YAML; recipes/ holds examples", metavar="CONFIG")],
    override: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, for example batches.alpha=0.3")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what the run would do and cost, from a few steps; write nothing")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --dry-run: print JSON for scripts")] = False,
) -> None:
    """Train a model by a configuration."""
    from isoglot.training import processes

    if as_json and not dry_run:
        raise InputError("--json goes with --dry-run; a run keeps its figures in its folder")
    processes.join()
    with processes.one_voice():
        if dry_run:
            found = isoglot.estimate(isoglot.load_config(config, override or ()))
            say(json.dumps(found.to_json(), ensure_ascii=False) if as_json else found.text())
            return
        model = isoglot.train(isoglot.load_config(config, override or ()), resume=resume)
    if processes.rank() == 0:
        say(f"The model is in {model}")


@encodes
def debias(
    model: Model,
    pairs: Annotated[str, typer.Option(help="Text in two languages or more: a file, or another source")],
    folder: NewModel,
    encoding: Encoding,
    remedy: Annotated[str, typer.Option(help="lir, leace; or means, shift, which need the language in use")] = "lir",
    directions: shared.Directions = None,
    examples: Annotated[int | None, typer.Option(help="Examples per language to fit on", show_default="250")] = None,
    source_language: Annotated[str, typer.Option(help="shift: the language that passages are moved to")] = "en",
    languages: Languages = None,
) -> None:
    """Take most of the language bias out of a model in seconds, without training."""
    texts = isoglot.load_pairs(pairs, languages=listed(languages))
    result = isoglot.debias(
        replace(encoding, max_tokens=None).load(model),
        texts,
        **given(remedy=remedy, directions=directions, examples=examples, source_language=source_language),
        max_tokens=encoding.max_tokens,
        store=shared.store(),
        bf16=encoding.bf16,
    )
    say(shared.save_model(result, folder))


def trim(
    model: Model,
    pairs: Annotated[str, typer.Option(help="Text in the languages to keep: a file, or another source")],
    folder: NewModel,
    spare: Annotated[
        int | None, typer.Option(help="Pieces to keep beyond what the text needs", show_default="10000")
    ] = None,
    keep_all_of: Annotated[
        str | None, typer.Option(help="Languages whose scripts to keep whole, comma-separated: el,th")
    ] = None,
    languages: Languages = None,
    trust_remote_code: RemoteCode = False,
    as_json: Json = False,
) -> None:
    """Drop the part of a model's vocabulary that your languages do not need; most of a small model is vocabulary."""
    texts = isoglot.load_pairs(pairs, languages=listed(languages))
    result, report = isoglot.trim(
        isoglot.load_encoder(
            model, dtype=None, trust_remote_code=trust_remote_code
        ),  # in the precision that it is saved in
        texts,
        **given(spare=spare, keep_all_of=listed(keep_all_of)),
    )
    where = shared.save_model(result, folder)
    if as_json:
        print(json.dumps(report.as_dict()))
        return
    for line in (*report.sentences(), where):
        say(line)
