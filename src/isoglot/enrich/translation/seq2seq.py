"""How translation models of the transformers family are told their languages.

NLLB-200 and M2M-100 begin the source with a token for its language and the translation with one for the target's.
OPUS-MT models for one pair take nothing, those for many targets a token such as `>>deu<<` in front of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from isoglot.common.errors import InputError, MissingExtraError
from isoglot.common.paths import expanded_path
from isoglot.enrich.translation.codes import by_language, closest
from isoglot.models.builtin import quiet_transformers

_NLLB_CODE = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")
_OPUS_CODE = re.compile(r">>([^<>]+)<<")


class Dialect:
    """What a model's tokenizer wants to hear.

    Attributes:
        tokenizer: the Hugging Face tokenizer.

    Raises:
        InputError: if the tokenizer is of no model of these families.
    """

    def __init__(self, tokenizer: Any, model: str) -> None:
        self.tokenizer = tokenizer
        self._model = model
        self._first_tokens: dict[str, str] = {}  # language -> first token of a translation into it
        self._prefixes: dict[str, str] = {}  # language -> what is put before a text to be translated into it
        self._sources: dict[str, str] = {}  # language -> the tokenizer's name of it
        vocabulary = {*tokenizer.get_vocab(), *tokenizer.all_special_tokens}
        if own := getattr(tokenizer, "lang_code_to_token", None):  # M2M-100
            self._sources = by_language(own)
            self._first_tokens = {tag: own[code] for tag, code in self._sources.items()}
        elif codes := sorted(filter(_NLLB_CODE.fullmatch, vocabulary)):
            self._sources = self._first_tokens = by_language(codes)
        elif hasattr(tokenizer, "supported_language_codes"):  # Marian, which OPUS-MT is
            self._read_marian(sorted(filter(_OPUS_CODE.fullmatch, vocabulary)))
        else:
            raise InputError(f"{model}: no NLLB-200, M2M-100 or OPUS-MT tokenizer; give a model of one of these")

    def _read_marian(self, tokens: Sequence[str]) -> None:
        source, target = self.tokenizer.source_lang or "", self.tokenizer.target_lang or ""
        self._sources = by_language([source])
        own = {token.strip("<>"): token for token in tokens}
        self._prefixes = {tag: f"{own[code]} " for tag, code in by_language(own).items()}
        if not self._prefixes:
            self._prefixes = dict.fromkeys(by_language([target]), "")
        if not self._prefixes:
            raise InputError(
                f'{self._model}: no target language in its tokenizer_config.json; add "source_lang" and "target_lang"'
            )

    def targets(self, source_language: str) -> list[str]:
        """Languages it translates this one into. A model of a group of sources (`ROMANCE`) is taken at its word."""
        source = closest(source_language, self._sources)
        if source is None and self._sources:
            return []
        return [tag for tag in self._first_tokens or self._prefixes if tag != source]

    def speak(self, source_language: str, target_language: str) -> tuple[str, str | None]:
        """Tell the tokenizer the source language; what goes in front of each text, and the translation's first token.

        Raises:
            InputError: if the model does not translate the one into the other.
        """
        target = closest(target_language, self.targets(source_language))
        if target is None:
            raise InputError(f"{self._model}: does not translate {source_language} to {target_language}")
        if not self._first_tokens:
            return self._prefixes[target], None
        source = closest(source_language, self._sources)
        self.tokenizer.src_lang = self._sources[source or target]
        return "", self._first_tokens[target]


def load_tokenizer(model: str) -> Any:
    """The tokenizer of a hub id or folder; no code of the model's own is run.

    Raises:
        InputError: if there is none.
        MissingExtraError: if it needs a package that is not installed.
    """
    from transformers import AutoTokenizer

    return _load(AutoTokenizer.from_pretrained, model, {})


def load_model(model: str, settings: Mapping[str, Any]) -> Any:
    """The weights, from safetensors, of a hub id or folder.

    Raises:
        InputError: if there are none.
    """
    from transformers import AutoModelForSeq2SeqLM

    return _load(AutoModelForSeq2SeqLM.from_pretrained, model, {"use_safetensors": True, **settings})


def _load(load: Callable[..., Any], model: str, settings: Mapping[str, Any]) -> Any:
    model = str(expanded_path(model))
    try:
        with quiet_transformers():
            return load(model, trust_remote_code=False, **settings)
    except ImportError as error:
        # The first line of a library's message about SentencePiece; all of it is a page.
        raise MissingExtraError(f"{model} needs an extra: pip install 'isoglot[translate]' ({_line(error)})") from None
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{model}: cannot be loaded ({_line(error)}); give a folder or a hub id of a model") from None


def _line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__
