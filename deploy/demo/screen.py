"""What the demo prints: one line a step with its time; a failure says which step, what was expected, what was seen."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape


class StepFailed(Exception):
    """A step did not hold."""

    def __init__(self, step: str, expected: str, seen: str) -> None:
        super().__init__(f"{step}: expected {expected}, saw {seen}")
        self.step, self.expected, self.seen = step, expected, seen


class Unexpected(Exception):
    """Something was not as a step expects it."""

    def __init__(self, expected: object, seen: object) -> None:
        super().__init__(f"expected {expected}, saw {seen}")
        self.expected, self.seen = str(expected), str(seen)


def expect(expected: Any, seen: Any, what: str = "") -> None:
    """Raise Unexpected unless both are equal."""
    if expected != seen:
        raise Unexpected(f"{what}{' ' if what else ''}{expected!r}", repr(seen))


class Screen:
    """Lines on a terminal in colour, elsewhere as plain text."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)
        self.detail = ""

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Time the block and print its line; whatever it raises becomes StepFailed."""
        self.detail, started = "", time.perf_counter()
        try:
            yield
        except Unexpected as error:
            self._line("red", "failed", started, title)
            raise StepFailed(title, error.expected, error.seen) from error
        except Exception as error:
            self._line("red", "failed", started, title)
            raise StepFailed(title, "no error", f"{type(error).__name__}: {error}") from error
        self._line("green", "ok", started, title)

    def _line(self, colour: str, word: str, started: float, title: str) -> None:
        seconds = time.perf_counter() - started
        detail = f"  [dim]{escape(self.detail)}[/dim]" if self.detail else ""
        self.console.print(f"[{colour}]{word:>6}[/{colour}] {seconds:7.3f} s  {escape(title)}{detail}")
