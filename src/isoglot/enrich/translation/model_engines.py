"""NLLB-200, M2M-100 and OPUS-MT models, as they are on the hub or converted for CTranslate2.

NLLB-200 and M2M-100 begin the source with a token for its language and the translation with one for the target's.
OPUS-MT models for one pair take nothing, those for many targets a token such as `>>deu<<` in front of the text.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from isoglot.common.errors import InputError, MissingExtraError
from isoglot.common.extras import library
from isoglot.common.paths import expanded_path
from isoglot.enrich.translation.codes import by_language, closest
from isoglot.models.builtin import quiet_transformers

_NLLB_CODE = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")
_OPUS_CODE = re.compile(r">>([^<>]+)<<")


class ModelEngine(ABC):
    """What the engines share: a tokenizer that is told the languages, before and behind what generates.

    Args:
        tokenizer: its hub id or folder.
        model: the name that is written beside translations.
        beam_size: hypotheses followed at once; 1 is greedy search.
        batch_tokens: source tokens translated at once, padding included.
        most_tokens: of one translation; a loop would go on, and OPUS-MT models have 512 positions.
    """

    name: str
    more = "give a model that has the languages, such as facebook/nllb-200-distilled-600M"

    def __init__(
        self, tokenizer: str, model: str, *, beam_size: int = 4, batch_tokens: int = 2048, most_tokens: int = 500
    ) -> None:
        self._beam_size, self._batch_tokens, self._most_tokens = beam_size, batch_tokens, most_tokens
        self.model, self._tokenizer = model, _load(AutoTokenizer, tokenizer)
        self._first_tokens: dict[str, str] = {}  # language -> first token of a translation into it
        self._prefixes: dict[str, str] = {}  # language -> what is put before a text to be translated into it
        self._sources: dict[str, str] = {}  # language -> the tokenizer's name of it
        vocabulary = {*self._tokenizer.get_vocab(), *self._tokenizer.all_special_tokens}
        if own := getattr(self._tokenizer, "lang_code_to_token", None):  # M2M-100
            self._sources = by_language(own)
            self._first_tokens = {tag: own[code] for tag, code in self._sources.items()}
        elif codes := sorted(filter(_NLLB_CODE.fullmatch, vocabulary)):
            self._sources = self._first_tokens = by_language(codes)
        elif hasattr(self._tokenizer, "supported_language_codes"):  # Marian, which OPUS-MT is
            self._sources = by_language([self._tokenizer.source_lang or ""])
            tokens = {token.strip("<>"): token for token in sorted(filter(_OPUS_CODE.fullmatch, vocabulary))}
            self._prefixes = {tag: f"{tokens[code]} " for tag, code in by_language(tokens).items()}
            self._prefixes = self._prefixes or dict.fromkeys(by_language([self._tokenizer.target_lang or ""]), "")
            if not self._prefixes:
                add = 'add "source_lang" and "target_lang"'
                raise InputError(f"{tokenizer}: no target language in its tokenizer_config.json; {add}")
        else:
            raise InputError(f"{tokenizer}: no NLLB-200, M2M-100 or OPUS-MT tokenizer; give a model of one of these")

    def targets(self, source_language: str) -> list[str]:
        """What the tokenizer's language tokens say. A model of a group of sources (`ROMANCE`) is taken at its word."""
        source = closest(source_language, self._sources)
        if source is None and self._sources:
            return []
        return [tag for tag in self._first_tokens or self._prefixes if tag != source]

    def translate(self, texts: Sequence[str], source_language: str, target_language: str) -> list[str]:
        """Translate by beam search, in batches of so many tokens, sorted by length."""
        target = closest(target_language, self.targets(source_language))
        if target is None:
            raise InputError(f"{self.model}: does not translate {source_language} to {target_language}")
        if self._first_tokens:
            self._tokenizer.src_lang = self._sources[closest(source_language, self._sources) or target]
        prefix, first = self._prefixes.get(target, ""), self._first_tokens.get(target)
        answers = self._generate([self._tokenizer.encode(prefix + text) for text in texts], first)
        return [self._tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in answers]

    @abstractmethod
    def _generate(self, encoded: list[list[int]], first: str | None) -> list[list[int]]:
        """Translations of tokenized texts, each begun with a token if there is one."""


