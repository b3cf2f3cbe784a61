"""The vocabulary of a fast tokenizer: which of its pieces text needs, and the tokenizer with only some of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

import langcodes
import numpy as np
import numpy.typing as npt
import regex
from tokenizers import Tokenizer

from isoglot.common.errors import InputError
from isoglot.common.languages import normalize_language

IntArray = npt.NDArray[np.int64]

_SCRIPTS_OF = {"Hans": ["Hani"], "Hant": ["Hani"], "Jpan": ["Hani", "Hira", "Kana"], "Kore": ["Hang", "Hani"]}
_FIRST_PIECES = 1000  # a padding token beyond is no starting point of positions


class Vocabulary:
    """The pieces of a fast tokenizer, by their ids, and which of them are needed for what.

    Args:
        backend: the tokenizer.
        rows: rows of the embedding table, which may be more than there are pieces.
        padding: the table's row of the padding token, if it has one.

    Raises:
        InputError: if the tokenizer is of a kind that cannot be trimmed.
    """

    def __init__(self, backend: Tokenizer, rows: int, padding: int | None) -> None:
        self.backend, self.rows, self.padding = _plain(backend), rows, padding
        self.state: dict[str, Any] = json.loads(self.backend.to_str())
        self.model: dict[str, Any] = self.state["model"]
        kind = self.model["type"]
        if kind not in ("Unigram", "BPE", "WordPiece"):
            raise InputError(f"a {kind} tokenizer cannot be trimmed; Unigram, BPE and WordPiece can")
        if kind == "BPE" and (self.model["continuing_subword_prefix"] or self.model["end_of_word_suffix"]):
            raise InputError("a BPE tokenizer that marks parts of words with a prefix or suffix cannot be trimmed")
        self.pieces = dict(sorted((n, piece) for piece, n in self.backend.get_vocab(with_added_tokens=False).items()))
        self.added = {int(token["id"]) for token in self.state["added_tokens"]}
        if max([*self.pieces, *self.added]) >= rows:
            raise InputError(f"the tokenizer has more pieces than the model's {rows:,} word embeddings")

    def seen(self, chunks: Iterable[list[str]]) -> npt.NDArray[np.bool_]:
        """Whether each id is among those that the texts are cut into, `(rows,)`."""
        seen = np.zeros(self.rows, bool)
        for chunk in chunks:
            for encoding in self.backend.encode_batch_fast(chunk):
                seen[encoding.ids] = True
        return seen

    def kept(self, seen: npt.NDArray[np.bool_], spare: int, scripts: Sequence[regex.Pattern[str]]) -> IntArray:
        """The ids to keep, in the order of their new numbers: pieces first, then tokens added to them."""
        spelling = self._spelling
        kept = self._always | set(np.flatnonzero(seen).tolist())
        alphabet = {character for id_ in np.flatnonzero(seen).tolist() for character in spelling.get(id_, "")}
        # Vocabularies of all three kinds list their pieces by falling frequency, but for the first few.
        others = [id_ for id_ in self.pieces if id_ not in kept]
        in_alphabet = (id_ for id_ in others if alphabet.issuperset(spelling[id_]))
        kept.update(islice(in_alphabet, spare))
        kept.update(id_ for id_ in others for script in scripts if script.fullmatch(spelling[id_]))
        if self.model["type"] == "BPE":
            kept |= self._merged_from(kept)
        beyond = sorted(kept - self.pieces.keys())
        return np.array(sorted(kept & self.pieces.keys()) + beyond)

    def changed(self, trimmed: Tokenizer, order: IntArray, chunks: Iterable[list[str]]) -> npt.NDArray[np.bool_]:
        """Whether a tokenizer with only the pieces in `order` cuts each text into other pieces, `(texts,)`."""
        plain = _plain(trimmed)
        changed: list[bool] = []
        for chunk in chunks:
            before, after = self.backend.encode_batch_fast(chunk), plain.encode_batch_fast(chunk)
            changed += [a.ids != order[np.array(b.ids, int)].tolist() for a, b in zip(before, after, strict=True)]
        return np.array(changed, bool)

    def rebuilt(self, order: IntArray) -> str:
        """The tokenizer's description, JSON, with the pieces in `order` only, numbered anew."""
        number = {old: new for new, old in enumerate(order.tolist())}
        model, state = dict(self.model), dict(self.state)
        if model["type"] == "Unigram":
            model["vocab"] = [model["vocab"][old] for old in number if old in self.pieces]
            model["unk_id"] = number.get(model["unk_id"])
        else:
            model["vocab"] = {self.pieces[old]: new for old, new in number.items() if old in self.pieces}
        if model["type"] == "BPE":
            left = model["vocab"]
            model["merges"] = [(a, b) for a, b in model["merges"] if a in left and b in left and a + b in left]
        state["model"] = model
        state["added_tokens"] = [{**token, "id": number[token["id"]]} for token in state["added_tokens"]]
        state["post_processor"] = _renumbered(state["post_processor"], number)
        return json.dumps(state, ensure_ascii=False)

    @cached_property
    def _always(self) -> set[int]:
        """Ids that are kept whatever the text: special and added tokens, single characters and bytes."""
        prefix = self.model.get("continuing_subword_prefix") or ""
        kept = {*self.added, *self.backend.encode("").ids, *self.backend.encode("", "").ids}
        if self.padding is not None and self.padding < _FIRST_PIECES:
            # Models of RoBERTa's kind count positions from this number, so it must not move.
            kept |= self.pieces.keys() & set(range(self.padding + 1))
        kept |= {id_ for id_, piece in self.pieces.items() if len(piece.removeprefix(prefix)) == 1}
        if self.model.get("byte_fallback"):
            kept |= {id_ for id_, piece in self.pieces.items() if regex.fullmatch("<0x[0-9A-F]{2}>", piece)}
        if self.model["type"] == "Unigram":
            lowest = min(self.pieces, key=lambda id_: self.model["vocab"][id_][1])
            return kept | ({lowest, self.model["unk_id"]} - {None})
        return kept | {id_ for id_, piece in self.pieces.items() if piece == self.model["unk_token"]}

    def _merged_from(self, kept: set[int]) -> set[int]:
        """Ids of all pieces that can come up on the way from characters to the kept pieces."""
        needed = {self.pieces[id_] for id_ in kept & self.pieces.keys()}
        while missing := {part for a, b in self.model["merges"] if a + b in needed for part in (a, b)} - needed:
            needed |= missing
        return {self.model["vocab"][piece] for piece in needed}

    @cached_property
    def _spelling(self) -> dict[int, str]:
        """What each piece reads as, without the marks that a tokenizer puts to it."""
        prefix = self.model.get("continuing_subword_prefix") or ""
        read = self.backend.decode_batch([[id_] for id_ in self.pieces], skip_special_tokens=False)
        return {id_: text.removeprefix(prefix) for id_, text in zip(self.pieces, read, strict=True)}


