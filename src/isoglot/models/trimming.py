"""A model without the vocabulary that its languages do not need.

Four fifths of a small multilingual encoder are word embeddings. Trimming drops the rows and pieces that the given text
does not need, and proves by cutting and encoding it again that this text keeps its pieces and its embeddings.
docs/trimming.md says why it does, and what happens to other text.
"""

from __future__ import annotations

import copy
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Transformer
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from isoglot.common.errors import InputError
from isoglot.common.progress import progress
from isoglot.models.builtin import quiet_transformers
from isoglot.models.vocabulary import IntArray, Vocabulary, script_pattern
from isoglot.pairs import ParallelPairs

DEFAULT_SPARE = 10_000
"""Pieces kept beyond those that the text needs; docs/trimming.md shows what more or fewer of them do."""

_SAMPLE = 64  # texts whose embeddings are compared
_TOLERANCE = 1e-5  # of the largest coordinate: rounding, should shapes make the arithmetic differ
_CHUNK = 2000  # texts tokenised at a time


@dataclass(frozen=True)
class TrimReport:
    """What a trimming kept, saved and proved.

    Attributes:
        texts: distinct texts that were looked at.
        rows_before: rows of the word-embedding table.
        rows_after: rows that are left.
        rows_needed: of these, what the text, the special tokens and single characters need.
        parameters_before: parameters of the whole model.
        parameters_after: those left.
        megabytes_before: weights and tokenizer as saved, in 10^6 bytes.
        megabytes_after: those of the new model.
        compared: texts whose embeddings were compared.
        largest_difference: the largest difference of one coordinate between their old and new embeddings.
        unseen_changed: an estimate, 0 to 1, of the share of unseen texts like these that are cut into other pieces:
            what a random tenth met when the model was trimmed by the others. None for fewer than ten texts. Low
            where texts share names and phrases, as translations of one another do.
        seconds: wall-clock time.
    """

    texts: int
    rows_before: int
    rows_after: int
    rows_needed: int
    parameters_before: int
    parameters_after: int
    megabytes_before: float
    megabytes_after: float
    compared: int
    largest_difference: float
    unseen_changed: float | None
    seconds: float

    def as_dict(self) -> dict[str, int | float | None]:
        """The figures by name, for JSON."""
        return asdict(self)

    def sentences(self) -> list[str]:
        """What the figures say, one sentence each."""
        lines = [
            f"Kept {self.rows_after:,} of {self.rows_before:,} pieces; the text, special tokens and single characters "
            f"need {self.rows_needed:,}.",
            f"The model has {self.parameters_after / 1e6:.1f} instead of {self.parameters_before / 1e6:.1f} million "
            f"parameters and takes {self.megabytes_after:.0f} instead of {self.megabytes_before:.0f} MB.",
            f"All {self.texts:,} texts keep their pieces; the embeddings of {self.compared} of them differ by "
            f"{self.largest_difference:.1g} at most.",
        ]
        if self.unseen_changed is not None:
            lines.append(
                f"Of unseen texts like these about {self.unseen_changed:.0%} will be cut into other pieces; more text "
                "or more spare pieces make that fewer."
            )
        return lines


