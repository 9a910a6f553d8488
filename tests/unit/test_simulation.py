"""Seeds of the simulation, in a process of its own: the order in sets is part of a schedule (PYTHONHASHSEED)."""

import os
import subprocess
import sys
from pathlib import Path

from tests.simulation.mongo_queries import matches

ROOT = Path(__file__).parents[2]
SEEDS = 150


def play(*arguments: str) -> str:
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    played = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": "0"}, capture_output=True, text=True, check=False
    )
    assert played.returncode == 0, played.stdout + played.stderr
    return played.stdout


def test_every_mutation_keeps_the_promise_whatever_fails_on_its_way() -> None:
    assert f"0 of {SEEDS} seeds failed" in play("--seeds", str(SEEDS), "--jobs", "2")


def test_seeds_that_ever_failed_stay_mended() -> None:
    assert "0 of" in play("--regressions")


def test_a_seed_is_the_same_schedule_every_time() -> None:
    assert play("--seed", "17") == play("--seed", "17")


def test_the_stand_in_for_mongodb_finds_missing_members_as_null() -> None:
    assert matches({"_id": "a", "owners": [{"record": "r", "removedAt": None}]}, {"removedAt": None}, None)
    assert matches({"_id": "a", "owners": [{"record": "r"}]}, {"owners.record": "r", "owners.removedAt": None}, None)
    assert not matches({"_id": "a", "lane": "owed"}, {"lane": {"$in": ["parked", None]}}, None)
