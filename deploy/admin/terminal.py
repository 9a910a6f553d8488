"""What every command does alike on the terminal: JSON or words, and an end with a sentence and an exit code."""

import logging
import re
import sys
from typing import Annotated, Any, Final, NoReturn

import orjson
import structlog
import typer
from rich.console import Console
from rich.markup import escape

FAILED: Final = 1
MISUSED: Final = 2
UNREACHABLE: Final = 3
WIDE: Final = 10_000
FRACTION: Final = re.compile(r"\.\d+(?=Z|[+-])")

Json = Annotated[bool, typer.Option("--json", help="print JSON, for programs")]

# What receivers, senders and file names say must not steer the terminal: controls, and what turns words around.
UNSEEN: Final[dict[int, str]] = dict.fromkeys(
    [*range(9), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)], "�"
) | {ord("\r"): ""}

# A row of a table is a line, however narrow the terminal: it breaks the line, but ids and topics can be copied, and a
# pipe gets all of them. Without a height, rich takes a dumb terminal for one of 80 columns.
out = Console(highlight=False, soft_wrap=True, emoji=False, width=WIDE, height=25)
err = Console(highlight=False, soft_wrap=True, emoji=False, stderr=True)


class CommandFailed(Exception):
    """Ends the command with a sentence on standard error and this exit code."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def hush() -> None:
    """Let nothing but results come out on standard output; what clients complain of, our own sentences say."""
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
    for name in ("aiokafka", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def print_json(value: Any) -> None:
    """One line on standard output; times as ISO 8601, so that many lines are NDJSON."""
    print(orjson.dumps(value, default=str).decode(), flush=True)


def say(text: str = "", style: str | None = None) -> None:
    """A line of words; what comes from servers is never read as markup."""
    out.print(text.translate(UNSEEN), style=style, markup=False)


def note(text: str, style: str | None = "dim") -> None:
    """A line beside the result, on standard error."""
    err.print(text.translate(UNSEEN), style=style, markup=False)


def cell(text: str) -> str:
    """The same for a table."""
    return escape(text.translate(UNSEEN))


def counted(count: int, one: str, many: str = "") -> str:
    """`1 try`, `2 tries`; without `many` an s makes it so."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def moment_of(time: str | None) -> str:
    """A time of the gateway's without its fraction of a second, so that tables stay narrow; – for none."""
    return FRACTION.sub("", time) if time else "–"


def end_counted(done: dict[str, Any], as_json: bool, dry_run: bool, what: str, but: str) -> NoReturn:
    """Tell how many were done, or would be, and `but` beside it; ends with 1 when that is none."""
    if as_json:
        print_json(done)
    else:
        verb = "would be" if dry_run else "is" if done["count"] == 1 else "are"
        say(f"{done['count']:,} {verb} {what}")
        if but:
            note(but)
    raise typer.Exit(0 if done["count"] else FAILED)
