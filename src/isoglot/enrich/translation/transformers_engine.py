"""NLLB-200, M2M-100 and OPUS-MT models as they are on the hub, run by transformers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from isoglot.enrich.translation.seq2seq import Dialect, load_model, load_tokenizer
from isoglot.models.builtin import quiet_transformers


class TransformersEngine:
    """Translates by beam search with a sequence-to-sequence model.

    Args:
        model: a hub id or a folder.
        beam_size: hypotheses followed at once; 1 is greedy search.
        batch_tokens: source tokens translated at once, padding included.
        most_tokens: of one translation; a loop would go on, and OPUS-MT models have 512 positions.
        device: where to compute; None takes the GPU if there is one.

    Raises:
        InputError: if there is no such model, or it is none of these families.
        MissingExtraError: if its tokenizer needs a package that is not installed.
    """

    def __init__(
        self,
        model: str,
        *,
        beam_size: int = 4,
        batch_tokens: int = 2048,
        most_tokens: int = 500,
        device: str | None = None,
    ) -> None:
        self._dialect = Dialect(load_tokenizer(model), model)
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        half = {"dtype": torch.float16} if self._device.startswith("cuda") else {}
        self._network: Any = load_model(model, half).to(self._device).eval()
        self._beam_size, self._batch_tokens, self._most_tokens = beam_size, batch_tokens, most_tokens
        self.name, self.model = "transformers", model
        self.more = "give a model that has the languages, such as facebook/nllb-200-distilled-600M"

    def targets(self, source_language: str) -> list[str]:
        """What the tokenizer's language tokens say."""
        return self._dialect.targets(source_language)

    def translate(self, texts: Sequence[str], source_language: str, target_language: str) -> list[str]:
        """Translate in batches of so many tokens, the longest texts first."""
        prefix, first = self._dialect.speak(source_language, target_language)
        tokenizer = self._dialect.tokenizer
        encoded = [tokenizer.encode(prefix + text) for text in texts]
        translations = [""] * len(texts)
        for rows in batches_by_tokens([len(ids) for ids in encoded], self._batch_tokens):
            inputs = tokenizer.pad({"input_ids": [encoded[row] for row in rows]}, return_tensors="pt")
            with torch.inference_mode(), quiet_transformers():
                answers = self._network.generate(
                    input_ids=inputs["input_ids"].to(self._device),
                    attention_mask=inputs["attention_mask"].to(self._device),
                    num_beams=self._beam_size,
                    max_new_tokens=self._most_tokens,
                    **({} if first is None else {"forced_bos_token_id": tokenizer.convert_tokens_to_ids(first)}),
                )
            for row, ids in zip(rows, answers.tolist(), strict=True):
                translations[row] = tokenizer.decode(ids, skip_special_tokens=True).strip()
        return translations


def batches_by_tokens(lengths: Sequence[int], limit: int) -> Iterator[list[int]]:
    """Numbers of texts, longest first, in batches of at most `limit` tokens with padding, or of one longer text.

    >>> list(batches_by_tokens([3, 9, 2, 4], limit=8))
    [[1], [3, 0], [2]]
    """
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if batch and lengths[batch[0]] * (len(batch) + 1) > limit:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
