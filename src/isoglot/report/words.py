"""What the figures say, in plain words."""

from __future__ import annotations

from isoglot.common.languages import language_name
from isoglot.report.systems import BIAS, Column, Systems, measure_name

DEFAULT_TITLE = "How these systems treat languages"


def in_words(systems: Systems) -> list[str]:
    """Paragraphs of a summary: what was measured, what was found, at what cost."""
    paragraphs = [_setting(systems), _found(systems)]
    if len(systems.names) > 1:
        paragraphs.append(_cost(systems))
    return [paragraph for paragraph in paragraphs if paragraph]


def best(systems: Systems) -> int:
    """The number of the system that finds most: over the pool of all languages, or in the first setting measured."""
    column = main_column(systems)
    values = [systems.cell(number, column).value for number in range(len(systems.names))]
    return max(range(len(values)), key=lambda number: values[number] if values[number] == values[number] else -1.0)


def main_column(systems: Systems) -> Column:
    """The pooled setting where it was measured, else the first that was."""
    settings = [column for column in systems.columns if not column.lower_is_better]
    pooled = [column for column in settings if column.setting == "multilingual"]
    return (pooled or settings or [Column("multilingual", systems.measure)])[0]


def _setting(systems: Systems) -> str:
    summary = systems.results[0].summary
    names = [language_name(tag) for tag in systems.languages]
    shown = ", ".join(names) if len(names) <= 12 else f"{', '.join(names[:10])} and {len(names) - 10} more"
    count = len(systems.names)
    return (
        f"{count} {'system' if count == 1 else 'systems'} on {systems.benchmark}: {summary['queries']:,} queries and "
        f"{summary['passages']:,} passages in {len(names)} {'language' if len(names) == 1 else 'languages'} ({shown})."
    )


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
        text += {"better": ", a significant difference.", "": ".", "worse": "."}[systems.cell(chosen, column).mark]
    return " ".join([text, *_bias(systems, chosen)])


def _bias(systems: Systems, chosen: int) -> list[str]:
    distance, share = BIAS
    sentences = []
    if distance in systems.columns:
        text = f"Its parallel right answers lie {systems.cell(chosen, distance).value:,.0f} ranks apart"
        if chosen:
            text += f" instead of {systems.cell(0, distance).value:,.0f}"
        sentences.append(f"{text}.")
    if share in systems.columns:
        text = (
            f"It puts a passage of the query's own language first {systems.cell(chosen, share).value:.0%} of the time"
        )
        if chosen:
            text += f" instead of {systems.cell(0, share).value:.0%}"
        fair = systems.results[chosen].bias("fair_share@1")
        if fair == fair:
            text += f"; a ranking blind to language would do so {fair:.0%} of the time"
        sentences.append(f"{text}.")
    return sentences


def _cost(systems: Systems) -> str:
    """What the winner over the pool does within one language, which is where remedies are paid for."""
    column = Column("monolingual", systems.measure)
    chosen = best(systems)
    if column not in systems.columns or chosen == 0 or main_column(systems) == column:
        return ""
    before, after = systems.cell(0, column), systems.cell(chosen, column)
    text = (
        f"Within one language {systems.names[chosen]} reaches {column.write(after.value)}, "
        f"{systems.names[0]} {column.write(before.value)}"
    )
    if systems.comparison is None:
        return f"{text}."
    return (
        text
        + {
            "better": ": it gained there too.",
            "worse": ": that is the price, and it is significant.",
            "": ": no significant difference.",
        }[after.mark]
    )
