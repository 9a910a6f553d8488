"""A cursor leads on in its own list; anything else is told from it."""

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.cursors import PATTERN, cursor_behind, last_id_of

HERE = "live/acme/candidates"
ID = "01890000-0000-7000-8000-000000000001"


@given(st.uuids())
def test_cursor_leads_back_to_its_id(last_id: object) -> None:
    cursor = cursor_behind(HERE, str(last_id))
    assert re.fullmatch(PATTERN, cursor)
    assert last_id_of(HERE, cursor) == str(last_id)


@pytest.mark.parametrize("other", ["sandbox/acme/candidates", "live/other/candidates", "live/acme/companies"])
def test_cursor_of_another_list_is_none(other: str) -> None:
    assert last_id_of(HERE, cursor_behind(other, ID)) is None


def test_any_changed_character_spoils_a_cursor() -> None:
    cursor = cursor_behind(HERE, ID)
    for n, old in enumerate(cursor):
        for new in "AZaz09-_+/= é":
            changed = cursor[:n] + new + cursor[n + 1 :]
            assert new == old or last_id_of(HERE, changed) is None


def test_cursor_of_another_version_is_none() -> None:
    raw = base64.urlsafe_b64decode(cursor_behind(HERE, ID) + "==")
    assert last_id_of(HERE, base64.urlsafe_b64encode(b"\x02" + raw[1:]).decode().rstrip("=")) is None


@given(st.text())
def test_text_that_is_no_cursor_is_none(sent: str) -> None:
    assert last_id_of(HERE, sent) is None
