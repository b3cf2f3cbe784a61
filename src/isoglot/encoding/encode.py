"""From a corpus to shards with vectors: check, stage what is missing, encode, and say in a manifest what is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from isoglot.common.atomic import held
from isoglot.common.errors import InputError
from isoglot.common.paths import expanded_path
from isoglot.common.progress import progress
from isoglot.common.roles import Role
from isoglot.encoding.corpus import Corpus, open_corpus
from isoglot.encoding.known import KnownVectors, refuse_beside, shards_to_reuse
from isoglot.encoding.local import Engine, LocalEngine
from isoglot.encoding.objects import TEXT
from isoglot.encoding.shards import (
    SHARD_ROWS,
    Shard,
    ShardFolder,
    is_shard,
    shard_name,
    vector_lists,
    write_shard,
)
from isoglot.runtime.encoder import TextEncoder
from isoglot.runtime.store import space_of
from isoglot.vectors.checking import Survey, leaving_out, survey
from isoglot.vectors.columns import USUAL, Columns, row_keys
from isoglot.vectors.provenance import Provenance, read_manifest, write_manifest
from isoglot.vectors.rows import Part

_LARGEST_SHARD = 1 << 26  # bytes of rows after which a shard is ended, however few they are


@dataclass(frozen=True)
class Encoded:
    """What was done.

    Attributes:
        folder: the folder of shards.
        rows: how many the corpus has.
        left_out: how many of them were bad.
        encoded: texts whose vectors were made.
        languages: rows by language.
        notes: what people should know.
    """

    folder: Path
    rows: int
    left_out: int
    encoded: int
    languages: dict[str, int]
    notes: tuple[str, ...]

    def sentences(self) -> list[str]:
        """All of it in words."""
        written = self.rows - self.left_out
        by_language = ", ".join(f"{tag} {count:,}" for tag, count in self.languages.items())
        return [
            *self.notes,
            *([f"Rows by language: {by_language}."] if by_language else []),
            f"Rows: {self.rows:,} in, {written:,} out, {self.left_out:,} left out. Vectors: {self.encoded:,} made, "
            f"{written - self.encoded:,} there already.",
            f"The shards are in {self.folder}.",
        ]


def encode_corpus(
    corpus: str | Path,
    encoder: TextEncoder,
    out: str | Path,
    *,
    role: Role = "passage",
    engine: Engine | None = None,
    columns: Columns = USUAL,
    language: str | None = None,
    identify_languages: bool = False,
    shared_ids: bool = False,
    skip_bad: str | Path | None = None,
    shard_rows: int = SHARD_ROWS,
    reuse: Sequence[str | Path] = (),
) -> Encoded:
    """Encode a corpus into a folder of Parquet shards, of which those that are there already are not made again.

    Every row is checked before anything is encoded. The folder then is the state of the corpus: a row that is gone from
    it is gone from the shards. Columns are `id` (the key), `group`, `language`, `text`, the corpus' other columns, and
    `vector`; `manifest.json` is written last. What an interrupt or a kill leaves is found by the next call, and a text
    whose vector stands in any shard there is not encoded again. Readers see the old state or the new.

    Args:
        corpus: what `open_corpus` reads.
        encoder: what makes the vectors, such as `load_text_encoder` gives.
        out: the folder; new, or one of this encoder.
        role: whether the texts are passages or queries; of a file of parallel pairs that side is taken.
        engine: where shards are encoded; `LocalEngine()` if None.
        columns: names of columns that are not called as usual.
        language: the language of all rows; only where no column says.
        identify_languages: find out the languages that are missing; needs the extra `identify`.
        shared_ids: whether ids are shared by translations, so that keys are `id@language`, though no id stands twice.
        skip_bad: a file that bad rows are left out into; None to refuse them.
        shard_rows: rows of a shard.
        reuse: further folders of shards whose vectors are taken where the text is the same.

    Raises:
        InputError: if a row is bad, the folder, or one to reuse, is another encoder's or holds other things, or another
            process writes.
    """
    out = expanded_path(out)
    if shard_rows < 1:
        raise InputError(f"shard_rows is {shard_rows}; a shard has at least one row")
    _state_of(out, encoder.provenance(role))
    further = shards_to_reuse(reuse, encoder.provenance(role))
    with leaving_out(skip_bad, corpus) as leave_out:
        texts = open_corpus(
            corpus, columns, language=language, role=role, identify_languages=identify_languages, out=out
        )
        surveyed = survey(texts.rows, leave_out, needs=("id", "text"))
        with _alone(out):
            known, provenance = _state_of(out, encoder.provenance(role))
            shared = shared_ids or texts.ids_shared or surveyed.ids_shared or known.get("ids_shared", False)
            folder = ShardFolder(out, known.get("files", {}), space_of(provenance))
            shards = _cut(_tables(texts, surveyed, shared), shard_rows)
            names, missing = _stage(shards, folder, encoder.dimensions, further)
            made = sum(shard.missing for shard in missing)
            with progress(f"Encoding {texts.rows.path.name}", made) as advance:
                (engine or LocalEngine()).run(missing, encoder, role, advance)
            _write_manifest(folder, names, surveyed, provenance, dimensions=encoder.dimensions, ids_shared=shared)
            folder.clear(names)
    notes = (*texts.notes(), *surveyed.notes)
    return Encoded(out, len(texts.rows), len(surveyed.bad), made, surveyed.rows_per_language(), notes)


def _state_of(out: Path, new: Provenance) -> tuple[dict[str, Any], Provenance]:
    """What the manifest says of a folder that shards may be written to, and where its vectors are said to come from.

    Raises:
        InputError: if it holds something else, or vectors that cannot stand beside the new ones.
    """
    known = read_manifest(out) if out.is_dir() else None
    if known is None:
        there = sorted(each.name for each in out.iterdir()) if out.is_dir() else [out.name] if out.exists() else []
        if others := [name for name in there if not name.startswith(".") and not is_shard(name)]:
            raise InputError(f"{out}: there is something else here ({others[0]}); choose another folder")
        return {}, new
    old = Provenance.of(known["provenance"])
    refuse_beside(out, old, new)
    return known, old


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Make a folder, and keep other processes from encoding into it."""
    out.mkdir(parents=True, exist_ok=True)
    with held(out) as mine:
        if not mine:
            raise InputError(f"{out}: another process is encoding into this folder; wait until it has ended")
        yield


