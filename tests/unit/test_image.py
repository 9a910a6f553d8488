"""The image has all that it starts, and the compose file keeps what docs/operations.md says of it."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
DOCKERFILE: Final = (ROOT / "deploy/Dockerfile").read_text()
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
PROGRAMS: Final = (
    *(f"services.{name}.main" for name in ("ingest", "fetcher", "storage", "notifier")),
    *("deploy.admin.commands", "deploy.admin.init", "deploy.demo.site", "deploy.lab.site"),
)
# Imports programs as the image would: with the image's modules, and of the packages only those of its lock file.
IMPORTING: Final = """
import importlib, importlib.metadata, json, re, sys
programs, locked = json.loads(sys.argv[1]), set(json.loads(sys.argv[2]))
normal = lambda name: re.sub(r"[-_.]+", "-", name).lower()
for module, owners in importlib.metadata.packages_distributions().items():
    if not locked & set(map(normal, owners)) and module not in sys.modules:
        sys.modules[module] = None
for program in programs:
    importlib.import_module(program)
"""


def lay_out(root: Path) -> None:
    """What the Dockerfile's COPY lines bring under /app."""
    for line in re.findall(r"^COPY (?!--)(.+)$", DOCKERFILE.partition("WORKDIR /app")[2].partition("\nFROM")[0], re.M):
        *sources, target = line.split()
        for source in map(ROOT.joinpath, sources):
            if source.is_dir():
                shutil.copytree(source, root / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                (root / target).mkdir(parents=True, exist_ok=True)
                shutil.copy(source, root / target)


def test_the_image_has_every_module_and_package_that_it_starts(tmp_path: Path) -> None:
    lay_out(tmp_path)
    locked = re.findall(r"^([A-Za-z0-9_.-]+)==", (ROOT / "requirements.lock").read_text(), re.M)
    arguments = [sys.executable, "-P", "-c", IMPORTING, json.dumps(PROGRAMS), json.dumps(locked)]
    env = {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    started = subprocess.run(arguments, env=env, capture_output=True, text=True)
    assert not started.returncode, started.stderr


def test_every_image_of_others_is_pinned_to_a_version() -> None:
    others = {service["image"] for service in COMPOSE["services"].values() if "build" not in service}
    assert others
    assert {image for image in others if not re.fullmatch(r"[\w./-]+:v?\d+\.\d[\w.]*", image)} == set()


def test_every_process_of_ours_runs_without_rights_on_a_read_only_file_system() -> None:
    for name, service in COMPOSE["services"].items():
        if "build" in service:
            assert service["read_only"], name
            assert service["cap_drop"] == ["ALL"], name
            assert "no-new-privileges:true" in service["security_opt"], name
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.M) == ["10001:10001"]


def test_only_fetcher_and_notifier_have_a_way_out() -> None:
    untranslated = {"com.docker.network.bridge.enable_ip_masquerade": "false"}
    networks = COMPOSE["networks"].items()
    closed = {name for name, each in networks if each.get("internal") or each.get("driver_opts") == untranslated}
    reaching = {name for name, service in COMPOSE["services"].items() if set(service["networks"]) - closed}
    assert reaching - {"demo.test", "lab.test"} == {"fetcher", "notifier"}


def test_the_notifier_has_no_key_of_the_store() -> None:
    keys = {"ENGINE_S3_ACCESS_KEY", "ENGINE_S3_SECRET_KEY"}
    services = ("ingest", "fetcher", "storage", "notifier")
    assert [name for name in services if not keys & set(COMPOSE["services"][name]["environment"])] == ["notifier"]


def test_every_published_port_is_on_loopback() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_everything_that_stays_is_started_again_and_what_it_keeps_is_in_a_volume_with_a_name() -> None:
    passing = {"init", "demo.test", "lab.test"}
    for name, service in COMPOSE["services"].items():
        assert name in passing or service["restart"] == "unless-stopped", name
        for volume in service.get("volumes", []):
            if isinstance(volume, str) and not volume.startswith("./"):
                assert volume.partition(":")[0] in COMPOSE["volumes"], name
