"""What the command line says before it asks any server."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from deploy.admin.__main__ import app


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ENGINE_MONGODB_URI", raising=False)


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def state_of(directory: Path, process: int) -> str:
    """The folder of a stack with this process."""
    handle = {"kafka": "127.0.0.1:9", "mongodb": "mongodb://127.0.0.1:9", "processes": {"mongodb": process}}
    (directory / "stack.json").write_text(json.dumps(handle))
    return str(directory)


@pytest.fixture
def ended() -> int:
    """The id of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_without_an_address_it_says_at_once_how_to_give_one() -> None:
    result = run("tenants", "list")
    assert result.exit_code == 2
    assert "ENGINE_MONGODB_URI is not set; for a stack of `make run` say --state-dir .run" in result.stderr


def test_help_needs_no_address() -> None:
    assert run("tenants", "list", "--help").exit_code == 0


@pytest.mark.parametrize("joined", [True, False])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_the_folder_of_a_killed_stack_is_no_running_stack_wherever_it_is_named(
    tmp_path: Path, ended: int, joined: bool, at: int
) -> None:
    given = state_of(tmp_path, ended)
    words = ["tenants", "list"]
    words[at:at] = [f"--state-dir={given}"] if joined else ["--state-dir", given]
    result = run(*words)
    assert result.exit_code == 2
    assert "no stack runs on" in result.stderr


def test_the_folder_of_a_running_stack_is_taken(tmp_path: Path) -> None:
    assert run("tenants", "list", "--help", "--state-dir", state_of(tmp_path, os.getpid())).exit_code == 0


@pytest.mark.parametrize("words", [("--state-dir",), ("tenants", "list", "--state-dir")])
def test_a_folder_that_is_not_named_is_a_wrong_command(words: tuple[str, ...]) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert "--state-dir" in result.stderr


def test_usage_has_the_name_that_operators_type_and_only_their_commands() -> None:
    command = [sys.executable, "-m", "deploy.admin", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Usage: mutation-engine " in shown
    assert "documents  " not in shown
