"""`isoglot data`: training data and benchmarks."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

import isoglot
from isoglot.cli import shared
from isoglot.cli.help import App
from isoglot.cli.shared import Encoding, Json, Languages, Pairs, encodes, given, listed, say
from isoglot.common.errors import InputError
from isoglot.common.paths import expanded_path
from isoglot.common.progress import out

data_app = App(help="Training data and benchmarks.")

_BATCHES = {  # what an engine calls the size of its batches
    **dict.fromkeys(("ctranslate2", "transformers"), "batch_tokens"),
    **dict.fromkeys(("http", "https"), "texts_per_request"),
}


@data_app.command("list")
def data_list(as_json: Json = False) -> None:
    """Training data and benchmarks by name."""
    from isoglot.benchmarks import BENCHMARKS
    from isoglot.sources import SOURCES

    entries = [("training", entry) for entry in SOURCES.values()]
    entries += [("benchmark", entry) for entry in BENCHMARKS.values()]  # type: ignore[misc]
    if as_json:
        keys = ("name", "title", "licence")
        print(json.dumps([{"use": use, **{key: vars(entry)[key] for key in keys}} for use, entry in entries]))
        return
    say(f"{'name':<28}{'use':<10} languages")
    for use, entry in entries:
        say(f"{entry.name:<28}{use:<10}{_number_of(entry.languages):>4} {entry.title}")
    say("* as the data has them; isoglot data show NAME says which, and the licence")


@data_app.command("show")
def data_show(name: str, as_json: Json = False) -> None:
    """What a data set or benchmark is, in which languages, under which licence."""
    from isoglot.benchmarks import BENCHMARKS
    from isoglot.sources import SOURCES

    entry = SOURCES.get(name) or BENCHMARKS.get(name)
    if entry is None:
        raise InputError(f"{name!r} is unknown; isoglot data list names what there is")
    said = {key: value for key, value in vars(entry).items() if isinstance(value, (bool, str, tuple))}
    shown = {key: value for key, value in said.items() if value or value is False}
    if as_json:
        print(json.dumps(shown))
        return
    for key, value in shown.items():
        out.print(f"[bold]{key.replace('_', '-')}[/]: {_in_words(value)}", highlight=False)


def _number_of(languages: Sequence[str] | str) -> str:
    """How many languages a data set is in; a star where the data decides."""
    from isoglot.common.languages import is_language

    tags = languages.split() if isinstance(languages, str) else languages
    if all(map(is_language, tags)):
        return str(len(tags))
    return tags[0].rstrip(",") if tags[0][0].isdigit() else "*"


def _in_words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


@data_app.command("fetch")
def data_fetch(
    source: Annotated[str, typer.Argument(help="A name that isoglot data list gives, a file or a folder")],
    to: Annotated[Path, typer.Option("--out", help="Where to write: .jsonl, .csv, .tsv or .parquet")],
    languages: Languages = None,
) -> None:
    """Fetch parallel pairs and write them to a file."""
    from isoglot.pairs.files import target_file

    to = target_file(to)
    pairs = isoglot.load_pairs(source, languages=listed(languages))
    isoglot.write_pairs(pairs, to)
    say(shared.counts(to, pairs))


@data_app.command("check")
def data_check(
    source: Pairs,
    model: Annotated[str | None, typer.Option(help="Count tokens as this model reads them, prompts included")] = None,
    deduplicate: Annotated[bool, typer.Option(help="Say also what deduplication would drop")] = True,
    as_json: Json = False,
) -> None:
    """Check parallel pairs and describe them: examples, languages, pairs of languages, lengths, duplicates."""
    pairs = isoglot.load_pairs(source)
    description = pairs.describe(None if model is None else isoglot.load_text_encoder(model).count_tokens)
    report = pairs.deduplicate()[1] if deduplicate else None
    if as_json:
        print(json.dumps({**description.to_dict(), "deduplication": report and asdict(report)}, ensure_ascii=False))
        return
    say(str(description))
    if report:
        say(str(report))
        if same := report.same_passage + report.near_passage:
            say(
                f"{same:,} ids have a passage that another id has too: each makes the other's right answer wrong. "
                "ParallelPairs.deduplicate leaves them out; no batch holds two of them"
            )


@data_app.command("translate")
def data_translate(
    source: Pairs,
    to: Annotated[str, typer.Option(help="Languages to translate into, comma-separated: de,es")],
    engine: Annotated[
        str, typer.Option(help="apertium, ctranslate2, transformers or http; also with its model, ctranslate2:FOLDER")
    ],
    target: Annotated[
        Path, typer.Option("--out", help="Where to write: .jsonl or .parquet; the same call goes on after a stop")
    ],
    source_language: Annotated[
        str | None, typer.Option("--from", help="Translate from this language", show_default="each example's first")
    ] = None,
    model: Annotated[str | None, typer.Option(help="ctranslate2: a folder; transformers: a hub id or folder")] = None,
    url: Annotated[str | None, typer.Option(help="http: the server's address")] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Tokens at once for a model, texts per request for a server", show_default="2048, 32"),
    ] = None,
    beam_size: Annotated[
        int | None, typer.Option(min=1, help="Hypotheses a model follows; 1 is fastest", show_default="4")
    ] = None,
    requests_per_minute: Annotated[float | None, typer.Option(help="http: the most to send")] = None,
    as_json: Json = False,
) -> None:
    """Translate pairs into other languages by machine, check the translations, and say what was dropped and why."""
    if url is not None and (engine != "http" or model is not None):
        raise InputError("--url goes with --engine http alone; --model with ctranslate2 and transformers")
    batches = {_BATCHES.get(engine.partition(":")[0], "batch_size"): batch_size}
    report = isoglot.translate(
        source,
        to=listed(to) or (),
        engine=url or (engine if model is None else f"{engine}:{model}"),
        out=target,
        source_language=source_language,
        engine_settings=given(beam_size=beam_size, requests_per_minute=requests_per_minute, **batches),
    )
    if as_json:
        print(json.dumps({**asdict(report), "dropped": report.dropped}, default=str))
        return
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in report.reasons.items())
    say(f"{report.out}: {report.kept:,} of {report.rows:,} translations, {report.rows_per_second:.1f} a second")
    say(f"{report.sidecar}: all of them; {report.dropped:,} dropped{f' ({reasons})' if reasons else ''}")


@data_app.command("negatives")
@encodes
def data_negatives(
    source: Pairs,
    model: Annotated[str, typer.Option(help="Encoder to mine with: hub id, folder, or builtin:multilingual-e5-small")],
    target: Annotated[Path, typer.Option("--out", help="Where to write: .jsonl, .csv, .tsv or .parquet")],
    encoding: Encoding,
    number: Annotated[int, typer.Option(help="Negatives per row, at most")] = 4,
    language: Annotated[str, typer.Option(help="Where they are looked for: query, passage or any")] = "query",
    margin: Annotated[float, typer.Option(help="Share of the right passage's score above which none is taken")] = 0.95,
    skip: Annotated[int, typer.Option(help="Leave out so many from the top")] = 0,
    draw_from: Annotated[
        int | None, typer.Option(help="Draw from the best so many, instead of taking the best", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of that draw")] = 0,
    work_dir: Annotated[
        Path | None, typer.Option(help="Keep finished parts here, so that the same call goes on after a stop")
    ] = None,
) -> None:
    """Mine hard negatives: wrong passages that a model scores near the right one."""
    from isoglot.pairs.files import target_file

    target = target_file(target)
    if target.exists():
        raise InputError(f"{target}: exists already; choose another file to write, or delete it")
    pairs = isoglot.mine_negatives(
        isoglot.load_pairs(source),
        encoding.load(model),
        number=number,
        language=language,  # type: ignore[arg-type]
        margin=margin,
        skip=skip,
        draw_from=draw_from,
        seed=seed,
        work_dir=None if work_dir is None else expanded_path(work_dir),
        store=shared.store() if work_dir is None else None,
        bf16=encoding.bf16,
    )
    isoglot.write_pairs(pairs, target)
    counts = pairs.numbers.negatives_count[pairs.numbers.negatives_count > 0]
    mean = counts.sum() / max(1, len(counts))
    say(f"{target}: {len(counts):,} of {len(pairs):,} rows have negatives, {mean:.1f} each on average")


@data_app.command("overlap")
def data_overlap(
    source: Pairs,
    benchmark: Annotated[str, typer.Option(help="A name that isoglot data list gives")],
    data: Annotated[Path | None, typer.Option(help="The benchmark's files; isoglot data show NAME says which")] = None,
    languages: Languages = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 1 if there is any")] = False,
    as_json: Json = False,
) -> None:
    """Find training texts that a benchmark holds too."""
    overlap = isoglot.find_overlap(
        isoglot.load_pairs(source), isoglot.load_benchmark(benchmark, data, languages=listed(languages))
    )
    say(json.dumps(overlap.to_dict(), ensure_ascii=False) if as_json else str(overlap))
    if strict and len(overlap):
        sys.exit(1)
