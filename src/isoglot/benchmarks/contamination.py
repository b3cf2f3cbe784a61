"""Training texts that an evaluation set holds too, so that nobody trains on what is measured.

Equal texts are found by their words as a whole. Nearly equal ones, and evaluation texts inside longer training texts,
are found by shared runs of words ("shingles", Broder 1997, On the resemblance and containment of documents): linear in
the length of all texts, and exact where MinHash would estimate. Translations share no words, so an evaluation text that
was trained on in another language is not found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from isoglot.benchmarks import RetrievalSet
from isoglot.common.arrays import FloatArray, IntArray
from isoglot.common.errors import InputError
from isoglot.common.roles import Role
from isoglot.common.text import UNSPACED, comparable
from isoglot.pairs import ParallelPairs
from isoglot.pairs.texts import ArrowTexts, HashArray

KINDS = ("equal", "near", "inside")
"""How a training text can hold an evaluation text: as a whole, nearly as a whole, or among other text."""

_RUN = 4  # words, or characters of scripts without spaces, in a run
_MIN_RUNS = 5  # different runs of an evaluation text; one with fewer can only be equal
_MIN_WORDS = 8.0  # of an evaluation text; a shorter one, such as "moreover" in Thai, is inside texts by chance
_SHARE = 0.9  # of a text's runs, from which it counts as held; less, and questions that differ in a name count
_COMMON = 100  # evaluation texts; a run that more of them have says nothing
_TEXTS_AT_A_TIME = 1 << 13
_SIEVE_BITS = 24  # a table of 16 MB tells most runs that no evaluation text has, before anything is sorted
_SIEVE_SHIFT = np.uint64(64 - _SIEVE_BITS)

_SCHEMA = pa.schema(
    (name, pa.float32() if name == "share" else pa.large_string())
    for name in (
        *("role", "kind", "share", "id", "language", "dataset", "text"),
        *("evaluation_id", "evaluation_language", "evaluation_text"),
    )
)
_PLURAL = {"query": "queries", "passage": "passages"}


@dataclass(frozen=True)
class Overlap:
    """What training pairs and an evaluation set have in common.

    Attributes:
        benchmark: the evaluation set's name.
        rows: translations that were compared.
        matches: one row per training text that holds an evaluation text, with the one it holds most of: `role`
            (`query` or `passage`), `kind` (one of `KINDS`), `share` of the evaluation text's runs of words that were
            found, 0.9 to 1; `id`, `language`, `dataset` and `text` of the training row; `evaluation_id` (for a query
            `example@language`), `evaluation_language` and `evaluation_text`.
        held: role -> how many evaluation texts were found in some training text.
        evaluated: role -> how many evaluation texts there are.
    """

    benchmark: str
    rows: int
    matches: pa.Table
    held: dict[str, int]
    evaluated: dict[str, int]

    def __len__(self) -> int:
        """Number of training texts that hold an evaluation text."""
        return int(self.matches.num_rows)

    @property
    def example_ids(self) -> list[str]:
        """Ids of the training examples that hold an evaluation text in any language, by first appearance."""
        return list(pc.unique(self.matches["id"]).to_pylist())

    def counts(self) -> list[dict[str, Any]]:
        """Training texts by data set, language, role and kind, most first."""
        by = ["dataset", "language", "role", "kind"]
        table = self.matches.group_by(by, use_threads=False).aggregate([([], "count_all")])
        rows = table.rename_columns([*by, "texts"]).to_pylist()
        return sorted(rows, key=lambda row: (-row["texts"], *(row[name] for name in by)))

    def examples(self, number: int = 3) -> list[dict[str, Any]]:
        """Matches as mappings, up to so many of each role and kind."""
        found = []
        for role in ("query", "passage"):
            for kind in KINDS:
                is_it = pc.and_(pc.equal(self.matches["role"], role), pc.equal(self.matches["kind"], kind))
                found += self.matches.filter(is_it).slice(0, number).to_pylist()
        return found

    def to_dict(self) -> dict[str, Any]:
        """Counts and examples as plain JSON values."""
        return {
            "benchmark": self.benchmark,
            "rows": self.rows,
            "examples_with_overlap": len(self.example_ids),
            "evaluation_texts_held": self.held,
            "evaluation_texts": self.evaluated,
            "counts": self.counts(),
            "examples": self.examples(),
        }

    def __str__(self) -> str:
        """Counts and examples for the terminal."""
        held = ", ".join(f"{self.held[role]:,} of {self.evaluated[role]:,} {_PLURAL[role]}" for role in self.held)
        lines = [f"{len(self.example_ids):,} training examples hold texts of {self.benchmark}: {held}"]
        for row in self.counts():
            lines.append(f"  {row['dataset']} {row['language']}: {row['texts']:,} {_PLURAL[row['role']]} {row['kind']}")
        for match in self.examples():
            lines += [
                f"{match['kind']} {match['role']}: {match['id']} ({match['language']}) {_shortened(match['text'])}",
                f"    {match['evaluation_id']} ({match['evaluation_language']}) {_shortened(match['evaluation_text'])}",
            ]
        return "\n".join(lines)


def find_overlap(pairs: ParallelPairs, retrieval_set: RetrievalSet) -> Overlap:
    """Find training queries and passages that hold queries and passages of an evaluation set.

    Queries are compared with queries and passages with passages, in all languages at once. A training text holds an
    evaluation text if the two are `equal` but for case, punctuation and spacing, or if it has at least 90 % of the
    different runs of four words of it, of which there must be five: `near` where these are 90 % of the
    training text's runs too, else `inside`. In scripts without spaces runs are of four characters. Runs that over 100
    evaluation texts share are not looked at, nor are evaluation texts under eight words, where a Chinese or Japanese
    character counts as half a word, a Thai, Lao, Burmese or Khmer one as a quarter.

    Args:
        pairs: training pairs.
        retrieval_set: what is to be evaluated on; all its passages are looked for, not only the relevant ones.
    """
    tables: list[pa.Table] = [_SCHEMA.empty_table()]
    held: dict[str, int] = {}
    evaluated: dict[str, int] = {}
    role: Role
    for role in get_args(Role):
        ids, texts, language = (getattr(retrieval_set, f"{role}_{column}") for column in ("ids", "texts", "language"))
        on_disk = isinstance(texts, ArrowTexts)
        index = _Index(texts.gather(np.arange(len(texts))) if on_disk else pa.array(texts, pa.large_string()))
        tags = [retrieval_set.languages[n] for n in language]
        numbers, seen = pairs.text_numbers(role), np.zeros(len(texts), np.bool_)
        for start in range(0, len(pairs), _TEXTS_AT_A_TIME):
            some = start + np.flatnonzero(numbers[start : start + _TEXTS_AT_A_TIME] >= 0)
            text, evaluation, kind, share, found = index.find(pairs.store.gather(numbers[some]))
            seen[found] = True
            rows = pairs.rows(some[text])
            matches = [
                (role, KINDS[k], s, row["id"], row["language"], row["dataset"], row[role], ids[n], tags[n], texts[n])
                for row, n, k, s in zip(rows, evaluation.tolist(), kind.tolist(), share.tolist(), strict=True)
            ]
            if matches:
                tables.append(pa.table(list(zip(*matches, strict=True)), schema=_SCHEMA))
        held[role], evaluated[role] = int(seen.sum()), len(texts)
    return Overlap(retrieval_set.name, len(pairs), pa.concat_tables(tables), held, evaluated)


def check_no_overlap(pairs: ParallelPairs, retrieval_set: RetrievalSet) -> None:
    """Refuse training pairs that hold texts of an evaluation set.

    Raises:
        InputError: as `refuse_overlap`.
    """
    refuse_overlap(find_overlap(pairs, retrieval_set))


def refuse_overlap(overlap: Overlap) -> None:
    """Refuse training pairs in which something was found.

    Raises:
        InputError: naming how many there are of what kind, one of them, and what to do.
    """
    if not len(overlap):
        return
    counts: dict[str, int] = {}
    for row in overlap.counts():
        name = f"{row['kind']} {_PLURAL[row['role']]}"
        counts[name] = counts.get(name, 0) + row["texts"]
    said = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    first = overlap.examples(1)[0]
    raise InputError(
        f"{len(overlap.example_ids):,} training examples hold texts of {overlap.benchmark} ({said}), such as "
        f"{first['id']} ({first['language']}) {_shortened(first['text'])}; leave them out (on_overlap: drop, or "
        "without_overlap in Python), or evaluate on something else"
    )


def without_overlap(pairs: ParallelPairs, overlap: Overlap) -> ParallelPairs:
    """The examples that hold no evaluation text; of the others all translations go.

    Raises:
        InputError: if the overlap was not found in these pairs.
    """
    places = pairs.example_ids.places(overlap.example_ids)
    if missing := [name for name in overlap.example_ids if name not in places]:
        raise InputError(f'no example "{missing[0]}" in these pairs; look for the overlap in these very pairs')
    kept = np.ones(pairs.example_count, np.bool_)
    kept[list(places.values())] = False
    return pairs.select_examples(kept)


class _Index:
    """Evaluation texts by their words as a whole and by their runs of words."""

    def __init__(self, texts: pa.Array) -> None:
        self._keys = words = _words(texts)
        self._vocabulary = pc.unique(pc.list_flatten(pc.split_pattern(words, " ")))
        text, runs, _ = _runs(words, self._vocabulary)
        order = np.lexsort((text, runs))
        text, runs = text[order], runs[order]
        _, counts = np.unique(runs, return_counts=True)
        kept = np.repeat(counts <= _COMMON, counts)
        self._text, self._runs = text[kept], runs[kept]
        self._sieve = np.zeros(1 << _SIEVE_BITS, np.bool_)
        self._sieve[self._runs >> _SIEVE_SHIFT] = True
        self._size = np.bincount(self._text, minlength=len(texts))
        self._size[(self._size < _MIN_RUNS) | (_word_count(words) < _MIN_WORDS)] = 0  # can only be equal

    def find(self, texts: pa.Array) -> tuple[IntArray, IntArray, IntArray, FloatArray, IntArray]:
        """Places of the texts that hold an evaluation text, the one that each holds most of, kinds and shares.

        All are `(matches,)`, places rising and each once. The last of the five is all evaluation texts that are held.
        """
        words = _words(texts)
        equal = pc.index_in(words, self._keys)
        whole = np.flatnonzero(equal.is_valid().to_numpy(zero_copy_only=False))
        whole_evaluation = pc.drop_null(equal).to_numpy().astype(np.int64)
        held_whole = pc.is_in(self._keys, words).to_numpy(zero_copy_only=False)
        text, evaluation, shared, lengths = self._shared(words)
        enough = (self._size[evaluation] > 0) & (shared >= _SHARE * self._size[evaluation])
        text, evaluation, shared = text[enough], evaluation[enough], shared[enough]
        is_part = shared < _SHARE * lengths[text]
        all_text = np.concatenate([whole, text])
        all_evaluation = np.concatenate([whole_evaluation, evaluation])
        kind = np.concatenate([np.zeros(len(whole), np.int64), 1 + is_part])
        share = np.concatenate([np.ones(len(whole)), shared / self._size[evaluation]])
        order = np.lexsort((all_evaluation, -share, kind, all_text))
        best = order[np.unique(all_text[order], return_index=True)[1]]
        held = np.union1d(np.flatnonzero(held_whole), evaluation)
        return all_text[best], all_evaluation[best], kind[best], share[best].astype(np.float32), held

    def _shared(self, words: pa.Array) -> tuple[IntArray, IntArray, IntArray, IntArray]:
        """Text and evaluation text of each pair with a run in common, how many; and each text's number of runs."""
        text, runs, lengths = _runs(words, self._vocabulary, self._sieve)
        low, high = (np.searchsorted(self._runs, runs, side) for side in ("left", "right"))
        counts = high - low
        nth = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        pair = np.repeat(text, counts) * len(self._size) + self._text[np.repeat(low, counts) + nth]
        pair, shared = np.unique(pair, return_counts=True)
        return pair // max(1, len(self._size)), pair % max(1, len(self._size)), shared, lengths


