"""The system's resolver in threads of its own: neither slow names nor one domain's many names starve everybody."""

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from weakref import WeakValueDictionary

DNS_SECONDS: Final = 5.0  # from the moment that a thread has begun
QUEUE_SECONDS: Final = 5.0  # for a thread
DNS_THREADS: Final = 64
PER_PARENT: Final = 8  # look-ups under way below the same last two labels


class LookupsBusy(OSError):
    """No thread came free in time: nothing that can be held against the name."""


def system_lookup(host: str) -> list[str]:
    """A name's addresses; blocks."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    # A scope id stays in the text, so that the policy sees and refuses it.
    return list(dict.fromkeys(f"{at[0]}%{at[3]}" if len(at) == 4 and at[3] else str(at[0]) for *_, at in found))


class ThreadedLookup:
    """A place is held until its thread has ended, also when nobody waits for it any more."""

    def __init__(
        self,
        executor: ThreadPoolExecutor,
        threads: int = DNS_THREADS,
        look_up: Callable[[str], list[str]] = system_lookup,
        *,
        queue_seconds: float = QUEUE_SECONDS,
        seconds: float = DNS_SECONDS,
    ) -> None:
        self._executor, self._look_up = executor, look_up
        self._queue_seconds, self._seconds = queue_seconds, seconds
        self._threads = asyncio.Semaphore(threads)
        self._parents: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def __call__(self, host: str) -> list[str]:
        """The addresses; raises LookupsBusy, and OSError for an unknown or slow name."""
        parent = await self._enter(".".join(host.rstrip(".").lower().split(".")[-2:]))
        running = asyncio.get_running_loop().run_in_executor(self._executor, self._look_up, host)

        def leave(ended: asyncio.Future[list[str]]) -> None:
            parent.release()
            self._threads.release()
            if not ended.cancelled():
                ended.exception()  # it may be that nobody waits for it any more

        running.add_done_callback(leave)
        ended, _ = await asyncio.wait([running], timeout=self._seconds)
        if not ended:
            raise OSError("name resolution timed out")
        return running.result()

    async def _enter(self, name: str) -> asyncio.Semaphore:
        parent = self._parents.get(name)
        if parent is None:
            parent = self._parents[name] = asyncio.Semaphore(PER_PARENT)
        try:
            async with asyncio.timeout(self._queue_seconds):
                await parent.acquire()
                try:
                    await self._threads.acquire()
                except BaseException:
                    parent.release()
                    raise
        except TimeoutError:
            raise LookupsBusy("no thread for a look-up") from None
        return parent
