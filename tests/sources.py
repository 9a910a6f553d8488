"""Strangers' servers on loopback, beyond those of the lab: answers in turn, silent ports, floods that are counted."""

import asyncio
import fcntl
import socket
import struct
import termios
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

from deploy.lab.raw import Answer


def one_after_another(*answers: Answer) -> Answer:
    """The first request gets the first answer, and so on; the last one for ever."""
    left = list(answers)

    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(path, writer)

    return answer


async def everything_here(host: str) -> Sequence[str]:
    """A fake resolver: every name is this machine."""
    return ["127.0.0.1"]


@contextmanager
def filtered_port() -> Iterator[int]:
    """A port of loopback that answers nothing at all, as behind a firewall: its queue of connections is full."""
    with ExitStack() as held:
        listening = held.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            with suppress(BlockingIOError):
                waiting.connect(listening.getsockname())
        yield listening.getsockname()[1]


class EndlessSource:
    """Sends a body without end as fast as it is taken, from a thread; `taken` counts what the other side received."""

    def __init__(self, head: bytes, block: bytes) -> None:
        self._head, self._block = head, block
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.taken = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        connection, _ = self._listening.accept()
        with connection:
            connection.recv(65536)
            sent = 0
            try:
                connection.sendall(self._head)
                while True:
                    left = memoryview(self._block)
                    while left:
                        count = connection.send(left)
                        sent, left = sent + count, left[count:]
                        (unsent,) = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0" * 4))
                        self.taken = sent - unsent
            except OSError:
                return

    async def gone(self) -> None:
        """Wait until the other side has hung up."""
        await asyncio.to_thread(self._thread.join, 30)
        self._listening.close()
