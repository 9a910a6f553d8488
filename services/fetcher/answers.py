"""What a stranger's answer means: its status, its headers, and the failure each is."""

import socket
from datetime import UTC, datetime
from typing import Final

import httpx2

from services.fetcher.pacing import DEFAULT_PAUSE_SECONDS
from shared import limits
from shared.retry_after import retry_after_seconds

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
BODIES: Final = frozenset({200, 203, 204})
FAILURES: Final = {401: "source_forbidden", 403: "source_forbidden", 404: "source_not_found", 410: "source_not_found"}
PACED: Final = frozenset({403, 429, 503})
TIGHT_WINDOW_BYTES: Final = 16 * limits.KIB
MEDIA_TYPE_LENGTH: Final = 127
LENGTH_DIGITS: Final = 20  # as many as a 64-bit number has; int() refuses thousands of them


class Failed(Exception):
    """A download failed with this outcome code; a transient failure may be tried again, after `retry_after` seconds."""

    def __init__(self, code: str, *, transient: bool = False, retry_after: float | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.transient = transient
        self.retry_after = retry_after


def redirect_target(response: httpx2.Response) -> str | None:
    """Where a redirect points to, or None."""
    return response.headers.get("location") if response.status_code in REDIRECTS else None


def judge(response: httpx2.Response) -> None:
    """Raise Failed unless a usable body follows; with a pause for the host where it asked for one."""
    status = response.status_code
    if status not in BODIES:
        pause = retry_after_seconds(response.headers.get("retry-after"), datetime.now(UTC)) if status in PACED else None
        if status == 429 and pause is None:
            pause = DEFAULT_PAUSE_SECONDS
        transient = status >= 500 or status == 429
        raise Failed(FAILURES.get(status, "source_error"), transient=transient, retry_after=pause)
    if response.headers.get("content-encoding", "").strip().lower() not in ("", "identity"):
        raise Failed("source_error")  # we asked for the plain bytes; what came would not be the file
    if response.headers.get("transfer-encoding", "chunked").strip().lower() != "chunked":
        raise Failed("source_error")  # a coding that nobody undoes


def announced_size(response: httpx2.Response) -> int | None:
    """The Content-Length, when it says how long the body is; raises Failed when it is over the limit."""
    value = response.headers.get("content-length")
    if value is None or "transfer-encoding" in response.headers:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= LENGTH_DIGITS):
        raise Failed("source_error")
    if int(value) > limits.URL_FILE_BYTES:
        raise Failed("too_large")
    return int(value)


def media_type(response: httpx2.Response) -> str | None:
    """The declared media type without parameters, as far as it is one."""
    declared = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return declared if "/" in declared and declared.isascii() and len(declared) <= MEDIA_TYPE_LENGTH else None


def tighten(response: httpx2.Response) -> None:
    """Let the kernel take in little more of this body than what has been read of it."""
    connection = response.extensions.get("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, TIGHT_WINDOW_BYTES)
