"""What the parts of a report show: plain data for the macros of `parts.html`, None where there is nothing to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from isoglot.common.languages import language_name
from isoglot.evaluation.averages import MATTERS_OF_TASTE
from isoglot.report.plots import Plot, difference_maps, language_bars, language_map, loss_plot, systems_plot
from isoglot.report.runs import LossLog
from isoglot.report.sentences import best, in_words, main_column, sentences
from isoglot.report.systems import Column, Systems, measure_name
from isoglot.report.tables import CONTRAST_HEADER, Table, contrast_row, contrasts_table, overall, systems_table
from isoglot.statistics.comparison import BIAS, LOWER_IS_BETTER

_CAPTIONS = {
    "rank_distance": "Rank distance: how far the best and the worst of the parallel right answers lie apart; less is "
    "better",
    "same_language_share@1": "How often a passage of the query's own language comes first; upright line: of a ranking "
    "blind to language; nearer to it is better, on either side",
}
_IN_THE_POOL = (
    ("semantic_error", "semantic_error", "right answers with a wrong passage above them", ".1%"),
    ("semantic_error", "semantic_error_same_language", "the highest wrong one in the query's language", ".1%"),
    ("semantic_error", "semantic_error_other_language", "the highest wrong one in another", ".1%"),
    ("first_result", "right_same_language@1", "first: right, in the query's language", ".1%"),
    ("first_result", "right_other_language@1", "first: right, in another", ".1%"),
    ("first_result", "wrong_same_language@1", "first: wrong, in the query's language", ".1%"),
    ("first_result", "wrong_other_language@1", "first: wrong, in another", ".1%"),
    ("preference", "preference_rate", "pairs of right ones with that in the query's language higher", ".1%"),
    ("preference", "language_preference_rate", "first of the right ones in the query's language", ".1%"),
    ("multilingual", "ndcg@20", "nDCG@20", ".3f"),
    *(("language_bias", f"mrc@{k}", f"MRC@{k}", ".3f") for k in (5, 10, 20)),
    ("language_bias", "tlr@20", "TLR@20", ".3f"),
    ("mixed_own", "mrr@10", "mixed corpus, right one in the query's language: MRR@10", ".3f"),
    ("mixed_other", "mrr@10", "mixed corpus, right one in another: MRR@10", ".3f"),
    ("mixed_other", "same_language_share@10", "there, first ten in the query's language", ".1%"),
    ("mixed_other", "fair_share@10", "there, of a ranking blind to language", ".1%"),
)
"""Section of `results.json`, name there, what it is and how it is written."""
_NEITHER = (*MATTERS_OF_TASTE, "same_language_share@10", "fair_share@10")  # no arrow: neither high nor low is good
_PROVENANCE = (
    *("system", "weights", "dimensions", "most tokens", "arithmetic", "query prompt", "passage prompt"),
    *("encoding", "made with"),
)


def summary(systems: Systems) -> dict[str, Any]:
    """What the figures say, and the four that matter most, large."""
    chosen = best(systems)
    wanted = [main_column(systems), Column("monolingual", systems.measure)]
    wanted += [Column("multilingual", measure) for measure in BIAS]
    who = systems.names[0] if not chosen else f"{systems.names[0]} → {systems.names[chosen]}"
    tiles = [
        {"before": systems.cell(0, column) if chosen else None, "after": systems.cell(chosen, column), "who": who}
        for column in dict.fromkeys(wanted)
        if column in systems.columns
    ]
    return {"sentences": in_words(systems), "tiles": tiles}


def figures(systems: Systems) -> dict[str, Any] | None:
    """Every system's figures, as a table and as a plot."""
    names, cells = systems.names, systems.cells
    table = systems_table(f"Systems on {systems.benchmark}", names, cells)
    described = f"Figures of each system on {systems.benchmark}, with 95 % intervals where there are any"
    plot = Plot(systems_plot(described, names, cells), "The same figures as a plot", table)
    return {
        "systems": table,
        "plot_of_it": plot if len(names) > 1 else None,
        "first": names[0] if systems.comparison else None,
        "fair": _fair_share([result.bias("fair_share@1") for result in systems.results]),
    }


def differences(systems: Systems) -> dict[str, Any] | None:
    """Differences to the first system with intervals, tests and effect sizes; None for a single system."""
    comparison = systems.comparison
    if comparison is None:
        return None
    title = f"Differences to {systems.names[0]}"
    by_language = [contrast for contrast in comparison.contrasts if contrast.language is not None]
    by_language.sort(key=lambda one: systems.languages.index(one.language or ""))
    rows = tuple((language_name(one.language or ""), *contrast_row(one)) for one in by_language)
    return {
        "differences": contrasts_table(title, overall(comparison)),
        "sentences": sentences(comparison),
        "by_language": Table(f"{title} by query language", ("query language", *CONTRAST_HEADER), rows),
    }


