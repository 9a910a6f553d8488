"""docs/http.md is true: its commands, played against the running system, get the answers that it shows."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from deploy.admin.documents import DOCS
from tests.e2e.client import Client, inline
from tests.e2e.examples import PAGE, fill

pytestmark = pytest.mark.any_broker

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="the examples are commands with curl")


@needs_curl
async def test_every_example_gets_the_answer_that_the_page_shows(stack: dict[str, Any], tmp_path: Path) -> None:
    page = PAGE.read_text()
    assert await fill(stack, page, tmp_path) == page, "run: python -m tests.e2e.examples .run/stack.json <folder>"


async def test_every_path_of_the_description_is_on_the_page(client: Client) -> None:
    described = (await client.call("GET", "/openapi.json")).body["paths"]
    operations = {f"{method.upper()} {path}" for path, methods in described.items() for method in methods}
    shown = set(re.findall(r"`((?:GET|POST|PATCH|DELETE) /[^`?]*)[^`]*`", PAGE.read_text()))
    same = {re.sub("/(companies|vacancies)", "/candidates", operation) for operation in operations}
    assert same - shown == set()
    assert shown - operations <= {"GET /docs", "GET /openapi.json", "GET /asyncapi"}


async def test_a_real_callback_has_the_members_that_the_page_about_callbacks_shows(client: Client) -> None:
    (example,) = re.findall(r"^```json\n(.*?)^```$", (DOCS / "callbacks.md").read_text(), re.MULTILINE | re.DOTALL)
    sent = await client.write("POST", "/candidates", {"curriculumVitae": inline("cv.txt", b"hello", "text/plain")})
    await client.outcome(sent)
    body = client.callbacks()[sent.mutation["mutationId"]][0][1]
    assert shape(body) == shape(json.loads(example))


def shape(value: Any) -> Any:
    """Members and types."""
    if isinstance(value, dict):
        return {name: shape(member) for name, member in value.items()}
    return [shape(each) for each in value] if isinstance(value, list) else type(value).__name__
