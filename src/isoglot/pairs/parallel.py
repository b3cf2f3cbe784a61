"""`ParallelPairs`: an immutable table of translations, and what one does with it before training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from isoglot.batching.plan import Translations
from isoglot.common.errors import InputError
from isoglot.common.languages import normalize_language
from isoglot.pairs import duplicates
from isoglot.pairs.description import Description, Tokenizer, length_quantiles
from isoglot.pairs.schema import SCHEMA, checked, codes, table_from_rows

IntArray = npt.NDArray[np.int64]
Role = Literal["query", "passage"]

_ROWS_AT_A_TIME = 1 << 14
_DESCRIBED_TEXTS = 20_000  # texts per role whose lengths stand for all


@dataclass(frozen=True, eq=False)
class ParallelPairs:
    """Query-passage pairs and their translations: one row per translation, one id for all translations of a pair.

    Made by `from_rows`, `read_pairs` or `isoglot.load_pairs`, which check every row. Methods return new tables.

    Attributes:
        table: Arrow table with the string columns `id`, `language`, `query` (null: the passage is only a candidate),
            `passage`, `dataset`, and `negatives`, lists of strings (null: none).

    >>> pairs = ParallelPairs.from_rows([
    ...     {"id": "1", "language": "en", "query": "web server", "passage": "nginx serves pages."},
    ...     {"id": "1", "language": "de", "query": "Webserver", "passage": "nginx liefert Seiten aus."},
    ... ])
    >>> len(pairs), pairs.example_count, pairs.languages
    (2, 1, ('de', 'en'))
    """

    table: pa.Table

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]], dataset: str = "pairs") -> ParallelPairs:
        """Pairs from mappings with `id`, `language`, `query`, `passage` and, where known, `negatives` and `dataset`.

        Args:
            rows: one mapping per translation; other keys are left out.
            dataset: the data set of rows that name none.

        Raises:
            InputError: naming the first wrong row, counted from 1.
        """

        def where(row: int) -> str:
            return f"row {row + 1}"

        return cls(checked(table_from_rows(rows, where), dataset, where))

    @classmethod
    def concatenate(cls, parts: Sequence[ParallelPairs]) -> ParallelPairs:
        """All rows of several tables.

        Ids stay as they are where no two tables share one. Else every id gets its data set's name in front, because
        `1` in two data sets is not a translation of `1`.

        Raises:
            InputError: if two tables have one id of one data set in one language.
        """
        table = pa.concat_tables([part.table for part in parts]) if parts else SCHEMA.empty_table()
        if len(pc.unique(table["id"])) < sum(part.example_count for part in parts):
            named = pc.binary_join_element_wise(table["dataset"], table["id"], "/")
            table = table.set_column(0, SCHEMA.field("id"), named)
        return cls(checked(table, "pairs", lambda row: f"row {row + 1} of the concatenated tables"))

    def __len__(self) -> int:
        """Number of rows, that is of translations."""
        return int(self.table.num_rows)

    def __repr__(self) -> str:
        """Counts and languages, not the rows."""
        return f"ParallelPairs({self.example_count:,} examples, {len(self):,} rows, {' '.join(self.languages)})"

    @cached_property
    def _examples(self) -> tuple[IntArray, list[str]]:
        """Example number of each row, `(rows,)`, and the examples' ids, by first appearance."""
        return codes(self.table["id"])

    @cached_property
    def _datasets(self) -> tuple[IntArray, list[str]]:
        """Data set number of each example, `(examples,)`, that of its first row, and the data sets' names."""
        example, ids = self._examples
        dataset, names = codes(self.table["dataset"])
        first = np.empty(len(ids), dtype=np.int64)
        first[example[::-1]] = dataset[::-1]
        return first, names

    @property
    def example_ids(self) -> list[str]:
        """The distinct ids, by first appearance; a plan's example numbers index them."""
        return self._examples[1]

    @property
    def example_count(self) -> int:
        """Number of distinct ids."""
        return len(self._examples[1])

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """Language tags of the rows, sorted."""
        return tuple(sorted(pc.unique(self.table["language"]).to_pylist()))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the content in its order, whatever the chunks it is stored in; 64 hexadecimal digits."""
        digest = hashlib.sha256()
        for name, column in zip(SCHEMA.names, self.table.columns, strict=True):
            digest.update(name.encode())
            if name == "negatives":
                digest.update(_lengths(pc.list_value_length(column)))
                column = pc.list_flatten(column)
            digest.update(_lengths(pc.binary_length(column)))
            for chunk in column.chunks:
                digest.update("".join(text or "" for text in chunk.to_pylist()).encode())
        return digest.hexdigest()

    def texts(self, role: Role, rows: IntArray | None = None) -> list[str | None]:
        """Texts of some rows, or of all, in that order; a query may be None."""
        column = self.table[role]
        return list((column if rows is None else column.take(pa.array(rows))).to_pylist())

    @property
    def example(self) -> IntArray:
        """`(rows,)`; the example number of each row."""
        return self._examples[0]

    @cached_property
    def language(self) -> IntArray:
        """`(rows,)`; the language number of each row, which indexes `languages`."""
        number = pc.index_in(self.table["language"], pa.array(self.languages, pa.string()))
        return np.asarray(number.to_numpy(), np.int64)

    @cached_property
    def has_query(self) -> npt.NDArray[np.bool_]:
        """`(rows,)`; false where the passage is only a candidate."""
        has: npt.NDArray[np.bool_] = pc.is_valid(self.table["query"]).to_numpy()
        return has

    def negatives(self, rows: IntArray | None = None) -> list[list[str]]:
        """The negatives of some rows, or of all, in that order; an empty list where there are none."""
        column = self.table["negatives"]
        return [found or [] for found in (column if rows is None else column.take(pa.array(rows))).to_pylist()]

    def rows(self, rows: IntArray | None = None) -> Iterator[dict[str, Any]]:
        """Some rows, or all, in that order, as mappings with the keys that `from_rows` takes."""
        for start in range(0, len(self) if rows is None else len(rows), _ROWS_AT_A_TIME):
            some = slice(start, start + _ROWS_AT_A_TIME)
            part = self.table.slice(start, _ROWS_AT_A_TIME) if rows is None else self.table.take(pa.array(rows[some]))
            yield from part.to_pylist()

    def select_rows(self, chosen: npt.NDArray[np.bool_]) -> ParallelPairs:
        """The rows that a mask, `(rows,)`, chooses, in their order."""
        return ParallelPairs(self.table.filter(pa.array(chosen)))

    def filter_languages(self, languages: Iterable[str]) -> ParallelPairs:
        """Only the rows in these languages.

        Raises:
            InputError: if a language is unknown or has no rows.
        """
        wanted = [normalize_language(language) for language in languages]
        for tag in wanted:
            if tag not in self.languages:
                raise InputError(f'no rows in "{tag}"; there are {", ".join(self.languages)}')
        return ParallelPairs(self.table.filter(pc.is_in(self.table["language"], pa.array(wanted, pa.string()))))

    def sample(self, n_examples: int, seed: int) -> ParallelPairs:
        """All translations of `n_examples` examples drawn without replacement; rows keep their order.

        Raises:
            InputError: if there are fewer examples.
        """
        if not 0 <= n_examples <= self.example_count:
            raise InputError(f"cannot draw {n_examples:,} of {self.example_count:,} examples")
        drawn = np.random.default_rng(seed).permutation(self.example_count) < n_examples
        return self.select_examples(drawn)

    def without_translations(self) -> ParallelPairs:
        """Every row an example of its own: its language is put in front of its id.

        >>> rows = [{"id": "1", "language": tag, "query": tag, "passage": tag} for tag in ("de", "en")]
        >>> ParallelPairs.from_rows(rows).without_translations().example_ids
        ['de/1', 'en/1']
        """
        apart = pc.binary_join_element_wise(self.table["language"], self.table["id"], "/")
        return ParallelPairs(self.table.set_column(0, SCHEMA.field("id"), apart))

    def split(self, held_out: float, seed: int) -> tuple[ParallelPairs, ParallelPairs]:
        """Training part and held-out part; all translations of an example go to the same part.

        Examples that share a passage may still part: deduplicate first.

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
        example, ids = self._examples
        table, count = self.table, len(ids)
        passage = duplicates.key_numbers(duplicates.passage_key(table["passage"]))
        near = duplicates.key_numbers(duplicates.near_key(table["passage"]))
        order = np.argsort(-np.bincount(example, minlength=count), kind="stable")
        same_group = duplicates.connected(example, [passage], count)
        near_group = duplicates.connected(example, [passage, near], count)
        kept = duplicates.best_of(near_group, order)

        language, tags = codes(table["language"])
        query = duplicates.key_numbers(duplicates.query_key(table["query"]))
        query = np.where((query >= 0) & kept[example], query * len(tags) + language, -1)
        asked_first = duplicates.first_with_key(example, query, order)
        result = self.select_examples(kept & asked_first)
        groups, near_groups = len(np.unique(same_group)), int(kept.sum())
        return result, duplicates.DuplicateReport(
            examples_before=count,
            examples_after=result.example_count,
            rows_before=len(self),
            rows_after=len(result),
            same_passage=count - groups,
            near_passage=groups - near_groups,
            same_query=near_groups - result.example_count,
        )

    def describe(self, tokenizer: Tokenizer | None = None) -> Description:
        """Counts of examples, rows, languages, data sets and language pairs.

        Args:
            tokenizer: a Hugging Face tokenizer; with one, lengths in tokens of up to 20,000 evenly spaced rows.
        """
        present = self._rows_by_language(np.ones(len(self), dtype=np.bool_)) >= 0
        asked = self._rows_by_language(self.has_query) >= 0
        dataset, datasets = self._datasets
        lengths: dict[str, list[int]] = {}
        if tokenizer is not None:
            rows = np.arange(0, len(self), -(-len(self) // _DESCRIBED_TEXTS) or 1)
            roles: tuple[Role, ...] = ("query", "passage")
            for role in roles:
                lengths[role] = length_quantiles([text for text in self.texts(role, rows) if text], tokenizer)
        per_dataset = np.bincount(dataset, minlength=len(datasets)).tolist()
        return Description(
            examples=self.example_count,
            rows=len(self),
            languages=dict(zip(self.languages, present.sum(0).tolist(), strict=True)),
            datasets=dict(zip(datasets, per_dataset, strict=True)),
            pairs=(asked.T.astype(np.float64) @ present).astype(np.int64),
            token_lengths=lengths,
        )

    def translations(self) -> Translations:
        """The shape of the table for `plan_batches`: which rows are whose translations, without the texts.

        A row without a query counts as no translation. Examples are numbered by first appearance of their id.
        """
        example, ids = self._examples
        dataset, datasets = self._datasets
        passage = duplicates.key_numbers(duplicates.passage_key(self.table["passage"]))
        rows = self._rows_by_language(self.has_query)
        same_text = pc.fill_null(pc.equal(self.table["query"], self.table["passage"]), False).to_numpy()
        return Translations(
            languages=self.languages,
            rows=rows,
            datasets=tuple(datasets),
            dataset=dataset,
            group=duplicates.connected(example, [passage], len(ids)),
            identical=(rows >= 0) & np.append(same_text, False)[rows],
        )

    def _rows_by_language(self, chosen: npt.NDArray[np.bool_]) -> IntArray:
        """`(examples, languages)`; the chosen row of each, -1 where there is none."""
        example, ids = self._examples
        language = pc.index_in(self.table["language"], pa.array(self.languages, pa.string())).to_numpy()
        rows = np.full((len(ids), len(self.languages)), -1, dtype=np.int64)
        rows[example[chosen], language[chosen]] = np.flatnonzero(chosen)
        return rows

    def select_examples(self, chosen: npt.NDArray[np.bool_]) -> ParallelPairs:
        """All translations of the examples that a mask, `(examples,)`, chooses; rows keep their order."""
        return ParallelPairs(self.table.filter(pa.array(chosen[self._examples[0]])))


def _lengths(counts: pa.ChunkedArray) -> bytes:
    """Lengths as bytes that tell null from empty."""
    return np.asarray(pc.fill_null(counts, -1).to_numpy(), dtype="<i8").tobytes()
