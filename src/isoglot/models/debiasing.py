"""Free remedies for language bias: closed-form maps fitted on any multilingual text, no training.

Most of what sets languages apart is linear: their mean vectors differ, along few directions. A remedy takes that out,
as ordinary modules at the end of a model: `lir` and `linear-lir` (arXiv 2109.04727) and `leace` (arXiv 2306.03819),
which need no language in use, `means`, which does, and `shift` (arXiv 2606.18801), which needs that of passages only.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Router

from isoglot.benchmarks import RetrievalSet
from isoglot.common.errors import InputError, TextsError
from isoglot.common.languages import normalize_language
from isoglot.common.progress import progress
from isoglot.common.roles import Role
from isoglot.models.embed import embed
from isoglot.models.encoders import ANY_ROUTE, rebuilt
from isoglot.models.limits import with_limit
from isoglot.pairs import ParallelPairs
from isoglot.runtime.store import EmbeddingStore
from isoglot.vectors.remedies import (
    DEFAULT_DIRECTIONS,
    DEFAULT_REMEDY,
    AffineMap,
    Remedy,
    check_remedy,
    fit_leace,
    fit_linear_lir,
    fit_lir,
    fit_means,
    fit_shift,
)

IntArray = npt.NDArray[np.int64]

DEFAULT_EXAMPLES = 60
"""Examples that means are taken over, and the time that it takes; docs/experiments.md shows how little more adds."""
_MARK = "isoglot_remedy_"  # begins the names, which saving keeps, of the modules that `debias` adds


def debias(
    model: SentenceTransformer,
    pairs: ParallelPairs,
    *,
    remedy: Remedy = DEFAULT_REMEDY,
    directions: int = DEFAULT_DIRECTIONS,
    strength: float = 1.0,
    examples: int = DEFAULT_EXAMPLES,
    source_language: str = "en",
    max_tokens: int | None = None,
    seed: int = 0,
    store: EmbeddingStore | None = None,
    bf16: bool = False,
) -> SentenceTransformer:
    """Return the model with a free remedy behind it.

    The text need not be parallel, only multilingual; parallel text is better, as its languages differ in nothing
    else. Fit on text like that to be searched, never on an evaluation set.

    Args:
        model: any sentence-transformers model.
        pairs: the text; queries and passages are both used, each in its role.
        remedy: which.
        directions: for `lir` and `linear-lir`, how many to remove.
        strength: how much of what the remedy takes out is taken out, above 0 to 1; with less than all, a document in
            the asker's own language is found more often.
        examples: examples per language that means are taken over, drawn with `seed`, the same in every language as far
            as it has them. Nearly all the time goes into encoding them.
        source_language: for `shift`, the language that passages are moved to.
        max_tokens: the text is cut there, where the model would read more; the model keeps its own limit.
        seed: of that draw.
        store: where vectors are kept.
        bf16: encode in bfloat16.

    Returns:
        A new model that shares the given one's modules and ends in the remedy, and in a normalisation where it is
        scored by cosines or its vectors are of unit length. With `means` and, for passages, `shift`, `encode(texts,
        task="de")` names the language; without it, `means` subtracts the mean over languages and `shift` nothing.

    Raises:
        InputError: if the text is of one language, the remedy unknown or not for this model, or examples or strength
            out of their range.
    """
    check_remedy(remedy, strength)
    source_language = normalize_language(source_language)
    if examples < 1:
        raise InputError(f"examples {examples}: at least 1 per language is needed")
    if len(pairs.languages) < 2:
        raise InputError(f"debias needs text in two languages or more; this is all {', '.join(pairs.languages)}")
    if remedy in ("means", "shift") and any(isinstance(module, Router) for module in split_remedy(model)[0].values()):
        raise InputError(f"{remedy} sends texts by language, and this model by role already; use linear-lir or leace")
    # The same examples in every language, as far as it has them: so languages differ in nothing but themselves.
    order = np.argsort(np.random.default_rng(seed).permutation(pairs.example_count)[pairs.example], kind="stable")
    if remedy == "shift":
        found = _shared_rows(pairs, order, examples, source_language)
        asked = found[:0]
    else:
        found = _first_of_each(pairs, order, examples)
        asked = found[pairs.has_query[found]]
    sides: list[tuple[Role, IntArray]] = [("query", asked), ("passage", found)]
    rows = np.concatenate([asked, found])
    with progress("Encoding text for the remedy", len(rows)) as advance:
        reader = model if max_tokens is None else with_limit(model, max_tokens)
        encode = partial(embed, reader, store=store, bf16=bf16, on_progress=advance)
        vectors = np.concatenate([_encoded(encode, pairs, role, some) for role, some in sides if len(some)])
    languages = np.array(pairs.languages)[pairs.language[rows]]
    head = partial(_with_head, model, vectors, strength)
    if remedy in ("lir", "linear-lir"):
        groups = np.char.add(languages, np.repeat(["/query", "/passage"], [len(asked), len(found)]))
        fit = fit_lir if remedy == "lir" else fit_linear_lir
        return head(fit(vectors, groups, directions))
    if remedy == "leace":
        return head(fit_leace(vectors, languages))
    if remedy == "means":
        maps = fit_means(vectors, languages)
        bias = np.mean([mapping.bias for mapping in maps.values()], axis=0)
        return head({**maps, ANY_ROUTE: AffineMap(np.eye(len(bias)), bias)})
    maps = fit_shift(vectors, languages, pairs.example[rows], source_language)
    unchanged = maps[source_language]
    return head({**maps, "query": unchanged, ANY_ROUTE: unchanged})


def passages_of(data: RetrievalSet) -> ParallelPairs:
    """A benchmark's own passages as text to fit on, which shows what a remedy could reach with text just like it.

    Not for figures to be compared with others: the passages are those that are searched. Translations are known by the
    example that they answer, of whose passages in one language the first is taken; blank ones are left out.
    """
    judged = zip(data.judgement_passage.tolist(), data.judgement_query.tolist(), strict=True)
    example = {passage: data.query_example[query] for passage, query in reversed([*judged])}  # the first one counts
    rows: dict[tuple[str, str], dict[str, str | None]] = {}
    for passage, text in enumerate(data.passage_texts):
        key = example.get(passage, f"passage {data.passage_ids[passage]}")
        language = data.languages[data.passage_language[passage]]
        if text.strip():
            rows.setdefault((key, language), {"id": key, "language": language, "query": None, "passage": text})
    return ParallelPairs.from_rows(rows.values(), dataset=data.name)


def without_debias(model: SentenceTransformer) -> SentenceTransformer:
    """The model without its remedy, for seeing what that adds; the model itself if it has none.

    What counts is the mark that `debias` leaves; a model saved before there was one stays whole.
    """
    own, remedy = split_remedy(model)
    return rebuilt(model, own) if remedy else model


def with_debias_of(model: SentenceTransformer, debiased: SentenceTransformer) -> SentenceTransformer:
    """The model with another's remedy behind it, for seeing what that does without the other's training.

    Raises:
        InputError: if the other model has no remedy, or one for vectors of another length.
    """
    own, remedy = split_remedy(debiased)
    if not remedy:
        raise InputError("the model has no remedy to take over; make one with debias")
    taken, given = (_dimensions(each) for each in (rebuilt(debiased, own), model))
    if taken and given and taken != given:
        raise InputError(
            f"the remedy is for vectors of {taken} numbers and the model gives {given}; take that of a model like it"
        )
    return rebuilt(model, {**dict(model.named_children()), **remedy})


def split_remedy(model: SentenceTransformer) -> tuple[dict[str, torch.nn.Module], dict[str, torch.nn.Module]]:
    """A model's own modules and those that `debias` put at its end, by name."""
    modules = dict(model.named_children())
    remedy = {name: module for name, module in modules.items() if name.startswith(_MARK)}
    return {name: module for name, module in modules.items() if name not in remedy}, remedy


