"""The command line: parse, build a configuration, call; no logic.

Heavy libraries are imported inside the commands, so that help and errors come at once.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from isoglot._version import __version__
from isoglot.errors import InputError, IsoglotError
from isoglot.progress import console

if TYPE_CHECKING:
    from isoglot.embed import EmbeddingStore

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train and audit multilingual retrievers that rank by meaning, not by language.",
)
data_app = typer.Typer(no_args_is_help=True, help="Training data and benchmarks: list, show, fetch, check.")
app.add_typer(data_app, name="data")
out = Console()

Model = Annotated[
    str, typer.Argument(help="Hub id, folder, or builtin:multilingual-e5-small", show_default=False, metavar="MODEL")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts")]
Bf16 = Annotated[bool, typer.Option("--bf16", help="Encode in bfloat16: faster where the processor has it")]
MaxTokens = Annotated[int | None, typer.Option(help="Cut longer texts; the model's own limit by default")]
RemoteCode = Annotated[bool, typer.Option(help="Run code that comes with the model")]
Languages = Annotated[str | None, typer.Option(help="Only these, comma-separated: de,en,zh-CN")]


def main() -> None:
    """Run the command line; exit code 2 and one line for anything the user can mend."""
    try:
        app(standalone_mode=False)
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except typer.Abort:
        sys.exit(130)
    except KeyboardInterrupt:
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
    print(f"isoglot: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version")] = False) -> None:
    if version:
        out.print(__version__)
        raise typer.Exit


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--out", help="Where results go")] = Path("runs/demo"),
    pairs: Annotated[str | None, typer.Option(help="Other parallel pairs than Debian's: a file")] = None,
) -> None:
    """The whole story on real data: measure the bias, take it out for free, train, and do both."""
    from isoglot.demo import run_demo

    run_demo(folder, pairs)


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

    pairs = load_pairs(source, languages=_listed(languages))
    write_pairs(pairs, to)
    _say(f"{to}: {pairs.example_count:,} examples, {len(pairs):,} translations in {', '.join(pairs.languages)}")


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


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="YAML; recipes/ holds examples", metavar="CONFIG")],
    override: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, for example batches.alpha=0.3")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run")] = False,
) -> None:
    """Train a model by a configuration."""
    from isoglot.training import load_config
    from isoglot.training import train as run

    _say(f"The model is in {run(load_config(config, override or ()), resume=resume)}")


@app.command()
def evaluate(
    model: Model,
    benchmark: Annotated[str, typer.Option(help="xquad-r, mlqa-r or parallel")],
    data: Annotated[Path, typer.Option(help="The benchmark's files; isoglot data show NAME says which")],
    folder: Annotated[Path, typer.Option("--out", help="Folder for results.json and per_query.parquet")],
    candidate: Annotated[str, typer.Option(help="sentence or sentence+context")] = "sentence",
    languages: Languages = None,
    max_tokens: MaxTokens = None,
    name: Annotated[str | None, typer.Option(help="What to call the model in results")] = None,
    without_debias: Annotated[bool, typer.Option(help="Leave off the layer that debias put behind the model")] = False,
    trec_depth: Annotated[int, typer.Option(min=0, help="Also write run.trec so deep, and qrels.trec; 0 for not")] = 0,
    bf16: Bf16 = False,
    trust_remote_code: RemoteCode = False,
    as_json: Json = False,
) -> None:
    """Measure retrieval in three settings, and language bias, on a benchmark."""
    from isoglot.benchmarks import load_benchmark
    from isoglot.debiasing import without_debias as strip
    from isoglot.encoders import load_encoder
    from isoglot.evaluation import encode_set, rank_set
    from isoglot.evaluation import evaluate as run
    from isoglot.trec import write_trec

    if candidate not in ("sentence", "sentence+context"):
        raise InputError(f"candidate {candidate!r}: use 'sentence' or 'sentence+context'")
    retrieval_set = load_benchmark(benchmark, data, candidate=candidate)  # type: ignore[arg-type]
    if languages:
        retrieval_set = retrieval_set.in_languages(_listed(languages) or ())
    encoder = load_encoder(model, max_tokens=max_tokens, trust_remote_code=trust_remote_code)
    if without_debias:
        encoder = strip(encoder)
    results = run(encoder, retrieval_set, name=name or model, store=_store(), bf16=bf16)
    results.save(folder)
    if trec_depth:
        encoded = encode_set(encoder, retrieval_set, store=_store(), bf16=bf16)
        write_trec(folder, retrieval_set, rank_set(retrieval_set, encoded, top_k=trec_depth))
    _show(results, as_json)


@app.command()
def audit(
    model: Model,
    pairs: Annotated[str, typer.Option(help="Your parallel texts: a file, or another source")],
    folder: Annotated[Path | None, typer.Option("--out", help="Keep the results in this folder")] = None,
    languages: Languages = None,
    max_tokens: MaxTokens = None,
    bf16: Bf16 = False,
    trust_remote_code: RemoteCode = False,
    as_json: Json = False,
) -> None:
    """Say in plain words how far a model ranks by language on your own parallel texts."""
    from isoglot.auditing import audit as run
    from isoglot.auditing import verdict
    from isoglot.encoders import load_encoder
    from isoglot.sources import load_pairs

    texts = load_pairs(pairs, languages=_listed(languages))
    encoder = load_encoder(model, max_tokens=max_tokens, trust_remote_code=trust_remote_code)
    results = run(encoder, texts, name=model, store=_store(), bf16=bf16)
    if folder is not None:
        results.save(folder)
    if as_json:
        print(json.dumps({**results.summary, "verdict": verdict(results)}, ensure_ascii=False))
        return
    _show(results, as_json=False)
    for sentence in verdict(results):
        out.print(sentence, highlight=False)


@app.command()
def debias(
    model: Model,
    pairs: Annotated[str, typer.Option(help="Text in two languages or more: a file, or another source")],
    folder: Annotated[Path, typer.Option("--out", help="Folder for the new model")],
    remedy: Annotated[str, typer.Option(help="lir, leace, or means (which needs the language in use)")] = "lir",
    directions: Annotated[int | None, typer.Option(help="lir: how many to remove", show_default="20")] = None,
    examples: Annotated[int | None, typer.Option(help="Examples per language to fit on", show_default="250")] = None,
    languages: Languages = None,
    max_tokens: MaxTokens = None,
    bf16: Bf16 = False,
    trust_remote_code: RemoteCode = False,
) -> None:
    """Take most of the language bias out of a model in seconds, without training."""
    from isoglot.atomic import write_whole_folder
    from isoglot.builtin_encoder import quiet_transformers
    from isoglot.debiasing import DEFAULT_DIRECTIONS, DEFAULT_EXAMPLES
    from isoglot.debiasing import debias as run
    from isoglot.encoders import load_encoder
    from isoglot.sources import load_pairs

    if folder.exists():
        raise InputError(f"{folder}: exists already; choose another folder")
    texts = load_pairs(pairs, languages=_listed(languages))
    result = run(
        load_encoder(model, max_tokens=max_tokens, trust_remote_code=trust_remote_code),
        texts,
        remedy=remedy,  # type: ignore[arg-type]
        directions=DEFAULT_DIRECTIONS if directions is None else directions,
        examples=DEFAULT_EXAMPLES if examples is None else examples,
        store=_store(),
        bf16=bf16,
    )
    with write_whole_folder(folder) as target, quiet_transformers():
        result.save_pretrained(str(target), create_model_card=False)
    _say(f"The model is in {folder}; it loads with SentenceTransformer({str(folder)!r})")


@app.command()
def report(
    folders: Annotated[list[Path], typer.Argument(help="Folders with results, the one to compare with first")],
    to: Annotated[Path, typer.Option("--out", help="A file that ends in .html or .md")],
) -> None:
    """Several systems' results on one page."""
    from isoglot.report import save_report
    from isoglot.results import load_results

    save_report([load_results(folder) for folder in folders], to)
    _say(f"The report is in {to}")


def _say(line: str) -> None:
    """Print a line as it is: paths may hold square brackets, and must not be broken."""
    out.print(line, highlight=False, markup=False, soft_wrap=True)


def _show(results: Any, as_json: bool) -> None:
    from isoglot.report import grid_table, text_table

    if as_json:
        print(json.dumps(results.summary, ensure_ascii=False))
        return
    out.print(text_table([results]))
    if len(results.summary["languages"]) <= 16:
        out.print(grid_table(results))


def _listed(languages: str | None) -> list[str] | None:
    return [tag.strip() for tag in languages.split(",") if tag.strip()] if languages else None


def _store() -> EmbeddingStore:
    from isoglot.cache import cache_folder
    from isoglot.embed import EmbeddingStore

    return EmbeddingStore(cache_folder() / "embeddings")
