"""What tells models apart whose weights nobody sees: the vectors of a few known texts, as a fingerprint.

A server computes a text's vector a little differently from day to day, so such fingerprints are compared with room for
that. Two of the same weights have vectors of cosine .9999 and more; an 8-bit copy of the same model is at .99 or less.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

PROBES = ("A bridge of stone", "Eine Brücke aus Stein", "石の橋", "جسر من حجر")
"""The known texts."""

_MARK = "~"  # begins the fingerprints that are compared with room
_NUMBERS = 6  # kept of each text's vector, a byte each
_STEP = 0.05  # between two bytes, where a number is one of a standard normal distribution
_ROOM = 2  # bytes may differ by so much


def probe_fingerprint(model: str, vectors: npt.NDArray[np.float32]) -> str:
    """A fingerprint of what a model makes of `PROBES`.

    Args:
        model: its name; models of different names are never the same.
        vectors: `(PROBES, dimensions)`, none of them zero.

    >>> a = probe_fingerprint("m", np.eye(4, 64, dtype="f") + np.float32(0.01))
    >>> b = probe_fingerprint("m", np.eye(4, 64, dtype="f") + np.float32(0.0101))
    >>> same_weights(a, b), same_weights(a, probe_fingerprint("m", np.eye(4, 64, 9, dtype="f")))
    (True, False)
    """
    bits = hashlib.shake_256(b"isoglot").digest(_NUMBERS * vectors.shape[1] // 8 + 1)
    signs = np.unpackbits(np.frombuffer(bits, np.uint8))[: _NUMBERS * vectors.shape[1]].reshape(_NUMBERS, -1) * 2.0 - 1
    unit = vectors / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    numbers = np.clip(np.rint(unit @ signs.T / _STEP) + 128, 0, 255).astype(np.uint8)
    name = hashlib.sha256(f"{model} {vectors.shape[1]}".encode()).hexdigest()[:16]
    return f"{_MARK}{numbers.tobytes().hex()}{name}"


def same_weights(one: str, other: str) -> bool:
    """Whether two fingerprints are of the same weights; those of `probe_fingerprint` may differ a little."""
    if not (one[:1] == other[:1] == _MARK and one[-16:] == other[-16:] and len(one) == len(other)):
        return one == other
    a, b = (np.frombuffer(bytes.fromhex(each[1:-16]), np.uint8).astype(np.int16) for each in (one, other))
    return int(np.abs(a - b).max()) <= _ROOM
