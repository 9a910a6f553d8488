"""Whatever fits, or just does not fit, the API's description gets an answer that the description allows.

ENGINE_FUZZ_CASES=5000 makes so many requests at least, ENGINE_FUZZ_SEED repeats a run. The requests name callbacks and
files at hosts that somebody may own: so this runs on a stack of its own without fetcher and notifier, the two services
that dial. Nobody takes over what it leaves behind; its broker and database end with it.
"""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deploy.stack import EmbeddedStack
from shared.ledger import COMPLETED, databases, open_client
from shared.search import search_keys
from tests.conftest import STACK
from tests.e2e.fuzz_hooks import KNOWN, KNOWN_KEY
from tests.factories import mutation
from tests.stacks import PATIENT

CASES = int(os.environ.get("ENGINE_FUZZ_CASES", "0"))
SEED = int(os.environ.get("ENGINE_FUZZ_SEED") or secrets.randbelow(2**32))
OPERATIONS = 30  # at least
FEW = 10  # requests for an operation, when nobody asks for more
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "allow_header_conformance", "ignored_auth", "refusals_are_problems",
)  # fmt: skip
NOW = datetime.now(UTC)
SELDOM_MORE_THAN = 3000.0


def fenced(handle: dict[str, Any]) -> bool:
    """Whether nobody in this stack dials an address that a client names."""
    return set(handle["processes"]) == {"ingest", "kafka", "mongodb", "s3"}


@pytest.fixture
async def still(tmp_path: Path) -> AsyncIterator[dict[str, Any]]:
    """A stack that takes requests, and works nothing off."""
    if STACK not in ("embedded", "kafka"):
        pytest.skip("needs a stack without fetcher and notifier: STACK=embedded|kafka")
    broker: Any = {"embedded": "tansu", "kafka": "kafka"}[STACK]
    async with EmbeddedStack(
        tmp_path / "stack", allow_loopback=False, broker=broker, env=PATIENT, services=("ingest",)
    ) as stack:
        assert fenced(stack.handle)
        await put_something_to_read(stack.handle["mongodb"])
        yield stack.handle
        assert fenced(stack.handle)


async def put_something_to_read(uri: str) -> None:
    """One record of each type, which share a file, and the mutation that brought it, in both environments."""
    fields = {"email": "ann@example.test", "phone": "+15550100", "tags": ["x"], "customFields": {"a": 1.5, "b": None}}
    times = {"createdAt": NOW, "updatedAt": NOW, "version": 1, "sequence": 1}
    kinds = [kind for kind in KNOWN if kind != "attachment"]
    records = [
        {"_id": KNOWN[kind], "tenant": "demo", "type": kind, "fields": fields, "search": search_keys(fields)} | times
        for kind in kinds
    ]
    owners = [
        {"record": f"demo/{kind}/{KNOWN[kind]}", "type": kind, "id": KNOWN[kind], "removedAt": None} for kind in kinds
    ]
    judged = {"contentType": "application/pdf", "declaredType": None, "size": 5, "sha256": "0" * 64, "createdAt": NOW}
    named = {"_id": KNOWN["attachment"], "tenant": "demo", "field": "curriculumVitae", "type": "CV", "filename": "a"}
    ended = mutation("create", KNOWN["candidate"], key=KNOWN_KEY, status=COMPLETED, lane="none", endedAt=NOW)
    ended |= {"outcome": {"record": ended["record"] | {"version": 1}, "attachments": [], "error": None}}
    delivery = {"_id": ended["_id"], "tenant": "demo", "status": "pending", "attempt": 1, "nextAt": NOW}
    attempt = {"delivery": ended["_id"], "n": 1, "at": NOW, "status": 500, "ms": 12, "answer": "no", "error": None}
    async with open_client(uri) as client:
        for database in databases(client).values():
            await database.records.insert_many(records)
            await database.attachments.insert_one(named | judged | {"owners": owners, "key": "records/none"})
            await database.mutations.insert_one(ended)
            await database.deliveries.insert_one(delivery | {"createdAt": NOW, "endedAt": None})
            await database.attempts.insert_one(dict(attempt))


def fuzz(handle: dict[str, Any], directory: Path, seconds: float) -> dict[str, Any]:
    """Run schemathesis in a process of its own; its report."""
    report = directory / "report.json"
    each = max(FEW, CASES // OPERATIONS)
    command = [
        str(Path(sys.executable).with_name("st")), "run", f"{handle['http']}/openapi.json", "--no-color",
        "--header", f"x-api-key: {handle['tenants']['demo']['apiKey']}", "--generation-with-security-parameters=false",
        "--phases", "coverage,fuzzing" if CASES else "fuzzing", f"--max-examples={each}", f"--seed={SEED}",
        "--checks", ",".join(CHECKS), "--continue-on-failure", "--suppress-health-check=all",
        "--generation-database=none", "--report=json", f"--report-json-path={report}",
    ]  # fmt: skip
    environment = os.environ | {"SCHEMATHESIS_HOOKS": "tests.e2e.fuzz_hooks", "PYTHONPATH": str(Path.cwd())}
    ran = subprocess.run(command, env=environment, cwd=directory, capture_output=True, timeout=seconds, check=False)
    print(f"ENGINE_FUZZ_SEED={SEED}\n{ran.stdout.decode()[-20_000:]}\n{ran.stderr.decode()[-4000:]}")
    assert report.exists()
    return dict(json.loads(report.read_text()))


@pytest.mark.timeout(SELDOM_MORE_THAN)
def test_no_request_gets_an_answer_that_the_description_does_not_allow(still: dict[str, Any], tmp_path: Path) -> None:
    report = fuzz(still, tmp_path, SELDOM_MORE_THAN - 100)
    assert (report["failures"], report["errors"], report["exit_code"]) == ([], [], 0)
    assert report["operations"]["tested"] == report["operations"]["total"] >= OPERATIONS
    assert report["test_cases"]["generated"] >= max(CASES, 200)
