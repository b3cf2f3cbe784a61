"""A comparison in sentences, one per setting, one for all query languages of a setting."""

from __future__ import annotations

from collections.abc import Sequence

from isoglot.statistics.comparison import LOWER_IS_BETTER, NOT_SHOWN, SETTINGS, Comparison, Contrast

_LABELS = {"map": "mAP", "mrr@10": "MRR@10", "ndcg@10": "nDCG@10", "rank_distance": "rank distance"}
_LABELS |= {"same_language_share@1": "same-language share at 1"}


def sentences(comparison: Comparison) -> list[str]:
    """All contrasts in words: one line for each setting, one for all its query languages."""
    lines = [_sentence(comparison, contrast) for contrast in comparison.contrasts if contrast.language is None]
    return lines + [_languages_sentence(comparison, contrasts) for contrasts in _by_language(comparison)]


def language_findings(comparison: Comparison) -> list[str]:
    """The sentences about query languages that name at least one with a difference."""
    found = (some for some in _by_language(comparison) if any(each.verdict != NOT_SHOWN for each in some))
    return [_languages_sentence(comparison, contrasts) for contrasts in found]


def _by_language(comparison: Comparison) -> list[list[Contrast]]:
    groups: dict[tuple[str, str, str], list[Contrast]] = {}
    for contrast in comparison.contrasts:
        if contrast.language is not None:
            groups.setdefault((contrast.system, contrast.setting, contrast.measure), []).append(contrast)
    return list(groups.values())


def _sentence(comparison: Comparison, contrast: Contrast) -> str:
    what = f"{SETTINGS[contrast.setting]} {_label(contrast.measure)}"
    p_value = "p < .001" if contrast.p_corrected < 0.001 else f"p = {_number(contrast.p_corrected, 'p')}"
    names = f"{contrast.system} is {contrast.verdict} than {contrast.baseline} on {what} by"
    ends = (contrast.difference, contrast.low, contrast.high)
    if contrast.verdict == NOT_SHOWN:
        names = f"{NOT_SHOWN} between {contrast.system} and {contrast.baseline} on {what}:"
    elif contrast.difference < 0:
        ends = (-contrast.difference, -contrast.high, -contrast.low)
    value, low, high = (_number(end, contrast.measure) for end in ends)
    return f"{names} {value} [{low}, {high}], {p_value} after correction ({_family(comparison, contrast)})"


def _languages_sentence(comparison: Comparison, contrasts: Sequence[Contrast]) -> str:
    first = contrasts[0]
    verdicts = []
    for verdict in ("better", "worse"):
        if tags := [str(contrast.language) for contrast in contrasts if contrast.verdict == verdict]:
            verdicts.append(f"{verdict} in {', '.join(tags)}")
    if rest := sum(contrast.verdict == NOT_SHOWN for contrast in contrasts):
        verdicts.append(f"{NOT_SHOWN} in {rest} of {len(contrasts)}")
    what = f"{SETTINGS[first.setting]} {_label(first.measure)} by query language"
    return f"{first.system} against {first.baseline} on {what}: {'; '.join(verdicts)} ({_family(comparison, first)})"


def _family(comparison: Comparison, contrast: Contrast) -> str:
    alike = (contrast.measure, contrast.language is None)
    size = sum((other.measure, other.language is None) == alike for other in comparison.contrasts)
    return f"Holm, {size} test{'s' if size > 1 else ''}"


def _label(measure: str) -> str:
    return _LABELS.get(measure, measure) + (" (lower is better)" if measure in LOWER_IS_BETTER else "")


def _number(value: float, measure: str) -> str:
    """A difference as papers print it: `.285`, or `-738.5` for ranks.

    >>> _number(-0.0123, "map"), _number(1.0, "map"), _number(-738.52, "rank_distance")
    ('-.012', '1.000', '-738.5')
    """
    if measure == "rank_distance":
        return f"{value:,.1f}"
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.3f}"
