"""Rules of CONTRIBUTING's house style that no linter here can hold."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODULES = [path for folder in ("mlprod_nb", "tests", "benchmarks", "tools") for path in (ROOT / folder).rglob("*.py")]
MOST_LINES = 400


def imported(node: ast.stmt) -> list[str]:
    """Return the names that an import statement asks for, with their modules'."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module or ''}.{alias.name}" for alias in node.names]
    return []


def imports_from_tests(path: Path) -> list[str]:
    """Return the imports of a file that reach into a module of tests, each with its place."""
    statements = [node for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.stmt)]
    return [
        f"{path.relative_to(ROOT)}:{node.lineno} imports {name}"
        for node in statements
        for name in imported(node)
        if any(part.startswith("test_") for part in name.split("."))
    ]


def test_nothing_imports_from_a_module_of_tests() -> None:
    assert MODULES
    assert [fault for path in MODULES for fault in imports_from_tests(path)] == []


def test_no_module_is_longer_than_400_lines() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {str(path.relative_to(ROOT)): lines for path, lines in lengths.items() if lines > MOST_LINES} == {}
