"""The arrays that everything is counted and measured in, and what is often asked of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]


def mean_present(values: Values) -> float:
    """Mean of the values that are there; nan if none is.

    >>> mean_present(np.array([1.0, np.nan, 2.0]))
    1.5
    """
    present = values[~np.isnan(values)]
    return float(present.mean()) if len(present) else float("nan")


def ratio(part: npt.ArrayLike, whole: npt.ArrayLike, empty: float = float("nan")) -> Values:
    """`part / whole`, and the empty value where the whole is 0.

    >>> ratio([1, 0], [2, 0]).tolist()
    [0.5, nan]
    """
    divided: Values = np.divide(part, whole, out=np.full(np.shape(whole), empty), where=np.asarray(whole) > 0)
    return divided


def plain(value: float) -> float | None:
    """A figure as JSON holds it, to six places; None for nan."""
    return None if np.isnan(value) else round(float(value), 6)


def place_in_group(group: IntArray) -> IntArray:
    """Place of each number among those equal to it, from 0, in the order given.

    >>> place_in_group(np.array([7, 3, 7, 7])).tolist()
    [0, 0, 1, 2]
    """
    order = np.argsort(group, kind="stable")
    place = np.empty(len(group), np.int64)
    place[order] = np.arange(len(group)) - np.searchsorted(group[order], group[order])
    return place
