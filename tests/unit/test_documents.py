"""The generated pages say what the tables say."""

from typing import get_args

import pytest

from deploy.admin.documents import DOCS, PAGES, limit_names
from deploy.admin.limit_meanings import MEANINGS
from services.notifier import schedule
from shared.deliveries import ATTEMPT_ERRORS, DELIVERY_STATUSES, AttemptError, DeliveryStatus


@pytest.mark.parametrize("name", sorted(PAGES))
def test_generated_page_is_current(name: str) -> None:
    assert (DOCS / name).read_text() == PAGES[name](), "run: python -m deploy.admin.documents"


def test_every_limit_is_explained() -> None:
    assert list(MEANINGS) == limit_names(), "say in deploy/admin/limit_meanings.py what it is about, in the same order"


def test_every_word_for_a_delivery_or_an_attempt_is_explained() -> None:
    assert set(DELIVERY_STATUSES) == set(get_args(DeliveryStatus))
    assert set(ATTEMPT_ERRORS) == set(get_args(AttemptError))
    page = PAGES["callbacks.md"]()
    assert all(f"| `{word}` |" in page for word in (*DELIVERY_STATUSES, *ATTEMPT_ERRORS))


def test_the_page_about_callbacks_has_the_schedule_and_the_least_pause_of_an_overloaded_receiver() -> None:
    page = PAGES["callbacks.md"]()
    assert "| pause | 0 s | 5 s | 5 min | 30 min | 2 h | 5 h | 10 h | 14 h | 20 h | 24 h |" in page
    assert f"a pause has at least {schedule.LEAST_SECONDS:g} s" in page


def test_times_are_shown_in_the_largest_unit_of_which_there_are_two() -> None:
    assert "| 24 hours | `DEADLINE_SECONDS` |" in PAGES["limits.md"]()
    assert "| 3 days | `UPLOAD_LONGEST_SECONDS` |" in PAGES["limits.md"]()
    assert "| 15 min | `UPLOAD_SECONDS` |" in PAGES["limits.md"]()
