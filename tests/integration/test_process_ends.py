"""How a process ends: when its loop stands still, when it can not leave in time; and not because it was frozen."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

PATIENCE_SECONDS = 60
FROZEN_SECONDS = 4  # twice what counts as blocked
SERVICE = """
import asyncio, sys, time
from shared.observability import configure_logging
from shared.process import run_service
from shared.settings import EngineSettings

async def main(lifecycle):
    print("running", flush=True)
    if sys.argv[1] == "blocks":
        time.sleep(600)
    await lifecycle.stopping.wait()
    if sys.argv[1] == "hangs":
        await asyncio.Event().wait()

configure_logging("test")
sys.exit(run_service("test", main, EngineSettings(loop_blocked_seconds=2, grace_seconds=2)))
"""


@contextmanager
def service(how: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", SERVICE, how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "running\n"
            yield process
        finally:
            process.kill()


def test_a_blocked_loop_ends_the_process_and_leaves_its_stack_in_the_log() -> None:
    with service("blocks") as process:
        said, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert '"event": "loop.blocked"' in said
    assert "in main\\n" in said


def test_a_process_that_was_frozen_goes_on() -> None:
    with service("waits") as process:
        process.send_signal(signal.SIGSTOP)
        time.sleep(FROZEN_SECONDS)
        process.send_signal(signal.SIGCONT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(FROZEN_SECONDS)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0


def test_a_process_that_does_not_leave_is_cut_off_at_the_end_of_its_grace_time() -> None:
    with service("hangs") as process:
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert '"event": "stop.cut"' in said
    assert "> main > Event.wait" in said
