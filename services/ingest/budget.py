"""What a process has so much of and no more, for all clients together: bytes in memory, uploads at once."""

from collections import Counter

from shared import limits


class Budget:
    """No tenant can take all of it, so that a flood of one leaves room for the others."""

    def __init__(self, total: int) -> None:
        self._total, self._share = total, max(1, int(total * limits.TENANT_SHARE))
        self._held: Counter[str | None] = Counter()
        self.held = 0

    def take(self, tenant: str | None, amount: int) -> bool:
        """Whether there was room; None stands for all administrators together."""
        if self.held + amount > self._total or self._held[tenant] + amount > self._share:
            return False
        self.held += amount
        self._held[tenant] += amount
        return True

    def give_back(self, tenant: str | None, amount: int) -> None:
        """What was taken."""
        self.held -= amount
        self._held[tenant] -= amount
