"""What the embedded servers are started with."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from deploy.stack.child import ChildFailed
from deploy.stack.ports import Ports
from deploy.stack.servers import tansu

OPEN_TO_ALL: Final = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
AS_NOBODY: Final = """
import os
from deploy.stack.ports import refusal
os.geteuid() or os.seteuid(65534)
print(refusal(1))
"""


def test_the_broker_needs_nothing_in_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("CALF_TANSU_BIN", raising=False)
    assert os.access(tansu(Ports(tmp_path / "ports.json")).argv[0], os.X_OK)
    assert list(home.iterdir()) == []


def test_a_broker_that_is_not_there_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALF_TANSU_BIN", str(tmp_path / "absent"))
    with pytest.raises(ChildFailed, match="kafka has no program"):
        tansu(Ports(tmp_path / "ports.json"))


@pytest.mark.skipif(OPEN_TO_ALL.exists() and int(OPEN_TO_ALL.read_text()) <= 1, reason="here anybody may take any port")
def test_a_port_that_one_may_not_take_is_not_called_taken() -> None:
    done = subprocess.run([sys.executable, "-c", AS_NOBODY], capture_output=True, text=True, check=True)
    assert "Nobody can listen at 127.0.0.1:1: [Errno 13] Permission denied." in done.stdout
