"""What the manifests promise: who may go out, what a container may do, that settings exist and secrets stay secret."""

from ipaddress import ip_network
from typing import Any

import pytest
from pydantic import SecretStr

from deploy.admin.init import InitSettings
from deploy.kubernetes.__main__ import OVERLAYS
from services.fetcher.settings import FetcherSettings
from services.ingest.settings import IngestSettings
from services.notifier.settings import NotifierSettings
from services.storage.settings import StorageSettings
from shared import addresses, limits
from shared.settings import EngineSettings
from tests.fakes_ingest import IngestStand
from tests.manifests import (
    COMPONENT,
    RENDERED,
    SERVICES,
    Manifest,
    container,
    of_kind,
    pods,
    references,
    selects,
    settings_of,
)

MODELS: dict[str, type[EngineSettings]] = {
    "ingest": IngestSettings,
    "fetcher": FetcherSettings,
    "storage": StorageSettings,
    "notifier": NotifierSettings,
    "init": InitSettings,
}
EVERY_POD = [(overlay, name) for overlay in OVERLAYS for name in MODELS]
UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "m": 0.001}


def amount(quantity: str) -> float:
    """A quantity in bytes or cores."""
    unit = quantity.lstrip("0123456789.")
    return float(quantity.removesuffix(unit)) * (UNITS[unit] if unit else 1)


def ways_out(overlay: str, labels: dict[str, str]) -> list[Manifest]:
    """The peers, with ports, that network policies let these pods reach."""
    policies = of_kind(overlay, "NetworkPolicy").values()
    ours = [each["spec"] for each in policies if selects(each["spec"]["podSelector"], labels)]
    return [peer | {"ports": way["ports"]} for each in ours for way in each.get("egress", []) for peer in way["to"]]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_only_fetcher_and_notifier_reach_the_world(overlay: str) -> None:
    for name, pod in pods(overlay).items():
        ways = [each["ipBlock"]["cidr"] for each in ways_out(overlay, pod["metadata"]["labels"]) if "ipBlock" in each]
        wide = [cidr for cidr in ways if ip_network(cidr).num_addresses > 2**16]
        assert wide == (["0.0.0.0/0", "2000::/3"] if name in {"fetcher", "notifier"} else []), name


def test_the_network_lets_out_what_the_egress_guard_lets_out_and_no_more() -> None:
    world = of_kind("production", "NetworkPolicy")["egress-to-the-world"]["spec"]["egress"][0]
    assert {port["port"] for port in world["ports"]} == addresses.PORTS
    for peer in world["to"]:
        reached = ip_network(peer["ipBlock"]["cidr"])
        refused = [ip_network(each) for each in peer["ipBlock"]["except"]]
        table = addresses.IPV4_REFUSED if reached.version == 4 else addresses.IPV6_REFUSED
        assert refused == list(table)
        assert all(each.subnet_of(reached) for each in refused)  # type: ignore[arg-type]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_without_a_policy_that_names_it_nothing_comes_in_or_goes_out(overlay: str) -> None:
    nothing = of_kind(overlay, "NetworkPolicy")["nothing"]["spec"]
    assert nothing["policyTypes"] == ["Ingress", "Egress"]
    assert not nothing.get("egress")
    assert not nothing.get("ingress")
    for pod in pods(overlay).values():
        assert selects(nothing["podSelector"], pod["metadata"]["labels"])