def _renumbered(part: Any, number: dict[int, int]) -> Any:
    """A part of a post-processor with the new ids of the tokens that it adds."""
    if isinstance(part, list):
        return [_renumbered(each, number) for each in part]
    if not isinstance(part, dict):
        return part
    new = {key: _renumbered(value, number) for key, value in part.items()}
    if "ids" in part:  # of a token in a template; one that no template uses may be gone
        new["ids"] = [number.get(id_, id_) for id_ in part["ids"]]
    for side in {"sep", "cls"} & part.keys():  # BERT's and RoBERTa's processors
        new[side] = [part[side][0], number[part[side][1]]]
    return new


def script_pattern(language: str) -> regex.Pattern[str]:
    """What a piece in a language's script matches: one of its letters or more, and no letter of another."""
    script = str(langcodes.Language.get(normalize_language(language)).maximize().script)
    own = "".join(rf"\p{{Script={name}}}" for name in _SCRIPTS_OF.get(script, [script]))
    shared = r"\p{Script=Zyyy}\p{Script=Zinh}"  # digits, punctuation, combining marks
    return regex.compile(f"[{shared}]*[{own}][{own}{shared}]*")


def _plain(backend: Tokenizer) -> Tokenizer:
    """A copy that neither cuts nor pads."""
    plain = Tokenizer.from_str(backend.to_str())
    plain.no_truncation()
    plain.no_padding()
    return plain
