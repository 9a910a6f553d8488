"""When a callback is tried again."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier import schedule
from services.notifier.settings import NotifierSettings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_the_first_attempt_is_at_once_and_the_tenth_the_last() -> None:
    assert schedule.PAUSES[0] == 0
    assert len(schedule.PAUSES) == 10
    assert schedule.next_pause(schedule.PAUSES, 10, Random(1)) is None
    assert schedule.next_pause(schedule.PAUSES, 9, Random(1)) is not None


def test_all_attempts_together_take_more_than_three_days() -> None:
    assert sum(schedule.PAUSES) > timedelta(days=3).total_seconds()


@given(made=st.integers(1, 9), seed=st.integers())
def test_a_pause_is_that_of_the_table_give_or_take_a_fifth(made: int, seed: int) -> None:
    pause = schedule.next_pause(schedule.PAUSES, made, Random(seed))
    assert pause is not None
    assert 0.8 * schedule.PAUSES[made] <= pause <= 1.2 * schedule.PAUSES[made]


def test_pauses_are_spread() -> None:
    rng = Random(7)
    assert len({schedule.next_pause(schedule.PAUSES, 2, rng) for _ in range(50)}) > 40


@given(made=st.integers(1, 9), asked=st.floats(0, 10**9), seed=st.integers())
def test_a_receiver_never_shortens_a_pause_and_at_most_doubles_it(made: int, asked: float, seed: int) -> None:
    own = schedule.next_pause(schedule.PAUSES, made, Random(seed))
    pause = schedule.next_pause(schedule.PAUSES, made, Random(seed), asked=asked)
    assert own is not None
    assert pause is not None
    assert own <= pause <= 2 * own


def test_retry_after_within_bounds_is_honoured() -> None:
    assert schedule.clamp(400.0, own=300.0) == 400.0


def test_after_being_throttled_the_least_pause_holds_even_where_the_table_is_shorter() -> None:
    pause = schedule.next_pause(schedule.PAUSES, 1, Random(1), asked=1.0, least=schedule.LEAST_SECONDS)
    assert pause == 60.0


@given(failures=st.integers(0, 10_000), seed=st.integers())
def test_putting_off_grows_and_stays_bounded(failures: int, seed: int) -> None:
    pause = schedule.postponement(failures, Random(seed))
    assert 0.8 * schedule.POSTPONE_FIRST <= pause <= 1.2 * schedule.POSTPONE_MOST
    assert schedule.postponement(failures + 5, Random(seed)) >= pause


def test_pauses_can_be_given_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_CALLBACK_PAUSES", "0,0.5,2")
    assert NotifierSettings().callback_pauses == (0.0, 0.5, 2.0)


def test_a_lease_shorter_than_two_attempts_is_refused() -> None:
    with pytest.raises(ValueError, match="at least twice"):
        NotifierSettings(delivery_lease_seconds=20)
