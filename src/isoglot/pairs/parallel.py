"""`ParallelPairs`: an immutable table of translations, and what one does with it before training."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isoglot.batching.translations import Translations
from isoglot.common.cache import cache_folder
from isoglot.common.errors import InputError
from isoglot.common.languages import normalize_language
from isoglot.common.roles import Role
from isoglot.pairs import duplicates
from isoglot.pairs.description import CountTokens, Description, length_quantiles
from isoglot.pairs.joining import joined
from isoglot.pairs.numbers import first_places
from isoglot.pairs.rows import TEXT_COLUMNS, Rows, by_example, patterns, repeated, rows_of_batches, selected
from isoglot.pairs.schema import ROWS_AT_A_TIME, SCHEMA, Where, batches_of_rows, checked
from isoglot.pairs.texts import ArrowTexts, BoolArray, IntArray, Source, hashes, kept, mapped_batches, texts_of

_FORMAT = "1"  # of the files in the cache folder; part of their name
_DESCRIBED_TEXTS = 20_000  # texts per role whose lengths stand for all


@dataclass(frozen=True, eq=False)
class ParallelPairs:
    """Query-passage pairs and their translations: one row per translation, one id for all translations of a pair.

    Made by `from_rows`, `read_pairs` or `isoglot.load_pairs`, which check every row. Methods return new tables, which
    share the texts.

    Attributes:
        store: all texts; rows know theirs by number, and so does `negative`.
        example_ids: the distinct ids, by first appearance; a plan's example numbers index them.
        languages: language tags of the rows, sorted.
        datasets: names of the data sets.
        numbers: the rows.
        negative: the texts of all negatives; rows know where theirs stand in it.

    >>> pairs = ParallelPairs.from_rows([
    ...     {"id": "1", "language": "en", "query": "web server", "passage": "nginx serves pages."},
    ...     {"id": "1", "language": "de", "query": "Webserver", "passage": "nginx liefert Seiten aus."},
    ... ])
    >>> len(pairs), pairs.example_count, pairs.languages
    (2, 1, ('de', 'en'))
    """

    store: ArrowTexts
    example_ids: ArrowTexts
    languages: tuple[str, ...]
    datasets: tuple[str, ...]
    numbers: Rows
    negative: IntArray

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]], dataset: str = "pairs") -> ParallelPairs:
        """Pairs from mappings with `id`, `language`, `query`, `passage` and, where known, `negatives` and `dataset`.

        Args:
            rows: one mapping per translation, read once; other keys are left out.
            dataset: the data set of rows that name none.

        Raises:
            InputError: naming the first wrong row, counted from 1.
        """

        def where(row: int) -> str:
            return f"row {row + 1}"

        return cls.from_batches(batches_of_rows(rows, where), dataset, where)

    @classmethod
    def from_batches(
        cls, batches: Iterable[pa.RecordBatch], dataset: str, where: Where, source: Sequence[str] = ()
    ) -> ParallelPairs:
        """Pairs from batches with the columns of `isoglot.pairs.schema.SCHEMA`; of many megabytes, by way of the disk.

        Args:
            batches: read once, block by block; not at all if a file of them is in the cache folder.
            dataset: the data set of rows that name none.
            where: says where a row, counted from 0, comes from.
            source: what stands for everything that is read, as from `isoglot.pairs.texts.identity`; with it, a large
                source that was read once is only mapped the next time.

        Raises:
            InputError: naming a wrong row.
        """
        path = None
        if source:
            key = hashlib.sha256("\0".join([_FORMAT, dataset, *source]).encode()).hexdigest()[:32]
            path = cache_folder() / "pairs" / f"{key}.arrow"
            if path.exists():
                return cls._of(mapped_batches(path), path)
        found, file = kept(checked(batches, dataset, where), SCHEMA, path)
        pairs = cls._of(found, file)
        try:
            pairs._check_once_per_language(where)
        except InputError:
            if file is not None and file is path:
                path.unlink()
            raise
        return pairs

    @classmethod
    def _of(cls, batches: Sequence[pa.RecordBatch], file: Source | None) -> ParallelPairs:
        """Pairs of checked batches, and the file that they are mapped from."""
        languages = sorted({tag for batch in batches for tag in pc.unique(batch["language"]).to_pylist()})
        datasets = list(dict.fromkeys(name for batch in batches for name in pc.unique(batch["dataset"]).to_pylist()))
        rows, negative, first = rows_of_batches(batches, languages, datasets)
        store = ArrowTexts.of_batches(batches, TEXT_COLUMNS, file)
        ids = ArrowTexts.of_batches(batches, ("id",), file)
        return cls(store, ids.select(first), tuple(languages), tuple(datasets), rows, negative)

    def _check_once_per_language(self, where: Where) -> None:
        if (found := repeated(self.numbers, self._patterns)) is None:
            return
        row, before = found
        name, tag = self.example_ids[int(self.example[row])], self.languages[int(self.language[row])]
        raise InputError(
            f'{where(row)}: id "{name}" has "{tag}" already ({where(before)}); one translation per language and id'
        )

    @classmethod
    def concatenate(cls, parts: Sequence[ParallelPairs]) -> ParallelPairs:
        """All rows of several tables.

        Ids stay as they are where no two tables share one. Else every id gets the name of its example's data set in
        front, because `1` in two data sets is not a translation of `1`.

        Raises:
            InputError: if two tables have one id of one data set in one language.
        """
        if len(parts) == 1:
            return parts[0]
        pairs = cls(*joined(parts))
        pairs._check_once_per_language(lambda row: f"row {row + 1} of the concatenated tables")
        return pairs

    def __reduce__(self) -> tuple[Any, ...]:
        """Without what can be made again."""
        return ParallelPairs, tuple(getattr(self, field.name) for field in fields(self))

    def __len__(self) -> int:
        """Number of rows, that is of translations."""
        return len(self.numbers)

    def __repr__(self) -> str:
        """Counts and languages, not the rows."""
        return f"ParallelPairs({self.example_count:,} examples, {len(self):,} rows, {' '.join(self.languages)})"

    @property
    def example_count(self) -> int:
        """Number of distinct ids."""
        return len(self.example_ids)

    @property
    def example(self) -> IntArray:
        """`(rows,)`; the example number of each row. Small integers: widen them before arithmetic."""
        return self.numbers.example

    @property
    def language(self) -> IntArray:
        """`(rows,)`; the language number of each row, which indexes `languages`. Small integers, as `example`."""
        return self.numbers.language

    @cached_property
    def has_query(self) -> BoolArray:
        """`(rows,)`; false where the passage is only a candidate."""
        return np.asarray(self.numbers.query >= 0)

    @cached_property
    def example_dataset(self) -> IntArray:
        """`(examples,)`; the data set of each example, that of its first row."""
        return self.numbers.dataset[first_places(self.example, self.example_count)]

    @cached_property
    def _patterns(self) -> tuple[IntArray, IntArray]:
        return patterns(self.numbers, len(self.languages))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over hashes of the content in its order, however it is stored; 64 hexadecimal digits."""
        texts, ids = self.store.hashes(), self.example_ids.hashes()
        tags, names = (hashes(pa.array(values, pa.large_string())) for values in (self.languages, self.datasets))
        digest = hashlib.sha256()
        for _, part in self.numbers.parts():
            queries = np.where(part.query >= 0, texts[part.query], 0) if len(texts) else part.query
            columns = (ids[part.example], tags[part.language], queries, texts[part.passage], names[part.dataset])
            for column in (*columns, texts[self.negative[part.negative_places()]], part.negatives_count):
                digest.update(np.ascontiguousarray(column, column.dtype.newbyteorder("<")).data)
        return digest.hexdigest()

    def text_numbers(self, role: Role) -> IntArray:
        """`(rows,)`; where each row's text stands in `store`; -1 where there is no query."""
        return self.numbers.query if role == "query" else self.numbers.passage

    def texts(self, role: Role, rows: IntArray | None = None) -> list[str | None]:
        """Texts of some rows, or of all, in that order; a query may be None."""
        numbers = self.text_numbers(role)
        numbers = numbers if rows is None else numbers[rows]
        found = iter(self.store.take(numbers[numbers >= 0]))
        return [next(found) if number >= 0 else None for number in numbers.tolist()]

    def negatives(self, rows: IntArray | None = None) -> list[list[str]]:
        """The negatives of some rows, or of all, in that order; an empty list where there are none."""
        part = self.numbers if rows is None else self.numbers.where(rows)
        texts = iter(self.store.take(self.negative[part.negative_places()]))
        return [list(itertools.islice(texts, max(count, 0))) for count in part.negatives_count.tolist()]

    def negative_numbers(self, rows: IntArray) -> list[IntArray]:
        """Where the negatives of some rows stand in `store`, row by row."""
        part = self.numbers.where(rows)
        numbers = self.negative[part.negative_places()]
        return np.split(numbers, np.cumsum(np.maximum(part.negatives_count, 0))[:-1])

    def rows(self, rows: IntArray | None = None) -> Iterator[dict[str, Any]]:
        """Some rows, or all, in that order, as mappings with the keys that `from_rows` takes."""
        count = len(self) if rows is None else len(rows)
        for start in range(0, count, ROWS_AT_A_TIME):
            stop = min(start + ROWS_AT_A_TIME, count)
            some = np.arange(start, stop) if rows is None else rows[start:stop]
            part = self.numbers.where(some)
            known = part.negatives_count >= 0
            columns = (
                self.example_ids.take(part.example),
                part.language.tolist(),
                self.texts("query", some),
                self.texts("passage", some),
                self.negatives(some) if known.any() else itertools.repeat([]),
                known.tolist(),
                part.dataset.tolist(),
            )
            for name, tag, query, passage, negatives, listed, dataset in zip(*columns, strict=False):
                yield {
                    "id": name,
                    "language": self.languages[tag],
                    "query": query,
                    "passage": passage,
                    "negatives": negatives if listed else None,
                    "dataset": self.datasets[dataset],
                }

    def select_rows(self, chosen: BoolArray) -> ParallelPairs:
        """The rows that a mask, `(rows,)`, chooses, in their order."""
        sizes = (self.example_count, len(self.languages), len(self.datasets))
        rows, (examples, languages, datasets) = selected(self.numbers, chosen, sizes)
        return replace(
            self,
            example_ids=self.example_ids.select(examples),
            languages=tuple(self.languages[n] for n in languages),
            datasets=tuple(self.datasets[n] for n in datasets),
            numbers=rows,
        )

    def select_examples(self, chosen: BoolArray) -> ParallelPairs:
        """All translations of the examples that a mask, `(examples,)`, chooses; rows keep their order."""
        return self.select_rows(chosen[self.example])

    def with_negatives(self, counts: IntArray, passages: IntArray) -> ParallelPairs:
        """The same rows with so many negatives each, `(rows,)`, -1 for unknown: the passages of rows, row after row."""
        had = np.maximum(counts, 0)
        rows = replace(self.numbers, negatives_from=np.cumsum(had) - had, negatives_count=counts)
        return replace(self, numbers=rows, negative=self.numbers.passage[passages])

    def filter_languages(self, languages: Iterable[str]) -> ParallelPairs:
        """Only the rows in these languages.

        Raises:
            InputError: if a language is unknown or has no rows.
        """
        wanted = [normalize_language(language) for language in languages]
        for tag in wanted:
            if tag not in self.languages:
                raise InputError(f'no rows in "{tag}"; there are {", ".join(self.languages)}')
        return self.select_rows(np.isin(self.languages, wanted)[self.language])

    def sample(self, n_examples: int, seed: int) -> ParallelPairs:
        """All translations of `n_examples` examples drawn without replacement; rows keep their order.

        Raises:
            InputError: if there are fewer examples.
        """
        if not 0 <= n_examples <= self.example_count:
            raise InputError(f"cannot draw {n_examples:,} of {self.example_count:,} examples")
        return self.select_examples(np.random.default_rng(seed).permutation(self.example_count) < n_examples)

    def without_translations(self) -> ParallelPairs:
        """Every row an example of its own: its language is put in front of its id.

        >>> rows = [{"id": "1", "language": tag, "query": tag, "passage": tag} for tag in ("de", "en")]
        >>> list(ParallelPairs.from_rows(rows).without_translations().example_ids)
        ['de/1', 'en/1']
        """
        names = (
            f"{self.languages[tag]}/{name}"
            for _, part in self.numbers.parts()
            for name, tag in zip(self.example_ids.take(part.example), part.language.tolist(), strict=True)
        )
        rows = replace(self.numbers, example=np.arange(len(self), dtype=np.int32))
        return replace(self, example_ids=texts_of(names), numbers=rows)

    def with_dataset_renamed(self, old: str, new: str) -> ParallelPairs:
        """The same rows, those of one data set under another name of it."""
        return replace(self, datasets=tuple(new if name == old else name for name in self.datasets))

    def split(self, held_out: float, seed: int) -> tuple[ParallelPairs, ParallelPairs]:
        """Training part and held-out part; all translations of an example go to the same part.

        Examples that share a passage may still part: deduplicate first, or take `isoglot.split_pairs`.

        Args:
            held_out: number of examples from 1, or their share between 0 and 1.
            seed: of the draw.

        Raises:
            InputError: if either part would be empty.
        """
        count = round(held_out * self.example_count) if held_out < 1 else int(held_out)
        if not 0 < count < self.example_count:
            raise InputError(
                f"holding out {held_out} of {self.example_count:,} examples leaves a part empty; "
                f"give a number from 1 to {self.example_count - 1:,} or a share between 0 and 1"
            )
        out = np.random.default_rng(seed).permutation(self.example_count) < count
        return self.select_examples(~out), self.select_examples(out)

    def deduplicate(self) -> tuple[ParallelPairs, duplicates.DuplicateReport]:
        """One example of each group that says the same, and what was dropped.

        Examples are merged where, in any language, their passages are the same but for case, punctuation, spacing
        and, in long ones, numbers, or where their long first paragraphs begin the same. Of a group the example with
        most translations is kept, the first one of several. Then examples go whose query, in any language, one with
        more translations or an earlier one asks too: in a batch each would be the other's false negative.
        """
        chosen, same, near = duplicates.distinct(self.store, self.numbers, self.example_count)
        result = self.select_examples(chosen)
        return result, duplicates.DuplicateReport(
            examples_before=self.example_count,
            examples_after=result.example_count,
            rows_before=len(self),
            rows_after=len(result),
            same_passage=same,
            near_passage=near,
            same_query=self.example_count - same - near - result.example_count,
        )

    def describe(self, count_tokens: CountTokens | None = None) -> Description:
        """Counts of examples, rows, languages, data sets and language pairs.

        Args:
            count_tokens: an encoder's, such as `load_text_encoder(...).count_tokens`: with it, lengths in tokens of up
                to 20,000 evenly spaced rows.
        """
        pattern, table = self._patterns
        times = np.bincount(pattern, minlength=len(table)).astype(np.float64)[:, None]
        present, asked = table.any(2), table[:, :, 1:].any(2)
        per_dataset = np.bincount(self.example_dataset, minlength=len(self.datasets)).tolist()
        lengths: dict[str, list[int]] = {}
        if count_tokens is not None:
            rows = np.arange(0, len(self), -(-len(self) // _DESCRIBED_TEXTS) or 1)
            for role in get_args(Role):
                lengths[role] = length_quantiles(count_tokens([text for text in self.texts(role, rows) if text], role))
        return Description(
            examples=self.example_count,
            rows=len(self),
            languages=dict(zip(self.languages, (present * times).sum(0).astype(int).tolist(), strict=True)),
            datasets=dict(zip(self.datasets, per_dataset, strict=True)),
            pairs=((asked * times).T @ present).astype(np.int64),
            token_lengths=lengths,
        )

    def translations(self) -> Translations:
        """The shape of the table for `plan_batches`, made once: which rows are whose translations, without the texts.

        A row without a query counts as no translation. Examples are numbered by first appearance of their id.
        """
        return self._translations

    @cached_property
    def _translations(self) -> Translations:
        pattern, table = self._patterns
        key = duplicates.key_numbers(self.store, self.numbers.passage, duplicates.passage_key)
        return Translations(
            languages=self.languages,
            datasets=self.datasets,
            dataset=self.example_dataset,
            group=duplicates.connected([duplicates.shared(self.numbers, "passage", key)], self.example_count),
            pattern=pattern,
            available=np.asarray(table[:, :, 1:].any(2)),
            identical=table[:, :, 2] > 0,
            rows=by_example(self.numbers, len(self.languages)),
        )
