"""The command line against the running system: files go in, are followed, exported and erased; exit codes tell."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from deploy.admin.commands import app
from deploy.demo.samples import curriculum_vitae, photograph
from tests.e2e.client import Client, person

pytestmark = pytest.mark.any_broker
Json = dict[str, Any]


class Shell:
    """Commands with the tenant's key, on a thread of their own as a process would be."""

    def __init__(self, client: Client) -> None:
        handle = client.handle
        self._env = {"ENGINE_URL": handle["http"], "ENGINE_API_KEY": handle["tenants"][client.tenant]["apiKey"]}

    def __call__(self, *words: str) -> Result:
        return CliRunner(env=self._env).invoke(app, list(words))

    def json(self, *words: str, exit_code: int = 0) -> list[Json]:
        """The lines that a command printed."""
        result = self(*words)
        assert result.exit_code == exit_code, result.output
        return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def shell(client: Client) -> Shell:
    return Shell(client)


@pytest.fixture
async def candidate(client: Client) -> str:
    answer = await client.write("POST", "/candidates", person())
    await client.outcome(answer)
    return str(answer.mutation["record"]["id"])


@pytest.mark.parametrize("words", [(), ("--type", "COVER_LETTER")], ids=["inline", "by way of an upload"])
def test_files_are_sent_followed_exported_and_erased(
    shell: Shell, candidate: str, tmp_path: Path, words: tuple[str, ...]
) -> None:
    files = {"cv.pdf": curriculum_vitae(), "photo.png": photograph()}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    paths = [str(tmp_path / name) for name in files]
    shown = shell.json("send", *paths, "--candidate", candidate, "--json", *words)
    assert {each["filename"] for state in shown for each in state["attachments"]} == set(files)
    sent = shown[-1]
    assert (sent["status"], len(sent["attachments"])) == ("completed", len(files))
    (again,) = shell.json("status", sent["idempotencyKey"], "--json")
    assert again["mutationId"] == sent["mutationId"]
    exported = {each["item"]["id"]: each["item"] for each in shell.json("export", "attachments")}
    for each in sent["attachments"]:
        assert exported[each["id"]]["sha256"] == hashlib.sha256(files[each["filename"]]).hexdigest()
    *_, erased = shell.json("erase", "--candidate", candidate, "--yes", "--json")
    assert (erased["status"], erased["removed"]["attachments"]) == ("completed", len(files))
    assert shell("erase", "--candidate", candidate, "--yes").exit_code == 1


def test_an_export_with_files_holds_their_bytes(shell: Shell, candidate: str, tmp_path: Path) -> None:
    content = curriculum_vitae()
    (tmp_path / "cv.pdf").write_bytes(content)
    *_, sent = shell.json("send", str(tmp_path / "cv.pdf"), "--candidate", candidate, "--type", "CV", "--json")
    (file,) = sent["attachments"]
    assert file["field"] == "curriculumVitae"
    result = shell("export", "--to", str(tmp_path / "out"), "--files")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "files" / file["id"] / "cv.pdf").read_bytes() == content
    listed = (tmp_path / "out" / "candidates.ndjson").read_text().splitlines()
    assert candidate in [json.loads(line)["id"] for line in listed]


def test_a_file_that_is_refused_is_exit_code_one_with_its_reason(shell: Shell, candidate: str, tmp_path: Path) -> None:
    (tmp_path / "cv.pdf").write_bytes(b"no PDF at all")
    result = shell("send", str(tmp_path / "cv.pdf"), "--candidate", candidate)
    assert result.exit_code == 1
    assert "content_type_mismatch" in result.stdout
    unknown = shell("send", str(tmp_path / "cv.pdf"), "--candidate", "019c9d2e-6a00-7000-8000-000000000002")
    assert unknown.exit_code == 1
    assert "404" in unknown.stderr


def test_erasing_without_anybody_to_ask_erases_nothing(shell: Shell, candidate: str) -> None:
    result = shell("erase", "--candidate", candidate)
    assert result.exit_code == 2
    assert "NOTHING was erased" in result.stderr
    assert candidate in {each["item"]["id"] for each in shell.json("export", "candidates")}


def test_the_doctor_finds_the_running_services_well(client: Client) -> None:
    state = Path(client.handle["logs"]).parent
    if not (state / "stack.json").exists():
        pytest.skip("no state directory: this is not the embedded stack")
    env = {name: None for name in os.environ if name.startswith("ENGINE_")}
    result = CliRunner(env=env).invoke(app, ["doctor", "--state-dir", str(state), "--tenant", "demo", "--json"])
    told = json.loads(result.stdout)
    assert (result.exit_code, told["findings"], told["sections"][-1]) == (0, [], "services")
