"""CTranslate2: NLLB-200, M2M-100 and OPUS-MT models, converted, several times as fast on a CPU as unconverted."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from isoglot.common.errors import InputError, MissingExtraError
from isoglot.common.paths import expanded_path
from isoglot.enrich.translation.seq2seq import Dialect, load_tokenizer


class CTranslate2Engine:
    """Translates with a folder that `ct2-transformers-converter` made, the model's tokenizer files among it.

    `ct2-transformers-converter --model facebook/nllb-200-distilled-600M --output_dir FOLDER --quantization int8
    --copy_files tokenizer_config.json tokenizer.json special_tokens_map.json sentencepiece.bpe.model`

    Args:
        folder: with `model.bin` and the tokenizer's files.
        tokenizer: a hub id or folder of the tokenizer, if the folder has none.
        beam_size: hypotheses followed at once; 1 is greedy search.
        batch_tokens: source tokens translated at once, padding included.
        most_tokens: of one translation; a loop would go on, and OPUS-MT models have 512 positions.
        device: `cpu`, `cuda`, or `auto`, which takes the GPU if there is one.
        compute_type: the precision; `default` is the one that the model is stored in.
        threads: of each translation on a CPU; 0 leaves the number to CTranslate2.

    Raises:
        InputError: if the folder holds no such model.
        MissingExtraError: if CTranslate2 or what the tokenizer needs is not installed.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        tokenizer: str | None = None,
        beam_size: int = 4,
        batch_tokens: int = 2048,
        most_tokens: int = 500,
        device: str = "auto",
        compute_type: str = "default",
        threads: int = 0,
    ) -> None:
        try:
            ctranslate2 = import_module("ctranslate2")
        except ImportError:
            raise MissingExtraError("ctranslate2 needs an extra: pip install 'isoglot[translate]'") from None
        path = expanded_path(folder)
        if not (path / "model.bin").is_file():
            raise InputError(f"{path}: holds no model.bin; make the folder with ct2-transformers-converter")
        self._dialect = Dialect(load_tokenizer(tokenizer or str(path)), str(path))
        try:
            self._translator: Any = ctranslate2.Translator(
                str(path), device=device, compute_type=compute_type, intra_threads=threads
            )
        except (RuntimeError, ValueError) as error:
            raise InputError(f"{path}: CTranslate2 cannot load it ({error}); convert the model again") from None
        self._beam_size, self._batch_tokens, self._most_tokens = beam_size, batch_tokens, most_tokens
        self.name, self.model = "ctranslate2", path.resolve().name
        self.more = "give a model that has the languages, such as NLLB-200"

    def targets(self, source_language: str) -> list[str]:
        """What the tokenizer's language tokens say."""
        return self._dialect.targets(source_language)

    def translate(self, texts: Sequence[str], source_language: str, target_language: str) -> list[str]:
        """Translate by beam search, in batches of so many tokens, sorted by length."""
        prefix, first = self._dialect.speak(source_language, target_language)
        tokenizer = self._dialect.tokenizer
        sources = [tokenizer.convert_ids_to_tokens(tokenizer.encode(prefix + text)) for text in texts]
        results = self._translator.translate_batch(
            sources,
            target_prefix=None if first is None else [[first]] * len(sources),
            max_batch_size=self._batch_tokens,
            batch_type="tokens",
            beam_size=self._beam_size,
            max_input_length=0,
            max_decoding_length=self._most_tokens,
        )
        hypotheses = [result.hypotheses[0][0 if first is None else 1 :] for result in results]
        ids = [tokenizer.convert_tokens_to_ids(tokens) for tokens in hypotheses]
        return [tokenizer.decode(row, skip_special_tokens=True).strip() for row in ids]
