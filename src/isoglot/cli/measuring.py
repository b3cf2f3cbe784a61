"""Commands that measure: evaluate, compare, audit, report."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

import isoglot
from isoglot.cli import shared
from isoglot.cli.shared import (
    Encoding,
    Json,
    Languages,
    VectorFiles,
    encodes,
    given,
    listed,
    reads_vectors,
    refuse,
    say,
    show,
)
from isoglot.common.errors import InputError
from isoglot.common.progress import out, show_table


@encodes
def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            help="Hub id, folder, builtin:multilingual-e5-small, api:URL#MODEL, mteb:NAME, or run:FILE for a TREC run",
            show_default=False,
            metavar="MODEL",
        ),
    ],
    benchmark: Annotated[str, typer.Option(help="A name that isoglot data list gives")],
    folder: Annotated[Path, typer.Option("--out", help="Folder for results.json and its tables")],
    encoding: Encoding,
    data: Annotated[
        Path | None, typer.Option(help="The benchmark's files; isoglot data show NAME says which, and where not needed")
    ] = None,
    candidate: Annotated[str, typer.Option(help="sentence or sentence+context")] = "sentence",
    languages: Languages = None,
    name: Annotated[str | None, typer.Option(help="What to call the system in results")] = None,
    without_debias: Annotated[
        bool, typer.Option("--without-debias", help="Leave off the remedy that debias put behind the model")
    ] = False,
    remedy: Annotated[
        str | None, typer.Option(help="A free remedy to put behind it: lir, linear-lir, leace, means, shift")
    ] = None,
    fit_on: Annotated[
        str | None, typer.Option(help="Text for the remedy: a file or source; benchmark for its own passages")
    ] = None,
    directions: shared.Directions = None,
    trec_depth: Annotated[int, typer.Option(min=0, help="Also write run.trec so deep, and qrels.trec; 0 for not")] = 0,
    as_json: Json = False,
) -> None:
    """Measure retrieval in four settings, and language bias, on a benchmark."""
    from isoglot.evaluation.trec import RUN_PREFIX, evaluate_run, run_depth, write_trec

    if candidate not in ("sentence", "sentence+context"):
        raise InputError(f"candidate {candidate!r}: use 'sentence' or 'sentence+context'")
    if (remedy is None) != (fit_on is None):
        raise InputError("a remedy and the text it is fitted on go together: --remedy lir --fit-on FILE")
    if directions is not None and remedy is None:
        raise InputError("--directions goes with --remedy lir or linear-lir")
    if model.startswith(RUN_PREFIX):
        of_models = {"without_debias": without_debias, "remedy": remedy, **asdict(encoding)}
        refuse(f"goes with a model; {model} is a ranking already", **of_models)
    retrieval_set = isoglot.load_benchmark(
        benchmark,
        data,
        candidate=candidate,  # type: ignore[arg-type]
        languages=listed(languages),
    )
    depth = run_depth(retrieval_set, trec_depth)
    keep = partial(write_trec, folder, retrieval_set, depth=depth) if depth else None
    if model.startswith(RUN_PREFIX):
        file = model.removeprefix(RUN_PREFIX)
        results = evaluate_run(file, retrieval_set, name=name or model, top_k=depth, on_ranks=keep)
    else:
        loaded = encoding.load(model)
        if without_debias:
            loaded = isoglot.without_debias(loaded)
        vectors: dict[str, Any] = {"store": shared.store(), "bf16": encoding.bf16}
        if remedy is not None and fit_on is not None:
            texts = isoglot.passages_of(retrieval_set) if fit_on == "benchmark" else isoglot.load_pairs(fit_on)
            settings = given(remedy=remedy, directions=directions)
            loaded = isoglot.debias(loaded, texts, **settings, **vectors)
        called = name or (model if remedy is None else f"{model} + {remedy}")
        results = isoglot.evaluate(loaded, retrieval_set, name=called, top_k=depth, on_ranks=keep, **vectors)
        if remedy is not None:
            results.summary["model"]["remedy"] = {"name": remedy, "fitted_on": fit_on, "directions": directions}
    results.save(folder)
    show(results, as_json, folder)


def compare(
    folders: Annotated[list[Path], typer.Argument(help="Folders with results, the one to compare with first")],
    seeds: Annotated[
        bool, typer.Option("--seeds", help="Results of one name are one system trained with several seeds")
    ] = False,
    measures: Annotated[str, typer.Option(help="Columns of per_query.parquet, comma-separated")] = "map",
    by_language: Annotated[bool, typer.Option(help="Test every query language too")] = True,
    folder: Annotated[Path | None, typer.Option("--out", help="Also write the comparison to this JSON file")] = None,
    as_json: Json = False,
) -> None:
    """Test whether systems differ: intervals, paired tests by question, Holm's correction, effect sizes."""
    from isoglot.common.atomic import write_json
    from isoglot.report import comparison_tables, language_findings

    results = [isoglot.load_results(each) for each in folders]
    names = [str(result.summary["model"]["name"]) for result in results]
    for longer in ([each.resolve().name for each in folders], [str(each) for each in folders]):
        if not seeds and len(set(names)) < len(names):
            names = longer
    systems: dict[str, list[isoglot.Results]] = {}
    for name, result in zip(names, results, strict=True):
        systems.setdefault(name, []).append(result)
    if not seeds and len(systems) < len(folders):
        raise InputError("one folder is given twice; give each once")
    asked = listed(measures) or ()
    comparison = isoglot.compare(list(systems.values()), names=list(systems), measures=asked, languages=by_language)
    if folder is not None:
        write_json(folder, comparison.as_dict())
    if as_json:
        print(json.dumps(comparison.as_dict(), ensure_ascii=False))
        return
    for table in comparison_tables(comparison):
        show_table(table)
    findings = language_findings(comparison)
    if by_language and not findings:
        findings = ["No single query language shows a difference."]
    for sentence in [*findings, *(f"Note: {note}." for note in comparison.notes)]:
        out.print(sentence, highlight=False, markup=False)


