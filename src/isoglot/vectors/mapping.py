"""Vectors in, fair vectors out: files are checked, a map is fitted or given, and every row streams through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from isoglot.common.arrays import BoolArray
from isoglot.common.atomic import write_whole_folder
from isoglot.common.errors import InputError
from isoglot.common.languages import shortest_language
from isoglot.common.paths import new_folder
from isoglot.common.progress import progress
from isoglot.vectors.checking import Survey, leaving_out, survey
from isoglot.vectors.columns import USUAL, Columns
from isoglot.vectors.fitting import DEFAULT_ROWS, LEAST_ROWS, fit_map
from isoglot.vectors.maps import VectorMap, load_map
from isoglot.vectors.provenance import read_manifest, refuse_mixing, write_manifest
from isoglot.vectors.remedies import DEFAULT_DIRECTIONS, DEFAULT_REMEDY, Remedy, Vectors, check_remedy
from isoglot.vectors.rows import Part, VectorRows, lists_of, open_vectors, refuse_other_space

MAP_FILE = "map.npz"


@dataclass(frozen=True)
class Mapped:
    """What was done: the map, the folder, rows in, written and left out, and what people should know."""

    map: VectorMap
    folder: Path
    rows: int
    written: int
    notes: tuple[str, ...]

    def sentences(self) -> list[str]:
        """All of it in words."""
        left_out = self.rows - self.written
        return [
            *self.notes,
            f"Rows: {self.rows:,} in, {self.written:,} mapped, {left_out:,} left out.",
            f"The vectors are in {self.folder}, the map in {self.folder / MAP_FILE}, fingerprint "
            f"{self.map.fingerprint[:12]}.",
        ]


def debias_vectors(
    vectors: str | Path,
    out: str | Path,
    *,
    query_vectors: str | Path | None = None,
    columns: Columns = USUAL,
    remedy: Remedy = DEFAULT_REMEDY,
    directions: int = DEFAULT_DIRECTIONS,
    strength: float = 1.0,
    rows: int = DEFAULT_ROWS,
    least_rows: int = LEAST_ROWS,
    source_language: str = "en",
    seed: int = 0,
    skip_bad: str | Path | None = None,
) -> Mapped:
    """Fit a map on vectors that exist, and write them mapped, with the map and a manifest, into a new folder.

    Files are read in parts, three times: to check every row, to fetch the sample, and to map. Rows keep their order and
    all other columns, files their names and format (Lance becomes Parquet), numbers their precision.

    Args:
        vectors: a file or folder that `open_vectors` reads.
        out: a new folder, written whole or not at all.
        query_vectors: vectors of queries, for the fit alone; map them with `apply_map`.
        columns: names of columns that are not called as usual.
        remedy: `lir`, `linear-lir` and `leace` need languages for the fit alone, `means` and `shift` for every row.
        directions: for `lir` and `linear-lir`, how many to remove.
        strength: how much of what the remedy takes out is taken out, above 0 to 1.
        rows: rows per language to fit on.
        least_rows: languages of fewer rows take no part in the fit.
        source_language: for `shift`, the language that passages are moved to, by the factor in 0 to 1 at which
            translations in the sample find each other best.
        seed: of the sample.
        skip_bad: a file that bad rows are left out into; None to refuse them.

    Raises:
        InputError: for anything that `open_vectors`, `survey` and `fit_map` refuse; if a map was applied before, or
            the folder is there.
    """
    check_remedy(remedy, strength)
    out, given = new_folder(out), [each for each in (vectors, query_vectors) if each]
    with leaving_out(skip_bad, *given, out) as leave_out:
        opened = [open_vectors(each, columns, required=["language"]) for each in given]
        for each in opened:
            if each.provenance.map is not None:
                raise InputError(
                    f"{each.path}: has the map {each.provenance.map:.12} applied; fit on what it was made of"
                )
        if len(opened) == 2:
            refuse_other_space(*opened)
        passages, *queries = (survey(each, leave_out) for each in opened)
        mapping = fit_map(
            passages,
            *queries,
            remedy=remedy,
            directions=directions,
            strength=strength,
            rows=rows,
            least_rows=least_rows,
            source_language=shortest_language(source_language),
            seed=seed,
        )
        notes = [note for side in (passages, *queries) for note in side.notes] + _fit_in_words(mapping)
        return _write(passages, mapping, out, notes)


def apply_map(
    mapping: VectorMap | str | Path,
    vectors: str | Path,
    out: str | Path,
    *,
    columns: Columns = USUAL,
    language: str | None = None,
    skip_bad: str | Path | None = None,
) -> Mapped:
    """Map new vectors, of passages or of queries, with a map that was fitted before.

    Args:
        mapping: the map or its file.
        vectors: a file or folder that `open_vectors` reads, of the model whose vectors the map was fitted on.
        out: a new folder, as of `debias_vectors`.
        columns: names of columns that are not called as usual.
        language: the language of all rows, for `means` and `shift`, where no column says.
        skip_bad: a file that bad rows are left out into; None to refuse them.

    Raises:
        InputError: if the vectors are of another model or length, mapped already, or queries for `shift`; if the
            language is none; or if the folder is there.
    """
    out = new_folder(out)
    if not isinstance(mapping, VectorMap):
        mapping = load_map(mapping)
    by_language = bool(mapping.languages)
    with leaving_out(skip_bad, vectors, out) as leave_out:
        required = ["language"] if by_language and language is None else []
        rows = open_vectors(vectors, columns, required=required, language=language)
        notes = _refuse_misuse(mapping, rows)
        surveyed = survey(rows, leave_out)
        return _write(surveyed, mapping, out, [*surveyed.notes, *notes, *_unknown_languages(mapping, surveyed)])


def _refuse_misuse(mapping: VectorMap, rows: VectorRows) -> list[str]:
    """Refuse vectors that a map is not for; what nothing is known of is said."""
    made = rows.provenance
    if made.map is not None:
        raise InputError(f"{rows.path}: has the map {made.map:.12} applied already; map what it was made of")
    if rows.dimensions != mapping.dimensions:
        raise InputError(f"{rows.path}: vectors of {rows.dimensions} numbers; the map takes {mapping.dimensions}")
    if mapping.sides == "passages" and made.role == "query":
        raise InputError(
            f"{rows.path}: these are queries, which the map of shift leaves as they are; use them unmapped"
        )
    refuse_mixing(mapping.provenance, made, ("the map", str(rows.path)))
    said = []
    if made.fingerprint is None or mapping.provenance.fingerprint is None:
        said.append(f"Nothing says which model {rows.path.name} is from; it is taken to be that of the map.")
    if mapping.sides == "passages":
        said.append("The map of shift is for passages; queries stay as they are.")
    return said


def _unknown_languages(mapping: VectorMap, surveyed: Survey) -> list[str]:
    """A sentence on languages that a map has nothing of its own for."""
    if not mapping.languages:
        return []
    (other,) = mapping.places([None])
    counts = surveyed.rows_per_language()
    unknown = [tag for tag, place in zip(surveyed.tags, mapping.places(surveyed.tags), strict=True) if place == other]
    said = ", ".join(f"{tag} ({counts[tag]:,} rows)" for tag in unknown)
    return [f"The map knows nothing of {said}; they are mapped as any other language is."] if said else []


def _write(surveyed: Survey, mapping: VectorMap, out: Path, notes: Sequence[str]) -> Mapped:
    """Map every row that is not left out, file by file."""
    rows = surveyed.rows
    places = np.append(mapping.places(surveyed.tags), mapping.places([None]))  # -1, no language, is the last
    files: dict[str, int] = {}
    with write_whole_folder(out) as folder, progress(f"Mapping {rows.path.name}", len(rows)) as advance:
        for file in rows.files:
            before = {each.name for each in folder.iterdir()}
            written = 0
            with file.writing(folder) as write:
                for part in rows.parts_of(file, None):
                    kept = surveyed.kept(part)
                    language = places[surveyed.language[part.first : part.first + len(part)]][kept]
                    mapped = mapping.apply_by_number(part.vectors()[0][kept], language if mapping.languages else None)
                    write(_with_vectors(part, kept, mapped))
                    written += len(mapped)
                    advance(len(part))
            files |= {each.name: written for each in folder.iterdir() if each.name not in before}
        mapping.save(folder / MAP_FILE)
        made = replace(
            rows.provenance,
            map=mapping.fingerprint,
            map_sides=mapping.sides,
            normalised=mapping.normalise or None,
        )
        said = read_manifest(rows.path) or {}
        more: dict[str, Any] = {"dimensions": rows.dimensions, "languages": surveyed.rows_per_language()}
        more |= {name: said[name] for name in ("ids_shared",) if name in said}  # what ids are does not change
        total = len(rows) - len(surveyed.bad)
        write_manifest(folder, made, rows=total, left_out=len(surveyed.bad), files=files, **more)
    return Mapped(mapping, out, len(rows), total, tuple(notes))


def _with_vectors(part: Part, kept: BoolArray, mapped: Vectors) -> pa.RecordBatch:
    """The rows of a part that are kept, with other vectors of the same type."""
    batch = part.batch if kept.all() else part.batch.filter(pa.array(kept))
    at = batch.schema.get_field_index(part.rows.columns.vector)
    field = batch.schema.field(at)
    try:
        with np.errstate(over="raise"):
            column = lists_of(mapped, field.type)
    except FloatingPointError:
        raise InputError(
            f"{part.where(0)} and those behind it: too large for half precision once mapped; give them as float32"
        ) from None
    return batch.set_column(at, field, column)


def _fit_in_words(mapping: VectorMap) -> list[str]:
    """What a map was fitted on, and what it did."""
    figures, share = mapping.figures, mapping.figures["same_language_share"]
    by_language = ", ".join(f"{tag} {count:,}" for tag, count in figures["rows"].items())
    said = [f"Fitted on these rows by language: {by_language}."]
    for side, rows in (("too_few_rows", "rows"), ("too_few_queries", "rows of queries")):
        if few := ", ".join(f"{tag} ({count:,})" for tag, count in figures.get(side, {}).items()):
            said.append(f"With too few {rows} to take part in the fit: {few}; they are mapped all the same.")
    if "factor" in figures:
        said.append(f"Shifted by the factor {figures['factor']}, at which translations find each other best.")
    said.append(
        f"In the sample the nearest other row is in a row's own language {share['before']:.0%} of the time before, "
        f"{share['after']:.0%} after; {share['by_chance']:.0%} would be chance."
    )
    return said
