"""Vectors of one index, and of the questions to it, come from one model and one map: all else is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from operator import eq

from isoglot.common.errors import InputError
from isoglot.search.store import Store
from isoglot.vectors.maps import VectorMap
from isoglot.vectors.probes import same_weights
from isoglot.vectors.provenance import Provenance, refuse_mixing

ASKING = ("fingerprint", "similarity")
"""What questions must share with passages."""
MAKING = (*ASKING, "prompt", "max_tokens")
"""What passages must share with passages."""
_NAMES = {
    "fingerprint": "other weights",
    "similarity": "another similarity",
    "prompt": "another prompt",
    "max_tokens": "another token limit",
}


def refuse_others(where: object, made: Provenance, given: Provenance, fields: Sequence[str]) -> None:
    """Refuse vectors that were made otherwise than those of an index; what is not known of either passes.

    Args:
        where: the index, for people.
        made: what is known of its vectors.
        given: of the others.
        fields: of `Provenance`, that must be equal.

    Raises:
        InputError: naming the index' model, the other, and what differs.
    """
    for name in fields:
        one, other = getattr(made, name), getattr(given, name)
        same = same_weights if name == "fingerprint" else eq
        if one is not None and other is not None and not same(one, other):
            models = (each.model or "an unnamed model" for each in (made, given))
            shown = (f"{each:.12}" if name == "fingerprint" else repr(each) for each in (one, other))
            own, new = (f"{model} ({value})" for model, value in zip(models, shown, strict=True))
            raise InputError(
                f"{where}: was made with {_NAMES[name]}: {own}, and this is {new}; use what it was made "
                "with, or index into a new folder"
            )


def joined(
    store: Store | None, where: object, made: Provenance, dimensions: int, mapping: VectorMap | None
) -> tuple[Provenance, VectorMap | None, bool]:
    """What vectors will be once they are in an index: their provenance, their map, and whether it is yet to be applied.

    Args:
        store: the index, if there is one.
        where: its folder, for people.
        made: of the vectors that come.
        dimensions: of these.
        mapping: the map that was named for them.

    Raises:
        InputError: if they cannot stand beside those in the index, or questions could not be mapped as they were.
    """
    if made.role == "query":
        raise InputError("these are vectors of queries; an index is made of passages")
    if store is not None:
        kept, has = store.mapping, store.state.provenance.map
        if mapping is not None and mapping.fingerprint != has:
            raise InputError(
                f"{where}: {'another map' if has else 'no map'} was applied to what is in this index; index all of it "
                "with this map into a new folder"
            )
        mapping = kept
        if dimensions != store.state.dimensions:
            raise InputError(f"{where}: holds vectors of {store.state.dimensions} numbers, and these have {dimensions}")
        refuse_others(where, store.state.provenance, made, MAKING)
    if made.map is not None and (mapping is None or mapping.fingerprint != made.map):
        raise InputError(
            f"the map {made.map:.12} was applied to these vectors; name it with --map, so that questions go through "
            "it, too"
        )
    if (made.similarity or "cosine") == "cosine":
        made = replace(made, normalised=True)
    if mapping is None:
        return made, None, False
    if mapping.dimensions != dimensions:
        raise InputError(f"the map takes vectors of {mapping.dimensions} numbers, these have {dimensions}")
    refuse_mixing(mapping.provenance, replace(made, map=None), ("the map", made.model or "these vectors"))
    return replace(made, map=mapping.fingerprint, map_sides=mapping.sides), mapping, made.map is None
