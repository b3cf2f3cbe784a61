"""Commands that make models: demo, train, debias, trim."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from isoglot.cli.shared import (
    Bf16,
    Json,
    Languages,
    MaxTokens,
    Model,
    PassagePrompt,
    QueryPrompt,
    RemoteCode,
    encoder,
    listed,
    say,
    store,
)
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
    from isoglot.training import estimate, load_config, processes
    from isoglot.training import train as run

    if as_json and not dry_run:
        raise InputError("--json goes with --dry-run; a run keeps its figures in its folder")
    processes.join()
    with processes.one_voice():
        if dry_run:
            found = estimate(load_config(config, override or ()))
            say(json.dumps(found.to_json(), ensure_ascii=False) if as_json else found.text())
            return
        model = run(load_config(config, override or ()), resume=resume)
    if processes.rank() == 0:
        say(f"The model is in {model}")


def debias(
    model: Model,
    pairs: Annotated[str, typer.Option(help="Text in two languages or more: a file, or another source")],
    folder: Annotated[Path, typer.Option("--out", help="Folder for the new model")],
    remedy: Annotated[str, typer.Option(help="lir, leace; or means, shift, which need the language in use")] = "lir",
    directions: Annotated[int | None, typer.Option(help="lir: how many to remove", show_default="20")] = None,
    examples: Annotated[int | None, typer.Option(help="Examples per language to fit on", show_default="250")] = None,
    source_language: Annotated[str, typer.Option(help="shift: the language that passages are moved to")] = "en",
    languages: Languages = None,
    max_tokens: MaxTokens = None,
    query_prompt: QueryPrompt = None,
    passage_prompt: PassagePrompt = None,
    bf16: Bf16 = False,
    trust_remote_code: RemoteCode = False,
) -> None:
    """Take most of the language bias out of a model in seconds, without training."""
    from isoglot.common.atomic import write_whole_folder
    from isoglot.models.builtin import quiet_transformers
    from isoglot.models.debiasing import DEFAULT_DIRECTIONS, DEFAULT_EXAMPLES
    from isoglot.models.debiasing import debias as run
    from isoglot.sources import load_pairs

    if folder.exists():
        raise InputError(f"{folder}: exists already; choose another folder")
    texts = load_pairs(pairs, languages=listed(languages))
    result = run(
        encoder(model, max_tokens, query_prompt, passage_prompt, trust_remote_code),
        texts,
        remedy=remedy,  # type: ignore[arg-type]
        directions=DEFAULT_DIRECTIONS if directions is None else directions,
        examples=DEFAULT_EXAMPLES if examples is None else examples,
        source_language=source_language,
        store=store(),
        bf16=bf16,
    )
    with write_whole_folder(folder) as target, quiet_transformers():
        result.save_pretrained(str(target), create_model_card=False)
    say(f"The model is in {folder}; it loads with SentenceTransformer({str(folder)!r})")


def trim(
    model: Model,
    pairs: Annotated[str, typer.Option(help="Text in the languages to keep: a file, or another source")],
    folder: Annotated[Path, typer.Option("--out", help="Folder for the new model")],
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
    from isoglot.common.atomic import write_whole_folder
    from isoglot.models.builtin import quiet_transformers
    from isoglot.models.encoders import load_encoder
    from isoglot.models.trimming import DEFAULT_SPARE
    from isoglot.models.trimming import trim as run
    from isoglot.sources import load_pairs

    if folder.exists():
        raise InputError(f"{folder}: exists already; choose another folder")
    texts = load_pairs(pairs, languages=listed(languages))
    result, report = run(
        load_encoder(model, dtype=None, trust_remote_code=trust_remote_code),  # in the precision that it is saved in
        texts,
        spare=DEFAULT_SPARE if spare is None else spare,
        keep_all_of=listed(keep_all_of) or (),
    )
    with write_whole_folder(folder) as target, quiet_transformers():
        result.save_pretrained(str(target), create_model_card=False)
    if as_json:
        print(json.dumps(report.as_dict()))
        return
    for line in report.sentences():
        say(line)
    say(f"The model is in {folder}; it loads with SentenceTransformer({str(folder)!r})")
