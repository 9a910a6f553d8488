"""Who among the operators had what done again: a line of the log each, for it is seen nowhere else."""

from typing import Any, Final

import structlog
from starlette.requests import Request

from shared.tenants import API_KEY

log = structlog.get_logger()
NAMED: Final = 20  # ids in a line


def resent(request: Request, chosen: dict[str, Any], ids: list[str], count: int) -> None:
    """Callbacks were sent again; `chosen` is what the operator asked for beside ids."""
    who = {"operator": _operator(request), "request_id": request.state.request_id}
    log.info("callbacks.resent", **who, chosen=chosen, mutations=ids[:NAMED], count=count)


def replayed(request: Request, topic: str, chosen: dict[str, Any], count: int, broke_off: bool) -> None:
    """Dead letters were replayed; where that broke off, one more than `count` may have been."""
    who = {"operator": _operator(request), "request_id": request.state.request_id}
    log.info("letters.replayed", **who, topic=topic, chosen=chosen, count=count, broke_off=broke_off)


def _operator(request: Request) -> str | None:
    """The public id of the key, which `keys list` shows; the gateway has found the key right."""
    parts = API_KEY.fullmatch(request.headers.get("x-api-key", ""))
    return parts[1] if parts else None
