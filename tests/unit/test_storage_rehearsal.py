"""A file that rehearses an outcome ends with it, and nothing of it is stored; its neighbours are judged as ever."""

import pytest

from services.storage.decide_files import decide_files
from services.storage.files import FileStore
from services.storage.work import Work
from shared.content.judge import judge
from shared.errors import FILE_OUTCOMES, OUTCOME_CODES
from tests.factories import inline, mutation
from tests.fakes import InMemoryBlobs


@pytest.mark.parametrize("code", FILE_OUTCOMES)
async def test_a_rehearsed_file_ends_with_its_code_beside_one_that_is_stored(code: str) -> None:
    blobs = InMemoryBlobs()
    rehearsed = {"field": "otherAttachments", "filename": f"outcome-{code}.pdf", "declaredType": None}
    document = mutation(files={"a": rehearsed | {"rehearsed": code}, "b": inline()})

    files = await FileStore(blobs, judge).store("sandbox", Work(document))
    outcome = decide_files(document, {}, files).outcome

    assert outcome["status"] == "partially_completed"
    first, second = outcome["attachments"]
    assert first["error"] == {"code": code, "message": OUTCOME_CODES[code].advice}
    assert (first["status"], first["sha256"]) == ("failed", None)
    assert second["status"] == "stored"
    assert [key.split("/")[3] for key in blobs.objects] == ["b"]
