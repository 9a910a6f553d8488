"""The tables of docs/metrics.md and docs/logs.md, from the source and what deploy/admin/signal_meanings.py says."""

from deploy.admin import code_search
from deploy.admin.signal_meanings import DYNAMIC, EVENTS, LABELS


def metric_rows() -> list[str]:
    """Every metric."""
    rows = [
        f"| `{each.name}` | {each.kind} | {_coded(each.labels)} | {_where(each.file)} | {each.meaning} |"
        for each in code_search.metrics()
    ]
    return ["| metric | kind | labels | in | what |", "|---|---|---|---|---|", *rows]


def label_rows() -> list[str]:
    """Every label."""
    return ["| label | values |", "|---|---|", *(f"| `{label}` | {values} |" for label, values in LABELS.items())]


def event_rows() -> list[str]:
    """Every logged event, with its levels and fields from all places that log it."""
    rows, events = [], code_search.events()
    for name, meaning in EVENTS.items():
        found = [each for each in events if name in _names(each)]
        levels = " or ".join(sorted({level for each in found for level in each.levels}))
        fields = sorted({field for each in found for field in each.fields} - {"exc_info"})
        where = ", ".join(sorted({_where(each.file) for each in found}))
        rows.append(f"| `{name}` | {levels} | {_coded(fields)} | {where} | {meaning} |")
    return ["| event | level | fields | in | what |", "|---|---|---|---|---|", *rows]


def logged() -> set[str]:
    """The names of all events that the code logs."""
    return {name for each in code_search.events() for name in _names(each)}


def _names(event: code_search.Event) -> tuple[str, ...]:
    return (event.name,) if event.name else DYNAMIC.get(event.file, (f"no literal in {event.file}",))


def _where(file: str) -> str:
    folder, service, *_ = file.split("/")
    return service if folder == "services" else "each"


def _coded(words: tuple[str, ...] | list[str]) -> str:
    return " ".join(f"`{word}`" for word in words)