def languages(systems: Systems) -> dict[str, Any] | None:
    """A heat map of every system, and of its difference to the first."""
    grids = [result.summary["grid"]["values"] for result in systems.results]
    present = [value for values in grids for row in values for value in row if value is not None]
    domain = (min(present), max(present)) if len(set(present)) > 1 else (0.0, 1.0)
    measure, tags, (first, *others) = measure_name(systems.measure), systems.languages, systems.names
    maps = [
        language_map(f"{measure} of {name}", tags, values, domain)
        for name, values in zip(systems.names, grids, strict=True)
    ]
    changes = difference_maps([f"{name} minus {first}" for name in others], tags, grids)
    pairs = [plot for pair in zip(maps[1:], changes, strict=True) for plot in pair]
    return {"measure": measure, "first": maps[0], "others": pairs}


def bias(systems: Systems) -> dict[str, Any] | None:
    """Rank distance and same-language share by query language; None where neither was measured."""
    shown = [column for column in systems.columns if column.is_bias]
    if not shown:
        return None
    ring = f" Ring: the same figure of {systems.names[0]}." if len(systems.names) > 1 else ""
    plots = []
    for column in shown:
        fair = "fair_share@1" if column.measure == "same_language_share@1" else None
        bars, table = language_bars(systems, column, fair), _bias_table(systems, column, fair)
        plots.append(Plot(bars, _CAPTIONS[column.measure], table))
    return {"lead": f"Panels: systems.{ring}", "plots": plots}


def errors(systems: Systems) -> dict[str, Any] | None:
    """Errors and preference in the pool, and measures that others report; None where no system has any."""
    summaries = (result.summary for result in systems.results)
    title = f"Errors, preference and agreement over the pool of {systems.benchmark}"
    table = errors_table(title, dict(zip(systems.names, summaries, strict=True)))
    return {"tables": [table]} if table.rows else None


def errors_table(title: str, summaries: Mapping[str, Mapping[str, Any]]) -> Table:
    """The same as a table of systems, by what `results.json` holds of them; without rows where there is nothing."""
    rows = []
    for section, measure, label, form in _IN_THE_POOL:
        found = (
            {**summary, **summary["settings"], **(summary.get("mixed") or {})}.get(section) or {}
            for summary in summaries.values()
        )
        values = [figures.get(measure) for figures in found]
        if any(value is not None for value in values):
            arrow = "" if measure in _NEITHER else f" {'↓' if measure in LOWER_IS_BETTER else '↑'}"
            rows.append((f"{label}{arrow}", *("-" if value is None else format(value, form) for value in values)))
    return Table(title, ("measure", *summaries), tuple(rows))


def first_passages(systems: Systems) -> dict[str, Any] | None:
    """Languages among the first ten passages by query language; None where no system has them."""
    every = zip(systems.names, systems.results, strict=True)
    known = [(name, mix) for name, result in every if (mix := result.summary.get("language_mix"))]
    if not known:
        return None
    most = max(value for _, mix in known for row in mix["values"] for value in row)
    cutoff = known[0][1]["cutoff"]
    drawn = partial(language_map, domain=(0.0, most), found="passage language", form=".0%")
    plots = [
        drawn(f"{name}: languages of the first {cutoff}", mix["columns"], mix["values"], queries=mix["rows"])
        for name, mix in known
    ]
    return {"cutoff": cutoff, "plots_of_it": plots}


def alignment(systems: Systems) -> dict[str, Any] | None:
    """Measures of the embeddings themselves; None where no system has any."""
    every = zip(systems.names, systems.results, strict=True)
    measured = {name: result.summary.get("alignment") or {} for name, result in every}
    table = named_figures("From the vectors of parallel passages", measured)
    return {"tables": [table]} if table.rows else None


def named_figures(title: str, measured: dict[str, dict[str, float | None]]) -> Table:
    """Figures of systems by their names; without rows where there are none."""
    names = list(dict.fromkeys(name for one in measured.values() for name in one))
    rows = ((system, *(number(one.get(name)) for name in names)) for system, one in measured.items())
    return Table(title, ("system", *(name.replace("_", " ") for name in names)), tuple(rows) if names else ())


def number(value: float | None) -> str:
    """A figure of any measure: three places, one where it is 10 or more.

    >>> number(0.25), number(1234.5), number(None)
    ('0.250', '1,234.5', '-')
    """
    return "-" if value is None or value != value else f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3f}"


