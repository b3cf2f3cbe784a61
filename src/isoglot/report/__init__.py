"""Results as people read them: text tables, Markdown, LaTeX and one self-contained HTML page."""

from isoglot.report.export import html_report, latex_table, save_report
from isoglot.report.junit import write_junit
from isoglot.report.runs import LossLog, load_run
from isoglot.report.sentences import language_findings, sentences
from isoglot.report.tables import (
    comparison_tables,
    frontier_table,
    grid_tables,
    markdown_table,
    mix_table,
    text_table,
)

__all__ = [
    "LossLog",
    "comparison_tables",
    "frontier_table",
    "grid_tables",
    "html_report",
    "language_findings",
    "latex_table",
    "load_run",
    "markdown_table",
    "mix_table",
    "save_report",
    "sentences",
    "text_table",
    "write_junit",
]
