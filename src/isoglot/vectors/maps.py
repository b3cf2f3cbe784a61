"""Maps of vectors as files: a small `.npz` that numpy alone reads and applies.

    kept = np.load("map.npz")                                        # lir, linear-lir, leace
    mapped = vectors @ kept["weight"].T + kept["bias"]
    mapped /= np.linalg.norm(mapped, axis=1, keepdims=True)          # if kept["normalise"]

The maps of `means` and `shift` only add a bias, one per language; the language `*` is any other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from isoglot.common.atomic import write_whole
from isoglot.common.errors import InputError
from isoglot.common.languages import LanguageCodes
from isoglot.common.paths import expanded_path
from isoglot.vectors.provenance import UNKNOWN, Provenance
from isoglot.vectors.remedies import AffineMap, Remedy, Vectors, lengths_of

FloatArray = npt.NDArray[np.float32]

ANY = "*"
"""The language of rows in no language that a map knows."""
_ARRAYS = ("weight", "bias", "languages", "normalise", "remedy", "record")


@dataclass(frozen=True, eq=False)
class VectorMap:
    """A fitted remedy that is applied to vectors.

    Attributes:
        remedy: which; `shift` is for passages only, the others are for both sides.
        weight: `(dimensions, dimensions)`; None for a map that only adds.
        bias: `(dimensions,)`, or `(languages, dimensions)` where there are languages.
        languages: the languages that the rows of the bias are for, `*` for any other; none where none is needed.
        normalise: whether mapped vectors get unit length.
        provenance: of the vectors that it was fitted on.
        figures: rows it was fitted on by language, and what it did to them.
    """

    remedy: Remedy
    weight: FloatArray | None
    bias: FloatArray
    languages: tuple[str, ...]
    normalise: bool
    provenance: Provenance = UNKNOWN
    figures: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        remedy: Remedy,
        fitted: AffineMap | Mapping[str, AffineMap],
        *,
        normalise: bool,
        provenance: Provenance = UNKNOWN,
        figures: Mapping[str, Any] | None = None,
    ) -> VectorMap:
        """From what `fit_lir` and its like return; by language it must have one for `*`."""
        rest = {"normalise": normalise, "provenance": provenance, "figures": figures or {}}
        if isinstance(fitted, AffineMap):
            return cls(remedy, fitted.weight.astype(np.float32), fitted.bias.astype(np.float32), (), **rest)  # type: ignore[arg-type]
        bias = np.stack([mapping.bias for mapping in fitted.values()]).astype(np.float32)
        return cls(remedy, None, bias, tuple(fitted), **rest)  # type: ignore[arg-type]

    @property
    def dimensions(self) -> int:
        """Of the vectors that it takes and gives."""
        return int(self.bias.shape[-1])

    @property
    def sides(self) -> str:
        """`both`, or `passages` where queries stay as they are."""
        return "passages" if self.remedy == "shift" else "both"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that changes a vector."""
        digest = hashlib.sha256(repr((self.remedy, self.languages, self.normalise, self.bias.shape)).encode())
        for array in (self.weight, self.bias):
            if array is not None:
                digest.update(np.ascontiguousarray(array, "<f4").tobytes())
        return digest.hexdigest()

    def apply(self, vectors: Vectors, languages: npt.ArrayLike | None = None) -> Vectors:
        """Map vectors, `(rows, dimensions)`, in float32, or in float64 where they are.

        Args:
            vectors: of float16 to float64.
            languages: `(rows,)`; the code of each row's language, where the map has languages.

        Raises:
            InputError: if the dimensions differ, or languages are needed and not given for each row.

        >>> shift = VectorMap("shift", None, np.array([[1, 0], [0, 0]], np.float32), ("de", "*"), False)
        >>> shift.apply(np.array([[1.0, 2.0], [1.0, 2.0]]), ["deu", "fi"]).tolist()
        [[2.0, 2.0], [1.0, 2.0]]
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.dimensions:
            raise InputError(f"vectors {vectors.shape}: the map takes (rows, {self.dimensions})")
        if not self.languages:
            return self.apply_by_number(vectors, None)
        if languages is None:
            raise InputError(f"the map of {self.remedy} needs the language of each row")
        codes, number = np.unique(np.asarray(languages, str), return_inverse=True)
        if number.shape != (len(vectors),):
            raise InputError(f"languages {number.shape} of vectors {vectors.shape}: give one for each row")
        return self.apply_by_number(vectors, self.places(LanguageCodes.of(codes.tolist()).tags.values())[number])

    def places(self, tags: Iterable[str | None]) -> npt.NDArray[np.int64]:
        """Where languages stand in `languages`, or their plain tags, or that of any other language."""
        known = {tag: n for n, tag in enumerate(self.languages)}
        names = ((tag or ANY, (tag or ANY).partition("-")[0], ANY) for tag in tags)
        return np.array([next((known[name] for name in some if name in known), 0) for some in names], np.int64)

    def apply_by_number(self, vectors: Vectors, language: npt.NDArray[np.int64] | None) -> Vectors:
        """As `apply`, with the place in `languages` of each row's language."""
        wide = vectors.astype(np.float64 if vectors.dtype == np.float64 else np.float32, copy=False)
        mapped = wide @ self.weight.T if self.weight is not None else wide.copy()
        mapped += self.bias if language is None else self.bias[language]
        if self.normalise:
            lengths = lengths_of(mapped)[:, None].astype(mapped.dtype)
            mapped /= np.maximum(lengths, np.finfo(mapped.dtype).tiny)
        return cast(Vectors, mapped)

    def save(self, path: str | Path) -> None:
        """Write the map as `.npz`, whole or not at all."""
        record = {"provenance": self.provenance.as_dict(), "figures": dict(self.figures)}
        arrays: dict[str, Any] = {
            "bias": self.bias,
            "languages": np.array(self.languages, str),
            "normalise": np.array(self.normalise),
            "remedy": np.array(self.remedy),
            "record": np.array(json.dumps(record)),
        }
        if self.weight is not None:
            arrays["weight"] = self.weight
        with write_whole(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)


def load_map(path: str | Path) -> VectorMap:
    """Read a map that `VectorMap.save` wrote.

    Raises:
        InputError: if the file is not there or none.
    """
    path = expanded_path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; name the map.npz that isoglot debias wrote")
    try:
        with np.load(path, allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in kept.files}
        record = json.loads(str(arrays["record"]))
        weight, bias, languages, normalise, remedy, _ = (arrays.get(name) for name in _ARRAYS)
        known = tuple(str(tag) for tag in cast(Any, languages))
        return VectorMap(
            cast(Remedy, str(remedy)),
            weight,
            cast(FloatArray, bias),
            known,
            bool(normalise),
            Provenance.of(record["provenance"]),
            record["figures"],
        )
    except (KeyError, ValueError, OSError, EOFError, BadZipFile, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a map that isoglot wrote ({str(error).splitlines()[0]})") from None
