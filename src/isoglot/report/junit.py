"""Requirements as JUnit's XML, which build servers show as tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from isoglot.common.atomic import write_text
from isoglot.statistics.requirements import Checked


def write_junit(path: str | Path, checked: Sequence[Checked], name: str) -> None:
    """Write a suite with a test for each requirement, failed where it is not met.

    Args:
        path: the file.
        checked: the requirements and what was found.
        name: of the system, the tests' class.
    """
    failures = f"{sum(not each.met for each in checked)}"
    root = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(root, "testsuite", name="isoglot audit", tests=f"{len(checked)}", failures=failures)
    for each in checked:
        case = ElementTree.SubElement(suite, "testcase", classname=name, name=str(each.requirement))
        if not each.met:
            ElementTree.SubElement(case, "failure", message=str(each))
    ElementTree.indent(root)
    write_text(path, ElementTree.tostring(root, encoding="utf-8", xml_declaration=True).decode() + "\n")
