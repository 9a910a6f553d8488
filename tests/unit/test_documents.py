"""The generated pages say what the tables say."""

import pytest

from deploy.admin.documents import DOCS, PAGES


@pytest.mark.parametrize("name", sorted(PAGES))
def test_generated_page_is_current(name: str) -> None:
    assert (DOCS / name).read_text() == PAGES[name](), "run: python -m deploy.admin.documents"
