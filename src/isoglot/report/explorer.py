"""The part of the page where a reader asks: questions, and what each system puts first for them."""

from __future__ import annotations

from typing import Any

from isoglot.common.languages import language_name
from isoglot.report.markup import Html, data_script, element, join
from isoglot.report.systems import Systems


def explorer(systems: Systems, number: int) -> Html | None:
    """A search field, a list of questions and a place for results; None where no system has its first passages.

    Args:
        systems: of one benchmark.
        number: of the benchmark on the page, which keeps ids apart.
    """
    data = explorer_data(systems)
    if not data["queries"]:
        return None
    key = f"explorer-{number}"
    used = sorted({row[0] for row in (*data["passages"], *((query["language"],) for query in data["queries"]))})
    options = [element("option", f"{language_name(tag)} ({tag})", value=tag) for tag in used]
    return join(
        [
            element(
                "div",
                element("label", "Search the questions", for_=f"{key}-search"),
                element("input", type="search", id=f"{key}-search", class_="search", dir="auto"),
                element("label", "Language", for_=f"{key}-language"),
                element(
                    "select", element("option", "all", value=""), *options, id=f"{key}-language", class_="language"
                ),
                class_="controls",
            ),
            element("label", "Questions", for_=f"{key}-questions", class_="visually-hidden"),
            element("select", id=f"{key}-questions", class_="questions", size="7"),
            element("p", class_="count", role="status"),
            element("div", class_="translations", role="group", aria_label="The same question in other languages"),
            element("p", class_="asked", aria_live="polite"),
            element("div", class_="answers", tabindex="0", role="region", aria_label="First passages of each system"),
            element("p", "Languages: ", *(_chip(tag, used, named=True) for tag in used), class_="legend"),
            data_script(data, class_="questions-data"),
        ]
    )


def explorer_data(systems: Systems) -> dict[str, Any]:
    """Questions, passages and who ranks what, each text once.

    Returns:
        `languages`: names by tag; `systems`: names; `queries`: id, example, language and text; `passages`: language and
        text; `top`: for each system and query, triples of passage number, score and whether it is a right answer, best
        first, or an empty list where the system was not asked.
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


def _chip(tag: str, tags: list[str], named: bool = False) -> Html:
    text = f"{tag} {language_name(tag)}" if named else tag
    return element("span", text, class_="chip", style=f"--hue:{tags.index(tag) * 137.5 % 360:.0f}")
