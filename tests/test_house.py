"""Rules of the house that hold by test."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

import isoglot

SOURCE = Path(isoglot.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))


def public(tree: ast.Module | ast.ClassDef) -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef]]:
    """Public classes, functions and methods; what stands within a function is nobody's business."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public(node)


def test_imports_point_one_way() -> None:
    command = [Path(sys.executable).parent / "lint-imports", "--no-cache"]
    done = subprocess.run(command, cwd=SOURCE.parents[1], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_there_is_one_version() -> None:
    assert version("isoglot") == isoglot.__version__


def test_every_name_at_top_level_is_there() -> None:
    for name in isoglot.__all__:
        assert getattr(isoglot, name) is not None
    assert callable(isoglot.train)
    assert callable(isoglot.evaluate)
    with pytest.raises(AttributeError, match="nothing"):
        isoglot.nothing  # noqa: B018


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_files_are_short_and_public_things_say_what_they_are(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400
    tree = ast.parse(text)
    assert ast.get_docstring(tree)
    assert [name for name, node in public(tree) if not ast.get_docstring(node)] == []


def test_modules_of_tests_have_names_of_their_own() -> None:
    """Folders of tests are no packages, so two modules of one name shadow each other when all are run."""
    names = Counter(path.name for path in Path(__file__).parent.rglob("*.py") if path.name != "conftest.py")
    assert [name for name, count in names.items() if count > 1] == []
