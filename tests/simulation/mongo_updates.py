"""MongoDB's updates and aggregation stages, as far as the services use them."""

from collections.abc import Iterable, Mapping
from typing import Any

from tests.simulation.mongo_expressions import REMOVE, evaluate
from tests.simulation.mongo_queries import Document, copied, matches, projected


def updated(document: Document, update: Any, now: Any, inserting: bool = False) -> Document:
    """A changed copy of the document."""
    changed: Document = copied(document)
    if isinstance(update, list):
        for stage in update:
            _pipeline_stage(changed, stage, now)
        return changed
    for operator, values in update.items():
        if operator != "$setOnInsert" or inserting:
            for path, value in values.items():
                _operate(changed, operator, path, copied(value))
    return changed


def _pipeline_stage(document: Document, stage: Document, now: Any) -> None:
    [(operator, argument)] = stage.items()
    if operator == "$unset":
        for name in argument:
            document.pop(name, None)
        return
    assert operator == "$set", operator
    values = {name: evaluate(value, document, now) for name, value in argument.items()}
    for name, value in values.items():
        if value is REMOVE:
            document.pop(name, None)
        else:
            document[name] = copied(value)


def _operate(document: Document, operator: str, path: str, value: Any) -> None:
    *parents, name = path.split(".")
    place: Any = document
    for parent in parents:
        if operator == "$unset" and not isinstance(place.get(parent), dict):
            return
        place = place.setdefault(parent, {})
    if operator == "$unset":
        place.pop(name, None)
    elif operator in ("$set", "$setOnInsert"):
        place[name] = value
    elif operator == "$max":
        place[name] = max(place[name], value) if place.get(name) is not None else value
    elif operator == "$inc":
        place[name] = (place.get(name) or 0) + value
    else:
        raise NotImplementedError(operator)


def upserted(query: Mapping[str, Any], update: Any, now: Any) -> Document:
    """The document that an upsert inserts: the filter's equalities, then the update."""
    equal = {name: value for name, value in query.items() if not name.startswith("$") and not isinstance(value, dict)}
    return updated(equal, update, now, inserting=True)


def aggregated(documents: Iterable[Document], stages: list[Document], now: Any) -> list[Document]:
    """What comes out of a pipeline."""
    rows = list(documents)
    for stage in stages:
        [(operator, argument)] = stage.items()
        if operator == "$match":
            rows = [row for row in rows if matches(row, argument, now)]
        elif operator == "$project":
            rows = [projected(row, argument, now) for row in rows]
        elif operator == "$unwind":
            rows = _unwound(rows, argument[1:])
        elif operator == "$group":
            rows = _grouped(rows, argument, now)
        elif operator == "$sort":
            rows = in_order(rows, list(argument.items()))
        elif operator == "$limit":
            rows = rows[:argument]
        else:
            raise NotImplementedError(operator)
    return rows


def _unwound(rows: list[Document], name: str) -> list[Document]:
    return [row | {name: each} for row in rows for each in row.get(name) or []]


def _grouped(rows: list[Document], argument: Document, now: Any) -> list[Document]:
    groups: dict[Any, list[Document]] = {}
    for row in rows:
        groups.setdefault(evaluate(argument["_id"], row, now), []).append(row)
    found = []
    for key, members in groups.items():
        group: Document = {"_id": key}
        for name, accumulator in argument.items():
            if name != "_id":
                [(operator, expression)] = accumulator.items()
                values = [evaluate(expression, row, now) for row in members]
                least = operator == "$min"
                # Documents are compared member by member, in order.
                ranked = sorted(values, key=lambda value: list(value.values()) if isinstance(value, dict) else [value])
                group[name] = ranked[0 if least else -1]
        found.append(group)
    return found


def in_order(rows: list[Document], keys: list[tuple[str, int]]) -> list[Document]:
    """Sorted by these members; what is missing or null comes first."""
    for path, direction in reversed(keys):
        rows = sorted(rows, key=lambda row: _rank(row, path.split(".")), reverse=direction < 0)
    return rows


def _rank(value: Any, path: list[str]) -> tuple[bool, Any]:
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return (value is not None, value if value is not None else 0)
