"""`isoglot data convert` and `split`: the same pairs in another format, or in parts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import isoglot
from isoglot.cli import shared
from isoglot.cli.shared import Languages, NewFolder, Pairs, listed, say
from isoglot.common.atomic import write_whole_folder
from isoglot.common.errors import InputError


def convert(
    source: Annotated[str, typer.Argument(help="A file or folder in any format that isoglot reads", metavar="SOURCE")],
    to: Annotated[Path, typer.Option("--out", help="Where to write: .jsonl, .csv, .tsv, .parquet, .tmx; or a folder")],
    form: Annotated[str | None, typer.Option("--format", help="Of a folder: beir, or sentences")] = None,
    languages: Languages = None,
) -> None:
    """Convert parallel pairs or aligned sentences to another format."""
    from isoglot.sources.exporting import export_target

    export_target(to, form)
    pairs = isoglot.load_pairs(source, languages=listed(languages))
    say(shared.counts(isoglot.export_pairs(pairs, to, form), pairs))


def split(
    source: Pairs,
    parts: Annotated[str, typer.Option(help="Names and shares, comma-separated: train=.8,validation=.1,test=.1")],
    folder: NewFolder,
    form: Annotated[str, typer.Option("--format", help="Of the files: jsonl, csv, tsv or parquet")] = "jsonl",
    seed: Annotated[int, typer.Option(min=0, help="Of the draw")] = 0,
    languages: Languages = None,
) -> None:
    """Split parallel pairs into parts that have nothing in common: by example, near-duplicates together."""
    from isoglot.pairs.files import target_file

    shares = _shares(parts)
    files = {name: target_file(folder / f"{name}.{form}") for name in shares}
    found = isoglot.split_pairs(isoglot.load_pairs(source, languages=listed(languages)), shares, seed)
    with write_whole_folder(folder) as temporary:
        for name, file in files.items():
            isoglot.write_pairs(found[name], temporary / file.name)
    for name, file in files.items():
        say(shared.counts(file, found[name]))


def _shares(text: str) -> dict[str, float]:
    """Names and shares of parts."""
    said = [part.partition("=") for part in text.split(",")]
    names = [name.strip() for name, _, _ in said]
    if len({*names}) < len(names) or any(Path(name).name != name for name in names):
        raise InputError(f"--parts {text}: give every part a name of its own, without slashes: train=.8,test=.2")
    try:
        return {name: float(share) for name, (_, _, share) in zip(names, said, strict=True)}
    except ValueError:
        raise InputError(f"--parts {text}: give every part a share of the examples: train=.8,test=.2") from None
