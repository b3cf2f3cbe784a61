"""Parts of the queries that a study looks at apart: by language, family or script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files

import langcodes
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from isoglot.evaluation.results import Results
from isoglot.statistics.comparison import BIAS
from isoglot.studies.recipe import Study, ViewSpec

_MEMBERS: dict[str, str] = yaml.safe_load((files("isoglot.studies") / "families.yaml").read_text(encoding="utf-8"))
_FAMILY = {tag: family for family, tags in _MEMBERS.items() for tag in tags.split()}


def views_of(study: Study, languages: Sequence[str]) -> dict[str, ViewSpec]:
    """The study's views of a benchmark in these languages, empty ones left out."""
    views: dict[str, ViewSpec] = {}
    for name, view in study.views.items():
        sides = view.model_dump(exclude_none=True).items()
        kept = {side: tuple(tag for tag in languages if _is_in(tag, wanted)) for side, wanted in sides}
        if all(kept.values()):
            views[name] = ViewSpec(**kept)
    for what in study.view_by:
        groups: dict[str, list[str]] = {}
        for tag in languages:
            groups.setdefault(family_of(tag) if what == "family" else script_of(tag), []).append(tag)
        views |= {f"{what} {name}": ViewSpec(queries=tuple(tags)) for name, tags in groups.items()}
    return views


def restrict(run: Results, view: ViewSpec) -> Results:
    """Results over a part of the queries and corpora, without what would be looked at twice.

    In one language the pool is the corpus; and within languages a view of corpora is one of queries.
    """
    table, alone = run.per_query, len(run.summary["languages"]) == 1
    if alone:
        table = table.filter(pc.equal(table["setting"], "monolingual"))
    for column, tags in (("query_language", view.queries), ("corpus_language", view.corpora)):
        if tags is not None:
            table = table.filter(pc.is_in(table[column], pa.array(tags, pa.string())))
    if view.corpora is not None and view.queries is None:
        table = table.filter(pc.equal(table["setting"], "cross_lingual"))
    if alone or view.corpora is not None:
        table = table.drop_columns([name for name in BIAS if name in table.column_names])
    return replace(run, per_query=table)


def script_of(tag: str) -> str:
    """The script that a language is usually written in, by its ISO 15924 code.

    >>> script_of("ru"), script_of("zh-CN")
    ('Cyrl', 'Hans')
    """
    return str(langcodes.Language.get(tag).maximize().script)


def family_of(tag: str) -> str:
    """The family of a language as linguists group them at the top; `other` for one that is not listed here.

    >>> family_of("zh-CN"), family_of("fi")
    ('Sino-Tibetan', 'Uralic')
    """
    return _FAMILY.get(tag.split("-")[0], "other")


def _is_in(tag: str, wanted: Sequence[str]) -> bool:
    """Whether a benchmark's language is meant; `zh` means `zh-CN` too."""
    return tag in wanted or tag.split("-")[0] in wanted
