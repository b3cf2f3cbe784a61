"""Error and preference, apart: whether wrong passages stand above right ones, and which right ones stand first.

A user may want answers in the language asked in before equally right ones in others, so preferring it is no error;
putting a wrong passage before a right one is. Both are taken in the pooled setting, over ranks `(queries, relevant)`
from 1, with 0 where there is no passage; languages of the first passages are `(queries, k)`, -1 where a ranking ends.
The split is that of MLAIRE (arXiv 2605.07249) and LAMAR (arXiv 2607.22042).
"""

from __future__ import annotations

import numpy as np

from isoglot.common.arrays import BoolArray, IntArray, Values, ratio
from isoglot.evaluation.measures import in_order


def semantic_error(ranks: IntArray, query_language: IntArray, top_language: IntArray) -> dict[str, Values]:
    """Share of a query's right passages that have a wrong one above them, by the language of the first wrong one.

    With right passages at `r_1 < r_2 < ... < r_R` it is the share with `r_i > i`. The wrong passage that stands
    highest is above all of these, so the whole share is laid to its language: the query's, which is where language
    bias shows, or another. Range 0, all right ones first, to 1; lower is better. The parts are nan where more right
    passages stand first than languages are given.

    Right passages stand 1st and 4th; the one that stands 2nd, a wrong one, is in the query's language, 0:

    >>> semantic_error(np.array([[4, 1]]), np.array([0]), np.array([[1, 0, 1, 1]]))["semantic_error_same_language"]
    array([0.5])
    """
    ordered, present = in_order(ranks)
    clean = (ordered == np.arange(1, ranks.shape[1] + 1)).sum(1)
    relevant = present.sum(1)
    share = ratio(relevant - clean, relevant)
    padded = np.concatenate([top_language, np.full((len(ranks), 1), -1)], 1)
    language = padded[np.arange(len(ranks)), np.minimum(clean, top_language.shape[1])]
    same = language == query_language
    known = (language >= 0) | (clean == relevant)
    return {
        "semantic_error": share,
        "semantic_error_same_language": np.where(known, share * same, np.nan),
        "semantic_error_other_language": np.where(known, share * ~same, np.nan),
    }


def first_result(ranks: IntArray, query_language: IntArray, top_language: IntArray) -> dict[str, Values]:
    """What stands first: a right or a wrong passage, in the query's language or another (MLAIRE's four-way split).

    Four arrays `(queries,)` of 0 and 1 that sum to 1; nan where nothing is ranked.

    >>> first = first_result(np.array([[1], [2]]), np.array([0, 0]), np.array([[1], [0]]))
    >>> {name: values.tolist() for name, values in first.items() if values.any()}
    {'right_other_language@1': [1.0, 0.0], 'wrong_same_language@1': [0.0, 1.0]}
    """
    right, language = (ranks == 1).any(1), top_language[:, 0]
    same = language == query_language
    return {
        f"{content}_{where}_language@1": np.where(language >= 0, is_content & is_where, np.nan)
        for content, is_content in (("right", right), ("wrong", ~right))
        for where, is_where in (("same", same), ("other", ~same))
    }


def preference(ranks: IntArray, same_language: BoolArray) -> dict[str, Values]:
    """How often the right passages in the query's language stand above the right ones in others.

    `preference_rate` counts pairs of a right passage in the query's language and one in another, and is the share in
    which the former stands higher: 1/2 in a ranking blind to language. `language_preference_rate` is 1 where the
    first of all right passages is in the query's language, and 0 otherwise: in a ranking blind to language their
    share among the right ones, 1/m for one in each of m languages. Wrong passages do not count. Passages that a run
    does not hold tie, and a tie counts half.

    High is neither good nor bad; which is wanted is for the user to say. MLAIRE's Language Preference Rate and LAMAR's
    PreferenceRate ask the same on pools with one right passage in each language. `same_language` says of each rank
    whether the passage is in the query's language; a query without right passages on both sides gives nan.

    >>> preference(np.array([[3, 1, 9]]), np.array([[True, False, False]]))  # above the one at 9, below the one at 1
    {'preference_rate': array([0.5]), 'language_preference_rate': array([0.])}
    """
    from scipy.stats import rankdata  # type: ignore[import-untyped]

    last = np.iinfo(np.int64).max
    own, others = (ranks > 0) & same_language, (ranks > 0) & ~same_language
    among = rankdata(np.where(ranks > 0, ranks, last), axis=1)
    count, pairs = own.sum(1), own.sum(1) * others.sum(1)
    above = np.where(own, among, 0).sum(1) - count * (count + 1) / 2  # pairs with the other one above, Mann-Whitney's U
    rate = 1 - ratio(above, pairs)
    best, rival = (np.where(side, ranks, last).min(1, initial=last) for side in (own, others))
    first = np.where(pairs > 0, (best < rival) + (best == rival) / 2, np.nan)
    return {"preference_rate": rate, "language_preference_rate": first}