def _tables(texts: Corpus, surveyed: Survey, shared: bool) -> Iterator[pa.Table]:
    """The rows that are not left out, in order, as they stand in shards, without vectors."""
    tags, others = pa.array(surveyed.tags, TEXT), texts.other_columns()
    for part in texts.rows.parts(["id", "group", "text", *others.names]):
        number = surveyed.language[part.first : part.first + len(part)]
        language = tags.take(pa.array(number, mask=number < 0))
        key, group = part.text("id"), part.text("group")
        if shared:
            key, group = row_keys(key, language), pc.coalesce(group, key)
        columns = {"id": key, "group": group, "language": language, "text": part.text("text")}
        columns |= {field.name: _as(field.type, part, field.name) for field in others}
        yield pa.table(columns).filter(pa.array(surveyed.kept(part)))


def _as(kind: pa.DataType, part: Part, name: str) -> pa.Array:
    """A column of a part in the type that it has in all files."""
    try:
        return part.batch[name].cast(kind)
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f'{part.file.path}: the column "{name}" cannot be {kind}, as it is with the other files ({reason}); write '
            "it as text in all of them"
        ) from None


def _cut(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The same rows, so many at a time, or fewer where they are large."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        while sum(map(len, waiting)) >= rows:
            joined = pa.concat_tables(waiting)
            yield joined.slice(0, rows)
            waiting = [joined.slice(rows)]
        if sum(each.nbytes for each in waiting) > _LARGEST_SHARD:
            yield pa.concat_tables(waiting)
            waiting = []
    if sum(map(len, waiting)):
        yield pa.concat_tables(waiting)


def _stage(
    shards: Iterable[pa.Table], folder: ShardFolder, dimensions: int, further: Mapping[Path, str]
) -> tuple[list[str], list[Shard]]:
    """The names of all shards, and those that are to be made, their rows put where a worker finds them."""
    names: list[str] = []
    missing: list[Shard] = []
    known: KnownVectors | None = None
    for number, rows in enumerate(shards):
        names.append(name := shard_name(number, rows, folder.space))
        if folder.has(name):
            continue
        if known is None:
            known = KnownVectors({**dict.fromkeys(folder.all(), folder.space), **further}, dimensions)
        vectors, there = known.of(rows["text"].combine_chunks())
        staged, target = folder.texts / name, folder.hidden / name
        target.unlink(missing_ok=True)  # a damaged one
        write_shard(target if there.all() else staged, rows, vector_lists(vectors, there), folder.space)
        if not there.all():
            missing.append(Shard(staged, target, int((~there).sum())))
    return names, missing


def _write_manifest(
    folder: ShardFolder, names: Sequence[str], surveyed: Survey, provenance: Provenance, **more: Any
) -> None:
    """Bring the shards to their place and say what is there."""
    more |= {"rows": len(surveyed.language) - len(surveyed.bad), "left_out": len(surveyed.bad)}
    languages = surveyed.rows_per_language()
    write_manifest(folder.path, provenance, **more, languages=languages, files=folder.reveal(names))
