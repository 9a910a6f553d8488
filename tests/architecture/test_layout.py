"""The layout that keeps the code readable: short files, short functions, imports in one direction."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[2]
CODE, TESTS = ("shared", "services", "deploy"), ("tests",)
FILE_LINES, TEST_FILE_LINES, FUNCTION_LINES = 250, 400, 50
VAGUE = {"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"}


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", (node.end_lineno or 0) - node.lineno + 1


@pytest.mark.parametrize(("folders", "most"), [(CODE, FILE_LINES), (TESTS, TEST_FILE_LINES)])
def test_no_file_is_too_long_to_read_at_once(folders: tuple[str, ...], most: int) -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources(*folders)}
    assert {path: lines for path, lines in lengths.items() if lines > most} == {}, "split it by what it is about"


def test_no_function_is_too_long_to_see_at_once() -> None:
    lengths = {name: lines for path in sources(*CODE, *TESTS) for name, lines in functions(path)}
    assert lengths
    assert {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES} == {}, "give its steps names"


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [str(path) for path in sources(*CODE, *TESTS) if path.stem in VAGUE] == []


def test_every_module_with_code_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in sources(*CODE, *TESTS)
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_imports_keep_their_direction(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    assert lint_imports(no_cache=True) == 0, capsys.readouterr().out
