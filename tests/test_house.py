"""What holds of the whole source: imports point one way, everything public is documented, files stay short."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

import isoglot

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src" / "isoglot").rglob("*.py"))
LINES = 400

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return path.relative_to(ROOT / "src").as_posix()


def public(node: ast.AST, within: str) -> Iterator[tuple[str, Documented]]:
    """Public classes, functions and methods below a node; what is within a function is nobody's business."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not child.name.startswith("_"):
            yield f"{within}.{child.name}", child
            if isinstance(child, ast.ClassDef):
                yield from public(child, f"{within}.{child.name}")


def test_imports_point_one_way() -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    if not tool.exists():
        pytest.skip("import-linter is not installed; it comes with the extra dev")
    done = subprocess.run([str(tool), "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"[1-9]\d* kept, 0 broken", done.stdout)


def test_the_installed_version_is_that_of_the_source() -> None:
    assert version("isoglot") == isoglot.__version__


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_everything_public_has_a_docstring(path: Path) -> None:
    module = ast.parse(path.read_text(encoding="utf-8"))
    nodes: list[tuple[str, Documented]] = [(name_of(path), module), *public(module, name_of(path))]
    if path.name == "__main__.py":  # runs the command line, holds nothing
        nodes = nodes[1:]
    assert [name for name, node in nodes if not ast.get_docstring(node)] == []


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_no_file_is_too_long_to_read_at_once(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES


@pytest.mark.parametrize("name", isoglot.__all__)
def test_what_the_package_promises_is_there(name: str) -> None:
    assert getattr(isoglot, name) is not None
    assert name in dir(isoglot)


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no 'nonsense'"):
        _ = isoglot.nonsense