def training(logs: Sequence[LossLog | None]) -> dict[str, Any] | None:
    """Losses by kind of batch over the steps of each run; None where there are none."""
    known = [log for log in logs if log is not None and log.entries]
    runs = [log for number, log in enumerate(known) if log not in known[:number]]  # systems of one run share its log
    if not runs:
        return None
    rows = []
    for log in runs:
        for kind in log.kinds:
            values = [loss for _, loss in log.losses(kind)]
            tenth = max(1, len(values) // 10)
            means = (sum(part) / tenth for part in (values[:tenth], values[-tenth:]))
            rows.append((log.name, kind, f"{len(values):,}", *(f"{mean:.3f}" for mean in means)))
    header = ("run", "kind", "how many", "mean of the first tenth", "mean of the last tenth")
    caption = "Loss by kind of batch: points are batches, lines running means"
    return {"plots": [Plot(loss_plot(runs), caption, Table("Losses", header, tuple(rows)))]}


def explorer(systems: Systems) -> dict[str, Any]:
    """Questions, passages and who ranks what, each text once.

    `top` holds for each system and query triples of passage number, score and whether it is a right answer, best first;
    it is empty where the system was not asked.
    """
    queries: dict[str, dict[str, str]] = {}
    passages: dict[str, int] = {}
    texts: list[tuple[str, str]] = []
    tops: list[dict[str, list[tuple[int, int, float, bool]]]] = []
    for result in systems.results:
        top: dict[str, list[tuple[int, int, float, bool]]] = {}
        for row in result.top.to_pylist() if result.top is not None else ():
            about = {"id": row["query"], "example": row["example"], "language": row["query_language"]}
            queries.setdefault(row["query"], {**about, "text": row["query_text"]})
            place = passages.setdefault(row["passage"], len(texts))
            if place == len(texts):
                texts.append((row["passage_language"], row["passage_text"]))
            top.setdefault(row["query"], []).append((row["rank"], place, round(row["score"], 4), bool(row["relevant"])))
        tops.append(top)
    tags = sorted({language for language, _ in texts} | {query["language"] for query in queries.values()})
    return {
        "systems": list(systems.names),
        "languages": {tag: language_name(tag) for tag in tags},
        "queries": list(queries.values()),
        "passages": texts,
        "top": [[[entry[1:] for entry in sorted(top.get(query, ()))] for query in queries] for top in tops],
    }


def provenance(systems: Systems) -> dict[str, Any]:
    """Fingerprints of the benchmark and the models, prompts, arithmetic, versions, and how the statistics were made."""
    rows = []
    for name, result in zip(systems.names, systems.results, strict=True):
        model, seconds = result.summary["model"], result.summary.get("seconds", {})
        weights = str(model.get("fingerprint") or "")[:12] or f"run {model.get('run', '-')}"
        prompts = model.get("prompts")
        said = ("-", "-") if prompts is None else (repr(prompts.get(role) or "") for role in ("query", "passage"))
        encoding = f"{seconds['encode']:,.1f} s" if "encode" in seconds else "-"
        versions = ", ".join(f"{package} {made}" for package, made in result.summary.get("versions", {}).items())
        about = (str(model.get(key, "-")) for key in ("dimensions", "max_tokens", "arithmetic"))
        rows.append((name, weights, *about, *said, encoding, versions or "-"))
    title = f"Systems on {systems.benchmark}: models and how they were run"
    return {
        "table": Table(title, _PROVENANCE, tuple(rows), words=True, code=(1, 5, 6)),
        "fingerprint": systems.results[0].summary.get("benchmark_fingerprint", "-"),
        "comparison": systems.comparison,
    }


def _bias_table(systems: Systems, column: Column, fair: str | None) -> Table:
    rows = []
    by_language = [result.summary["by_query_language"] for result in systems.results]
    for tag in by_language[0]:
        cells = [str(systems.language_cell(number, column, tag)) for number in range(len(systems.names))]
        expected = [one.get(tag, {}).get(fair) for one in by_language]
        rows.append((language_name(tag), *cells, *([_fair_share(expected) or "-"] if fair else [])))
    header = ("queries in", *systems.names, *(["blind to language"] if fair else []))
    return Table(f"{column.heading} by query language", header, tuple(rows))


def _fair_share(shares: Sequence[float | None]) -> str:
    """The fair share of all systems, or the least and the most: it goes with how much a system finds.

    >>> _fair_share([0.25, 0.25, None]), _fair_share([0.25, 0.5])
    ('25.0%', '25.0% to 50.0%')
    """
    known = [share for share in shares if share is not None and share == share]
    return " to ".join(dict.fromkeys(f"{end:.1%}" for end in (min(known), max(known)))) if known else ""
