"""What the figures say, in plain words: a comparison in sentences, and the summary of several systems."""

from __future__ import annotations

from collections.abc import Sequence

from isoglot.common.languages import language_name
from isoglot.evaluation.results import leaning_of
from isoglot.report.systems import Column, Systems, column_of, measure_name
from isoglot.report.tables import overall, p_value
from isoglot.statistics.comparison import BIAS, NOT_SHOWN, Comparison, Contrast


def sentences(comparison: Comparison) -> list[str]:
    """All contrasts in words: one line for each setting, one for all its query languages."""
    lines = [said(contrast, note=_family(comparison, contrast)) for contrast in overall(comparison)]
    return lines + [_languages_sentence(comparison, some) for some in _by_language(comparison)]


def language_findings(comparison: Comparison) -> list[str]:
    """The sentences about query languages that name at least one with a difference."""
    found = (some for some in _by_language(comparison) if any(each.verdict != NOT_SHOWN for each in some))
    return [_languages_sentence(comparison, contrasts) for contrasts in found]


def said(contrast: Contrast, where: str = "", note: str = "") -> str:
    """A contrast as a clause, a difference only where the verdict has one; on a benchmark, with a note if given."""
    figures = ", ".join(part for part in (change(contrast), note) if part)
    what = f"{column_of(contrast).compared}{f' on {where}' if where else ''} ({figures})"
    if contrast.verdict == NOT_SHOWN:
        return f"{NOT_SHOWN} between {contrast.system} and {contrast.baseline} in {what}"
    return f"{contrast.system} is {contrast.verdict} than {contrast.baseline} in {what}"


def change(contrast: Contrast) -> str:
    """A difference with its interval and corrected p-value."""
    p = p_value(contrast.p_corrected)
    return f"{gain(contrast)}, p {p if p.startswith('<') else f'= {p}'}"


def gain(contrast: Contrast) -> str:
    """A difference with its interval."""
    column = column_of(contrast)
    return f"{column.write(contrast.difference, '+')} {column.write_interval((contrast.low, contrast.high), '+')}"


def in_words(systems: Systems) -> list[str]:
    """Paragraphs of a summary: what was measured, what was found, at what cost."""
    paragraphs = [_setting(systems), _found(systems)]
    if len(systems.names) > 1:
        paragraphs.append(_cost(systems))
    return [paragraph for paragraph in paragraphs if paragraph]


def best(systems: Systems) -> int:
    """The number of the system that finds most: over the pool of all languages, or in the first setting measured."""
    values = [systems.cell(number, main_column(systems)).value for number in range(len(systems.names))]
    return max(range(len(values)), key=lambda number: values[number] if values[number] == values[number] else -1.0)


def main_column(systems: Systems) -> Column:
    """The pooled setting where it was measured, else the first that was."""
    settings = [column for column in systems.columns if not column.is_bias]
    pooled = [column for column in settings if column.setting == "multilingual"]
    return (pooled or settings or [Column("multilingual", systems.measure)])[0]


def _by_language(comparison: Comparison) -> list[list[Contrast]]:
    groups: dict[tuple[str, Column], list[Contrast]] = {}
    for contrast in comparison.contrasts:
        if contrast.language is not None:
            groups.setdefault((contrast.system, column_of(contrast)), []).append(contrast)
    return list(groups.values())


def _languages_sentence(comparison: Comparison, contrasts: Sequence[Contrast]) -> str:
    first = contrasts[0]
    tags: dict[str, list[str]] = {}
    for one in contrasts:
        tags.setdefault(one.verdict, []).append(str(one.language))
    rest = len(tags.pop(NOT_SHOWN, ()))
    verdicts = [f"{verdict} in {', '.join(tags[verdict])}" for verdict in sorted(tags)]
    if rest:
        verdicts.append(f"{NOT_SHOWN} in {rest} of {len(contrasts)}")
    about = f"{first.system} against {first.baseline} in {column_of(first).compared}"
    return f"{about} by query language: {'; '.join(verdicts)} ({_family(comparison, first)})"


def _family(comparison: Comparison, contrast: Contrast) -> str:
    alike = (contrast.measure, contrast.language is None)
    size = sum((other.measure, other.language is None) == alike for other in comparison.contrasts)
    return f"corrected over {_counted(size, 'test')}"


def _setting(systems: Systems) -> str:
    summary = systems.results[0].summary
    names = [language_name(tag) for tag in systems.languages]
    shown = ", ".join(names) if len(names) <= 12 else f"{', '.join(names[:10])} and {len(names) - 10} more"
    sizes = f"{summary['queries']:,} queries and {summary['passages']:,} passages"
    counted = _counted(len(systems.names), "system"), _counted(len(names), "language")
    return f"{counted[0]} on {systems.benchmark}: {sizes} in {counted[1]} ({shown})."


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _found(systems: Systems) -> str:
    """The winner over the pool, and how fair it is."""
    chosen, column = best(systems), main_column(systems)
    name, first = systems.names[chosen], systems.names[0]
    value = column.write(systems.cell(chosen, column).value)
    where = "Over the pool of all languages" if column.setting == "multilingual" else f"In the {column.heading} setting"
    if len(systems.names) == 1:
        text = f"{where} the {measure_name(column.measure)} is {value}."
    elif chosen == 0:
        text = f"{where} {name}, the first system, finds most: {measure_name(column.measure)} {value}."
    else:
        before = column.write(systems.cell(0, column).value)
        text = f"{where} {name} finds most: {measure_name(column.measure)} {value} against {before} of {first}"
        text += {"better": ", a significant difference.", "": ".", "worse": "."}[systems.cell(chosen, column).verdict]
    return " ".join([text, *_bias(systems, chosen)])


def _bias(systems: Systems, chosen: int) -> list[str]:
    """How far parallel answers lie apart, and how far and which way the system leans by the query's language."""
    distance, share = (Column("multilingual", measure) for measure in BIAS)
    lines = []
    if distance in systems.columns:
        instead = f" instead of {systems.cell(0, distance).value:,.0f}" if chosen else ""
        apart = f"{systems.cell(chosen, distance).value:,.0f} ranks apart"
        lines.append(f"Its parallel right answers lie {apart}{instead}.")
    if share in systems.columns:
        own, before = systems.cell(chosen, share).value, systems.cell(0, share).value
        instead = f" instead of {before:.0%}" if chosen else ""
        text = f"It puts a passage of the query's own language first {own:.0%} of the time{instead}"
        first, now = (leaning_of(systems.results[number].summary) for number in (0, chosen))
        if now and first:
            fair = systems.results[chosen].bias("fair_share@1")
            against = f", where {systems.names[0]} is {first}" if chosen else ""
            text += f"; a ranking blind to language would do so {fair:.0%} of the time: it is {now}{against}"
        lines.append(f"{text}.")
    return lines


def _cost(systems: Systems) -> str:
    """What the winner over the pool does within one language, which is where remedies are paid for."""
    column = Column("monolingual", systems.measure)
    chosen = best(systems)
    if column not in systems.columns or chosen == 0 or main_column(systems) == column:
        return ""
    before, after = systems.cell(0, column), systems.cell(chosen, column)
    first, best_one = f"{systems.names[0]} {before.text}", f"{systems.names[chosen]} reaches {after.text}"
    worth = {
        "better": ": it gained there too",
        "worse": ": that is the price, and it is significant",
        "": ": no significant difference" if systems.comparison else "",
    }
    return f"Within one language {best_one}, {first}{worth[after.verdict]}."
