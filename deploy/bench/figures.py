"""Turns times and usage into the figures that are printed and written."""

import math
from typing import Any

from deploy.bench.load import Accepted, Site
from deploy.bench.measure import Usage


def percentile(ordered: list[float], share: float) -> float:
    """The nearest-rank percentile of ascending values."""
    return ordered[math.ceil(len(ordered) * share) - 1]


def figures(accepted: list[Accepted], site: Site, before: dict[str, Usage], after: dict[str, Usage]) -> dict[str, Any]:
    """Rates per second, end-to-end times in ms (POST sent to callback received), CPU-ms and peak memory by service."""
    n, started = len(accepted), min(one.asked for one in accepted)
    ended = {mutation: at for mutation, (at, _) in site.completed.items()}
    times = sorted((ended[one.mutation] - one.asked) * 1000 for one in accepted if one.mutation in ended)
    cpu = {name: (after[name].cpu_seconds - before[name].cpu_seconds) * 1000 / n for name in after}
    return {
        "n": n,
        "acceptedPerSecond": round(n / (max(one.at for one in accepted) - started), 1),
        "completedPerSecond": round(len(times) / (max(ended.values()) - started), 1) if times else 0.0,
        "p50Ms": round(percentile(times, 0.50), 1) if times else None,
        "p99Ms": round(percentile(times, 0.99), 1) if times else None,
        "cpuMsPerMutation": {name: round(value, 3) for name, value in cpu.items()}
        | {"total": round(sum(cpu.values()), 3)},
        "peakRssMb": {name: round(one.peak_rss_mb, 1) for name, one in after.items()},
    }


def lines(name: str, says: str, result: dict[str, Any]) -> list[str]:
    """The figures of one workload as text."""
    cpu = ", ".join(f"{service} {value:.2f}" for service, value in result["cpuMsPerMutation"].items())
    rss = ", ".join(f"{service} {value:.0f}" for service, value in result["peakRssMb"].items())
    return [
        f"{name}  {says}, n = {result['n']}: {'valid' if result['valid'] else 'VOID'}",
        f"    accepted {result['acceptedPerSecond']}/s, completed {result['completedPerSecond']}/s, "
        f"end to end p50 {result['p50Ms']} ms, p99 {result['p99Ms']} ms",
        f"    CPU-ms a mutation: {cpu}",
        f"    peak RSS in MiB: {rss}",
        *(f"    fault: {fault}" for fault in result.get("faults", [])),
    ]
