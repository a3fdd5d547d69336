"""The house rules that a reader counts on: short functions and files, one meaning for one name."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "vggrepro"
TESTS = Path(__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

LONGEST_FILE = 320
LONGEST_FUNCTION = 45

SAME_IDEA = {"base.py"}
"""Module names that stand in several rooms: the contract of a family (layers, feeds, sources of images)."""


MIRRORS = (PACKAGE / "cli" / "options", PACKAGE / "pycaffe")
"""Folders that are called by what they stand for elsewhere: the options of a thing, and Caffe's own names."""


def room(module: Path) -> str:
    return module.relative_to(PACKAGE).parts[0]


def rooms_by_name() -> dict[str, set[str]]:
    """Module and class names (public ones), and the rooms that have one of each."""
    rooms = defaultdict(set)
    for module in MODULES:
        if module.name == "__init__.py" or any(folder in module.parents for folder in MIRRORS):
            continue
        rooms[module.name].add(room(module))
        for node in ast.parse(module.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                rooms[node.name].add(room(module))
    return rooms


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(PACKAGE)))
def test_files_and_functions_are_short(module):
    text = module.read_text("utf-8")
    assert text.count("\n") <= LONGEST_FILE
    lengths = {f.name: (f.end_lineno or 0) - f.lineno + 1 for f in functions(ast.parse(text))}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


def test_every_module_says_what_it_is_for():
    silent = [
        str(m) for m in MODULES if m.stat().st_size and not ast.get_docstring(ast.parse(m.read_text("utf-8")))
    ]
    assert silent == []


def test_a_name_means_one_thing():
    assert {name for name, places in rooms_by_name().items() if len(places) > 1} == SAME_IDEA


def test_the_journeys_name_files_that_exist():
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text("utf-8")
    journeys = page[page.index("## Journeys") : page.index("## A layer")]
    named = re.findall(r"`([a-z_/]+\.py)`", journeys)
    places = (PACKAGE, PACKAGE / "evaluation", PACKAGE.parent)
    assert len(named) > 20
    assert [name for name in named if not any((place / name).is_file() for place in places)] == []


UNTESTED_BY_NAME = {
    "version.py": "one number, which the packaging reads",
    "__main__.py": "one call, which tests/cli/test_main.py makes",
    "data/arrays.py": "names of array types, and nothing that runs",
}
"""Modules without a test file of their own, and why. Package files (``__init__.py``) gather names, and the
modules of ``pycaffe`` are tested through the names that Caffe documents: its tests are called by those."""


def lacks_test_file(module: Path) -> bool:
    place = module.relative_to(PACKAGE)
    if place.name == "__init__.py" or place.parts[0] == "pycaffe":
        return False
    return not (TESTS / place.parent / f"test_{place.name}").is_file()


def test_every_module_has_a_test_file_under_its_name_and_folder():
    lacking = {module.relative_to(PACKAGE).as_posix() for module in MODULES if lacks_test_file(module)}
    assert lacking == set(UNTESTED_BY_NAME)
