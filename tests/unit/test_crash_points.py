"""Crash points cost nothing unless a test asks for them, kill exactly one process each, and all are placed."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from shared import crash_points
from shared.crash_points import POINTS, VARIABLE

ROOT = Path(__file__).parents[2]
PASSED = re.compile(r"crash_point\(\"([a-z_.]+)\"\)")


def passing_by(point: str, **env: str) -> int:
    """The exit code of a process that passes by a point."""
    code = f"from shared.crash_points import crash_point; crash_point({point!r})"
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ | env, check=False).returncode


def test_point_does_nothing_where_no_directory_is_named() -> None:
    assert VARIABLE not in os.environ
    assert crash_points.crash_point is crash_points._pass_by


def test_armed_point_kills_the_first_who_passes_and_nobody_else(tmp_path: Path) -> None:
    (tmp_path / POINTS[0]).touch()
    assert passing_by(POINTS[1], **{VARIABLE: str(tmp_path)}) == 0
    assert passing_by(POINTS[0], **{VARIABLE: str(tmp_path)}) == -signal.SIGKILL
    assert passing_by(POINTS[0], **{VARIABLE: str(tmp_path)}) == 0


def test_point_may_be_armed_with_another_signal(tmp_path: Path) -> None:
    (tmp_path / POINTS[0]).write_text("SIGTERM")
    assert passing_by(POINTS[0], **{VARIABLE: str(tmp_path)}) == -signal.SIGTERM


def test_every_point_has_its_place_in_the_code_of_its_service_and_only_one() -> None:
    placed = [
        (name, path.relative_to(ROOT / "services").parts[0])
        for path in sorted((ROOT / "services").rglob("*.py"))
        for name in PASSED.findall(path.read_text())
    ]
    assert sorted(name for name, _ in placed) == sorted(POINTS)
    assert [name for name, service in placed if name.split(".")[0] != service] == []
