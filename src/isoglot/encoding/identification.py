"""Languages of texts that come without one, by py3langid (BSD; 139 languages, 5 MB, numpy alone)."""

from __future__ import annotations

from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from isoglot.common.extras import library
from isoglot.common.languages import LanguageCodes

LEAST_PROBABILITY = 0.5
"""What the likeliest language must have, or a text stays without one."""
_LETTERS = 1000  # of a text that are looked at


def identified(codes: pa.Array, texts: pa.Array) -> pa.Array:
    """The codes, and where one is missing or names no language, the language that the text seems to be in, if any.

    Args:
        codes: languages as they are written.
        texts: as many texts.

    Raises:
        MissingExtraError: if the library is not installed.
    """
    known = LanguageCodes.of(pc.unique(codes).to_pylist()).tags
    identifier = _identifier()

    def language(text: str | None) -> str | None:
        return identifier.classify(text[:_LETTERS])[0] if text else None

    pairs = zip(codes.to_pylist(), texts.to_pylist(), strict=True)
    return pa.array([code if known[code] else language(text) for code, text in pairs], pa.large_string())


@cache
def _identifier() -> Any:
    langid = library("py3langid.langid", "identify", "identifying languages")
    return langid.LanguageIdentifier.from_model_file(
        langid.MODEL_FILE, norm_probs=True, min_confidence=LEAST_PROBABILITY
    )
