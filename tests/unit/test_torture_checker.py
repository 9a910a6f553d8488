"""The checker of the torture tests can fail: each invariant is broken once on purpose, in facts made by hand."""

import copy
import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka import TopicPartition
from standardwebhooks import Webhook

from deploy.demo.receiver import Callback
from tests.torture import checker
from tests.torture.facts import Facts, Json
from tests.torture.load import Write
from tests.torture.watch import Watch

SECRET = "whsec_" + "dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0"
PLACE = "demo/candidate/r1"
ENDED = datetime(2031, 1, 2, 3, 4, 5, 678000, UTC)


def callback(mutation: str, outcome: Json, identity: str = "", age: float = 0.0) -> Callback:
    """As the receiver would have it; `age` in seconds before it came."""
    body = json.dumps({"timestamp": "2031-01-02T03:04:05.678Z", "data": outcome})
    identity, at = identity or f"msg_{mutation}", datetime.now(UTC) - timedelta(seconds=age)
    signature = Webhook(SECRET).sign(identity, at, body)
    stamp = str(int(at.timestamp()))
    return Callback(
        {"webhook-id": identity, "webhook-timestamp": stamp, "webhook-signature": signature}, body, time.perf_counter()
    )


def outcome(write: Write, sequence: int, version: int, status: str = "completed", **more: Any) -> Json:
    told = {"idempotencyKey": write.key, "mutationId": write.mutation, "kind": write.kind, "status": status}
    return told | {"sequence": sequence, "record": {"id": "r1", "version": version}, "attachments": []} | more


def stored(attachment: str, write: Write, digest: str) -> Json:
    [name] = write.files
    return {"id": attachment, "filename": name, "status": "stored", "sha256": digest, "error": None}


def document(attachment: str, digest: str, removed: bool = False) -> Json:
    at = datetime.now(UTC) if removed else None
    held = {} if removed else {"key": f"records/live/demo/{attachment}/{digest}", "sha256": digest}
    return held | {"_id": attachment, "removedAt": at, "owners": [{"record": PLACE, "removedAt": at}]}


@pytest.fixture
def facts() -> Facts:
    """A record that was created with a file, got another one, lost the first, and was renamed: nothing is wrong."""
    create = Write("k1", "create", "r1", {"a.pdf": "d1"}, {"firstName": "A"}, sent=1, answered=2, mutation="m1")
    append = Write("k2", "append", "r1", {"b.pdf": "d2"}, sent=3, answered=4, mutation="m2")
    remove = Write("k3", "remove", "r1", remove=["f1"], sent=5, answered=6, mutation="m3")
    update = Write("k4", "update", "r1", fields={"firstName": "B"}, sent=5, answered=7, mutation="m4")
    outcomes = [
        outcome(create, 1, 1, attachments=[stored("f1", create, "d1")]),
        outcome(append, 2, 2, attachments=[stored("f2", append, "d2")]),
        outcome(remove, 3, 3),
        outcome(update, 4, 4),
    ]
    writes = [create, append, remove, update]
    found = Facts(writes, SECRET, "demo")
    for sequence, (write, told) in enumerate(zip(writes, outcomes, strict=True), 1):
        places = [{"record": PLACE, "sequence": sequence}]
        own = {"_id": write.mutation, "tenant": "demo", "key": write.key, "status": told["status"]}
        found.mutations[write.mutation] = own | {"places": places, "outcome": told, "endedAt": ENDED}
        found.callbacks.append(callback(write.mutation, told))
        found.published.append({"timestamp": "2031-01-02T03:04:05.678Z", "data": told})
    found.records["r1"] = {"_id": "r1", "fields": {"firstName": "B"}, "version": 4}
    found.attachments = {"f1": document("f1", "d1", removed=True), "f2": document("f2", "d2")}
    found.objects = {"records/live/demo/f2/d2": "d2"}
    return found


def spoil(facts: Facts, path: str, value: Any) -> None:
    """Set what the path names: `mutations.m1.status`; numbers are indexes."""
    *way, last = path.split(".")
    at: Any = getattr(facts, way[0]) if way else facts
    for step in way[1:]:
        at = at[int(step)] if step.isdigit() else at[step]
    if isinstance(at, dict):
        at[last] = value
    else:
        setattr(at, last, value)


EVERY = (*checker.LOST, *checker.WRONG, *checker.DOUBLE)


def test_facts_of_sequential_execution_break_nothing(facts: Facts) -> None:
    assert [each for check in EVERY for each in check(facts)] == []
    assert checker.nothing_changed(facts, copy.deepcopy(facts)) == []


