"""Tables of docs/capacity.md and docs/performance.md, from the benchmark's figures and stated assumptions."""

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from services.notifier.settings import NotifierSettings
from services.storage.settings import StorageSettings
from shared import broker, limits, topics

MEASURED: Final = Path(__file__).parents[1] / "bench" / "measured.json"
LOADS: Final = (10, 1_000, 100_000)  # mutations in the busiest minute
SMALL: Final = 1_200  # up to there the figures of a steady ten a second count
SERVICES: Final = ("ingest", "fetcher", "storage", "notifier")
HOURS, MONTH_SECONDS = 730, 730 * 3600
GB: Final = 10**9

BUSY: Final = 0.6  # of a core, of batches, of places: what the autoscalers aim at
REQUESTED: Final = 0.25  # of a core, for each replica
MEAN: Final = 1 / 3  # of the busiest minute: the mean of a month
YEAR: Final = 12  # months
DOCUMENT_WRITES: Final = 10  # ledger 5, record, attachment, delivery 2, attempt
DOWNLOAD_SECONDS: Final = 2.0
CALLBACK_SECONDS: Final = 0.2
EVENT_BYTES: Final = 1500  # a record with its headers, on each of three topics
COPIES: Final = 3  # of topics and of documents
SLACK: Final = 1.5  # indexes and free space beside documents
MEMORY_MIB: Final = {"ingest": 256, "fetcher": 192, "storage": 192, "notifier": 160}
MIX: Final = ("W1", "W2")  # half of the mutations each
WORKLOADS: Final = {"W1": "100 KB inline", "W2": "1 MB by URL", "W3": "1 KB inline"}
FILE_BYTES: Final = {"W1": 100 * 1024, "W2": 1024 * 1024}
OBJECT_WRITES: Final = {"W1": 1, "W2": 2}  # one of them into staging/
PRICES: Final = {
    "vCPU-hours": 0.04,
    "GB-months of memory": 4.00,
    "GB-months of disk": 0.10,
    "GB-months of objects": 0.023,
    "millions of writes to the store": 5.00,
}


def measured() -> dict[str, Any]:
    """What `make bench` said, and where it ran."""
    return dict(json.loads(MEASURED.read_text()))


def _mean(values: dict[str, float]) -> float:
    return sum(values[name] for name in MIX) / len(MIX)


def cpu_ms(service: str, load: int) -> float:
    """Of a mutation, in the mean of the mix: more at a small load, where batches are small."""
    workloads = measured()["workloads"] if load > SMALL else measured()["paced"]["10"]
    return _mean({name: workloads[name]["cpuMsPerMutation"][service] for name in MIX})


def busy_cores(service: str, load: int) -> float:
    """What a service uses in the busiest minute."""
    return load / 60 * cpu_ms(service, load) / 1000


def replicas(service: str, load: int) -> int:
    """As many as no bound of a process stops: its core, its batches, its places. Two, but for the least load."""
    rate = load / 60
    batches = 1 / broker.GATHER_SECONDS
    storage, notifier = StorageSettings.model_fields, NotifierSettings.model_fields
    bounds = {
        "ingest": [],
        "fetcher": [rate / len(MIX) * DOWNLOAD_SECONDS / limits.DOWNLOADS_IN_FLIGHT],
        "storage": [rate / (storage["batch_records"].default * batches)],
        "notifier": [rate * CALLBACK_SECONDS / notifier["callbacks_in_flight"].default],
    }[service]
    needed = math.ceil(float(max([busy_cores(service, load), *bounds])) / BUSY)
    return max(needed, 1 if load == LOADS[0] else 2)


def partitions(load: int) -> int:
    """Of each topic of the pipeline: twice the replicas of the largest consumer, in twelves."""
    most = max(replicas(service, load) for service in SERVICES[1:])
    return 12 * math.ceil(2 * most / 12)


def monthly(load: int) -> float:
    """Mutations of a month."""
    return load / 60 * MONTH_SECONDS * MEAN


def document_bytes(*collections: str) -> float:
    """Of a mutation in these collections, as long as it is kept."""
    workloads = measured()["workloads"]
    return _mean({name: sum(workloads[name]["documentBytesPerMutation"][one] for one in collections) for name in MIX})


def amounts(load: int) -> dict[str, float]:
    """By the names of PRICES: our services, Kafka's and MongoDB's disks, and the store after a year."""
    count = {service: replicas(service, load) for service in SERVICES}
    days = 86400 / MONTH_SECONDS
    events = EVENT_BYTES * len(topics.READERS) * topics.RETENTION_MS / 86_400_000 * days
    ended = document_bytes("mutations", "deliveries", "attempts") * limits.KEPT_SECONDS / MONTH_SECONDS
    kept = document_bytes("records", "attachments") * YEAR
    files = YEAR * _mean({name: float(FILE_BYTES[name]) for name in MIX})
    return {
        "vCPU-hours": HOURS * sum(max(count[one] * REQUESTED, busy_cores(one, load) / BUSY) for one in SERVICES),
        "GB-months of memory": sum(count[one] * MEMORY_MIB[one] for one in SERVICES) * 2**20 / GB,
        "GB-months of disk": monthly(load) * (events + SLACK * (ended + kept)) * COPIES / GB,
        "GB-months of objects": monthly(load) * files / GB,
        "millions of writes to the store": monthly(load) * _mean({n: float(OBJECT_WRITES[n]) for n in MIX}) / 10**6,
    }


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _row(says: str, cells: list[str]) -> str:
    return f"| {says} | {' | '.join(cells)} |"


