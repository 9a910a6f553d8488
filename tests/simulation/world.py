"""One world: its clock, its seed, what lies outside the services, what the clients were told, and what was wrong."""

import random
import sys
from datetime import datetime
from typing import Any, Final

from tests.fakes import InMemoryBlobs
from tests.simulation.faults import Faults, Process
from tests.simulation.invariants import Invariants
from tests.simulation.kafka import Broker
from tests.simulation.loop import VirtualLoop
from tests.simulation.mongo_server import Server
from tests.simulation.outside import InjectedBug, Receiver
from tests.simulation.virtual import present

LIVE: Final = "engine_live"


class World:
    """What all processes share; `wrong` collects findings."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.loop = VirtualLoop()  # type: ignore[abstract]  # what it lacks, nobody asks for
        self.faults = Faults(random.Random(f"{seed} faults"))
        self.invariants = Invariants(self.wrong)
        self.server = Server(self.now, self.invariants.watch)
        self.broker = Broker(self.loop, self.faults, self._committed, self.invariants.published)
        self.blobs = InMemoryBlobs()
        self.receiver = Receiver(self.faults)
        self.weather: set[str] = set()
        self.processes: list[Process] = []
        self.intakes: dict[str, tuple[Process, Any]] = {}
        self.told: dict[str, list[str]] = {}  # by idempotency key: the mutations of its 202
        self.findings: list[str] = []
        self.bugs = 0
        self.over = False  # nobody starts processes any more

    def now(self) -> datetime:
        return present(self.loop)

    def wrong(self, what: str) -> None:
        """Note a finding."""
        if len(self.findings) < 20:
            self.findings.append(f"{self.loop.time():9.3f} {what}")

    def bug_injected(self) -> None:
        self.bugs += 1

    def source_busy(self) -> None:
        self.invariants.put_off += 1

    def object_deleted(self, key: str) -> None:
        self.invariants.deleted(key, self.documents("attachments"))

    def process(self, name: str) -> Process:
        process = Process(self.loop, name, self.wrong)
        self.processes.append(process)
        return process

    def documents(self, collection: str) -> dict[str, dict[str, Any]]:
        """All documents of a collection, of the environment that clients use."""
        return self.server.documents(f"{LIVE}.{collection}")

    def _committed(self, partition: Any, old: int, new: int) -> None:
        log = self.broker.log(partition)
        passed, behind = ([record for record in part if record is not None] for part in (log[old:new], log[new:]))
        self.invariants.passed(self.documents("mutations"), passed, behind)


class Listening:
    """Stands in for every module's log: an exception that nobody expected is a finding."""

    def __init__(self, world: World) -> None:
        self._world = world

    def info(self, event: str, **_: Any) -> None:
        """Nobody reads it."""

    debug = error = critical = info

    def warning(self, event: str, **details: Any) -> None:
        """Where nothing has gone wrong, nothing is taken for lost."""
        if event in ("mutation.published_again", "outcome.published_again") and not self._world.faults.reached:
            self._world.wrong(f"{event} in peace: {details}")

    def exception(self, event: str, **_: Any) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, InjectedBug):
            self._world.wrong(f"logged {event}: {error!r}")
