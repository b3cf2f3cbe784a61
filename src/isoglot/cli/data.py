"""`isoglot data`: training data and benchmarks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from isoglot.cli.shared import Json, Languages, listed, out, say
from isoglot.errors import InputError

data_app = typer.Typer(no_args_is_help=True, help="Training data and benchmarks: list, show, fetch, check.")


@data_app.command("list")
def data_list(as_json: Json = False) -> None:
    """Training data and benchmarks by name."""
    from isoglot.benchmarks import BENCHMARKS
    from isoglot.sources import SOURCES

    entries = [("training", entry) for entry in SOURCES.values()]
    entries += [("benchmark", entry) for entry in BENCHMARKS.values()]  # type: ignore[misc]
    if as_json:
        print(json.dumps([{"use": use, "name": entry.name, "licence": entry.licence} for use, entry in entries]))
        return
    table = Table("name", "use", "what", "licence")
    for use, entry in entries:
        table.add_row(entry.name, use, entry.summary, entry.licence)
    out.print(table)


@data_app.command("show")
def data_show(name: str, as_json: Json = False) -> None:
    """What a data set or benchmark is, in which languages, under which licence."""
    from isoglot.benchmarks import BENCHMARKS
    from isoglot.sources import SOURCES

    entry = SOURCES.get(name) or BENCHMARKS.get(name)
    if entry is None:
        raise InputError(f"{name!r} is unknown; isoglot data list names what there is")
    shown = {key: value for key, value in vars(entry).items() if isinstance(value, (str, list, tuple)) and value}
    if as_json:
        print(json.dumps(shown))
        return
    for key, value in shown.items():
        out.print(f"[bold]{key}[/]: {value if isinstance(value, str) else ', '.join(map(str, value))}", highlight=False)


@data_app.command("fetch")
def data_fetch(
    source: Annotated[str, typer.Argument(help="debian, hub:NAME, a file or a folder of aligned sentences")],
    to: Annotated[Path, typer.Option("--out", help="Where to write: .jsonl, .csv or .parquet")],
    languages: Languages = None,
) -> None:
    """Fetch parallel pairs and write them to a file."""
    from isoglot.pairs import write_pairs
    from isoglot.sources import load_pairs

    pairs = load_pairs(source, languages=listed(languages))
    write_pairs(pairs, to)
    say(f"{to}: {pairs.example_count:,} examples, {len(pairs):,} translations in {', '.join(pairs.languages)}")


@data_app.command("check")
def data_check(
    source: Annotated[str, typer.Argument(help="A file of parallel pairs, or another source")],
    model: Annotated[str | None, typer.Option(help="Count tokens with this model's tokenizer")] = None,
    deduplicate: Annotated[bool, typer.Option(help="Say also what deduplication would drop")] = True,
) -> None:
    """Check parallel pairs and describe them: examples, languages, pairs of languages, lengths, duplicates."""
    from isoglot.sources import load_pairs

    pairs = load_pairs(source)
    tokenizer = None
    if model is not None:
        from isoglot.encoders import load_encoder

        tokenizer = load_encoder(model).tokenizer
    out.print(str(pairs.describe(tokenizer)), highlight=False, markup=False)
    if deduplicate:
        out.print(str(pairs.deduplicate()[1]), highlight=False, markup=False)
