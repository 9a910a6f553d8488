"""A wrong key costs the same work whether its id lives, is revoked, or was never given: nobody learns which ids are."""

import hashlib
import hmac
import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any, cast

import pytest

from shared.ledger import Database
from shared.tenants import CACHE_SECONDS, KeyHolder, Tenants, digest_of

SECRET, OTHER = "s" * 43, "t" * 43
LIVE, REVOKED, UNKNOWN = "a" * 16, "b" * 16, "c" * 16


class CountedKeys:
    """The collection `api_keys`, which counts what it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.on_the_way: Callable[[], None] = lambda: None
        self._documents = {
            LIVE: {"_id": LIVE, "tenant": "acme", "hash": digest_of(SECRET)},
            REVOKED: {"_id": REVOKED, "tenant": "acme", "hash": digest_of(SECRET), "revokedAt": "then"},
        }

    async def find_one(self, query: dict[str, Any]) -> dict[str, Any] | None:
        self.asked += 1
        document = self._documents.get(query["_id"])
        self.on_the_way()
        return document if document and "revokedAt" not in document else None


class Control:
    """The control database."""

    def __init__(self) -> None:
        self.api_keys = CountedKeys()


async def work(tenants: Tenants, control: Control, key: str) -> tuple[KeyHolder | None, dict[str, int]]:
    """Who it was, and the look-ups, hashes and comparisons in constant time that it took to say so."""
    calls: Counter[str] = Counter()

    def count(_: FrameType, event: str, function: Any) -> None:
        if event == "c_call":
            calls["hashes"] += function is hashlib.sha256
            calls["comparisons"] += function is hmac.compare_digest

    before = control.api_keys.asked
    sys.setprofile(count)
    try:
        holder = await tenants.authenticate(key)
    finally:
        sys.setprofile(None)
    return holder, dict(calls) | {"look-ups": control.api_keys.asked - before}


@pytest.mark.parametrize("key_id", [LIVE, REVOKED, UNKNOWN])
async def test_every_wrong_key_costs_one_lookup_and_one_comparison_each_time(key_id: str) -> None:
    control = Control()
    tenants = Tenants(cast(Database, control))
    for _ in range(3):
        holder, spent = await work(tenants, control, f"me_{key_id}_{OTHER}")
        assert holder is None
        assert spent == {"hashes": 2, "comparisons": 1, "look-ups": 1}


async def test_a_right_key_costs_the_same_at_first_so_that_a_wrong_secret_is_no_slower() -> None:
    control = Control()
    tenants = Tenants(cast(Database, control))
    holder, spent = await work(tenants, control, f"me_{LIVE}_{SECRET}")
    assert holder == KeyHolder("acme")
    assert spent == {"hashes": 2, "comparisons": 1, "look-ups": 1}


async def test_a_cached_key_lends_nothing_to_a_wrong_one_with_its_id() -> None:
    control = Control()
    tenants = Tenants(cast(Database, control))
    await work(tenants, control, f"me_{LIVE}_{SECRET}")
    holder, spent = await work(tenants, control, f"me_{LIVE}_{OTHER}")
    assert holder is None
    assert spent == {"hashes": 2, "comparisons": 1, "look-ups": 1}


async def test_a_key_is_known_for_three_seconds_from_the_question_on_however_late_the_answer_came() -> None:
    control, now = Control(), 100.0

    def late() -> None:
        nonlocal now
        now += 1.5

    control.api_keys.on_the_way = late
    tenants = Tenants(cast(Database, control), clock=lambda: now)
    await tenants.authenticate(f"me_{LIVE}_{SECRET}")
    now = 100 + CACHE_SECONDS
    await tenants.authenticate(f"me_{LIVE}_{SECRET}")
    assert control.api_keys.asked == 2
