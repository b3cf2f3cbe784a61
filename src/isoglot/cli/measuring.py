"""Commands that measure: evaluate, compare, audit, report."""

from __future__ import annotations

import json
import sys
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
from isoglot.common.paths import file_to_write, results_folder
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
    folder: Annotated[
        Path, typer.Option("--out", help="Folder for results.json and its tables", callback=results_folder)
    ],
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
    strength: shared.Strength = None,
    vectors: Annotated[
        Path | None,
        typer.Option(help="Shards that isoglot encode made with this model; texts that stand there are not encoded"),
    ] = None,
    trec_depth: Annotated[int, typer.Option(min=0, help="Also write run.trec so deep, and qrels.trec; 0 for not")] = 0,
    as_json: Json = False,
) -> None:
    """Measure retrieval in four settings, and language bias, on a benchmark."""
    from isoglot.evaluation.trec import RUN_PREFIX, evaluate_run, remove_trec, run_depth, write_trec

    if candidate not in ("sentence", "sentence+context"):
        raise InputError(f"candidate {candidate!r}: use 'sentence' or 'sentence+context'")
    if (remedy is None) != (fit_on is None):
        raise InputError("a remedy and the text it is fitted on go together: --remedy lir --fit-on FILE")
    fit = {"directions": directions, "strength": strength}
    if remedy is None:
        refuse("goes with --remedy lir", **fit)
    shared.check_fit(remedy, strength, directions)
    if without_debias:
        refuse("does not go with --without-debias: shards hold what the remedy made", vectors=vectors)
    if model.startswith(RUN_PREFIX):
        of_models = {"without_debias": without_debias, "remedy": remedy, "vectors": vectors, **asdict(encoding)}
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
        over = None if vectors is None else isoglot.ShardsEncoder(encoding.load_text_encoder(model), vectors)
        loaded = encoding.load(model) if over is None else isoglot.wrap_text_encoder(over)
        if without_debias:
            loaded = isoglot.without_debias(loaded)
        settings: dict[str, Any] = {"store": shared.store(), "bf16": encoding.bf16}
        if remedy is not None and fit_on is not None:
            texts = isoglot.passages_of(retrieval_set) if fit_on == "benchmark" else isoglot.load_pairs(fit_on)
            loaded = isoglot.debias(loaded, texts, **given(remedy=remedy, **fit), **settings)
        called = name or (model if remedy is None else f"{model} + {remedy}")
        results = isoglot.evaluate(loaded, retrieval_set, name=called, top_k=depth, on_ranks=keep, **settings)
        if remedy is not None:
            results.summary["model"]["remedy"] = {"name": remedy, "fitted_on": fit_on, **fit}
        if over is not None:
            weights = over.provenance(over.role).fingerprint
            results.summary["model"]["shards"] = {"folder": str(vectors), "weights": weights, "taken": over.taken}
    if keep is None:
        remove_trec(folder)
    results.save(folder)
    show(results, as_json, folder)


