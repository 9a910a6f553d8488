"""MongoDB's words, as far as the services use them: filters, projections, copies of documents."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from tests.simulation.mongo_expressions import evaluate

Document = dict[str, Any]
MISSING: Final = object()
PLAIN: Final = frozenset({str, int, bool, float, bytes, datetime, type(None)})


def copied(value: Any) -> Any:
    """As it comes back from the server: nothing shared, tuples are arrays."""
    kind = type(value)
    if kind is dict:
        return {name: part if type(part) in PLAIN else copied(part) for name, part in value.items()}
    if kind is list or kind is tuple:
        return [part if type(part) in PLAIN else copied(part) for part in value]
    return value


def matches(document: Document, query: Mapping[str, Any], now: Any) -> bool:
    """Whether a document is meant by a filter."""
    return all(_matches_one(document, name, wanted, now) for name, wanted in query.items())


def _matches_one(document: Document, name: str, wanted: Any, now: Any) -> bool:
    if name == "$or":
        return any(matches(document, each, now) for each in wanted)
    if name == "$expr":
        return bool(evaluate(wanted, document, now))
    found = list(_found(document, name.split(".")))
    if isinstance(wanted, dict) and any(key.startswith("$") for key in wanted):
        return all(_holds(found, operator, value, now) for operator, value in wanted.items())
    return _equals(found, wanted)


def _found(value: Any, path: list[str]) -> Iterator[Any]:
    if not path:
        yield value
    elif isinstance(value, dict):
        if path[0] in value:
            yield from _found(value[path[0]], path[1:])
        else:
            yield MISSING
    elif isinstance(value, list):
        for each in value:
            if isinstance(each, dict):
                yield from _found(each, path)
    else:
        yield MISSING


def _equals(found: list[Any], wanted: Any) -> bool:
    if wanted is None:
        return any(value is None or value is MISSING for value in found)
    return any(value == wanted or (isinstance(value, list) and wanted in value) for value in found)


def _holds(found: list[Any], operator: str, wanted: Any, now: Any) -> bool:
    if operator == "$in":
        return any(_equals(found, each) for each in wanted)
    if operator == "$nin":
        return not any(_equals(found, each) for each in wanted)
    if operator == "$ne":
        return not _equals(found, wanted)
    if operator == "$not":
        return not all(_holds(found, inner, value, now) for inner, value in wanted.items())
    if operator == "$elemMatch":
        arrays = [value for value in found if isinstance(value, list)]
        return any(matches(each, wanted, now) for array in arrays for each in array)
    return any(_compares(value, operator, wanted) for value in found if value is not MISSING and value is not None)


def _compares(value: Any, operator: str, wanted: Any) -> bool:
    if operator == "$lt":
        return bool(value < wanted)
    if operator == "$lte":
        return bool(value <= wanted)
    if operator == "$gt":
        return bool(value > wanted)
    raise NotImplementedError(operator)


def projected(document: Document, projection: Any, now: Any) -> Document:
    """The members that were asked for, copied."""
    if not projection:
        return copied(document)  # type: ignore[no-any-return]
    wanted = projection if isinstance(projection, Mapping) else dict.fromkeys(projection, 1)
    if all(value == 0 for value in wanted.values()):
        return {name: copied(value) for name, value in document.items() if name not in wanted}
    kept: Document = {"_id": document["_id"]} if "_id" in document else {}
    for name, value in wanted.items():
        if value == 1:
            if name in document:
                kept[name] = copied(document[name])
        else:
            kept[name] = evaluate(value, document, now)
    return kept