def trim(
    model: SentenceTransformer,
    texts: Iterable[str] | ParallelPairs,
    *,
    spare: int = DEFAULT_SPARE,
    keep_all_of: Iterable[str] = (),
) -> tuple[SentenceTransformer, TrimReport]:
    """Return the model with the part of its vocabulary that texts like these need.

    Kept are all pieces that the texts are cut into, alone and behind each of the model's prompts, special and added
    tokens, single characters and bytes, and for BPE what those pieces are merged from. Beyond these, `spare` pieces
    that are spelled with the texts' characters, the most frequent in the model's own training first.

    Args:
        model: a sentence-transformers model that begins with a transformer and a fast tokenizer of the kind Unigram,
            BPE or WordPiece. It is left as it is.
        texts: texts of every language that the model is to serve; of pairs, queries, passages and negatives.
        spare: pieces to keep beyond what the texts need.
        keep_all_of: languages whose scripts are kept whole, over and above the spare pieces.

    Returns:
        A copy of the model that shares nothing with it, and the report.

    Raises:
        InputError: if there is no text, the model has no vocabulary that can be trimmed, or a text would change.
    """
    start = time.perf_counter()
    if spare < 0:
        raise InputError(f"spare {spare}: 0 pieces or more can be kept beyond what the text needs")
    patterns = [script_pattern(language) for language in keep_all_of]
    distinct = _distinct(texts)
    table, tokenizer = _table_and_tokenizer(model)
    vocabulary = Vocabulary(tokenizer.backend_tokenizer, len(table.weight), table.padding_idx)
    prompts = sorted({"", *(prompt for prompt in model.prompts.values() if prompt)})
    tenth, others = distinct[: len(distinct) // 10], distinct[len(distinct) // 10 :]
    with progress("Finding the pieces in use", len(prompts) * (2 * len(distinct) + len(tenth))) as advance:
        chunks = partial(_chunks, prompts=prompts, advance=advance)
        seen_in_others = vocabulary.seen(chunks(others))
        seen = seen_in_others | vocabulary.seen(chunks(tenth))
        order = vocabulary.kept(seen_in_others, spare, patterns)
        unseen_changed = vocabulary.changed(Tokenizer.from_str(vocabulary.rebuilt(order)), order, chunks(tenth))
        order = vocabulary.kept(seen, spare, patterns)
        new_tokenizer = _trimmed_tokenizer(tokenizer, vocabulary.rebuilt(order))
        if vocabulary.changed(new_tokenizer.backend_tokenizer, order, chunks(distinct)).any():
            raise InputError(
                "this tokenizer cannot be trimmed: with these pieces only it cuts some of the texts otherwise"
            )
    trimmed = _with_rows(model, order, new_tokenizer)
    sample = distinct[:_SAMPLE]
    report = TrimReport(
        texts=len(distinct),
        rows_before=len(table.weight),
        rows_after=len(order),
        rows_needed=len(vocabulary.kept(seen, 0, [])),
        parameters_before=sum(parameter.numel() for parameter in model.parameters()),
        parameters_after=sum(parameter.numel() for parameter in trimmed.parameters()),
        megabytes_before=_megabytes(model),
        megabytes_after=_megabytes(trimmed),
        compared=len(sample),
        largest_difference=_checked_difference(model, trimmed, sample, prompts),
        unseen_changed=float(unseen_changed.mean()) if tenth else None,
        seconds=round(time.perf_counter() - start, 1),
    )
    return trimmed, report


def _distinct(texts: Iterable[str] | ParallelPairs) -> list[str]:
    """The texts in an order that has nothing to do with their languages, the same every time."""
    if isinstance(texts, ParallelPairs):
        rows = texts.rows()
        texts = (text for row in rows for text in (row["query"], row["passage"], *(row["negatives"] or ())) if text)
    elif isinstance(texts, str):
        raise InputError("texts is one string; give a list of texts")
    distinct = [text for text in dict.fromkeys(texts) if text.strip()]
    if not distinct:
        raise InputError("there is no text; give texts in every language that the model is to serve")
    return [distinct[n] for n in np.random.default_rng(0).permutation(len(distinct)).tolist()]


def _chunks(texts: Sequence[str], prompts: Sequence[str], advance: Callable[[int], None]) -> Iterator[list[str]]:
    for at in range(0, len(texts), _CHUNK):
        for prompt in prompts:
            chunk = [prompt + text for text in texts[at : at + _CHUNK]]
            yield chunk
            advance(len(chunk))


def _table_and_tokenizer(model: SentenceTransformer) -> tuple[torch.nn.Embedding, PreTrainedTokenizerBase]:
    """The word-embedding table and the tokenizer; refuses a model that lacks one, or ties more than ids to them."""
    reader = model[0]
    if not isinstance(reader, Transformer):
        raise InputError(
            f"a model that begins with {type(reader).__name__} cannot be trimmed; one that begins with Transformer can"
        )
    table, tokenizer = reader.model.get_input_embeddings(), reader.tokenizer
    if not isinstance(table, torch.nn.Embedding):
        raise InputError("the model has no plain table of word embeddings that could be trimmed")
    if tokenizer is None or not tokenizer.is_fast:
        raise InputError("the model has no fast tokenizer, which trimming needs; save it with one")
    if getattr(reader.model, "_hf_peft_config_loaded", False):
        raise InputError("the model carries an adapter, which is saved without the vocabulary; merge it first")
    output = reader.model.get_output_embeddings()
    if output is not None and output.weight is not table.weight:
        raise InputError("the model predicts tokens with a table of its own; trim its encoder only")
    return table, tokenizer


def _with_rows(
    model: SentenceTransformer, order: IntArray, new_tokenizer: PreTrainedTokenizerBase
) -> SentenceTransformer:
    """A copy of the model with the rows in `order` and the new tokenizer; the whole table is never copied."""
    table, tokenizer = _table_and_tokenizer(model)
    rows = table.weight.detach()[torch.from_numpy(order).to(table.weight.device)]
    weight = torch.nn.Parameter(rows, requires_grad=table.weight.requires_grad)
    trimmed = copy.deepcopy(model, {id(table.weight): weight, id(tokenizer): new_tokenizer})
    number: dict[int | None, int] = {old: new for new, old in enumerate(order.tolist())}
    for module in trimmed.modules():
        if isinstance(module, torch.nn.Embedding) and module.weight is weight:
            module.num_embeddings = len(order)
            module.padding_idx = number.get(module.padding_idx)
    config = trimmed[0].model.config.get_text_config()
    config.vocab_size = len(order)
    for name, value in config.to_dict().items():
        if name.endswith("_token_id") and isinstance(value, int):
            setattr(config, name, number.get(value))
    return trimmed


def _trimmed_tokenizer(tokenizer: PreTrainedTokenizerBase, description: str) -> PreTrainedTokenizerBase:
    """The tokenizer by another description, made by way of files as it will be when the model is loaded."""
    with tempfile.TemporaryDirectory() as folder, quiet_transformers():
        tokenizer.save_pretrained(folder)
        (Path(folder) / "tokenizer.json").write_text(description, encoding="utf-8")
        trimmed = type(tokenizer).from_pretrained(folder)
    trimmed.name_or_path = tokenizer.name_or_path
    return trimmed


def _megabytes(model: SentenceTransformer) -> float:
    """What the weights and the tokenizer take on disk, nearly, in 10^6 bytes."""
    tensors: dict[int, int] = {tensor.data_ptr(): tensor.nbytes for tensor in model.state_dict().values()}
    tokenizer: str = _table_and_tokenizer(model)[1].backend_tokenizer.to_str(pretty=True)
    return round((sum(tensors.values()) + len(tokenizer.encode())) / 1e6, 1)


def _checked_difference(
    model: SentenceTransformer, trimmed: SentenceTransformer, texts: Sequence[str], prompts: Sequence[str]
) -> float:
    """The largest difference between old and new embeddings; refuses one beyond rounding."""
    prompted = [prompt + text for prompt, text in zip(cycle(prompts), texts, strict=False)]
    before, after = (part.encode(prompted, convert_to_tensor=True).float() for part in (model, trimmed))
    difference: float = (before - after).abs().max().item()
    if not difference <= _TOLERANCE * float(before.abs().max()):
        raise InputError(
            f"the trimmed model's embeddings differ by {difference:.1g}: this model does more with the numbers of its "
            "pieces than to look up their embeddings, and cannot be trimmed"
        )
    return difference
