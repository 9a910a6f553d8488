"""The embedded stack as a context manager, for tests, demo and benchmark: its supervisor is a process of its own."""

import asyncio
import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Literal

from deploy.stack.child import ROOT
from deploy.stack.services import SERVICES

STOP_SECONDS: Final = 60.0


class StackFailed(Exception):
    """The stack did not start; says why, with what the supervisor printed."""


class EmbeddedStack:
    """`with EmbeddedStack(directory, port=0) as stack: stack.handle["http"]`, or the same with `async with`.

    `services` names those to start, `env` holds additional variables by service. The supervisor stops when this process
    ends, however it ends: the pipe to its standard input breaks then.
    """

    def __init__(
        self,
        state_dir: Path | str,
        port: int = 0,
        allow_loopback: bool = True,
        broker: Literal["tansu", "kafka"] = "tansu",
        env: Mapping[str, Mapping[str, str]] | None = None,
        servers_only: bool = False,
        services: Sequence[str] = SERVICES,
        ready_seconds: float = 180.0,
        longest_pause: float = 10.0,
        brokers: int = 1,
    ) -> None:
        self.state_dir = Path(state_dir).resolve()
        self._console = self.state_dir / "console.log"
        self._ready_seconds = ready_seconds
        self._arguments = ["run", f"--port={port}", f"--state-dir={self.state_dir}", f"--broker={broker}", "--lifeline"]
        self._arguments += [f"--longest-pause={longest_pause}", f"--brokers={brokers}"]
        self._arguments += ["--allow-loopback"] if allow_loopback else []
        self._arguments += ["--servers-only"] if servers_only else [f"--services={','.join(services)}"]
        self._arguments += [f"--env={s}:{k}={v}" for s, more in (env or {}).items() for k, v in more.items()]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def handle(self) -> dict[str, Any]:
        """The present content of stack.json: process ids change when a child is started again."""
        return dict(json.loads((self.state_dir / "stack.json").read_text()))

    @property
    def pid(self) -> int:
        """Of the supervisor."""
        return self._process.pid if self._process else 0

    @property
    def console(self) -> str:
        """What the supervisor has printed so far."""
        return self._console.read_text(errors="replace")

    def start(self) -> "EmbeddedStack":
        """Start and wait until everything is ready; raises StackFailed."""
        self.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        ready, told = os.pipe()
        with os.fdopen(ready, "rb") as waiting, self._console.open("wb") as console:
            try:
                self._process = self._spawn(told, console)
            finally:
                os.close(told)
            in_time, _, _ = select.select([waiting], [], [], self._ready_seconds)
            if in_time and waiting.read(1):
                return self
        self.stop()
        raise StackFailed(f"The stack did not start{'' if in_time else ' in time'}.\n{self.console}")

    def _spawn(self, told: int, console: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603  our own module
            [sys.executable, "-m", "deploy.stack", *self._arguments, f"--ready-fd={told}"],
            stdin=subprocess.PIPE,
            stdout=console,
            stderr=subprocess.STDOUT,
            pass_fds=[told],
            cwd=ROOT,
            start_new_session=True,
        )

    def stop(self) -> None:
        """Stop everything; what does not stop in time dies with the supervisor."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin:
            process.stdin.close()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> "EmbeddedStack":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> "EmbeddedStack":
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)