@pytest.mark.parametrize(("overlay", "name"), EVERY_POD)
def test_no_container_is_root_can_write_its_image_or_knows_the_cluster(overlay: str, name: str) -> None:
    pod = pods(overlay)[name]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container({"spec": pod})["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounts = container({"spec": pod})["volumeMounts"]
    assert all(mount.get("readOnly") or mount["name"] in {"tmp", "spool"} for mount in mounts)


@pytest.mark.parametrize(("overlay", "name"), EVERY_POD)
def test_every_container_asks_for_what_it_needs_and_has_limits(overlay: str, name: str) -> None:
    resources = container(pods(overlay)[name])["resources"]
    for kind in ("cpu", "memory", "ephemeral-storage"):
        assert 0 < amount(resources["requests"][kind]) <= amount(resources["limits"][kind])


@pytest.mark.parametrize(("overlay", "name"), EVERY_POD)
def test_what_may_be_spooled_at_once_fits_on_the_volume_and_into_the_limit(overlay: str, name: str) -> None:
    pod = pods(overlay)[name]
    spools = [each for each in pod["spec"]["volumes"] if each["name"] == "spool"]
    assert bool(spools) == (name in {"ingest", "fetcher"})
    if spools:
        read = MODELS[name](**plain(overlay, name))
        files = {
            "ingest": getattr(read, "uploads_at_once", 0) * limits.TEMPORARY_FILE_BYTES,
            "fetcher": getattr(read, "in_flight", 0) * limits.URL_FILE_BYTES,
        }[name]
        volume = amount(spools[0]["emptyDir"]["sizeLimit"])
        assert files < volume < amount(container(pod)["resources"]["limits"]["ephemeral-storage"])


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("name", SERVICES)
def test_probes_ask_what_a_restart_mends_and_whether_work_is_taken_in(overlay: str, name: str) -> None:
    only = container(pods(overlay)[name])
    paths = {probe: only[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert paths == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    ports = {port["name"]: str(port["containerPort"]) for port in only["ports"]}
    assert {only[probe]["httpGet"]["port"] for probe in paths} == set(ports) == {"health"}
    variable = "ENGINE_HTTP_PORT" if name == "ingest" else "ENGINE_HEALTH_PORT"
    assert settings_of(overlay, pods(overlay)[name])[variable] == ports["health"]
    assert "preStop" not in only.get("lifecycle", {})  # the process itself waits for the proxies: ENGINE_NOTICE_SECONDS


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("name", SERVICES)
def test_a_pod_gets_more_time_to_leave_than_its_process_takes_and_has_a_successor_first(
    overlay: str, name: str
) -> None:
    deployment = of_kind(overlay, "Deployment")[name]["spec"]
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    read = MODELS[name](**plain(overlay, name))
    assert deployment["template"]["spec"]["terminationGracePeriodSeconds"] >= read.grace_seconds + 5
    budget = of_kind(overlay, "PodDisruptionBudget")[name]["spec"]
    assert budget["maxUnavailable"] == 1
    assert selects(budget["selector"], deployment["template"]["metadata"]["labels"])
    if isinstance(read, IngestSettings):
        probe = container(pods(overlay)[name])["readinessProbe"]
        assert probe["periodSeconds"] * probe["failureThreshold"] < read.notice_seconds < 0.6 * read.grace_seconds


def plain(overlay: str, name: str) -> dict[str, Any]:
    """The settings of a pod that are no files and no SASL, by field."""
    found = settings_of(overlay, pods(overlay)[name])
    return {
        key.removeprefix("ENGINE_").lower(): value
        for key, value in found.items()
        if not key.endswith("_FILE") and "KAFKA" not in key
    }


@pytest.mark.parametrize(("overlay", "name"), EVERY_POD)
def test_every_setting_in_the_manifests_is_one_of_the_service(overlay: str, name: str) -> None:
    fields = MODELS[name].model_fields
    known = {f"ENGINE_{field}".upper() for field in fields}
    known |= {f"ENGINE_{field}_FILE".upper() for field, info in fields.items() if info.annotation is SecretStr}
    everybodys = {name for each in of_kind(overlay, "ConfigMap").values() for name in each["data"] if "ENGINE" in name}
    assert set(settings_of(overlay, pods(overlay)[name])) <= known
    assert everybodys


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_files_that_settings_name_are_mounted(overlay: str) -> None:
    for name, pod in pods(overlay).items():
        mounts = [mount["mountPath"] for mount in container(pod)["volumeMounts"]]
        for key, value in settings_of(overlay, pod).items():
            if key.endswith("_FILE"):
                assert any(value.startswith(f"{mount}/") for mount in mounts), (name, key)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_secret_is_in_a_manifest(overlay: str) -> None:
    secret = {
        f"ENGINE_{field}".upper()
        for model in MODELS.values()
        for field, info in model.model_fields.items()
        if info.annotation is SecretStr
    }
    assert not of_kind(overlay, "Secret")
    for each in of_kind(overlay, "ConfigMap").values():
        assert not secret & set(each["data"])
    for pod in pods(overlay).values():
        assert not secret & set(settings_of(overlay, pod))


@pytest.mark.parametrize(("overlay", "name"), EVERY_POD)
def test_mounted_secrets_are_for_our_group_alone(overlay: str, name: str) -> None:
    pod = pods(overlay)[name]["spec"]
    mounted = [each.get("secret") or each.get("projected") for each in pod["volumes"] if "emptyDir" not in each]
    assert [each["defaultMode"] for each in mounted] == [0o440] * len(mounted)
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_config_map_that_is_named_is_there(overlay: str) -> None:
    named = {name for kind, name in references(RENDERED[overlay]) if kind == "ConfigMap"}
    assert named == set(of_kind(overlay, "ConfigMap"))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everything_is_in_one_namespace(overlay: str) -> None:
    spaces = {each["metadata"].get("namespace") for each in RENDERED[overlay] if each["kind"] != "Namespace"}
    assert spaces == {"mutation-engine"}


def test_replicas_are_said_once_by_the_overlay_or_by_what_scales() -> None:
    assert {each["spec"].get("replicas") for each in of_kind("small", "Deployment").values()} == {1}
    assert {each["spec"].get("replicas") for each in of_kind("production", "Deployment").values()} == {None}
    scaled = {*of_kind("production", "ScaledObject"), *of_kind("production", "HorizontalPodAutoscaler")}
    assert scaled == set(SERVICES)


async def test_the_ingress_lets_integrators_in_and_leaves_operators_and_probes_out() -> None:
    [rule] = of_kind("production", "Ingress")["ingest"]["spec"]["rules"]
    open_paths = [path["path"] for path in rule["http"]["paths"]]

    def reached(path: str) -> bool:
        return any(path == each or path.startswith(f"{each}/") for each in open_paths)

    async with IngestStand().client() as client:
        documented = (await client.get("/openapi.json")).json()["paths"]
    inside = {path for path in documented if path.startswith(("/admin", "/console")) or path in INTERNAL}
    assert inside > {"/healthz", "/metrics"}
    assert [path for path in documented if not reached(path)] == [path for path in documented if path in inside]
    assert not any(reached(f"/sandbox{path}") for path in inside)
    assert all(reached(f"/sandbox{path}") for path in documented if path.startswith(("/candidates", "/mutations")))


INTERNAL = {"/healthz", "/readyz", "/metrics"}


def test_prometheus_asks_each_service_on_a_port_that_it_may_reach() -> None:
    [endpoint] = of_kind("production", "PodMonitor")["mutation-engine"]["spec"]["podMetricsEndpoints"]
    selector = of_kind("production", "PodMonitor")["mutation-engine"]["spec"]["selector"]
    [way] = of_kind("production", "NetworkPolicy")["metrics"]["spec"]["ingress"]
    reachable = {port["port"] for port in way["ports"]}
    for name, pod in pods("production").items():
        assert selects(selector, pod["metadata"]["labels"]) == (name in SERVICES)
        ports = container(pod).get("ports", [])
        assert all(port["name"] == endpoint["port"] and port["containerPort"] in reachable for port in ports)
        assert pod["metadata"]["labels"][COMPONENT] == name
