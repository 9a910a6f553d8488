"""The report of `make torture`: JSON for machines, lines for people."""

import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.torture.scenario import Findings, Run, Scenario

SHOWN = 10  # broken promises of a scenario that are printed; the file has all


@dataclass(frozen=True, slots=True)
class Played:
    """One scenario with what it found."""

    scenario: Scenario
    run: Run
    seconds: float
    findings: Findings

    def document(self) -> dict[str, Any]:
        """Its entry in the file."""
        told = {"name": self.scenario.name, "promise": self.scenario.promise, "held": not self.findings.broken}
        how = {"broker": self.run.broker, "short": self.run.short, "seconds": round(self.seconds, 1)}
        return told | how | asdict(self.findings)

    def lines(self) -> list[str]:
        """For the terminal."""
        verdict = "BROKEN" if self.findings.broken else "held"
        head = f"{self.scenario.name}: {verdict} after {self.seconds:.0f} s ({self.run.broker})"
        figures = [f"    {name}: {value}" for name, value in self.findings.figures.items()]
        broken = [f"    BROKEN {each}" for each in self.findings.broken[:SHOWN]]
        return [head, f"    {self.scenario.promise}", *figures, *broken]


def write(path: Path, seed: int, played: list[Played]) -> None:
    """Replace the file; it is whole after each scenario, so a broken-off run leaves what it saw."""
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.system()}
    report = {"seed": seed, "machine": machine, "scenarios": [each.document() for each in played]}
    path.write_text(json.dumps(report, indent=2) + "\n")
