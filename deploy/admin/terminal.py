"""What every command does alike on the terminal: JSON or words, and an end with a sentence and an exit code."""

import sys
from typing import Annotated, Any, Final

import orjson
import typer
from rich.console import Console

FAILED: Final = 1
MISUSED: Final = 2
UNREACHABLE: Final = 3

Json = Annotated[bool, typer.Option("--json", help="print JSON, for programs")]

out = Console(highlight=False, soft_wrap=True)
err = Console(highlight=False, soft_wrap=True, stderr=True)


class CommandFailed(Exception):
    """Ends the command with a sentence on standard error and this exit code."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def print_json(value: Any) -> None:
    """One line on standard output; times as ISO 8601, so that many lines are NDJSON."""
    sys.stdout.write(orjson.dumps(value, default=str).decode() + "\n")
    sys.stdout.flush()


def say(text: str = "", style: str | None = None) -> None:
    """A line of words; what comes from servers is never read as markup."""
    out.print(text, style=style, markup=False)


def note(text: str) -> None:
    """A line beside the result, on standard error."""
    err.print(text, style="dim", markup=False)
