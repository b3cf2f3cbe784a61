"""The part of the page that tells of training."""

from __future__ import annotations

from collections.abc import Sequence

from isoglot.report.markup import Html, figure, table
from isoglot.report.plots import kinds, loss_plot, losses
from isoglot.report.runs import LossLog


def training_part(logs: Sequence[LossLog | None]) -> Html | None:
    """Losses by kind of batch over the steps of each run; None where there are none."""
    runs: list[LossLog] = []
    for log in logs:
        if log is not None and log.entries and log not in runs:  # systems of one run share its log
            runs.append(log)
    if not runs:
        return None
    rows = []
    for log in runs:
        for kind in kinds(log):
            values = [loss for _, loss in losses(log, kind)]
            tenth = max(1, len(values) // 10)
            first, last = values[:tenth], values[-tenth:]
            figures = (sum(first) / tenth, sum(last) / tenth)
            rows.append([log.name, kind, f"{len(values):,}", *(f"{value:.3f}" for value in figures)])
    header = ["run", "kind", "how many", "mean of the first tenth", "mean of the last tenth"]
    caption = "Loss by kind of batch: points are batches, lines running means"
    return figure(loss_plot(runs), caption, table("Losses", header, rows))
