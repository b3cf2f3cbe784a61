"""What servers of `/v1/embeddings` answer: vectors, each looked at, or the reason for a refusal."""

from __future__ import annotations

import email.utils
import json
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from isoglot.common.arrays import FloatArray

_QUOTA = re.compile(r"quota|billing|credit|balance", re.IGNORECASE)


class WrongAnswerError(ValueError):
    """An answer that is no answer to the question, as a whole.

    Args:
        what: came instead.
        no_vectors: whether it may say why.
    """

    def __init__(self, what: str, *, no_vectors: bool = False) -> None:
        super().__init__(what)
        self.no_vectors = no_vectors


@dataclass(frozen=True)
class Answer:
    """What came back for some texts.

    Attributes:
        vectors: one per text, in the order of the texts; None where a text's is no vector of finite numbers.
        tokens: that the server counted; None if it does not say.
    """

    vectors: list[FloatArray | None]
    tokens: int | None


def read_answer(content: bytes, texts: int) -> Answer:
    """Read the answer to a request of so many texts; vectors are put in order by their `index`.

    Raises:
        WrongAnswerError: if it does not hold one vector for each text; says what it holds.

    >>> read_answer(b'{"data": [{"index": 1, "embedding": [0, 1]}, {"index": 0, "embedding": [2, NaN]}]}', 2).vectors
    [None, array([0., 1.], dtype=float32)]
    """
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        raise WrongAnswerError("what came is not JSON") from None
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, list):
        raise WrongAnswerError("no vectors came", no_vectors=True)
    if len(data) != texts:
        raise WrongAnswerError(f"{len(data)} vectors came")
    places: list[Any] = [item.get("index") if isinstance(item, dict) else None for item in data]
    if not all(type(place) is int for place in places) or sorted(places) != list(range(texts)):
        raise WrongAnswerError(f"the vectors' index is not 0 to {texts - 1}, each once")
    found = dict(zip(places, data, strict=True))
    vectors = [_vector(found[place].get("embedding")) for place in range(texts)]
    lengths = {len(vector) for vector in vectors if vector is not None}
    if len(lengths) > 1:
        raise WrongAnswerError(f"vectors of {min(lengths)} and of {max(lengths)} numbers came")
    usage = answer.get("usage")
    counted = (usage.get("prompt_tokens") or usage.get("total_tokens")) if isinstance(usage, dict) else None
    return Answer(vectors, counted if type(counted) is int and counted >= 0 else None)


def _vector(values: Any) -> FloatArray | None:
    """A vector, if it is one: numbers (true, "0.5" and null are none), finite as float32, not all zero."""
    if not isinstance(values, list) or not values or not {*map(type, values)} <= {int, float}:
        return None
    try:
        with np.errstate(over="ignore"):
            vector = np.array(values, np.float64).astype(np.float32)
    except OverflowError:  # a whole number of hundreds of digits
        return None
    return vector if np.isfinite(vector).all() and vector.any() else None


def reason_of(content: bytes, key: str = "") -> str:
    r"""What a server says is wrong, in one line of at most 200 characters; nothing of a page for people.

    The key, which some servers repeat, is taken out, however JSON spells it.

    >>> reason_of(b'{"detail": [{"loc": ["body", "x"], "msg": "Extra inputs are not permitted"}]}')
    'body.x: Extra inputs are not permitted'
    >>> reason_of(b'{"detail": "no \\u001b[31mmodel \\ud800"}')
    'no [31mmodel'
    """
    text = content.decode("utf-8", "replace")
    try:
        words = _words(json.loads(text))
    except (ValueError, RecursionError):
        words = "" if text.lstrip().startswith(("<", "{", "[")) else text
    words = words.replace(key, "...") if key else words
    # What is not printable, such as half a character or a terminal's control, is not shown.
    return " ".join("".join(sign if sign.isprintable() else " " for sign in words).split())[:200]


def _words(found: Any) -> str:
    if isinstance(found, list):
        return "; ".join(map(_words, found))
    if not isinstance(found, dict):
        return "" if found is None else str(found)
    if "msg" in found:  # of FastAPI
        return f"{'.'.join(map(str, found.get('loc', ())))}: {found['msg']}"
    return next((_words(found[name]) for name in ("error", "message", "detail", "errors") if found.get(name)), "")


def quota_is_used_up(headers: Mapping[str, str], content: bytes) -> bool:
    """Whether a 429 is about money, so that waiting does not help."""
    text = content[:20_000].decode("utf-8", "replace")
    return "insufficient_quota" in text or (told_wait(headers) is None and bool(_QUOTA.search(text)))


def told_wait(headers: Mapping[str, str]) -> float | None:
    """The seconds that a server says to wait: `retry-after-ms`, or `Retry-After` in seconds or as a date.

    >>> told_wait({"retry-after": "2"}), told_wait({"retry-after-ms": "1500"}), told_wait({"retry-after": "soon"})
    (2.0, 1.5, None)
    """
    milliseconds, text = headers.get("retry-after-ms"), headers.get("retry-after", "")
    try:
        seconds = float(milliseconds) / 1000 if milliseconds else float(text)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
