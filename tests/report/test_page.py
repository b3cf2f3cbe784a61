from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoglot.common.errors import MissingExtraError
from isoglot.evaluation.results import Results
from isoglot.report import LossLog, html_report, save_report
from isoglot.report.page import Section, render
from isoglot.report.parts import explorer
from isoglot.report.plots import Plot
from isoglot.report.systems import by_benchmark
from isoglot.report.tables import Table

Make = Callable[..., Results]
vl_convert = pytest.importorskip("vl_convert", reason="plots need the extra report")


class Outline(HTMLParser):
    """Tags with their attributes, text outside scripts, and the data of scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.data: list[str] = []
        self.words: list[str] = []
        self.within = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self.within = dict(attrs).get("type") or tag

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self.within = ""

    def handle_data(self, data: str) -> None:
        if self.within == "application/json":
            self.data.append(data)
        elif not self.within:
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page(results: list[Results], log: LossLog) -> str:
    return html_report(results, "A <title>", logs=[None, log])


@pytest.fixture(scope="module")
def outline(page: str) -> Outline:
    return Outline(page)


def specs(outline: Outline) -> list[dict[str, Any]]:
    return [spec for spec in map(json.loads, outline.data) if "description" in spec]


def test_the_page_loads_nothing(page: str, outline: Outline) -> None:
    policy = next(
        meta["content"] for meta in outline.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
    assert "unsafe-eval" not in policy
    for tag, attributes in outline.tags:
        assert tag not in ("link", "iframe", "object", "img")
        assert "src" not in attributes
        assert (attributes.get("href") or "#").startswith("#"), attributes
        assert not any(name.startswith("on") for name in attributes)
    style = page[page.index("<style>") : page.index("</style>")]
    assert not re.search(r"url\(|@import", style)
    assert not re.search(r'"url":', "".join(outline.data))
    assert len(page.encode()) < 3_000_000


def test_what_users_name_stays_text(page: str, outline: Outline) -> None:
    assert not outline.all("b")
    words = "".join(outline.words)
    assert "A <title>" in words
    assert "<b>other</b> & co" in words
    assert "<b>" not in page.replace("createElement", "")[: page.index("<script>")]


def page_of(text: str) -> Outline:
    """A page on which everything that can be said is this text."""
    table = Table(text, (text,), ((text, text),), code=(1,))
    data = {"lead": text, "plots": [Plot({"description": text}, text, table)]}
    return Outline(render("page.html", title=text, sections=[Section("a", text, "plots", data)], plot_library=""))


@given(st.text(min_size=1))
def test_no_text_leaves_its_element_or_its_script(text: str) -> None:
    outline = page_of(text)
    assert [tag for tag, _ in outline.tags] == [tag for tag, _ in page_of("x").tags]
    assert json.loads(outline.data[0]) == {"description": text}
    words = "".join(outline.words)
    assert words.count(re.sub("\r\n?", "\n", text)) >= 9 or "\r" in text or "\0" in text


def test_every_link_has_its_place_and_no_id_is_twice(outline: Outline) -> None:
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link["href"] for link in outline.all("a")} <= {f"#{name}" for name in ids}
    assert {label["for"] for label in outline.all("label")} <= set(ids)
    assert {part["aria-labelledby"] for part in outline.all("section")} <= set(ids)


def test_every_plot_says_what_it_shows_and_has_a_table_behind_it(outline: Outline) -> None:
    places = [attributes for attributes in outline.all("div") if attributes.get("class") == "plot"]
    figures = page_figures = outline.all("figure")
    assert len(places) == len(specs(outline)) == len(figures) == 9
    assert [place["aria-label"] for place in places] == [spec["description"] for spec in specs(outline)]
    assert len(outline.all("table")) >= len(page_figures)
    assert len(outline.all("caption")) == len(outline.all("table"))
    assert all(heading["scope"] in ("col", "row") for heading in outline.all("th"))
    assert [name for name in ("nav", "main", "header") if outline.all(name)] == ["nav", "main", "header"]


def test_every_plot_compiles_without_a_warning(
    outline: Outline, results: list[Results], capfd: pytest.CaptureFixture[str]
) -> None:
    bare = replace(results[1], per_query=results[1].per_query.drop_columns(["rank_distance"]))  # no interval of it
    for spec in [*specs(outline), *specs(Outline(html_report([results[0], bare])))]:
        svg = vl_convert.vegalite_to_svg(spec, show_warnings=True)
        assert "<svg" in svg
    assert "WARN" not in "".join(capfd.readouterr())


def test_the_page_shows_the_figures_of_the_results(page: str, results: list[Results]) -> None:
    for result in results:
        for row in result.summary["grid"]["values"]:
            assert all(f"<td>{value:.3f}</td>" in page for value in row)
        for setting in ("monolingual", "cross_lingual", "multilingual"):
            assert f'<span class="figure">{result.setting(setting):.3f}</span>' in page
        assert f'<span class="figure">{result.bias("rank_distance"):,.1f}</span>' in page
    assert "significantly better" in page


def test_plots_hold_the_figures_of_the_results(outline: Outline, results: list[Results]) -> None:
    maps = [spec for spec in specs(outline) if "by query language and corpus language" in spec["description"]]
    grids = [result.summary["grid"]["values"] for result in results]
    difference = [[b - a for a, b in zip(*rows, strict=True)] for rows in zip(*grids, strict=True)]
    for spec, values in zip(maps, [*grids, difference], strict=True):
        assert [cell["value"] for cell in spec["data"]["values"]] == [value for row in values for value in row]
    low, high = maps[2]["layer"][0]["encoding"]["color"]["scale"]["domain"]
    assert -low == high == pytest.approx(max(abs(value) for row in difference for value in row))


def test_the_explorer_has_each_text_once_and_the_ranking_of_each_system(results: list[Results]) -> None:
    data = explorer(by_benchmark(results)[0])
    assert len(data["passages"]) == len({text for _, text in data["passages"]}) == 3
    assert [query["id"] for query in data["queries"]] == ["ar-0", "ar-1", "de-0", "de-1", "zh-0", "zh-1"]
    for system, result in zip(data["top"], results, strict=True):
        assert result.top is not None
        for number, query in enumerate(data["queries"]):
            rows = [row for row in result.top.to_pylist() if row["query"] == query["id"]]
            assert [data["passages"][place][1] for place, _, _ in system[number]] == [r["passage_text"] for r in rows]
            assert [relevant for _, _, relevant in system[number]] == [row["relevant"] for row in rows]


def test_older_results_show_what_they_have(results: list[Results]) -> None:
    newer = ("mixed", "language_mix", "alignment", "semantic_error", "first_result", "preference")
    old = [replace(r, top=None, summary={k: v for k, v in r.summary.items() if k not in newer}) for r in results]
    for one in old:
        one.summary["language_bias"] = {"rank_distance": 5.0, "same_language_share@1": 0.5}
    outline = Outline(html_report(old))
    assert len(specs(outline)) == len(outline.data) == 6
    assert "See for yourself" not in outline.words
    assert "Errors and preference" not in outline.words


def test_errors_and_preference_are_shown_apart_and_taste_has_no_arrow(outline: Outline) -> None:
    words = [word for word in outline.words if word.strip()]
    for label, value in (
        ("right answers with a wrong passage above them ↓", "37.5%"),
        ("first: right, in the query's language", "75.0%"),
        ("pairs of right ones with that in the query's language higher", "62.5%"),
        ("MRC@10 ↑", "0.500"),
        ("mixed corpus, right one in another: MRR@10 ↑", "0.250"),
        ("there, first ten in the query's language", "75.0%"),
    ):
        place = words.index(label)
        assert words[place + 1 : place + 3] == [value, value]
    assert not any("first: wrong, in another" in word for word in words)  # not measured


def test_a_language_without_rank_distance_leaves_only_that_out(results: list[Results]) -> None:
    shallow = replace(results[1], per_query=_without(results[1].per_query, "rank_distance", "de"))
    by_language = {tag: dict(row) for tag, row in shallow.summary["by_query_language"].items()}
    by_language["de"]["rank_distance"] = None
    shallow.summary["by_query_language"] = by_language
    outline = Outline(html_report([results[0], shallow]))
    assert "significantly better" in "".join(outline.words)
    words = "".join(outline.words)
    assert "rank_distance is left out in the multilingual setting, de" in words
    assert "Rank distance:" not in words  # a mean over other languages than the first system's
    assert "ranks apart" not in words
    assert len(specs(outline)) == 9 - 2  # nor are there training losses


def _without(table: pa.Table, measure: str, language: str) -> pa.Table:
    gone = pc.equal(table["query_language"], language)
    values = pc.if_else(gone, pa.scalar(None, pa.float64()), table[measure])
    return table.set_column(table.column_names.index(measure), measure, values)


@pytest.mark.parametrize("ending", ["html", "md", "tex"])
def test_a_run_of_another_system_has_no_model_behind_it(results: list[Results], tmp_path: Path, ending: str) -> None:
    optional = ("alignment", "language_mix", "seconds", "versions")
    summary = {key: value for key, value in results[1].summary.items() if key not in optional}
    run = replace(results[1], top=None, summary=summary | {"model": {"name": "bm25", "run": "bm25.trec"}})
    for number, some in enumerate(([run], [results[0], run], [run, results[0]])):
        save_report(some, tmp_path / f"{number}.{ending}")
        page = (tmp_path / f"{number}.{ending}").read_text()
        assert "bm25" in page
        assert ending != "html" or "run bm25.trec" in page


def test_one_system_alone_is_compared_with_nothing(results: list[Results]) -> None:
    outline = Outline(html_report(results[:1]))
    words = "".join(outline.words)
    assert "1 system on toy" in words
    assert "interval" not in words
    assert len(specs(outline)) == 4


def test_each_benchmark_has_its_section(make_results: Make) -> None:
    several = [make_results(benchmark=name) for name in ("one", "two", "one")]
    outline = Outline(html_report(several))
    assert [link["href"] for link in outline.all("a")].count("#benchmark-2") == 1
    assert "2 systems on one" in "".join(outline.words)
    assert "1 system on two" in "".join(outline.words)


def test_cells_without_a_value_stay_empty(make_results: Make) -> None:
    result = make_results()
    values = [[None if row == column else 0.5 for column in range(3)] for row in range(3)]
    summary = {**result.summary, "grid": {**result.summary["grid"], "values": values}, "by_query_language": {}}
    summary |= {"language_bias": {}, "settings": {"cross_lingual": {"map": 0.5}}}
    outline = Outline(html_report([replace(result, summary=summary)]))
    assert len(specs(outline)[0]["data"]["values"]) == 6
    assert "nan" not in "".join(outline.words)


def test_without_the_extra_only_the_page_is_refused(
    results: list[Results], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(MissingExtraError, match=r"isoglot\[report\]"):
        save_report(results, tmp_path / "r.html")
    assert not list(tmp_path.iterdir())
    save_report(results, tmp_path / "r.md")
    save_report(results, tmp_path / "r.tex")
