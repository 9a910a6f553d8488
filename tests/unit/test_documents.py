"""The generated pages say what the tables say."""

from typing import get_args

import pytest

from deploy.admin.configuration import MODELS, own_fields
from deploy.admin.documents import DOCS, PAGES, limit_names
from deploy.admin.limit_meanings import MEANINGS
from deploy.admin.setting_meanings import OWN, SHARED
from services.notifier import schedule
from shared.deliveries import ATTEMPT_ERRORS, DELIVERY_STATUSES, AttemptError, DeliveryStatus
from shared.settings import EngineSettings


@pytest.mark.parametrize("name", sorted(PAGES))
def test_generated_page_is_current(name: str) -> None:
    assert (DOCS / name).read_text() == PAGES[name](), "run: python -m deploy.admin.documents"


def test_every_limit_is_explained() -> None:
    assert list(MEANINGS) == limit_names(), "say in deploy/admin/limit_meanings.py what it is about, in the same order"


def test_every_setting_is_explained() -> None:
    advice = "say in deploy/admin/setting_meanings.py what it is about, in the same order"
    assert list(SHARED) == list(EngineSettings.model_fields), advice
    assert {service: list(OWN[service]) for service in MODELS} == {
        service: list(own_fields(service)) for service in MODELS
    }, advice
    assert {service for meaning in SHARED.values() for service in meaning.only} <= set(MODELS)


def test_the_page_about_settings_tells_secrets_defaults_units_and_bounds() -> None:
    page = PAGES["configuration.md"]()
    assert "| `ENGINE_S3_SECRET_KEY` | **secret** | – |" in page
    assert "| `ENGINE_KAFKA_SESSION_SECONDS` | seconds, > 0 | `10` |" in page
    assert "| `ENGINE_UPLOAD_QUOTA_BYTES` | bytes, ≥ 0 | `10737418240` (10 GiB) |" in page
    assert "| `ENGINE_SANDBOX_RESET_AT` | `HH:MM` | `03:00` |" in page


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
