"""Where `mutation-engine` and `python -m deploy.admin` begin: modules are imported once Ctrl-C can be answered."""

import os
import signal
import sys

INTERRUPTED = 130  # as shells count it


def run(words: list[str] | None = None) -> None:
    """As a program: of what was typed, or of these words. Ctrl-C never shows a traceback, nor while it starts."""
    before = signal.signal(signal.SIGINT, _leave)
    from deploy.admin import commands

    signal.signal(signal.SIGINT, before)
    try:
        commands.run(words)
    except KeyboardInterrupt:  # just before a command begins, which answers it itself
        sys.exit(INTERRUPTED)
    finally:
        signal.signal(signal.SIGINT, _leave)


def _leave(*_: object) -> None:
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    run()
