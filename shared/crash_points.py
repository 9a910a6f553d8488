"""Places where tests may cut a process off: in between two steps of the protocol.

ENGINE_CRASH_POINTS names a directory, which only tests set. Whoever passes a point whose file lies there takes the file
away and sends itself the signal that the file names, SIGKILL where it names none; only one process can. Without the
variable a point is a call of an empty function.
"""

import os
import signal
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

Point: TypeAlias = Literal[
    "ingest.inserted",  # the mutation is in the ledger, nothing is published, nobody has a 202
    "ingest.array_inserted",  # within the transaction, which is not committed
    "ingest.answering",  # decided and on its way, the 202 is not sent
    "ingest.published",  # acknowledged by the broker, not marked
    "ingest.published_again",  # the relay has published what stood still, and has not counted it
    "ingest.command_committing",  # the ledger holds the commands
    "fetcher.downloaded",  # nothing is staged
    "fetcher.staged",  # no event names the staged object yet
    "fetcher.publishing",
    "fetcher.published",  # passed on, not committable yet
    "fetcher.committing",
    "storage.stored",  # bytes under records/, nothing is decided
    "storage.parked",  # parked, and its turn may have come in between
    "storage.decided",  # applying, nothing is applied
    "storage.tombstoned",  # the objects of what is removed are still there
    "storage.attachments_written",
    "storage.records_written",
    "storage.finished",  # ended, nothing is announced
    "storage.announced",  # announced, its successor is not woken
    "storage.committing",
    "notifier.entered",  # deliveries are in the inbox, leased, and nobody attempts them
    "notifier.outcome_published",  # on the tenant's topic, still owed
    "notifier.sent",  # the receiver has it, no attempt is recorded
    "notifier.committing",
]
POINTS: Final[tuple[Point, ...]] = get_args(Point)
VARIABLE: Final = "ENGINE_CRASH_POINTS"


def _pass_by(point: Point) -> None:
    """Nobody wants us to end here."""


def _end_here(point: Point) -> None:
    file = _DIRECTORY / point
    try:
        named = file.read_text()
        file.unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.Signals[named or "SIGKILL"])


_DIRECTORY: Final = Path(os.environ.get(VARIABLE, ""))
crash_point = _end_here if os.environ.get(VARIABLE) else _pass_by