def _encoded(
    encode: Callable[[list[str], Role], npt.NDArray[np.float32]], pairs: ParallelPairs, role: Role, rows: IntArray
) -> npt.NDArray[np.float32]:
    """The vectors of the rows' texts; a text that gets none is named by its id and language."""
    texts = [str(text) for text in pairs.texts(role, rows)]
    try:
        return encode(texts, role)
    except TextsError as error:
        examples, languages = pairs.example[rows].tolist(), pairs.language[rows].tolist()
        ids = (f"{pairs.example_ids[n]} ({pairs.languages[m]})" for n, m in zip(examples, languages, strict=True))
        error.name(dict(zip(texts, ids, strict=True)))
        raise


def _first_of_each(pairs: ParallelPairs, order: IntArray, count: int) -> IntArray:
    """At most `count` rows per language, the first in an order of rows; sorted."""
    language = pairs.language[order]
    return np.sort(np.concatenate([order[language == number][:count] for number in range(len(pairs.languages))]))


def _shared_rows(pairs: ParallelPairs, order: IntArray, examples: int, source_language: str) -> IntArray:
    """The first rows, in an order, of what each language shares with the source language, and their translations."""
    if source_language not in pairs.languages:
        raise InputError(f"shift moves languages to {source_language!r}; the text is in {', '.join(pairs.languages)}")
    source = np.full(pairs.example_count, -1)
    of_source = np.flatnonzero(pairs.language == pairs.languages.index(source_language))
    source[pairs.example[of_source]] = of_source
    shared = order[source[pairs.example[order]] >= 0]
    if lonely := set(range(len(pairs.languages))) - {*pairs.language[shared].tolist()}:
        lonely_language = pairs.languages[min(lonely)]
        raise InputError(f"shift needs parallel text: no example is in both {lonely_language} and {source_language}")
    chosen = _first_of_each(pairs, shared, examples)
    return np.union1d(chosen, source[pairs.example[chosen]])