@pytest.mark.parametrize(
    ("check", "path", "value"),
    [
        (checker.every_promise_ended, "mutations", {}),
        (checker.every_promise_ended, "mutations.m2.status", "applying"),
        (checker.every_promise_ended, "mutations.m2.owed", True),
        (checker.every_promise_ended, "writes.1.mutation", "m9"),
        (checker.one_terminal_outcome, "published.1.data", {"mutationId": "m2", "status": "failed"}),
        (checker.one_terminal_outcome, "published.1.timestamp", "2031-01-02T03:04:05.679Z"),
        (checker.one_terminal_outcome, "mutations.m2.endedAt", datetime(2031, 1, 2, 3, 4, 6, tzinfo=UTC)),
        (checker.one_terminal_outcome, "callbacks", [callback("m2", {"mutationId": "m2", "status": "failed"})]),
        (checker.stored_bytes_are_those_sent, "writes.1.files", {"b.pdf": "d9"}),
        (checker.stored_bytes_are_those_sent, "objects", {}),
        (checker.stored_bytes_are_those_sent, "objects", {"records/live/demo/f2/d2": "d9"}),
        (checker.stored_bytes_are_those_sent, "objects.records/live/demo/f1/d1", "d1"),
        (checker.stored_bytes_are_those_sent, "attachments.f2.key", "records/live/demo/f2/d9"),
        (checker.stored_bytes_are_those_sent, "mutations.m2.outcome.attachments.0.status", "failed"),
        (checker.every_object_has_an_owner, "objects.records/live/demo/f3/d3", "d3"),
        (checker.staging_is_empty, "staged", ["staging/live/m1/f1-x"]),
        (checker.effects_are_sequential, "records.r1.fields", {"firstName": "A"}),
        (checker.effects_are_sequential, "records.r1.version", 3),
        (checker.effects_are_sequential, "records", {}),
        (checker.effects_are_sequential, "attachments.f2.removedAt", datetime.now(UTC)),
        (checker.effects_are_sequential, "attachments.f1", document("f1", "d1")),
        (checker.effects_are_sequential, "mutations.m3.outcome.status", "failed"),
        (checker.effects_are_sequential, "mutations.m3.outcome.record.version", 2),
        (checker.effects_are_sequential, "mutations.m4.places", [{"record": PLACE, "sequence": 6}]),
        (checker.effects_are_sequential, "writes.2.answered", 0.5),
        (checker.callbacks_are_signed_and_stable, "callbacks", []),
        (checker.callbacks_are_signed_and_stable, "secret", "whsec_" + "b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcm90"),
    ],
)
def test_checker_sees_what_is_broken(facts: Facts, check: checker.Check, path: str, value: Any) -> None:
    spoil(facts, path, value)
    assert check(facts)


def test_callbacks_are_fresh_and_webhook_ids_one_for_each_mutation(facts: Facts) -> None:
    told = facts.mutations["m1"]["outcome"]
    twice = copy.deepcopy(facts)
    twice.callbacks.append(callback("m1", told, "msg_other"))
    assert checker.callbacks_are_signed_and_stable(twice)
    forged = copy.deepcopy(facts)
    forged.callbacks[0] = replace(forged.callbacks[0], body='{"data": {"mutationId": "m1"}}')
    assert checker.callbacks_are_signed_and_stable(forged)
    late = copy.deepcopy(facts)
    late.callbacks.append(callback("m1", told, age=400))
    assert checker.callbacks_are_signed_and_stable(late)
    facts.callbacks[1] = callback("m2", facts.mutations["m2"]["outcome"], "msg_m1")
    assert checker.callbacks_are_signed_and_stable(facts)


@pytest.mark.parametrize(
    "change",
    [
        lambda facts: spoil(facts, "records.r1.version", 5),
        lambda facts: spoil(facts, "objects.records/live/demo/f2/d2", "d9"),
        lambda facts: facts.mutations.pop("m1"),
        lambda facts: facts.callbacks.append(callback("m1", facts.mutations["m1"]["outcome"], "msg_new")),
    ],
)
def test_replay_that_changes_anything_is_seen(facts: Facts, change: Callable[[Facts], None]) -> None:
    before = copy.deepcopy(facts)
    change(facts)
    assert checker.nothing_changed(before, facts)


def test_terminal_state_that_changes_is_seen() -> None:
    watch = Watch()
    watch.see_states({"m1": {"status": "completed", "outcome": {"n": 1}}, "m2": {"status": "failed"}})
    watch.see_states({"m1": {"status": "completed", "outcome": {"n": 1}}})
    assert watch.broken == []
    watch.see_states({"m1": {"status": "completed", "outcome": {"n": 2}}, "m2": {"status": "accepted"}})
    assert len(watch.broken) == 2
    watch.see_states({"m1": {"status": "completed", "outcome": {"n": 2}, "endedAt": ENDED}})
    assert len(watch.broken) == 3


def test_commit_that_passes_unfinished_work_is_seen() -> None:
    watch = Watch()
    found: dict[str, Json] = {
        "ended": {"status": "failed"},
        "parked": {"status": "accepted", "parked": {"files": {}}},
        "comes again": {"status": "accepted"},
    }
    watch.see_passed({*found, "unknown"}, found, to_come={"comes again"})
    assert watch.broken == []
    watch.see_passed({"m1"}, {"m1": {"status": "applying", "parked": None}}, set())
    assert len(watch.broken) == 1


def test_commit_that_goes_back_is_seen() -> None:
    watch = Watch()
    for before, now in ((-1, 0), (0, 7), (7, 7)):
        watch.see_commit(TopicPartition("mutations.fetched", 0), before, now)
    assert watch.broken == []
    watch.see_commit(TopicPartition("mutations.fetched", 0), 7, 6)
    assert len(watch.broken) == 1
