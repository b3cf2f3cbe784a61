"""Word embeddings trained without the rows that a run never meets.

Four fifths of a small multilingual model are the word embeddings, and a run meets a few per cent of their rows. AdamW
would go through all of them at every step, and a checkpoint would keep two averages of each. Where they are trained,
the tables are therefore cut to the rows that are met. The steps are the same, but for weight decay: it leaves words
alone of which nothing is learnt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding, Transformer
from torch import nn

Table = nn.Embedding | nn.EmbeddingBag
IntArray = npt.NDArray[np.integer[Any]]


def trained_tables(model: SentenceTransformer) -> list[Table]:
    """The tables of word embeddings that a model trains; without those whose weights have other uses as well."""
    uses = [id(parameter) for _, parameter in model.named_parameters(remove_duplicate=False)]
    tables = []
    for module in model.modules():
        table = module.embedding if isinstance(module, StaticEmbedding) else None
        if isinstance(module, Transformer):
            table = module.auto_model.get_input_embeddings()
        if isinstance(table, Table) and table.weight.requires_grad and uses.count(id(table.weight)) == 1:
            tables.append(table)
    return tables


class WordRows:
    """Tables of word embeddings that hold nothing but the rows of some tokens, until they are made whole again.

    Args:
        tables: of one vocabulary; they are cut in place.
        tokens: numbers of all tokens that the model will read meanwhile, in any order.
    """

    def __init__(self, tables: Sequence[Table], tokens: IntArray) -> None:
        self._cuts = [_Cut(table, torch.from_numpy(np.unique(tokens))) for table in tables]

    def restore(self) -> None:
        """Make the tables whole, with the rows as they have become."""
        for cut in self._cuts:
            cut.restore()

    @contextmanager
    def whole(self) -> Iterator[None]:
        """The tables are whole within; what their rows are then, they are afterwards."""
        self.restore()
        try:
            yield
        finally:
            for cut in self._cuts:
                cut.make()


class _Cut:
    def __init__(self, table: Table, rows: torch.Tensor) -> None:
        self.table, self.whole, self.padding = table, table.weight, table.padding_idx
        if self.padding is not None:
            rows = torch.unique(torch.cat([rows, torch.tensor([self.padding])]))
        self.rows = rows.to(self.whole.device)
        self.part = nn.Parameter(self.whole.detach()[self.rows])
        self.number = torch.full([len(self.whole)], -1, device=self.whole.device)  # which row of the part a token has
        self.number[self.rows] = torch.arange(len(rows), device=self.whole.device)
        self.make()

    @torch.no_grad()
    def make(self) -> None:
        self.part.copy_(self.whole[self.rows])
        self.table.weight = self.part
        self.table.padding_idx = None if self.padding is None else int(self.number[self.padding])
        self.hook = self.table.register_forward_pre_hook(self._renumber)

    @torch.no_grad()
    def restore(self) -> None:
        self.hook.remove()
        self.whole[self.rows] = self.part.to(self.whole.device)
        self.whole.data = self.whole.to(self.part.device)  # where a trainer has moved the model
        self.rows, self.number = self.rows.to(self.part.device), self.number.to(self.part.device)
        self.table.weight, self.table.padding_idx = self.whole, self.padding

    def _renumber(self, _: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        tokens, *others = inputs
        self.number = self.number.to(tokens.device)
        return self.number[tokens], *others
