"""Free loopback ports, below the range that outgoing connections use, and the same ones again where possible."""

import errno
import json
import random
import socket
from pathlib import Path
from typing import Final

LOOPBACK: Final = "127.0.0.1"
RANGE: Final = range(10_000, 30_000)


def refusal(port: int) -> str | None:
    """Why no server could listen there now, as a sentence; None where one could."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return f"Port {port} is taken: stop what listens there, or choose another (make run PORT=…)."
            return f"Nobody can listen at {LOOPBACK}:{port}: {error}. Choose another port (make run PORT=…)."
    return None


class Ports:
    """Ports by name. A restarted stack gets its old ones when they are free, so old addresses hold."""

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._before: dict[str, int] = json.loads(memory.read_text()) if memory.exists() else {}
        self._taken: dict[str, int] = {}

    def __getitem__(self, name: str) -> int:
        if name not in self._taken:
            before = self._before.get(name)
            usable = before and before not in self._taken.values() and not refusal(before)
            self.choose(name, before if before and usable else self._other())
        return self._taken[name]

    def choose(self, name: str, port: int) -> None:
        """Give a name this port, now and in later runs."""
        self._taken[name] = port
        self._memory.write_text(json.dumps(self._before | self._taken, indent=2))

    def _other(self) -> int:
        taken = {*self._taken.values(), *self._before.values()}
        return next(port for port in random.sample(RANGE, len(RANGE)) if port not in taken and not refusal(port))
