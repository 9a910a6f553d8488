"""Every scenario of `make torture`, in the order in which they are played."""

from typing import Final

from tests.torture.scenario import Scenario

SCENARIOS: Final[tuple[Scenario, ...]] = ()
