"""What the embedded servers are started with."""

import os
from pathlib import Path

import pytest

from deploy.stack.child import ChildFailed
from deploy.stack.ports import Ports
from deploy.stack.servers import tansu


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
