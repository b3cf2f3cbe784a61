"""Per-query tables as matrices of examples and cells, and which of their groups can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from isoglot.common.arrays import IntArray, Values
from isoglot.common.errors import InputError
from isoglot.evaluation.results import Results

Runs = Sequence[Values]
Groups = dict[tuple[str, str | None], IntArray]
"""By setting and query language (None for all) the numbers of cells."""

SETTINGS = {
    **{"monolingual": "monolingual", "cross_lingual": "cross-lingual", "multilingual": "multilingual"},
    **{"mixed_own": "own-language", "mixed_other": "other-language"},
}
"""Settings as the tables and as sentences name them."""


@dataclass(frozen=True)
class Grid:
    """What a benchmark asks: its examples, its cells, and where the rows of a table belong.

    A cell is a setting, a query language and a corpus language, in one string. `asked` are the places of all rows in a
    matrix `(examples, cells)`, sorted.
    """

    examples: pa.Array
    cells: pa.Array
    groups: Groups
    asked: IntArray

    @classmethod
    def of(cls, results: Results, languages: bool, name: str) -> Grid:
        """The grid of a system's table, with groups by query language if wanted."""
        table = results.per_query
        examples, cells = pc.unique(table["example"]), pc.unique(_cell(table))
        named = [tuple(str(cell).split("\t")) for cell in cells.to_pylist()]
        tags = sorted({language for _, language, _ in named})
        groups = {}
        for setting in SETTINGS:
            for wanted in [None, *(tags if languages and len(tags) > 1 else [])]:
                columns = [n for n, cell in enumerate(named) if cell[0] == setting and wanted in (None, cell[1])]
                groups[setting, wanted] = np.array(columns, np.int64)
        asked = np.sort(_places(table, examples, cells))
        if (np.diff(asked) == 0).any():
            raise InputError(f"{name}: a query occurs twice in one setting; evaluate again")
        return cls(examples, cells, groups, asked)

    def queries(self) -> dict[str, int]:
        """How many examples are asked in each language, in any setting."""
        language = np.array([str(cell).split("\t")[1] for cell in self.cells.to_pylist()])
        example, cell = np.divmod(self.asked[self.asked >= 0], len(self.cells))
        return {str(tag): len(np.unique(example[language[cell] == tag])) for tag in np.unique(language)}

    def values(self, results: Results, columns: Sequence[str], name: str) -> dict[str, Values]:
        """Columns as matrices `(examples, cells)`; the queries must be the baseline's."""
        place = _places(results.per_query, self.examples, self.cells)
        if not np.array_equal(np.sort(place), self.asked):
            raise InputError(f"{name}: its queries differ from the baseline's; evaluate both on the same benchmark")
        matrices = {column: np.full((len(self.examples), len(self.cells)), np.nan) for column in columns}
        for column, matrix in matrices.items():
            matrix.flat[place] = results.per_query[column].cast(pa.float64()).to_numpy()
        return matrices

    def comparable(self, systems: Sequence[Runs], baseline: int) -> tuple[Groups, list[str], list[str]]:
        """The groups in which every system can be compared with the baseline, and names of those in which one cannot.

        Left out is a group of which a cell has values in some system but no query that another has in common with the
        baseline: its score would be of fewer languages than it says. So is one with fewer than two examples; names of
        such come last.
        """
        present = [~np.isnan(np.mean(runs, axis=0)) for runs in systems]
        measured = np.any(present, axis=(0, 1))
        both = [mine & present[baseline] for mine in present]
        groups: dict[tuple[str, str | None], IntArray] = {}
        lost, few = [], []
        for (setting, language), group in self.groups.items():
            cells = group[measured[group]]
            name = f"the {SETTINGS[setting]} setting" if language is None else language
            if not all(one[:, cells].any(0).all() for one in both):
                lost.append(name)
            elif all(one[:, cells].any(1).sum() > 1 for one in both):
                groups[setting, language] = group
            elif len(cells):
                few.append(name)
        return groups, list(dict.fromkeys(lost)), list(dict.fromkeys(few))


def _places(table: pa.Table, examples: pa.Array, cells: pa.Array) -> IntArray:
    """Where rows stand in a matrix `(examples, cells)`, -1 for nowhere."""
    example = pc.fill_null(pc.index_in(table["example"], value_set=examples), -1).to_numpy()
    cell = pc.fill_null(pc.index_in(_cell(table), value_set=cells), -1).to_numpy()
    return np.where((example < 0) | (cell < 0), -1, example.astype(np.int64) * len(cells) + cell)


def _cell(table: pa.Table) -> Any:
    corpus = pc.fill_null(table["corpus_language"].cast(pa.string()), "")
    return pc.binary_join_element_wise(table["setting"], table["query_language"], corpus, "\t").combine_chunks()
