"""`python -m deploy.bench.starts`: seconds from the start of each service's process to the first 200 of its /readyz.

Also the CPU time that went into it, which is the same on a busy machine.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Final, Literal

from deploy.bench.measure import usage
from deploy.stack import EmbeddedStack
from deploy.stack.child import Child
from deploy.stack.ports import Ports
from deploy.stack.services import SERVICES, engine_env, service_spec
from deploy.stack.state import StateDir

PATIENCE_SECONDS: Final = 60.0


async def seconds_to_ready(child: Child) -> tuple[float, float]:
    """Start it, wait until it answers, stop it again: seconds by the clock and of CPU time; raises ChildFailed."""
    began = time.perf_counter()
    child.start()
    try:
        await child.answering(PATIENCE_SECONDS)
        return time.perf_counter() - began, usage(child.pid).cpu_seconds
    finally:
        await child.stop()


def ports_of(memory: Path) -> Ports:
    """Those of the servers that run, which are not free, and others for the services."""
    ports = Ports(memory)
    for name, port in json.loads(memory.read_text()).items():
        ports.choose(name, port)
    return ports


async def measure(state_dir: Path, times: int, broker: Literal["tansu", "kafka"]) -> None:
    """One service at a time, on the servers of an embedded stack that run already; prints a line each."""
    async with EmbeddedStack(state_dir, broker=broker, servers_only=True) as stack:
        state, ports = StateDir(stack.state_dir), ports_of(stack.state_dir / "ports.json")
        env = engine_env(state, ports, allow_loopback=True, idempotence=broker == "kafka")
        for name in SERVICES:
            child = Child(service_spec(name, env, ports, {}), state.logs)
            seen = [await seconds_to_ready(child) for _ in range(times)]
            clock, cpu = zip(*seen, strict=True)
            median, each = statistics.median(clock), ", ".join(f"{seconds:.2f}" for seconds in clock)
            print(f"{name:9} median {median:.2f} s ({each}), CPU {statistics.median(cpu):.2f} s", flush=True)


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m deploy.bench.starts", description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--broker", choices=("tansu", "kafka"), default="kafka")
    parser.add_argument("--state-dir", type=Path, default=Path(".run/starts"))
    options = parser.parse_args()
    asyncio.run(measure(options.state_dir, options.times, options.broker))
    return 0


if __name__ == "__main__":
    sys.exit(main())
