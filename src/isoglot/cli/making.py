"""Commands that make models, and map vectors: demo, train, debias, merge, trim, export."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

import isoglot
from isoglot.cli import shared
from isoglot.cli.shared import (
    Encoding,
    Json,
    Languages,
    Model,
    NewFolder,
    RemoteCode,
    VectorFiles,
    encodes,
    given,
    listed,
    reads_vectors,
    refuse,
    say,
)
from isoglot.common.errors import InputError
from isoglot.common.progress import show_table


def demo(
    folder: Annotated[Path, typer.Option("--out", help="Where results go")] = Path("runs/demo"),
    pairs: Annotated[str | None, typer.Option(help="Other parallel pairs than Debian's: a file")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Begin anew; without it a demo that was begun is gone on with")
    ] = False,
) -> None:
    """The whole story on real data: measure the bias, take it out for free, train, and do both."""
    from isoglot.demo import run_demo

    run_demo(folder, pairs, force=force)


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
@reads_vectors
def debias(
    folder: NewFolder,
    encoding: Encoding,
    files: VectorFiles,
    model: shared.ModelIfAny = None,
    pairs: Annotated[
        str | None, typer.Option(help="For a model: text in two languages or more: a file, or another source")
    ] = None,
    vectors: shared.Vectors = None,
    query_vectors: shared.QueryVectors = None,
    apply: Annotated[Path | None, typer.Option(help="With --vectors: a map.npz made before, in place of a fit")] = None,
    language: Annotated[
        str | None, typer.Option(help="With --apply: the language of all rows, if no column says")
    ] = None,
    remedy: Annotated[
        str | None,
        typer.Option(
            help="lir, linear-lir, leace; or means, shift, which need the language in use", show_default="linear-lir"
        ),
    ] = None,
    directions: shared.Directions = None,
    strength: shared.Strength = None,
    examples: Annotated[
        int | None, typer.Option(help="Examples per language to fit on", show_default="60; 1000 of vectors")
    ] = None,
    least_rows: Annotated[
        int | None, typer.Option(min=1, help="With --vectors: languages of fewer rows take no part", show_default="10")
    ] = None,
    source_language: Annotated[
        str | None, typer.Option(help="shift: the language that passages are moved to", show_default="en")
    ] = None,
    languages: Languages = None,
) -> None:
    """Take most of the language bias out of a model, or of vectors, without training.

    Of a model nearly all the time goes into encoding the examples: for a small one, and text in 30 languages, about a
    minute on two cores.
    """
    shared.check_fit(remedy, strength, directions, source_language)
    fit = given(remedy=remedy, directions=directions, strength=strength, source_language=source_language)
    if vectors is not None:
        refuse("does not go with --vectors", model=model, pairs=pairs, languages=languages, **asdict(encoding))
        fit |= given(least_rows=least_rows, query_vectors=query_vectors)
        if apply is None:
            refuse("goes with --apply", language=language)
            done = isoglot.debias_vectors(vectors, folder, **fit, **given(rows=examples), **files.settings())
        else:
            refuse("is for a fit; --apply takes a map that was fitted", examples=examples, **fit)
            done = isoglot.apply_map(apply, vectors, folder, language=language, **files.settings())
        for sentence in done.sentences():
            say(sentence)
        return
    of_vectors = {"apply": apply, "language": language, "least_rows": least_rows, "query_vectors": query_vectors}
    refuse("goes with --vectors", **of_vectors, **asdict(files))
    if model is None or pairs is None:
        raise InputError("debias takes MODEL and --pairs FILE, or --vectors FILE")
    from isoglot.models.saving import check_savable

    loaded = replace(encoding, max_tokens=None).load(model)
    check_savable(loaded)
    result = isoglot.debias(
        loaded,
        isoglot.load_pairs(pairs, languages=listed(languages)),
        **fit,
        **given(examples=examples),
        max_tokens=encoding.max_tokens,
        store=shared.store(),
        bf16=encoding.bf16,
    )
    say(shared.save_model(result, folder))


@encodes
def merge(
    models: Annotated[
        list[str], typer.Argument(help="Models of one architecture, the initial one last", metavar="MODEL...")
    ],
    folder: NewFolder,
    encoding: Encoding,
    weights: Annotated[
        str | None, typer.Option(help="A share of each, comma-separated: .5,.3,.2", show_default="equal")
    ] = None,
    last_weights: Annotated[
        str | None, typer.Option(help="Shares in the last layer, if others; they change evenly from the first")
    ] = None,
    development: Annotated[
        list[str] | None,
        typer.Option(help="Parallel pairs to choose the weights on, in place of --weights; may be given several times"),
    ] = None,
    step: Annotated[float | None, typer.Option(help="Between the weights that are tried", show_default="0.1")] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(help="How far what is to be kept may fall below the last model's", show_default="0.005"),
    ] = None,
    method: Annotated[str, typer.Option(help="linear; or slerp, for two models")] = "linear",
    remedy_of: Annotated[
        str | None, typer.Option(help="A model whose remedy the merged one is to have, in place of the models' own")
    ] = None,
    fit_on: Annotated[
        str | None, typer.Option(help="Text for a new remedy, where the models' remedies differ: a file or source")
    ] = None,
    directions: shared.Directions = None,
    as_json: Json = False,
) -> None:
    """Average models of one origin, by weights that are given or chosen on development sets."""
    if development and (weights or last_weights):
        raise InputError("--development chooses the weights; leave --weights and --last-weights out")
    if not development and (step is not None or tolerance is not None):
        raise InputError("--step and --tolerance go with --development FILE")
    if remedy_of is not None:
        refuse("is for a new remedy; --remedy-of takes one that is there", fit_on=fit_on, directions=directions)
    sets = _development_sets(development or [])
    loaded = [replace(encoding, max_tokens=None).load(model) for model in models]
    how: dict[str, Any] = {"method": method, "names": models, **given(directions=directions)}
    how |= {"remedy_of": replace(encoding, max_tokens=None).load(remedy_of) if remedy_of else None}
    how |= {"fit_on": isoglot.load_pairs(fit_on) if fit_on else None}
    how |= {"max_tokens": encoding.max_tokens, "bf16": encoding.bf16}
    frontier, chosen = None, _numbers(weights, "--weights")
    if sets:
        options = given(step=step, tolerance=tolerance)
        frontier = isoglot.search_weights(loaded, sets, store=shared.store(), **options, **how)
        chosen = list(frontier.chosen.weights)
    merged, report = isoglot.merge(loaded, chosen, last_weights=_numbers(last_weights, "--last-weights"), **how)
    where = shared.save_model(merged, folder, report.card(frontier.sentence() if frontier else ""))
    if as_json:
        print(json.dumps({**asdict(report), "search": frontier and frontier.as_dict()}, ensure_ascii=False))
        return
    if frontier:
        from isoglot.report import frontier_table

        show_table(frontier_table(frontier))
        say(frontier.sentence())
    for line in (*report.sentences(), where):
        say(line)


def _numbers(text: str | None, option: str) -> list[float] | None:
    """The numbers of a comma-separated list; None for none."""
    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"{option} {text}: use numbers, comma-separated: .5,.3,.2") from error


def _development_sets(files: list[str]) -> dict[str, isoglot.RetrievalSet]:
    """Parallel pairs as sets, called like their files; by the whole path where that is no name."""
    short = [Path(file).stem for file in files]
    names = short if len({*short}) == len(files) else files
    return {name: isoglot.load_benchmark("parallel", file) for name, file in zip(names, files, strict=True)}


def trim(
    model: Model,
    pairs: Annotated[str, typer.Option(help="Text in the languages to keep: a file, or another source")],
    folder: NewFolder,
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


@encodes
def export(
    model: Model,
    folder: NewFolder,
    encoding: Encoding,
    export_format: Annotated[str, typer.Option("--format", help="onnx, openvino, ctranslate2 or tei")] = "onnx",
    as_json: Json = False,
) -> None:
    """Write a model for other runtimes, with all its modules; isoglot runs most of them without torch."""
    refuse("is for encoding; export keeps the weights as they are", bf16=encoding.bf16)
    manifest = isoglot.export(encoding.load(model, device="cpu"), folder, export_format)  # type: ignore[arg-type]
    if as_json:
        print(json.dumps(manifest.as_dict(), ensure_ascii=False))
        return
    mean, least = manifest.agreement["cosine_mean"], manifest.agreement["cosine_min"]
    say(f"Cosine with the model's own vectors: {mean:.6f} on average, {least:.6f} at the lowest")
    if manifest.fingerprint != manifest.source:
        say("These vectors are not to be mixed with the model's own: encode queries and passages with this folder")
    say(f"The model is in {folder}, as {manifest.format}; {folder / 'README.md'} says how it is used")
