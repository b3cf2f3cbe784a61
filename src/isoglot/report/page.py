"""One HTML page over several systems that needs nothing from outside itself."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from isoglot.atomic import write_text
from isoglot.errors import InputError
from isoglot.languages import language_name
from isoglot.report.tables import COLUMNS, grid, markdown_table, systems_rows
from isoglot.results import Results

_STYLE = """
:root { color-scheme: light dark; --ink: light-dark(#1a1a1a, #eee); --paper: light-dark(#fff, #16181c);
  --line: light-dark(#d5d8dd, #3a3f47); --soft: light-dark(#f4f5f7, #202329); --bar: light-dark(#2f6fb5, #6aa5e3); }
body { font: 16px/1.5 system-ui, "Noto Sans", "Noto Sans CJK SC", sans-serif; color: var(--ink);
  background: var(--paper); max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem } h2 { font-size: 1.25rem; margin-top: 2.2rem } h3 { font-size: 1rem; margin-bottom: .3rem }
.scroll { overflow-x: auto }
table { border-collapse: collapse; margin-bottom: 1.2rem; font-variant-numeric: tabular-nums }
caption { text-align: left; padding: .3rem 0; font-weight: 600 }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right }
th:first-child, td:first-child { text-align: left } thead th { background: var(--soft) }
.heat td { text-align: center; border: 1px solid var(--paper) } .heat td[style] { color: #111 }
.bars th, .bars td { min-width: 8rem; text-align: left }
.bar { display: inline-block; height: .7rem; background: var(--bar); border-radius: 2px; margin-right: .4rem }
footer { margin: 3rem 0 1rem; font-size: .85rem; opacity: .8 }
@media print { body { max-width: none; margin: 0 } h2 { break-after: avoid } table { break-inside: avoid } }
"""


def save_report(results: Sequence[Results], path: str | Path, title: str = "How these systems treat languages") -> None:
    """Write a report as HTML, or as Markdown if the path ends in `.md`.

    Raises:
        InputError: if there is nothing to report or the ending is neither.
    """
    suffix = Path(path).suffix
    if suffix == ".html":
        write_text(path, html_report(results, title))
    elif suffix == ".md":
        write_text(path, f"# {title}\n\n{markdown_table(COLUMNS, systems_rows(results))}\n")
    else:
        raise InputError(f"{path}: a report ends in .html or .md")


def html_report(results: Sequence[Results], title: str = "How these systems treat languages") -> str:
    """The page: a summary in words, the systems, bias by query language, and each system's languages as a heat map.

    Args:
        results: of one benchmark, the system to compare with first.
        title: of the page.

    Raises:
        InputError: if there are none, or they are of different benchmarks.
    """
    if not results:
        raise InputError("there are no results to report")
    prints = {result.summary["benchmark_fingerprint"] for result in results}
    if len(prints) > 1:
        raise InputError(
            "these results are of different benchmarks, or of different versions of one; report them apart"
        )
    summary = results[0].summary
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(_in_words(results))}</p>",
        "<h2>Systems</h2>",
        _table(COLUMNS, systems_rows(results)),
        "<p>mAP in three settings, higher is better: query and corpus in one language; in two different languages; "
        "the corpus of all languages at once, where every translation of the right answer counts. Rank distance is "
        "how far the best and the worst of those translations lie apart in the last setting, lower is better. "
        "A ranking blind to language puts a passage of the query's language first "
        f"{summary['language_bias']['fair_share@1'] or 0:.0%} of the time here.</p>",
        "<h2>By query language</h2>",
        _bars(results, "same_language_share@1", "How often a passage of the query's language comes first", "{:.0%}"),
        _bars(results, "rank_distance", "Rank distance", "{:,.0f}"),
        "<h2>Query language by corpus language</h2>",
        *(_heat_map(result) for result in results),
        f"<footer>{escape(_provenance(results))}</footer>",
    ]
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style></head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _in_words(results: Sequence[Results]) -> str:
    summary, names = results[0].summary, [result.summary["model"]["name"] for result in results]
    text = (
        f"{summary['queries']:,} queries and {summary['passages']:,} passages in {len(summary['languages'])} languages "
        f"({', '.join(language_name(tag) for tag in summary['languages'])}). "
    )
    best = max(results, key=lambda result: result.setting("multilingual"))
    text += (
        f"Over the pool of all languages {best.summary['model']['name']} finds most: mAP "
        f"{best.setting('multilingual'):.3f}"
    )
    if best is not results[0]:
        text += f" against {results[0].setting('multilingual'):.3f} of {names[0]}"
    if best.bias("rank_distance") == best.bias("rank_distance"):
        text += f", with parallel right answers {best.bias('rank_distance'):,.0f} ranks apart"
        if best is not results[0]:
            text += f" instead of {results[0].bias('rank_distance'):,.0f}"
    return text + "."


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    lines = []
    for first, *rest in rows:
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in rest)
        lines.append(f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>')
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _bars(results: Sequence[Results], measure: str, caption: str, form: str) -> str:
    values = [{tag: row[measure] for tag, row in result.summary["by_query_language"].items()} for result in results]
    largest = max((value for column in values for value in column.values() if value is not None), default=0) or 1
    head = "".join(f'<th scope="col">{escape(str(result.summary["model"]["name"]))}</th>' for result in results)
    lines = []
    for tag in results[0].summary["by_query_language"]:
        cells = []
        for column in values:
            value = column.get(tag)
            width = 0 if value is None else 6 * value / largest
            shown = "-" if value is None else form.format(value)
            cells.append(f'<td><span class="bar" style="width:{width:.2f}rem"></span>{shown}</td>')
        lines.append(f'<tr><th scope="row">{escape(language_name(tag))}</th>{"".join(cells)}</tr>')
    return (
        f'<div class="scroll"><table class="bars"><caption>{escape(caption)}</caption><thead><tr>'
        f'<th scope="col">queries in</th>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
    )


def _heat_map(result: Results) -> str:
    languages, values = grid(result)
    head = "".join(f'<th scope="col">{escape(tag)}</th>' for tag in languages)
    lines = []
    for tag, row in zip(languages, values, strict=True):
        cells = "".join(_heat_cell(value) for value in row)
        lines.append(f'<tr><th scope="row">{escape(tag)}</th>{cells}</tr>')
    caption = f"{result.summary['model']['name']}: mAP, queries in rows, corpora in columns"
    return (
        f'<div class="scroll"><table class="heat"><caption>{escape(caption)}</caption><thead><tr><td></td>{head}</tr>'
        f"</thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _heat_cell(value: float) -> str:
    if value != value:
        return "<td>-</td>"
    lightness = 97 - 42 * min(max(value, 0.0), 1.0)  # never so dark that black text is hard to read
    return f'<td style="background:hsl(212 65% {lightness:.0f}%)">{value:.2f}</td>'


def _provenance(results: Sequence[Results]) -> str:
    summary = results[0].summary
    models = "; ".join(f"{r.summary['model']['name']} {r.summary['model']['fingerprint'][:12]}" for r in results)
    versions = ", ".join(f"{name} {number}" for name, number in summary["versions"].items())
    benchmark = f"{summary['benchmark']} {summary['benchmark_fingerprint'][:12]}"
    return f"Benchmark: {benchmark}. Models: {models}. Made with {versions}."
