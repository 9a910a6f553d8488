"""Finds in the source what the code counts and logs, without running it."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
KINDS: Final = ("Counter", "Gauge", "Histogram")
LEVELS: Final = {name: name for name in ("debug", "info", "warning", "error", "critical")} | {"exception": "error"}


class Metric(NamedTuple):
    """As it is declared; `file` tells which service has it."""

    name: str
    kind: str
    meaning: str
    labels: tuple[str, ...]
    file: str


class Event(NamedTuple):
    """A call that logs; `name` is empty where it is no literal, `fields` are those that are named in the call."""

    name: str
    levels: tuple[str, ...]
    fields: tuple[str, ...]
    file: str


def metrics() -> list[Metric]:
    """All of ours, by name."""
    return sorted(_metric(call, file) for call, file in _calls() if _is_metric(call))


def events() -> list[Event]:
    """Every call that logs, by name."""
    return sorted(_event(call, file) for call, file in _calls() if _levels(call.func))


def _calls() -> Iterator[tuple[ast.Call, str]]:
    for path in sorted(path for folder in ("shared", "services") for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                yield node, path.relative_to(ROOT).as_posix()


def _is_metric(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id in KINDS and len(call.args) > 1


def _metric(call: ast.Call, file: str) -> Metric:
    name, meaning, *rest = (ast.literal_eval(argument) for argument in call.args)
    return Metric(name, ast.unparse(call.func).lower(), meaning, tuple(rest[0]) if rest else (), file)


def _levels(function: ast.expr) -> tuple[str, ...]:
    """The levels at which this is a logger's method; none if it is not."""
    if isinstance(function, ast.IfExp):
        return _levels(function.body) + _levels(function.orelse)
    if not isinstance(function, ast.Attribute) or ast.unparse(function.value) not in ("log", "structlog.get_logger()"):
        return ()
    return (LEVELS[function.attr],) if function.attr in LEVELS else ()


def _event(call: ast.Call, file: str) -> Event:
    said = call.args[0]
    name = said.value if isinstance(said, ast.Constant) and isinstance(said.value, str) else ""
    fields = tuple(sorted(each.arg for each in call.keywords if each.arg))
    return Event(name, _levels(call.func), fields, file)