@encodes
@reads_vectors
def audit(
    encoding: Encoding,
    files: VectorFiles,
    model: shared.ModelIfAny = None,
    pairs: Annotated[
        str | None, typer.Option(help="For a model: your parallel texts: a file, or another source")
    ] = None,
    vectors: shared.Vectors = None,
    query_vectors: shared.QueryVectors = None,
    qrels: Annotated[
        Path | None, typer.Option(help="With --vectors: judgements, where ids and groups do not say what answers what")
    ] = None,
    similarity: Annotated[
        str | None, typer.Option(help="With --vectors: cosine, dot, euclidean or manhattan", show_default="cosine")
    ] = None,
    folder: Annotated[Path | None, typer.Option("--out", help="Keep the results in this folder")] = None,
    languages: Languages = None,
    as_json: Json = False,
) -> None:
    """Say in plain words how far a model, or a search over vectors, ranks by language on your own parallel texts."""
    of_vectors = {"query_vectors": query_vectors, "qrels": qrels, "similarity": similarity}
    if vectors is not None:
        refuse("does not go with --vectors", model=model, pairs=pairs, languages=languages, **asdict(encoding))
        if query_vectors is None:
            raise InputError("--vectors are of passages; give the queries' with --query-vectors FILE")
        settings = {"qrels": qrels, "similarity": similarity, **files.settings()}
        results = isoglot.audit_vectors(vectors, query_vectors, **settings)
    else:
        refuse("goes with --vectors", **of_vectors, **asdict(files))
        if model is None or pairs is None:
            raise InputError("audit takes MODEL and --pairs FILE, or --vectors FILE and --query-vectors FILE")
        texts = isoglot.load_pairs(pairs, languages=listed(languages))
        loaded = encoding.load(model)
        results = isoglot.audit(loaded, texts, name=model, store=shared.store(), bf16=encoding.bf16)
    if folder is not None:
        results.save(folder)
    if as_json:
        print(json.dumps({**results.summary, "verdict": isoglot.verdict(results)}, ensure_ascii=False))
        return
    show(results, as_json=False, folder=folder)
    for sentence in [*results.summary.get("notes", ()), *isoglot.verdict(results)]:
        out.print(sentence, highlight=False, markup=False)


def report(
    folders: Annotated[
        list[Path], typer.Argument(help="Folders with results or training runs, the system to compare with first")
    ],
    to: Annotated[Path, typer.Option("--out", help="A file that ends in .html, .md or .tex")],
) -> None:
    """Several systems' results on one page."""
    from isoglot.report import load_run

    loaded = [pair for folder in folders for pair in load_run(folder)]
    isoglot.save_report([results for results, _ in loaded], to, logs=[log for _, log in loaded])
    say(f"The report is in {to}")