class TransformersEngine(ModelEngine):
    """Translates with a sequence-to-sequence model as it is on the hub.

    Args:
        model: a hub id or a folder.
        device: where to compute; None takes the GPU if there is one.
        search: `beam_size`, `batch_tokens` and `most_tokens`, see `ModelEngine`.

    Raises:
        InputError: if there is no such model, or it is none of these families.
        MissingExtraError: if its tokenizer needs a package that is not installed.
    """

    name = "transformers"

    def __init__(self, model: str, *, device: str | None = None, **search: int) -> None:
        super().__init__(model, model, **search)
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        half = {"dtype": torch.float16} if self._device.startswith("cuda") else {}
        self._network = _load(AutoModelForSeq2SeqLM, model, use_safetensors=True, **half).to(self._device).eval()

    def _generate(self, encoded: list[list[int]], first: str | None) -> list[list[int]]:
        forced = {} if first is None else {"forced_bos_token_id": self._tokenizer.convert_tokens_to_ids(first)}
        answers: dict[int, list[int]] = {}
        for rows in batches_by_tokens([len(ids) for ids in encoded], self._batch_tokens):
            inputs = self._tokenizer.pad({"input_ids": [encoded[row] for row in rows]}, return_tensors="pt")
            ids, mask = (inputs[name].to(self._device) for name in ("input_ids", "attention_mask"))
            with torch.inference_mode(), quiet_transformers():
                found = self._network.generate(
                    input_ids=ids,
                    attention_mask=mask,
                    num_beams=self._beam_size,
                    max_new_tokens=self._most_tokens,
                    **forced,
                )
            answers |= zip(rows, found.tolist(), strict=True)
        return [answers[row] for row in range(len(encoded))]


class CTranslate2Engine(ModelEngine):
    """Translates with a converted model, several times as fast on a CPU as unconverted.

    `ct2-transformers-converter --model facebook/nllb-200-distilled-600M --output_dir FOLDER --quantization int8
    --copy_files tokenizer_config.json tokenizer.json special_tokens_map.json sentencepiece.bpe.model`

    Args:
        folder: with `model.bin` and the tokenizer's files.
        tokenizer: a hub id or folder of the tokenizer, if the folder has none.
        device: `cpu`, `cuda`, or `auto`, which takes the GPU if there is one.
        compute_type: the precision; `default` is the one that the model is stored in.
        threads: of each translation on a CPU; 0 leaves the number to CTranslate2.
        search: `beam_size`, `batch_tokens` and `most_tokens`, see `ModelEngine`.

    Raises:
        InputError: if the folder holds no such model.
        MissingExtraError: if CTranslate2 or what the tokenizer needs is not installed.
    """

    name = "ctranslate2"

    def __init__(
        self,
        folder: str | Path,
        *,
        tokenizer: str | None = None,
        device: str = "auto",
        compute_type: str = "default",
        threads: int = 0,
        **search: int,
    ) -> None:
        ctranslate2 = library("ctranslate2", "translate", "ctranslate2")
        path = expanded_path(folder)
        if not (path / "model.bin").is_file():
            raise InputError(f"{path}: holds no model.bin; make the folder with ct2-transformers-converter")
        super().__init__(tokenizer or str(path), path.resolve().name, **search)
        try:
            self._translator: Any = ctranslate2.Translator(
                str(path), device=device, compute_type=compute_type, intra_threads=threads
            )
        except (RuntimeError, ValueError) as error:
            raise InputError(f"{path}: CTranslate2 cannot load it ({error}); convert the model again") from None

    def _generate(self, encoded: list[list[int]], first: str | None) -> list[list[int]]:
        results = self._translator.translate_batch(
            [self._tokenizer.convert_ids_to_tokens(ids) for ids in encoded],
            target_prefix=None if first is None else [[first]] * len(encoded),
            batch_type="tokens",
            max_batch_size=self._batch_tokens,
            beam_size=self._beam_size,
            max_input_length=0,
            max_decoding_length=self._most_tokens,
        )
        hypotheses = [result.hypotheses[0][0 if first is None else 1 :] for result in results]
        return [self._tokenizer.convert_tokens_to_ids(tokens) for tokens in hypotheses]


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


def _load(kind: Any, model: str, **settings: Any) -> Any:
    """A tokenizer or a model, from safetensors, of a hub id or folder; no code of the model's own is run."""
    model = str(expanded_path(model))
    try:
        with quiet_transformers():
            return kind.from_pretrained(model, trust_remote_code=False, **settings)
    except ImportError as error:  # whose first line names SentencePiece; all of it is a page
        raise MissingExtraError(f"{model} needs an extra: pip install 'isoglot[translate]' ({_line(error)})") from None
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{model}: cannot be loaded ({_line(error)}); give a folder or a hub id of a model") from None


def _line(error: Exception) -> str:
    return next((line.strip()[:200] for line in str(error).splitlines() if line.strip()), type(error).__name__)
