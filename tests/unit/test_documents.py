"""The generated pages say what the tables say."""

import pytest

from deploy.admin.documents import DOCS, PAGES, limit_names
from deploy.admin.limit_meanings import MEANINGS


@pytest.mark.parametrize("name", sorted(PAGES))
def test_generated_page_is_current(name: str) -> None:
    assert (DOCS / name).read_text() == PAGES[name](), "run: python -m deploy.admin.documents"


def test_every_limit_is_explained() -> None:
    assert list(MEANINGS) == limit_names(), "say in deploy/admin/limit_meanings.py what it is about, in the same order"


def test_times_are_shown_in_the_largest_unit_of_which_there_are_two() -> None:
    assert "| 24 hours | `DEADLINE_SECONDS` |" in PAGES["limits.md"]()
    assert "| 3 days | `UPLOAD_LONGEST_SECONDS` |" in PAGES["limits.md"]()
    assert "| 15 min | `UPLOAD_SECONDS` |" in PAGES["limits.md"]()
