"""docs/security.md names tests that are there, and at least one for each threat."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "security.md"
NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")


def rows() -> list[str]:
    """The lines of the table of threats, without its head."""
    table = PAGE.read_text().partition("\n## Threats\n")[2].partition("\n## ")[0]
    return [line for line in table.splitlines() if line.startswith("| ")][1:]


def defined(path: Path) -> set[str]:
    """The tests in a file."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, functions)}


def test_every_threat_has_a_measure_and_a_test() -> None:
    assert len(rows()) > 20
    for row in rows():
        threat, measure, tests = (cell.strip() for cell in row.strip("|").split("|"))
        assert threat
        assert measure
        assert NAMED.findall(tests), f"no test is named for: {threat}"


def test_every_test_that_the_page_names_exists() -> None:
    named = NAMED.findall(PAGE.read_text())
    missing = [
        f"{file}::{test}" for file, test in named if not (TESTS / file).exists() or test not in defined(TESTS / file)
    ]
    assert named
    assert missing == []