def _of_each(says: str, figure: Callable[[int], float]) -> str:
    return _row(says, [_number(figure(load)) for load in LOADS])


def loads() -> list[str]:
    """What to run for each load."""
    return [
        _row("mutations in the busiest minute", [f"**{load:,}**" for load in LOADS]),
        "|---|---|---|---|",
        _of_each("a second", lambda load: load / 60),
        _of_each("a month", monthly),
        _of_each("partitions of each topic of the pipeline", partitions),
        *(_of_each(f"replicas of {service}", partial(replicas, service)) for service in SERVICES),
        *(_of_each(f"cores that {service} uses then", partial(busy_cores, service)) for service in SERVICES),
        _of_each("document writes a second, about", lambda load: load / 60 * DOCUMENT_WRITES),
        _of_each("into Kafka, kB a second", lambda load: load / 60 * EVENT_BYTES * len(topics.READERS) / 1000),
        _of_each("files, MB a second", lambda load: load / 60 * _mean({n: float(FILE_BYTES[n]) for n in MIX}) / 10**6),
    ]


def costs() -> list[str]:
    """What a month costs in units and at example prices."""
    priced = {load: sum(amounts(load)[name] * price for name, price in PRICES.items()) for load in LOADS}
    rows = [
        _row(name, [*(_number(amounts(load)[name]) for load in LOADS), f"{price:g}"]) for name, price in PRICES.items()
    ]
    return [
        _row("a month, after a year", [*(f"**{load:,}**" for load in LOADS), "price of one"]),
        "|---|---|---|---|---|",
        *rows,
        _row("**all at these prices**", [*(f"**{_number(priced[load])}**" for load in LOADS), ""]),
    ]


def assumptions() -> list[str]:
    """What the tables were computed with beside measured figures; those in the code are read from there."""
    storage, notifier = StorageSettings.model_fields, NotifierSettings.model_fields
    return [
        "| assumed | |",
        "|---|---|",
        f"| a replica is busy, in the busiest minute, at most | {BUSY:.0%} of a core, of its batches, of its places |",
        f"| a replica asks for, at least | {REQUESTED:g} of a core |",
        f"| the mean minute of a month | {MEAN:.0%} of the busiest |",
        f"| places of the fetcher; a download takes | {limits.DOWNLOADS_IN_FLIGHT}; {DOWNLOAD_SECONDS:g} s |",
        f"| storage begins a batch of | {storage['batch_records'].default} every {broker.GATHER_SECONDS:g} s |",
        f"| notifier: places; an answer takes | {notifier['callbacks_in_flight'].default}; {CALLBACK_SECONDS:g} s |",
        f"| an event has, on each of {len(topics.READERS)} topics for 7 days | {EVENT_BYTES:,} bytes |",
        f"| copies of events and documents | {COPIES} |",
        f"| indexes and free space make documents larger | {SLACK:g} times |",
        f"| mutations, deliveries, attempts are kept | {limits.KEPT_SECONDS // 86400} days |",
        f"| records, attachments, files are kept | for good; here {YEAR} months |",
    ]


def figures() -> list[str]:
    """What the benchmark said."""
    found = measured()["workloads"]
    rows: list[tuple[str, Callable[[dict[str, Any]], float]]] = [
        ("answered with 202 a second", lambda one: one["acceptedPerSecond"]),
        ("called back a second", lambda one: one["completedPerSecond"]),
        *((f"CPU-ms a mutation: {name}", partial(_cpu_of, name)) for name in (*SERVICES, "total")),
        *((f"peak memory, MiB: {name}", partial(_memory_of, name)) for name in SERVICES),
        ("documents left, bytes a mutation", lambda one: sum(one["documentBytesPerMutation"].values())),
    ]
    head = [_row("", [f"**{name}** {WORKLOADS[name]}" for name in found]), "|---" * (len(found) + 1) + "|"]
    runs = _row("mutations", [_number(one["n"]) for one in found.values()])
    where = f"Measured on {measured()['where']}."
    starts = ", ".join(f"{service} {seconds:.1f} s" for service, seconds in measured()["starts"].items())
    return [
        where,
        "",
        *head,
        runs,
        *(_row(says, [_number(figure(one)) for one in found.values()]) for says, figure in rows),
        *(row for rate, paced in measured()["paced"].items() for row in _times(rate, paced)),
        "",
        f"From the start of a process until it is ready: {starts}.",
    ]


def _times(rate: str, paced: dict[str, Any]) -> list[str]:
    """From when a request was due to its callback, at so many a second."""
    return [
        _row(f"end to end at {rate} a second, {says}, ms", [_number(one[name]) for one in paced.values()])
        for says, name in (("median", "p50Ms"), ("99 of 100", "p99Ms"))
    ]


def _cpu_of(service: str, workload: dict[str, Any]) -> float:
    return float(workload["cpuMsPerMutation"][service])


def _memory_of(service: str, workload: dict[str, Any]) -> float:
    return float(workload["peakRssMb"][service])
