"""How often a tenant may ask: a token bucket for each, in this process; its state goes out with every answer.

The fields are those of draft-ietf-httpapi-ratelimit-headers-11 (structured fields, RFC 9651).
"""

import math
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from shared import limits

POLICY_NAME: Final = "tenant"
Fields = list[tuple[bytes, bytes]]


class Allowance(NamedTuple):
    """What a request finds: whether it may pass, the fields of its answer, and seconds until one more may."""

    passes: bool
    fields: Fields
    wait: int


class RateLimits:
    """`rate` requests a second in the long run, `burst` at once. Tenants are few, so buckets are never forgotten.

    Only who has a key has a bucket: behind a proxy, addresses tell clients from one another no more.
    """

    def __init__(
        self,
        rate: float = limits.TENANT_RATE,
        burst: int = limits.TENANT_BURST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        policy = f'"{POLICY_NAME}";q={burst};w={math.ceil(burst / rate)}'
        self._policy = (b"ratelimit-policy", policy.encode())
        self._buckets: dict[str | None, tuple[float, float]] = {}  # tokens left, and when

    def take(self, tenant: str | None) -> Allowance:
        """Count one request of a tenant; None stands for all administrators together."""
        now = self._clock()
        left, at = self._buckets.get(tenant, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._rate)
        passes = left >= 1
        left -= passes
        self._buckets[tenant] = (left, now)
        # The window of the draft: in so many seconds no more than what is left can be used without waiting.
        wait = math.ceil((1 if passes else 1 - left) / self._rate)
        field = b'"%b";r=%d;t=%d' % (POLICY_NAME.encode(), left, wait)
        return Allowance(passes, [self._policy, (b"ratelimit", field)], wait)
