"""What the command line says before it asks any server."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from deploy.admin.__main__ import app

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("ENGINE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ENGINE_STATE_DIR", "/nowhere")


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


def test_what_is_said_behind_two_dashes_is_no_option_about_the_installation() -> None:
    result = run("status", "--", "--url")
    assert result.exit_code == 2
    assert "No gateway is named" in result.stderr


def test_the_launcher_says_what_to_do_before_anything_is_installed(tmp_path: Path) -> None:
    launcher = tmp_path / "mutation-engine"
    shutil.copy(ROOT / "mutation-engine", launcher)
    (tmp_path / "python3").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "python3").chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    done = subprocess.run([launcher, "up"], env={"PATH": path}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "make run" in done.stderr


def test_a_wrong_setting_is_a_sentence_that_does_not_show_what_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_HEALTH_PORT", "hunter2")
    result = run("tenants", "list")
    assert result.exit_code == 2
    assert "ENGINE_HEALTH_PORT" in result.stderr
    assert "hunter2" not in result.output


def test_an_empty_folder_has_no_stack_and_the_gateways_key_goes_to_no_other_address(tmp_path: Path) -> None:
    state_of(tmp_path, os.getpid())
    nowhere = run("--url", "http://127.0.0.1:9", "status", "x")
    assert nowhere.exit_code == 2
    assert "There is no key for http://127.0.0.1:9" in nowhere.stderr


@pytest.mark.parametrize("words", [("status", "x"), ("erase", "--candidate", "1", "--yes"), ("export", "candidates")])
def test_a_gateway_that_is_away_has_an_exit_code_of_its_own_and_no_traceback(
    words: tuple[str, ...], unused_tcp_port: int
) -> None:
    result = run("--url", f"http://127.0.0.1:{unused_tcp_port}", "--key", "k", *words)
    assert (result.exit_code, result.stdout) == (3, "")
    assert "can't be reached" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "words",
    [
        ("send", __file__),
        ("send", __file__, "--candidate", "1", "--company", "2"),
        ("send", __file__, "--candidate", "../x"),
        ("send", "/nowhere/file.pdf", "--candidate", "1"),
        ("erase",),
        ("export", "candidates", "--files"),
        ("listen", "--secret", "no secret"),
        ("listen",),
        ("frobnicate",),
    ],
)
def test_a_wrong_command_is_exit_code_two(words: tuple[str, ...]) -> None:
    assert run("--url", "http://127.0.0.1:9", "--key", "k", *words).exit_code == 2