def _dimensions(model: SentenceTransformer) -> int | None:
    """Of the vectors that a model's modules give, before they are cut; None where these do not say."""
    with model.truncate_embeddings(None):
        dimensions: int | None = model.get_embedding_dimension()
    return dimensions


def _dense(mapping: AffineMap, dimensions: int) -> Dense:
    """The map of the first of a model's dimensions, which are all but where the model cuts its vectors."""
    weight = np.pad(mapping.weight, ((0, 0), (0, dimensions - len(mapping.bias))))
    return Dense(
        dimensions,
        len(mapping.bias),
        bias=bool(mapping.bias.any()),
        activation_function=torch.nn.Identity(),
        init_weight=torch.tensor(weight, dtype=torch.float32),
        init_bias=torch.tensor(mapping.bias, dtype=torch.float32),
    )


def _with_head(
    model: SentenceTransformer,
    vectors: npt.NDArray[np.float32],
    strength: float,
    fitted: AffineMap | dict[str, AffineMap],
) -> SentenceTransformer:
    """The model with what was fitted on its vectors behind it, in unit length where length said nothing before."""
    dimensions = _dimensions(model) or vectors.shape[1]
    if isinstance(fitted, AffineMap):
        linear: torch.nn.Module = _dense(fitted.softened(strength), dimensions)
    else:
        routes = {name: [_dense(mapping.softened(strength), dimensions)] for name, mapping in fitted.items()}
        # A role without a route of its own, and a language without one, take that of any.
        others = {(role, None): ANY_ROUTE for role in ("query", "document") if role not in routes}
        linear = Router(routes, default_route=ANY_ROUTE, route_mappings=others)
    added = [linear]
    if model.similarity_fn_name == "cosine" or np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3):
        added.append(Normalize())
    named = {f"{_MARK}{at}": module for at, module in enumerate(added, len(model))}
    return rebuilt(model, {**dict(model.named_children()), **named})
