"""MongoDB's aggregation expressions, as far as the services use them."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

REMOVE: Final = object()  # $$REMOVE, and what a missing path gives
Scope = Mapping[str, Any]


def evaluate(expression: Any, document: Scope, now: Any, names: Scope | None = None) -> Any:
    """The value of an expression; REMOVE where there is none."""
    names = names or {}
    if isinstance(expression, str):
        return _path(expression, document, now, names) if expression.startswith("$") else expression
    if isinstance(expression, list):
        return [_or_null(evaluate(each, document, now, names)) for each in expression]
    if not isinstance(expression, dict):
        return expression
    if len(expression) == 1:
        operator, argument = next(iter(expression.items()))
        if operator in _LAZY:
            return _LAZY[operator](
                argument, lambda inner, more=None: evaluate(inner, document, now, more or names), names
            )
        if operator in _EAGER:
            return _EAGER[operator](evaluate(argument, document, now, names))
        if operator.startswith("$"):
            raise NotImplementedError(operator)
    values = {name: evaluate(value, document, now, names) for name, value in expression.items()}
    return {name: value for name, value in values.items() if value is not REMOVE}


def _path(text: str, document: Scope, now: Any, names: Scope) -> Any:
    if text == "$$NOW":
        return now
    if text == "$$REMOVE":
        return REMOVE
    if text.startswith("$$"):
        name, _, rest = text[2:].partition(".")
        return _walk(names[name], rest.split(".") if rest else [])
    return _walk(document, text[1:].split("."))


def _walk(value: Any, path: list[str]) -> Any:
    for part in path:
        if isinstance(value, list):
            inner = (_walk(each, [part]) for each in value)
            value = [each for each in inner if each is not REMOVE]
        elif isinstance(value, dict) and part in value:
            value = value[part]
        else:
            return REMOVE
    return value


def _or_null(value: Any) -> Any:
    return None if value is REMOVE else value


def _known(values: Any) -> list[Any]:
    listed = values if isinstance(values, list) else [values]
    return [each for each in listed if each is not None and each is not REMOVE]


def _less(pair: list[Any]) -> bool:
    return pair[0] is None or pair[0] < pair[1]  # null sorts before everything


def _merged(parts: list[Any]) -> dict[str, Any]:
    return {name: value for part in parts if part for name, value in part.items()}


def _sum(parts: list[Any]) -> Any:
    return parts[0] + timedelta(milliseconds=parts[1])


def _type(value: Any) -> str:
    return "object" if isinstance(value, dict) else "missing" if value is REMOVE else "other"


def _cond(argument: list[Any], value: Callable[..., Any], names: Scope) -> Any:
    return value(argument[1] if value(argument[0]) else argument[2])


def _if_null(argument: list[Any], value: Callable[..., Any], names: Scope) -> Any:
    found = value(argument[0])
    return value(argument[1]) if found is None or found is REMOVE else found


def _map(argument: dict[str, Any], value: Callable[..., Any], names: Scope) -> Any:
    listed = value(argument["input"])
    if listed is None or listed is REMOVE:
        return None
    return [_or_null(value(argument["in"], {**names, argument["as"]: each})) for each in listed]


def _literal(argument: Any, value: Callable[..., Any], names: Scope) -> Any:
    return argument


_LAZY: Final[dict[str, Callable[..., Any]]] = {"$cond": _cond, "$ifNull": _if_null, "$map": _map, "$literal": _literal}
_EAGER: Final[dict[str, Callable[[Any], Any]]] = {
    "$and": all,
    "$or": any,
    "$eq": lambda pair: pair[0] == pair[1],
    "$ne": lambda pair: pair[0] != pair[1],
    "$lt": _less,
    "$mergeObjects": _merged,
    "$allElementsTrue": lambda lists: all(lists[0]),
    "$add": _sum,
    "$type": _type,
    "$objectToArray": lambda value: [{"k": name, "v": part} for name, part in value.items()],
    "$arrayToObject": lambda pairs: {pair["k"]: pair["v"] for pair in pairs},
    "$max": lambda values: max(_known(values), default=None),
    "$min": lambda values: min(_known(values), default=None),
    "$toDate": lambda value: value,
    "$toLong": lambda value: value,
}