def compare(
    folders: Annotated[list[Path], typer.Argument(help="Folders with results, the one to compare with first")],
    seeds: Annotated[
        bool, typer.Option("--seeds", help="Results of one name are one system trained with several seeds")
    ] = False,
    measures: Annotated[str, typer.Option(help="Columns of per_query.parquet, comma-separated")] = "map",
    by_language: Annotated[bool, typer.Option(help="Test every query language too")] = True,
    folder: Annotated[
        Path | None, typer.Option("--out", help="Also write the comparison to this JSON file", callback=file_to_write)
    ] = None,
    as_json: Json = False,
) -> None:
    """Test whether systems differ: intervals, paired tests by question, Holm's correction, effect sizes."""
    from isoglot.common.atomic import write_json
    from isoglot.report import comparison_tables, language_findings, text_table

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
    if not seeds:
        show_table(text_table(results, names=names))
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
        str | None,
        typer.Option(help="Your parallel texts: a file or source; without, --languages fetches a small set"),
    ] = None,
    corpus: Annotated[str | None, typer.Option(help="Or documents in several languages, without translations")] = None,
    documents: Annotated[
        int | None, typer.Option(min=2, help="Of a corpus: how many to draw and search", show_default="600")
    ] = None,
    vectors: shared.Vectors = None,
    query_vectors: shared.QueryVectors = None,
    qrels: Annotated[
        Path | None, typer.Option(help="With --vectors: judgements, where ids and groups do not say what answers what")
    ] = None,
    similarity: Annotated[
        str | None, typer.Option(help="With --vectors: cosine, dot, euclidean or manhattan", show_default="cosine")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--out", help="Keep the results in this folder", callback=results_folder)
    ] = None,
    languages: Languages = None,
    require: Annotated[
        list[str] | None, typer.Option(help="A bound, such as multilingual_map>=0.6; exit code 1 where one is not met")
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(help="Write the bounds as JUnit's XML to this file", callback=file_to_write)
    ] = None,
    as_json: Json = False,
) -> None:
    """Say in plain words how far a model, or a search over vectors, ranks by language on your own texts."""
    requirements = [isoglot.Requirement.parse(each) for each in require or ()]
    if not requirements:
        refuse("goes with --require", junit=junit)
    of_vectors = {"query_vectors": query_vectors, "qrels": qrels, "similarity": similarity}
    of_texts = {"pairs": pairs, "corpus": corpus, "documents": documents, "languages": languages}
    if vectors is not None:
        refuse("does not go with --vectors", model=model, **of_texts, **asdict(encoding))
        if query_vectors is None:
            raise InputError("--vectors are of passages; give the queries' with --query-vectors FILE")
        settings = {"qrels": qrels, "similarity": similarity, **files.settings()}
        results = isoglot.audit_vectors(vectors, query_vectors, **settings)
    else:
        refuse("goes with --vectors", **of_vectors, vector_column=files.vector_column)
        if model is None or not (pairs or corpus or languages):
            raise InputError(
                "audit takes MODEL and --pairs FILE, --corpus FILE or --languages de,en,ja; or --vectors FILE and "
                "--query-vectors FILE"
            )
        results = _audit_texts(model, encoding, files, pairs, corpus, documents, languages)
    if folder is not None:
        results.save(folder)
    _show_audit(results, requirements, junit, as_json, folder)


def _audit_texts(
    model: str,
    encoding: Encoding,
    files: VectorFiles,
    pairs: str | None,
    corpus: str | None,
    documents: int | None,
    languages: str | None,
) -> isoglot.Results:
    """The audit of a model on a corpus, on pairs, or on a sample that is fetched."""
    settings: dict[str, Any] = {"name": model, "store": shared.store(), "bf16": encoding.bf16}
    if corpus is not None:
        refuse("does not go with --corpus", pairs=pairs, languages=languages, group_column=files.group_column)
        more = given(documents=documents)
        return isoglot.audit_corpus(encoding.load(model), corpus, **more, **files.settings(), **settings)
    refuse("goes with --vectors or --corpus", **asdict(files))
    refuse("goes with --corpus", documents=documents)
    if pairs is None:
        from isoglot.common.languages import shortest_language

        asked = [shortest_language(tag) for tag in listed(languages) or ()]  # before the model is loaded
        return isoglot.audit_sample(encoding.load(model), asked, **settings)
    texts = isoglot.load_pairs(pairs, languages=listed(languages))
    return isoglot.audit(encoding.load(model), texts, **settings)


def _show_audit(
    results: isoglot.Results,
    requirements: list[isoglot.Requirement],
    junit: Path | None,
    as_json: bool,
    folder: Path | None,
) -> None:
    """Print an audit, and what is not met; exit code 1 if anything is not."""
    from isoglot.report import write_junit

    verdict, checked = isoglot.verdict(results), isoglot.check_requirements(results, requirements)
    shown = isoglot.figures(results, [each.figure for each in requirements])
    if junit is not None:
        write_junit(junit, checked, str(results.summary["model"]["name"]))
    if as_json:
        more = {"verdict": verdict, "figures": [each.as_dict() for each in shown]}
        held = {"requirements": [each.as_dict() for each in checked]}
        print(json.dumps({**results.summary, **more, **held}, ensure_ascii=False))
    else:
        show(results, as_json=False, folder=folder)
        for sentence in [*results.summary.get("notes", ()), *verdict, *isoglot.precision(shown)]:
            out.print(sentence, highlight=False, markup=False)
    unmet = [each for each in checked if not each.met]
    for each in unmet:
        print(each, file=sys.stderr)
    if unmet:
        sys.exit(1)


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
