"""CPU time and peak memory of the services, from the operating system, by process id."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds (user and system, children included) and peak resident memory in MiB of one service."""

    cpu_seconds: float
    peak_rss_mb: float


def usage(pid: int) -> Usage:
    """What a service has used so far; raises psutil.NoSuchProcess when it is gone."""
    service = psutil.Process(pid)
    family = [service, *service.children(recursive=True)]
    times = service.cpu_times()
    cpu, peak = times.children_user + times.children_system, 0.0
    for one in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            mine = one.cpu_times()
            cpu += mine.user + mine.system
            peak += _peak_rss(one.pid)
    return Usage(cpu, peak)


def usage_of(pids: Mapping[str, int]) -> dict[str, Usage]:
    """The same for every service by name."""
    return {name: usage(pid) for name, pid in pids.items()}


def forget_peaks(pids: Mapping[str, int]) -> None:
    """Start peak memory anew from what is resident now (proc(5), clear_refs); where that is refused, peaks grow on."""
    for pid in pids.values():
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/clear_refs").write_text("5")


def _peak_rss(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return float(psutil.Process(pid).memory_info().rss) / 2**20
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0)
