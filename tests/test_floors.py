"""A file imports only from lower floors (DESIGN §4), and layers know neither each other nor a storage."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "redis_middleware"

FLOORS = {
    "errors": 0,
    "ops": 0,
    "http": 1,
    "storage": 1,
    "asking": 2,
    "counting": 2,
    "flow": 2,
    "pump": 2,
    "collector": 2,
    "stack": 2,
    "layers": 3,
    "heart": 4,
    "repeats": 4,
    "wsgi": 4,
    "asgi": 4,
    "contrib": 5,
    "settings": 5,
    "cli": 5,
    "__init__": 4,  # the package itself, as cli and contrib import it
}
OURSELVES = ("__init__",)
MODULES = sorted(ROOT.rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, ...]]:
    """The modules of the package that a file imports when it runs, as paths below the package."""
    package = path.relative_to(ROOT).parent.parts
    for node in runtime(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            names = tuple((node.module or "").split(".")) if node.module else ()
            found = (*base, *names)
            yield from (
                [found]
                if names
                else [(*found, alias.name) if found or alias.name in FLOORS else OURSELVES for alias in node.names]
            )
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("redis_middleware"):
            yield tuple((node.module or "").split("."))[1:] or OURSELVES


def runtime(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under `if TYPE_CHECKING:`."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        yield from runtime(child)


def place(path: Path) -> tuple[str, ...]:
    return path.relative_to(ROOT).with_suffix("").parts


@pytest.mark.parametrize("path", MODULES, ids=lambda path: "/".join(place(path)))
def test_imports_point_down(path: Path) -> None:
    here = place(path)
    for there in imports(path):
        assert FLOORS[there[0]] <= FLOORS[here[0]], f"{'/'.join(here)} imports {'.'.join(there)}"


@pytest.mark.parametrize("path", [path for path in MODULES if place(path)[0] == "layers" and len(place(path)) > 2], ids=str)
def test_layers_know_neither_each_other_nor_a_storage(path: Path) -> None:
    here = place(path)
    for there in imports(path):
        if there[0] == "layers":
            assert there[1] == here[1], f"{here} imports {there}"
        if there[0] == "storage":
            assert (here[1], there[1]) == ("rate_limit", "memory"), f"{here} imports {there}"


def test_every_module_says_what_it_is() -> None:
    for path in MODULES:
        assert ast.get_docstring(ast.parse(path.read_text())), path


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert not {path.stem for path in MODULES} & {"utils", "helpers", "common", "base", "core"}
