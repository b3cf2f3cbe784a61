"""Where vectors come from: what must be equal for two vectors to be comparable, kept in a manifest beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from isoglot.common.atomic import write_json
from isoglot.common.errors import InputError
from isoglot.vectors.probes import same_weights

MANIFEST = "manifest.json"
SCHEMA = 1


@dataclass(frozen=True)
class Provenance:
    """How vectors were made; None is not known, as of bare vectors.

    Attributes:
        model: its name, for people; never compared.
        fingerprint: of its weights, as `isoglot.fingerprint` takes it, or as `isoglot.vectors.probes` does of a model
            behind an API; path and dimensions tell no model from another.
        prompt: what was put before the texts.
        role: `query` or `passage`.
        max_tokens: where longer texts were cut.
        similarity: how a query and a passage are scored: cosine, dot, euclidean or manhattan.
        normalised: whether vectors are of unit length.
        map: the fingerprint of the map that was applied to them; None of a bare vector, and where none was.
        map_sides: `both`, or `passages` for a map that leaves queries as they are.
        arithmetic: the type of numbers it was computed in, such as float32; what differs in that can be compared.
    """

    model: str | None = None
    fingerprint: str | None = None
    prompt: str | None = None
    role: str | None = None
    max_tokens: int | None = None
    similarity: str | None = None
    normalised: bool | None = None
    map: str | None = None
    map_sides: str | None = None
    arithmetic: str | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Provenance:
        """From what JSON holds; what this version does not know is left out."""
        return cls(**{field.name: values.get(field.name) for field in fields(cls)})

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def unlike(self, other: Provenance) -> list[str]:
        """What differs, but for the names; vectors that do not differ can stand in one file.

        >>> Provenance(model="a", prompt="query: ").unlike(Provenance(model="b", role="query"))
        ['prompt', 'role']
        """
        one, two = self.as_dict(), other.as_dict()
        same = {"model"}
        if self.fingerprint and other.fingerprint and same_weights(self.fingerprint, other.fingerprint):
            same.add("fingerprint")
        return [name for name in one if name not in same and one[name] != two[name]]


UNKNOWN = Provenance()
"""What is known of bare vectors."""


def refuse_mixing(one: Provenance, other: Provenance, names: tuple[str, str]) -> None:
    """Refuse passages and queries, in this order, that cannot be compared; what is not known passes.

    Raises:
        InputError: if weights, similarity or the map applied differ.
    """
    for what, a, b in (
        ("weights", one.fingerprint, other.fingerprint),
        ("similarity", one.similarity, other.similarity),
    ):
        if a is not None and b is not None and not same_weights(a, b):
            raise InputError(
                f"{names[0]} and {names[1]}: made with different {what} ({a:.12} and {b:.12}); encode one of them anew"
            )
    mapped = one.map if one.map_sides != "passages" else None  # queries stay as they are
    if mapped != other.map:
        a, b = (f"the map {each:.12}" if each else "no map" for each in (mapped, other.map))
        raise InputError(
            f"{names[0]} and {names[1]}: one side has {a} applied, the other {b}; apply one map to both with "
            "isoglot debias --apply MAP --vectors FILE --out DIR"
        )


def write_manifest(folder: Path, provenance: Provenance, **more: Any) -> None:
    """Say beside vectors where they come from."""
    write_json(folder / MANIFEST, {"schema": SCHEMA, "provenance": provenance.as_dict(), **more})


def read_manifest(path: Path) -> dict[str, Any] | None:
    """What the manifest in a folder, or beside a file that it names, says; None where there is none.

    Raises:
        InputError: if it cannot be read or is of another schema.
    """
    manifest = (path if path.is_dir() else path.parent) / MANIFEST
    if not manifest.is_file():
        return None
    try:
        found = json.loads(manifest.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{manifest}: not readable ({error}); make the vectors again") from None
    if not isinstance(found, dict) or "schema" not in found or not isinstance(found.get("provenance"), dict):
        return None  # somebody else's
    if found.get("schema") != SCHEMA:
        raise InputError(f"{manifest}: of schema {found.get('schema')!r}; this version reads schema {SCHEMA}")
    return found if path.is_dir() or path.name in found.get("files", {}) else None
