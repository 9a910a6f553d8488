"""An assigned file's name never says another type than its bytes have, whoever chose the name."""

import pytest

from services.storage.decide_files import decide_assign
from services.storage.decision import StoredFile
from shared.events import FileError
from tests.factories import assign, new_id, upload


@pytest.mark.parametrize(
    ("name", "kept"),
    [(None, "cv.pdf"), ("Ann.pdf", "Ann.pdf"), ("Ann.PDF", "Ann.PDF"), ("run.exe", "run.exe.pdf"), ("Ann", "Ann.pdf"),
     ("page.html", "page.html.pdf"), ("x" * 255, "x" * 251 + ".pdf")],
)  # fmt: skip
def test_new_name_gets_the_extension_of_what_the_upload_was_judged_to_be(name: str | None, kept: str) -> None:
    record, file = new_id(), new_id()
    given = assign({record: 1}, file, filename=name)
    judged = upload(file, filename="cv.pdf", contentType="application/pdf")
    stored = StoredFile("records/live/demo/a/b", 1, "0" * 64, "application/pdf", "match")

    decision = decide_assign(given, {}, {file: stored}, {file: judged})

    assert decision.insert[0]["filename"] == kept
    assert decision.outcome["attachments"][0]["filename"] == kept


def test_name_for_an_upload_that_has_ended_stays_as_it_was_sent() -> None:
    file = new_id()
    ended = {name: value for name, value in upload(file).items() if name not in ("filename", "contentType")}
    refused = FileError(code="already_assigned", message="")

    decision = decide_assign(assign({new_id(): 1}, file, filename="run.exe"), {}, {file: refused}, {file: ended})

    assert decision.outcome["attachments"][0]["filename"] == "run.exe"
