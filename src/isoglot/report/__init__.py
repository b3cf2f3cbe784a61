"""Results as people read them: text tables, Markdown and one self-contained HTML page."""

from isoglot.report.page import html_report, save_report
from isoglot.report.tables import grid_table, markdown_table, systems_rows, text_table

__all__ = ["grid_table", "html_report", "markdown_table", "save_report", "systems_rows", "text_table"]
