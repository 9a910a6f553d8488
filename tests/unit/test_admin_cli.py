"""What the command line says before it asks any server."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from deploy.admin.commands import app
from deploy.admin.installation import Installation

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
    assert "--state-dir needs a value" in result.stderr


def test_usage_has_the_name_that_operators_type_and_only_their_commands() -> None:
    command = [sys.executable, "-m", "deploy.admin", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Usage: mutation-engine " in shown
    assert "documents  " not in shown


def test_every_command_can_print_json() -> None:
    def commands(group: Any) -> Iterator[Any]:
        for each in group.commands.values():
            yield from commands(each) if hasattr(each, "commands") else [each]

    shown = [each for each in commands(get_command(app)) if not each.hidden]
    assert [each.name for each in shown if "--json" not in {word for one in each.params for word in one.opts}] == []


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
        ("send", __file__, "--candidate", "1", "--type", "FOO"),
        ("send", "/nowhere/file.pdf", "--candidate", "1"),
        ("erase",),
        ("export", "candidates", "--files"),
        ("listen", "--secret", "no secret"),
        ("listen",),
        ("frobnicate",),
        ("status", "\udcff"),
        ("status", "x", "--url", "127.0.0.1:8080"),
        ("status", "x", "--url", "http://127.0.0.1:port"),
        ("listen", "--secret", "whsec_%%"),
    ],
)
def test_a_wrong_command_is_exit_code_two(words: tuple[str, ...]) -> None:
    result = run("--url", "http://127.0.0.1:9", "--key", "k", *words)
    assert (result.exit_code, "fault of ours" in result.stderr) == (2, False)


def test_up_begins_on_a_folder_on_which_nothing_runs_yet(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = ["up", "--state-dir", str(tmp_path / "new"), "--port", str(taken.getsockname()[1])]
        command = [sys.executable, "-m", "deploy.admin", *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is taken" in done.stderr


def test_a_completion_that_can_not_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    env = os.environ | {"HOME": str(tmp_path / "file")}
    typed = f"{sys.executable} -m deploy.admin --install-completion; exit $?"  # the shell above it is the one it is for
    done = subprocess.run(["bash", "-c", typed], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (1, "", False)
    assert "File exists" in done.stderr


def test_an_initialisation_without_a_server_ends_with_3_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    for name in ("S3_ACCESS_KEY", "S3_SECRET_KEY"):
        monkeypatch.setenv(f"ENGINE_{name}", "x")
    monkeypatch.setenv("ENGINE_S3_ENDPOINT", f"http://127.0.0.1:{unused_tcp_port}")
    monkeypatch.setenv("ENGINE_INIT_PATIENCE_SECONDS", "0")
    result = run("init", "--json")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "s3 is unavailable" in result.stderr


@pytest.mark.parametrize(("variable", "value"), [("ENGINE_INIT_TENANTS", "a"), ("ENGINE_TOPIC_PARTITIONS", "none")])
def test_wrong_settings_of_the_initialisation_are_told_without_a_traceback(variable: str, value: str) -> None:
    command = [sys.executable, "-m", "deploy.admin.init"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {variable: value}, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert variable in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("key", ["me_sécret", "me_one\nme_two", ""])
def test_what_no_header_can_carry_is_no_key_and_is_not_shown(key: str) -> None:
    result = run("--url", "http://127.0.0.1:9", "--key", key, "status", "x")
    assert result.exit_code == 2
    assert "me_s" not in result.output.replace("me_<id>_<secret>", "")
    assert "fault of ours" not in result.output


def test_a_folder_that_can_not_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = run("--url", "http://127.0.0.1:9", "--key", "k", "export", "--to", str(tmp_path / "file"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "File exists" in result.stderr
    assert "fault of ours" not in result.stderr


def test_only_services_of_the_installation_that_is_meant_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(state_of(tmp_path, os.getpid())) / "stack.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"health": {"notifier": "http://127.0.0.1:9"}}))
    monkeypatch.setenv("ENGINE_STATE_DIR", str(tmp_path))
    assert Installation().health() == {"notifier": "http://127.0.0.1:9"}
    assert Installation(url="http://gateway.test/").health() == {"ingest": "http://gateway.test"}
    monkeypatch.setenv("ENGINE_MONGODB_URI", "mongodb://elsewhere.test")
    assert Installation().health() == {}
    assert Installation(state_dir=tmp_path).health() == {"notifier": "http://127.0.0.1:9"}


def test_the_doctor_prints_json_whatever_is_wrong_with_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_MONGODB_URI", "mongodb://127.0.0.1:port/")
    monkeypatch.setenv("ENGINE_KAFKA_BOOTSTRAP", "127.0.0.1:port")
    monkeypatch.setenv("ENGINE_TOPIC_PARTITIONS", "many")
    result = run("doctor", "--json")
    codes = [each["code"] for each in json.loads(result.stdout)["findings"]]
    assert codes == ["setting_invalid", "sealing_key_unset", "mongodb_uri", "s3_keys_unset", "kafka_away"]
    monkeypatch.setenv("ENGINE_KAFKA_SECURITY", "SSL")
    monkeypatch.setenv("ENGINE_KAFKA_CA_FILE", "/nowhere/ca.pem")
    result = run("doctor", "--json")
    codes = [each["code"] for each in json.loads(result.stdout)["findings"]]
    assert (result.exit_code, codes) == (1, ["setting_invalid", "authority_unfit"])


def test_what_the_code_logs_does_not_come_between_the_lines_of_json() -> None:
    logs = (
        "import structlog, logging; structlog.get_logger().warning('one'); logging.getLogger('aiokafka').error('two')"
    )
    command = [sys.executable, "-c", f"from deploy.admin.__main__ import run\ntry: run(['--version'])\nfinally: {logs}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == "mutation-engine"
    assert len(done.stdout.splitlines()) == 1
    assert ("one" in done.stderr, "two" in done.stderr) == (True, False)
