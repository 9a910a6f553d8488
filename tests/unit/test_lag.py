"""How far behind a group is told to be, from looks at the broker on a clock of the test's."""

from aiokafka import TopicPartition
from prometheus_client import REGISTRY

from shared import lag as lagging
from shared.lag import Lag

FIRST, SECOND = TopicPartition("t", 0), TopicPartition("t", 1)


def test_the_oldest_record_that_waits_counts_from_the_look_that_saw_it_first() -> None:
    lag = Lag("t")
    lag.saw(0.0, {FIRST: 5}, {FIRST: 5})
    assert (lag.records, lag.oldest) == (0, 0.0)

    lag.saw(5.0, {FIRST: 8}, {FIRST: 5})
    lag.saw(10.0, {FIRST: 9}, {FIRST: 5})
    assert (lag.records, lag.oldest) == (4, 5.0)

    lag.saw(15.0, {FIRST: 9}, {FIRST: 8})
    assert (lag.records, lag.oldest) == (1, 5.0)

    lag.saw(20.0, {FIRST: 9}, {FIRST: 9})
    assert (lag.records, lag.oldest) == (0, 0.0)


def test_of_several_partitions_records_add_up_and_the_oldest_counts() -> None:
    lag = Lag("t")
    lag.saw(0.0, {FIRST: 1, SECOND: 0}, {FIRST: 0, SECOND: 0})
    lag.saw(30.0, {FIRST: 1, SECOND: 7}, {FIRST: 0, SECOND: 0})

    assert (lag.records, lag.oldest) == (8, 30.0)


def test_a_partition_that_was_given_away_is_told_of_no_more() -> None:
    lag = Lag("t")
    lag.saw(0.0, {FIRST: 9, SECOND: 1}, {FIRST: 0, SECOND: 1})
    lag.saw(5.0, {SECOND: 1}, {SECOND: 1})

    assert (lag.records, lag.oldest) == (0, 0.0)


def test_a_log_that_began_again_has_no_old_records() -> None:
    lag = Lag("t")
    lag.saw(0.0, {FIRST: 9}, {FIRST: 3})
    lag.saw(60.0, {FIRST: 2}, {FIRST: 0})

    assert (lag.records, lag.oldest) == (2, 0.0)


def test_a_backlog_of_a_day_keeps_its_age_and_little_memory() -> None:
    lag = Lag("t")
    for look in range(20_000):
        lag.saw(look * 5.0, {FIRST: look + 1}, {FIRST: 0})
    assert lag.oldest == 19_999 * 5.0
    assert len(lag._waiting[FIRST]) < 400

    lag.saw(100_000.0, {FIRST: 20_000}, {FIRST: 10_000})
    assert 47_000 < lag.oldest <= 50_000


def told() -> list[float | None]:
    gauges = (lagging.RECORDS, lagging.OLDEST)
    return [REGISTRY.get_sample_value(gauge._name, {"topic": "mutations.shown"}) for gauge in gauges]


def test_what_was_seen_is_a_metric_and_what_is_unknown_is_none() -> None:
    lag = Lag("mutations.shown")
    lag.unknown()
    lag.saw(0.0, {FIRST: 4}, {FIRST: 1})
    lag.saw(5.0, {FIRST: 4}, {FIRST: 1})
    assert told() == [3, 5]

    lag.unknown()
    assert told() == [None, None]

    lag.saw(65.0, {FIRST: 4}, {FIRST: 1})
    assert told() == [3, 65]
