"""The part of the page that tells what its figures come from."""

from __future__ import annotations

from isoglot.report.markup import Html, element, join, table
from isoglot.report.systems import Systems

_HEADER = (
    "system",
    "weights",
    "dimensions",
    "most tokens",
    "arithmetic",
    "query prompt",
    "passage prompt",
    "encoding",
    "made with",
)


def provenance_part(systems: Systems) -> Html:
    """Fingerprints of the benchmark and the models, prompts, arithmetic, versions, and how the statistics were made."""
    rows = []
    for name, result in zip(systems.names, systems.results, strict=True):
        model, seconds = result.summary["model"], result.summary.get("seconds", {})
        prompts = model.get("prompts", {})
        versions = ", ".join(f"{package} {number}" for package, number in result.summary["versions"].items())
        rows.append(
            [
                name,
                element("code", str(model["fingerprint"])[:12]),
                str(model.get("dimensions", "-")),
                str(model.get("max_tokens", "-")),
                str(model.get("arithmetic", "-")),
                *(element("code", repr(prompts.get(role) or "")) for role in ("query", "passage")),
                f"{seconds['encode']:,.1f} s" if "encode" in seconds else "-",
                versions,
            ]
        )
    notes = [
        element(
            "p", "Benchmark fingerprint: ", element("code", str(systems.results[0].summary["benchmark_fingerprint"]))
        )
    ]
    comparison = systems.comparison
    if comparison:
        notes.append(
            element(
                "p",
                f"Intervals and tests: {comparison.resamples:,} resamples of the questions, seed {comparison.seed}; "
                "a question and its translations are one observation.",
            )
        )
        notes.append(element("ul", *(element("li", note) for note in comparison.notes)))
    caption = f"Systems on {systems.benchmark}: models and how they were run"
    return join([table(caption, _HEADER, rows, class_="words"), *notes])
