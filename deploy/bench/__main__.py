"""`python -m deploy.bench`: load through the whole stack to the received callback, and what it cost."""

import argparse
import asyncio
import json
import secrets
import sys
from pathlib import Path
from typing import Any, Literal

import uvloop

from deploy.bench.evidence import Stores, faults
from deploy.bench.figures import figures, lines
from deploy.bench.footprint import document_bytes
from deploy.bench.installation import Installation, open_installation
from deploy.bench.load import open_site, post_all, wait_for_callbacks
from deploy.bench.measure import forget_peaks, usage_of
from deploy.bench.workloads import WORKLOADS, Bodies, Workload

BROKERS: dict[str, Literal["tansu", "kafka"]] = {"embedded": "tansu", "kafka": "kafka"}
SETTLE_SECONDS = 1.0  # after the last callback: what the services still write about it is counted, too
WARM_UP = 64


async def run_workload(
    installation: Installation, workload: Workload, n: int, clients: int, rate: float = 0.0
) -> dict[str, Any]:
    """Figures of one workload, with `valid` and, when it is void, `faults`."""
    async with open_site(installation.webhook_secret) as site:
        bodies = site.bodies = Bodies(workload, secrets.token_hex(8), site.url)
        stores = Stores(installation.settings, installation.tenant)
        there = await document_bytes(stores)
        pids = installation.pids()
        forget_peaks(pids)
        before = usage_of(pids)
        accepted = await post_all(installation.api, installation.api_key, bodies, n, clients, rate)
        await wait_for_callbacks(site, n)
        await asyncio.sleep(SETTLE_SECONDS)
        after = usage_of(pids)
        found = await faults(stores, bodies, accepted, site)
        if installation.pids() != pids:
            found.append("a service was restarted")
        left = await document_bytes(stores)
        left.subtract(there)
        result = figures(accepted, site, before, after) | {
            "documentBytesPerMutation": {name: round(size / n) for name, size in sorted(left.items())},
            "valid": not found,
        }
        return result | ({"faults": found[:10]} if found else {})


async def run(options: argparse.Namespace) -> int:
    """Exit code: 0 only if every run is valid."""
    results: dict[str, Any] = {}
    async with open_installation(options.state_dir, BROKERS[options.stack]) as installation:
        await run_workload(installation, WORKLOADS["W3"], WARM_UP, options.clients)
        for name in options.workloads:
            workload = WORKLOADS[name]
            results[name] = await run_workload(installation, workload, options.n, options.clients, options.rate)
            print("\n".join(lines(name, workload.says, results[name])), flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0 if all(result["valid"] for result in results.values()) else 1


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m deploy.bench", description=__doc__)
    names = ", ".join(f"{name} ({each.says})" for name, each in WORKLOADS.items())
    parser.add_argument("--workloads", type=lambda text: text.split(","), default=list(WORKLOADS), help=f"of {names}")
    parser.add_argument("--n", type=int, default=1000, help="mutations of each (1000)")
    parser.add_argument("--clients", type=int, default=32, help="at once; each sends when it has its 202 (32)")
    parser.add_argument("--rate", type=float, default=0.0, help="a second; 0 sends as fast as it is answered (0)")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    parser.add_argument("--stack", choices=tuple(BROKERS), default="embedded", help="kafka: Apache Kafka, needs Java")
    parser.add_argument("--state-dir", type=Path, default=Path(".run/bench"), help="of the stack that it starts")
    options = parser.parse_args()
    if unknown := set(options.workloads) - set(WORKLOADS):
        parser.error(f"unknown workloads: {', '.join(sorted(unknown))}")
    return uvloop.run(run(options))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # what was started has been taken down
        sys.exit(130)
