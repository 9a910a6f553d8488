"""One child process: started with a death pact, in a group of its own, logged to a file, stopped within bounds."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LAUNCH: Final = Path(__file__).with_name("launch.py")
ROOT: Final = Path(__file__).parents[2]
POLL_SECONDS: Final = 0.05
LOG_BYTES: Final = 8 * 1024 * 1024  # a larger log is set aside when its child starts
TAIL_LINES: Final = 30


@dataclass(frozen=True)
class ChildSpec:
    """What to run, and how to know that it answers."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    answers: Callable[[], Awaitable[bool]]
    grace_seconds: float = 10.0


class ChildFailed(Exception):
    """A child ended, or did not answer in time; says so in a sentence, with the tail of its log."""


class Child:
    """A process that may be started again, always with the same specification."""

    def __init__(self, spec: ChildSpec, logs: Path) -> None:
        self.spec, self.name, self._log = spec, spec.name, logs / f"{spec.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the present process, or of the last one."""
        return self._process.pid if self._process else 0

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process; call it from a thread that outlives the child (the pact is with the thread)."""
        if self._log.exists() and self._log.stat().st_size > LOG_BYTES:
            self._log.replace(self._log.with_suffix(".log.1"))
        launch = [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), *self.spec.argv]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  the supervisor's own argument list
                launch,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=dict(self.spec.env),
                start_new_session=True,
            )

    async def exited(self) -> str:
        """Wait for the end; says how it ended."""
        while True:
            code = self._process.poll() if self._process else 0
            if code is not None:
                return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
            await asyncio.sleep(POLL_SECONDS)

    async def answering(self, seconds: float) -> None:
        """Wait until it answers; raises ChildFailed."""
        ended = asyncio.create_task(self.exited())
        try:
            async with asyncio.timeout(seconds):
                while not ended.done():
                    if await self.spec.answers():
                        return
                    await asyncio.sleep(POLL_SECONDS)
            raise ChildFailed(f"{self.name} ended ({ended.result()}) before it was ready.\n{self.tail()}")
        except TimeoutError:
            raise ChildFailed(f"{self.name} was not ready within {seconds:.0f} s.\n{self.tail()}") from None
        finally:
            ended.cancel()

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL to the group when its grace is over."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(self.exited(), self.spec.grace_seconds)
        self.kill()
        await self.exited()

    def kill(self) -> None:
        """SIGKILL to what is left of the group."""
        if self._process:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        """To the process, if it is still there."""
        if self._process:
            self._process.send_signal(number)

    def tail(self) -> str:
        """The last lines of its log, under the log's path."""
        lines = self._log.read_text(errors="replace").splitlines()[-TAIL_LINES:] if self._log.exists() else []
        return "\n".join([f"The end of {self._log}:", *(f"    {line}" for line in lines)])