def _words(texts: pa.Array) -> pa.Array:
    """Texts as words with one space between, characters of scripts without spaces alone; symbols alone are kept."""
    key = comparable(texts)
    apart = pc.replace_substring_regex(key, f"([{''.join(UNSPACED)}])", r" \1 ")
    words = pc.utf8_trim_whitespace(pc.replace_substring_regex(apart, r"[\s\pP\pS\pZ]+", " "))
    return pc.if_else(pc.equal(words, ""), pc.utf8_trim_whitespace(key), words).cast(pa.large_string())


def _word_count(words: pa.Array) -> npt.NDArray[np.float64]:
    """`(texts,)`; words, of scripts without spaces estimated from their characters."""
    parts = pc.add(pc.count_substring(words, " "), 1).to_numpy()
    for signs, part in UNSPACED.items():
        parts = parts - (1 - part) * pc.count_substring_regex(words, f"[{signs}]").to_numpy()
    return np.asarray(parts, np.float64)


def _runs(
    words: pa.Array, vocabulary: pa.Array, sieve: npt.NDArray[np.bool_] | None = None
) -> tuple[IntArray, HashArray, IntArray]:
    """Different runs of each text that the sieve lets through: text, hash, `(runs,)`; and how many runs a text has.

    Two different runs have one hash by chance once in 2^64.
    """
    lists = pc.split_pattern(words, " ")
    number = pc.fill_null(pc.index_in(pc.list_flatten(lists), vocabulary), -1).to_numpy().astype(np.int64)
    lengths = pc.list_value_length(lists).to_numpy().astype(np.int64)
    text = np.repeat(np.arange(len(lengths)), lengths)
    count = max(0, len(number) - _RUN + 1)
    usable = text[:count] == text[len(text) - count :]
    mixed = np.zeros(count, np.uint64)
    for offset in range(_RUN):
        word = number[offset : offset + count]
        usable &= word >= 0
        mixed = _mixed(mixed + word.astype(np.uint64))
    if sieve is not None:
        usable &= sieve[mixed >> _SIEVE_SHIFT]
    place = np.flatnonzero(usable)
    order = place[np.lexsort((mixed[place], text[place]))]
    different = (np.diff(text[order], prepend=-1) != 0) | (np.diff(mixed[order], prepend=np.uint64(0)) != 0)
    order = order[different]
    return text[order], mixed[order], np.maximum(lengths - _RUN + 1, 0)


def _mixed(numbers: HashArray) -> HashArray:
    """The finisher of SplitMix64 (Steele, Lea, Flood 2014): spreads 64-bit numbers, one to one."""
    numbers = (numbers + np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(numbers ^ (numbers >> np.uint64(31)), np.uint64)


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return f'"{line[:77]}..."' if len(line) > 80 else f'"{line}"'
