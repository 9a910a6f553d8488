"""Structured JSON logs, W3C trace context, metrics: the same in every service."""

import functools
import logging
import re
import secrets
import sys
from collections.abc import MutableMapping
from typing import Any, Final

import structlog
from prometheus_client import Counter, Gauge

# What must never be read in a log: keys and signatures by name, queries of URLs (they may be signed) by form.
SECRET_NAMES: Final = re.compile(r"(?i)api[_-]?key|secret|authorization|signature|password|token|callback[_-]?url")
# Up to the next white space: quotes are part of many a URL. Any scheme: those of databases hold passwords.
URL_TAIL: Final = re.compile(r"(?i)([a-z0-9+.-]{1,20}://)(?:[^/?#\s]*@)?([^/?#\s\"']*)\S*")
KEY_FORM: Final = re.compile(r"me_[A-Za-z0-9]+_[A-Za-z0-9_-]+|whsec_[A-Za-z0-9+/=_-]+")
TRACEPARENT: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

EVENTS_HANDLED = Counter("engine_events_total", "Events by topic and fate", ["topic", "fate"])
COMMIT_ERRORS = Counter("engine_commit_errors_total", "Offset commits that the broker refused", ["topic"])
EVENTS_UNKNOWN = Counter("engine_unknown_mutations_total", "Events whose mutation the ledger does not hold")
OUTCOMES = Counter("engine_outcomes_total", "Ended mutations by status", ["environment", "kind", "status"])
# After a lost lease or a lost race this is the protocol at work, and nothing was changed.
LATE_WRITES = Counter("engine_late_writes_total", "Writes refused because others had been faster", ["write"])
LOG_ENTRIES = Counter("engine_log_entries_total", "Lines that were logged, by level", ["level"])
for _level in ("error", "critical"):  # their first one must be seen to be a rise
    LOG_ENTRIES.labels(_level)
LOOP_LAG = Gauge("engine_loop_lag_seconds", "How late a due callback of the event loop ran, worst of the last minute")


@functools.lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    return SECRET_NAMES.search(name) is not None


def _redact(value: Any) -> Any:
    if isinstance(value, str):
        text = URL_TAIL.sub(r"\1\2/…", value) if "://" in value else value
        return KEY_FORM.sub("[redacted]", text) if "_" in text else text
    if isinstance(value, dict):
        return {key: "[redacted]" if _is_secret(str(key)) else _redact(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redact(part) for part in value]
    return value if value is None or isinstance(value, (int, float)) else _redact(repr(value))


def redact(_: Any, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The last processor before rendering: scheme and host are all that is left of a URL."""
    return {key: "[redacted]" if _is_secret(key) else _redact(value) for key, value in entry.items()}


def _count(_: Any, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    LOG_ENTRIES.labels(entry["level"]).inc()
    return entry


def configure_logging(service: str, level: str = "info") -> None:
    """One JSON object a line on standard output, for our own log calls and for those of libraries."""
    chain: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _count,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        lambda _, __, entry: {"service": service, **entry},
    ]
    tail: list[Any] = [structlog.processors.format_exc_info, redact, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*chain, *tail],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=chain,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def new_traceparent() -> str:
    """A new trace (W3C Trace Context, version 00, sampled)."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def next_traceparent(traceparent: str | None) -> str:
    """The same trace with a new parent id; a new trace where the given one is not valid."""
    if not traceparent or not TRACEPARENT.fullmatch(traceparent):
        return new_traceparent()
    version, trace, _, flags = traceparent.split("-")
    return f"{version}-{trace}-{secrets.token_hex(8)}-{flags}"
