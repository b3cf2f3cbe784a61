"""Parallel pairs from monolingual ones: every row gains translations under its id, checked and with their origin."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from isoglot.common.errors import InputError
from isoglot.common.languages import normalize_language
from isoglot.common.paths import expanded_path
from isoglot.common.progress import progress
from isoglot.enrich.translation.codes import closest
from isoglot.enrich.translation.engines import Engine, load_engine
from isoglot.enrich.translation.protecting import Protector
from isoglot.enrich.translation.quality import faults, unfit
from isoglot.enrich.translation.segments import join_segments, split_text
from isoglot.enrich.translation.work import Record, WorkFile
from isoglot.pairs import ParallelPairs
from isoglot.pairs.files import write_rows
from isoglot.sources import load_pairs

PROVENANCE = ("engine", "model", "direction", "date")
"""Columns of a translated row that tell where it is from; null in rows that were there before."""

_ROWS_AT_A_TIME = 64  # translated and forced to disk together; what a crash loses at most
_FORMATS = (".jsonl", ".parquet")


class _Job(NamedTuple):
    """One translation to make, of a row of the pairs."""

    row: int
    source: str
    target: str


@dataclass(frozen=True)
class TranslationReport:
    """What became of the rows.

    Attributes:
        out: the file of pairs, translations among them.
        sidecar: JSON lines, one a translation, dropped ones included, with provenance and reasons.
        rows: rows translated by this run and, where it went on with another, that one.
        kept: how many of them are in `out`.
        reasons: why the others are not; one of them may have several reasons.
        repaired: rows in which a sentence lost something at first and was translated again.
        rows_per_second: of this run alone; 0 if nothing was left to do.
    """

    out: Path
    sidecar: Path
    rows: int
    kept: int
    reasons: dict[str, int]
    repaired: int
    rows_per_second: float

    @property
    def dropped(self) -> int:
        """How many translated rows are in the sidecar only."""
        return self.rows - self.kept


def translate(
    spec: str | Path,
    *,
    to: Sequence[str],
    engine: str | Engine,
    out: str | Path,
    source_language: str | None = None,
    engine_settings: Mapping[str, Any] | None = None,
) -> TranslationReport:
    """Translate queries and passages, and write the pairs with their translations.

    Every example gains a row for each language of `to` that it lacks, from its row in `source_language`. Translations
    carry the data set of their source and no negatives. A row with a fault (`quality.faults`) in its
    query or passage is left out of `out` and stays in the sidecar, `NAME.translations.jsonl` beside `out`.

    While it runs, the sidecar's lines are in a hidden work file beside `out`. The same call after an interruption goes
    on with the first row that is not in it.

    Args:
        spec: what `isoglot.load_pairs` takes.
        to: target languages.
        engine: an engine, or what `load_engine` takes.
        out: the `.jsonl` or `.parquet` file to write; it must not exist.
        source_language: the language to translate from; if None, each example's first row, and no example is
            translated from a row in a language of `to`.
        engine_settings: what `load_engine` takes besides the engine's name. A run that goes on may change them.

    Raises:
        InputError: if a language is unknown or the source itself, the engine does not do a direction or is not there,
            there is nothing to translate, or `out` exists.
    """
    out = expanded_path(out)
    sidecar = out.with_name(f"{out.stem}.translations.jsonl")
    work_path = out.with_name(f".{out.stem}.translations.partial.jsonl")
    _check_places(out, sidecar, work_path)
    targets = _targets(to, source_language)
    pairs = load_pairs(spec)
    source_language = source_language and normalize_language(source_language)
    jobs = _jobs(pairs, targets, source_language)
    if not jobs:
        raise InputError(f"{spec}: nothing to translate; every example it could start from has {', '.join(targets)}")
    translator = load_engine(engine, **(engine_settings or {})) if isinstance(engine, str) else engine
    _check_directions(translator, {(job.source, job.target) for job in jobs})
    run = {"input": pairs.fingerprint, "to": targets, "source_language": source_language}
    work = WorkFile(work_path, {**run, "engine": translator.name, "model": translator.model})
    before, began = work.done, time.perf_counter()
    with closing(work), progress(f"translating with {translator.name}", len(jobs)) as advance:
        advance(before)
        for start in range(before, len(jobs), _ROWS_AT_A_TIME):
            chunk = jobs[start : start + _ROWS_AT_A_TIME]
            work.append(_translated(chunk, pairs, translator))
            advance(len(chunk))
    seconds = time.perf_counter() - began
    counts = _write(pairs, work, out)
    work_path.replace(sidecar)
    return TranslationReport(
        out=out,
        sidecar=sidecar,
        rows=len(jobs),
        kept=counts.pop("kept"),
        repaired=counts.pop("repaired"),
        reasons=dict(counts.most_common()),
        rows_per_second=(len(jobs) - before) / seconds,
    )


def _check_places(out: Path, sidecar: Path, work: Path) -> None:
    if out.suffix.lower() not in _FORMATS:
        raise InputError(f"{out}: cannot tell the format; name it {' or '.join(_FORMATS)}")
    if work.exists():  # of a run that goes on, perhaps only to its last step
        return
    for path in (out, sidecar):
        if path.exists():
            raise InputError(f"{path}: exists already; choose another file to write, or delete it")


def _targets(to: Sequence[str], source_language: str | None) -> list[str]:
    targets = list(dict.fromkeys(map(normalize_language, to)))
    if not targets:
        raise InputError('no language to translate to; give some, such as "de"')
    if source_language is not None and normalize_language(source_language) in targets:
        raise InputError(f'"{source_language}" is the source and a target; leave it out of the targets')
    return targets


def _jobs(pairs: ParallelPairs, targets: list[str], source_language: str | None) -> list[_Job]:
    """What to translate, language by language."""
    if source_language is not None and source_language not in pairs.languages:
        raise InputError(f'no rows in "{source_language}" to translate from; there are {", ".join(pairs.languages)}')
    of_source = [tag not in targets if source_language is None else tag == source_language for tag in pairs.languages]
    rows = np.flatnonzero(np.array(of_source)[pairs.language])
    sources = rows[np.sort(np.unique(pairs.example[rows], return_index=True)[1])]  # the first of each example
    jobs = []
    for target in targets:
        there = np.zeros(pairs.example_count, np.bool_)
        there[pairs.example[np.isin(pairs.languages, target)[pairs.language]]] = True
        for row in sources[~there[pairs.example[sources]]].tolist():
            jobs.append(_Job(row, pairs.languages[pairs.language[row]], target))
    return jobs


def _check_directions(engine: Engine, directions: set[tuple[str, str]]) -> None:
    for source, target in sorted(directions):
        possible = engine.targets(source)
        if closest(target, possible) is None:
            does = f"from {source} it does {', '.join(sorted(possible))}" if possible else f"it does not know {source}"
            raise InputError(f"{engine.name}: does not translate {source} to {target}; {does}; {engine.more}")


def _translated(jobs: list[_Job], pairs: ParallelPairs, engine: Engine) -> list[Record]:
    """Records of the rows, in their order; one call of the engine for each direction among them."""
    rows = list(pairs.rows(np.array([job.row for job in jobs])))
    records: dict[int, Record] = {}
    for source, target in dict.fromkeys((job.source, job.target) for job in jobs):
        numbers = [number for number, job in enumerate(jobs) if (job.source, job.target) == (source, target)]
        texts = [rows[number][role] or "" for number in numbers for role in ("query", "passage")]
        translations = translate_texts(texts, engine, source, target)
        for number, query, passage in zip(numbers, translations[::2], translations[1::2], strict=True):
            records[number] = _record(rows[number], target, query, passage, engine)
    return [records[number] for number in range(len(jobs))]


def translate_texts(
    texts: Sequence[str], engine: Engine, source_language: str, target_language: str
) -> list[tuple[str, bool]]:
    """Translations of texts of any length, and whether each needed a second try.

    If the engine has nothing to say to one sentence, the whole translation is empty, because it would lack a part.
    """
    split = [split_text(text, source_language) for text in texts]
    found = Protector(engine, source_language, target_language).translate(
        segment.text for segments in split for segment in segments
    )
    translated = []
    for segments in split:
        sentences = [found[segment.text][0] for segment in segments]
        whole = all(sentence or not segment.text for segment, sentence in zip(segments, sentences, strict=True))
        text = join_segments(segments, sentences, target_language) if whole else ""
        translated.append((text, any(found[segment.text][1] for segment in segments)))
    return translated


def _record(row: Record, target: str, query: tuple[str, bool], passage: tuple[str, bool], engine: Engine) -> Record:
    reasons = [
        f"{role}: {reason}"
        for role, translation in (("query", query[0]), ("passage", passage[0]))
        if row[role] is not None
        for reason in faults(row[role], translation, row["language"], target)
    ]
    return {
        "id": row["id"],
        "language": target,
        "query": None if row["query"] is None else query[0],
        "passage": passage[0],
        "dataset": row["dataset"],
        "engine": engine.name,
        "model": engine.model,
        "direction": f"{row['language']}-{target}",
        "date": datetime.now(timezone.utc).date().isoformat(),
        "repaired": query[1] or passage[1],
        "reasons": reasons,
    }


def _write(pairs: ParallelPairs, work: WorkFile, out: Path) -> Counter[str]:
    """Write all pairs; what was kept, repaired and, by reason, dropped."""
    counts: Counter[str] = Counter(kept=0, repaired=0)
    kept: list[Record] = []
    for record in work.records():
        counts["repaired"] += record["repaired"]
        # What pairs cannot hold is looked for once more: a work file may be from before that was a fault.
        texts = (record[role] for role in ("query", "passage") if record[role] is not None)
        said = {reason.partition(": ")[2] for reason in record["reasons"]}
        reasons = said or set(filter(None, map(unfit, texts)))
        counts.update(dict.fromkeys(reasons, 1))
        if not reasons:
            counts["kept"] += 1
            kept.append(record)
    ParallelPairs.from_rows(kept)  # checks what an engine made as if it came from a file
    rows = chain(pairs.rows(), ({"negatives": None, **record} for record in kept))
    write_rows(rows, out, PROVENANCE)
    return counts
