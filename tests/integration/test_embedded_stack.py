"""The supervisor keeps its processes running while it lives, and leaves none when it is gone, however it goes."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from deploy.stack import EmbeddedStack, StackFailed

PATIENCE_SECONDS = 30.0


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def accepts(address: str) -> bool:
    host, _, port = address.rpartition("//")[2].partition(":")
    with socket.socket() as client:
        return client.connect_ex((host, int(port))) == 0


async def topics(bootstrap: str) -> set[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        return set(await admin.list_topics())
    finally:
        await admin.close()


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[EmbeddedStack]:
    with EmbeddedStack(tmp_path / "state", servers_only=True) as stack:
        yield stack


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploy.stack", "run", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_killed_child_is_started_again_on_its_port_and_published(embedded: EmbeddedStack) -> None:
    before = embedded.handle
    os.kill(before["processes"]["mongodb"], signal.SIGKILL)
    eventually(lambda: embedded.handle["processes"]["mongodb"] != before["processes"]["mongodb"])
    after = embedded.handle
    assert after["mongodb"] == before["mongodb"]
    eventually(lambda: accepts(after["mongodb"]))
    assert "mongodb ended (signal SIGKILL)" in embedded.console
    assert {**after["processes"], "mongodb": 0} == {**before["processes"], "mongodb": 0}


def test_a_killed_broker_has_its_topics_again(embedded: EmbeddedStack) -> None:
    handle = embedded.handle
    later = [sys.executable, "-m", "deploy.admin", "--state-dir", str(embedded.state_dir), "tenants", "create", "later"]
    subprocess.run(later, check=True)
    before = asyncio.run(topics(handle["kafka"]))
    assert {"mutations.accepted", "mutations.commands.demo", "mutations.commands.later"} <= before
    os.kill(handle["processes"]["kafka"], signal.SIGKILL)
    eventually(lambda: "kafka is back" in embedded.console)
    assert asyncio.run(topics(handle["kafka"])) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_to_the_supervisor_leaves_no_process(embedded: EmbeddedStack, number: signal.Signals) -> None:
    processes = embedded.handle["processes"].values()
    assert not any(gone(pid) for pid in processes)
    os.kill(embedded.pid, number)
    eventually(lambda: all(gone(pid) for pid in [embedded.pid, *processes]))


def test_the_stack_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    owner = (
        "import sys, time; from deploy.stack import EmbeddedStack\n"
        "with EmbeddedStack(sys.argv[1], servers_only=True) as stack:\n"
        "    print(stack.pid, *stack.handle['processes'].values(), flush=True)\n"
        "    time.sleep(600)\n"
    )
    command = [sys.executable, "-c", owner, str(tmp_path / "state")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        pids = [int(pid) for pid in process.stdout.readline().split()]
        process.kill()
    assert len(pids) == 4
    eventually(lambda: all(gone(pid) for pid in pids))


def test_a_second_run_continues_with_the_same_credentials_and_data(tmp_path: Path) -> None:
    with EmbeddedStack(tmp_path, servers_only=True) as stack:
        first = stack.handle
        assert (tmp_path / "stack.json").stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "credentials.json").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "stack.json").exists()
    with EmbeddedStack(tmp_path, servers_only=True) as stack:
        assert stack.handle["tenants"] == first["tenants"]
        assert stack.handle["s3"] == first["s3"]


def test_two_stacks_run_side_by_side(embedded: EmbeddedStack, tmp_path: Path) -> None:
    with EmbeddedStack(tmp_path / "other", servers_only=True) as other:
        for name in ("kafka", "mongodb"):
            assert embedded.handle[name] != other.handle[name]
            assert accepts(embedded.handle[name])
            assert accepts(other.handle[name])


def test_a_second_supervisor_on_the_same_directory_is_refused(embedded: EmbeddedStack) -> None:
    refused = run("--port=0", f"--state-dir={embedded.state_dir}")
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"Another stack (process {embedded.pid}) runs on")
    assert embedded.handle["processes"]


def test_a_taken_port_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        refused = run(f"--port={port}", f"--state-dir={tmp_path}")
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"Port {port} is taken")


def test_a_service_that_cannot_start_ends_the_stack_with_the_end_of_its_log(tmp_path: Path) -> None:
    broken = {"storage": {"ENGINE_HEALTH_PORT": "no-number"}}
    with pytest.raises(
        StackFailed, match=r"(?s)storage ended \(exit code \d+\) before it was ready.*The end of"
    ) as failed:
        EmbeddedStack(tmp_path, env=broken).start()
    assert "Traceback" in str(failed.value)
    assert not (tmp_path / "stack.json").exists()
