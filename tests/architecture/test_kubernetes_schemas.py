"""Every manifest is what Kubernetes and the operators take, by the schemas in their Python packages."""

import importlib
import shutil
from typing import Any, Final

import kubernetes_validate
import pytest

from deploy.kubernetes.__main__ import HERE, OVERLAYS, PAGES, rendered
from tests.manifests import RENDERED, Manifest

VERSIONS: Final = {"small": "1.30.0", "production": "1.37.0"}  # the oldest and the newest that we say we run on
CORE: Final = {"v1", "apps/v1", "batch/v1", "policy/v1", "autoscaling/v2", "networking.k8s.io/v1"}
OPERATORS: Final = {
    "keda.sh/v1alpha1": "cloudcoil.models.keda.v1alpha1",
    "monitoring.coreos.com/v1": "cloudcoil.models.prometheus_operator.v1",
}
STRIMZI: Final = "kafka.strimzi.io/v1"  # no package has its schemas: test_kubernetes_kafka.py
EVERY: Final = [
    pytest.param(each, VERSIONS[overlay], id=f"{overlay}-{each['kind']}-{each['metadata']['name']}")
    for overlay, manifests in RENDERED.items()
    for each in manifests
]


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not here")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_kustomize_makes_of_an_overlay_is_what_is_checked_here(overlay: str) -> None:
    found = (HERE / "rendered" / f"{overlay}.yaml").read_text()
    assert found == rendered(overlay), "run: python -m deploy.kubernetes"


@pytest.mark.parametrize("name", sorted(PAGES))
def test_what_is_made_of_tables_in_the_code_is_current(name: str) -> None:
    assert (HERE / name).read_text() == PAGES[name](), "run: python -m deploy.kubernetes"


def wrong(manifest: Manifest, version: str) -> str:
    """What the schema says against it, or nothing."""
    kind = manifest["apiVersion"]
    if kind in CORE:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            return str(error.message)
        return ""
    model = getattr(importlib.import_module(OPERATORS[kind]), manifest["kind"])
    understood = model.model_validate(manifest).model_dump(by_alias=True, exclude_unset=True, mode="json")
    return "" if _without_order(understood) == _without_order(manifest) else f"it was understood as {understood}"


def _without_order(node: Any) -> Any:
    """Quantities and durations are compared as they are written; fields that the model does not know are gone."""
    if isinstance(node, dict):
        return {key: _without_order(value) for key, value in node.items() if value is not None}
    return [_without_order(each) for each in node] if isinstance(node, list) else str(node)


@pytest.mark.parametrize(("manifest", "version"), EVERY)
def test_every_resource_is_as_its_schema_says(manifest: Manifest, version: str) -> None:
    if manifest["apiVersion"] == STRIMZI:
        return
    assert wrong(manifest, version) == ""


def test_a_misspelt_field_is_found_in_every_kind() -> None:
    of_every_kind = {each["kind"]: each for each in RENDERED["production"] if each["apiVersion"] != STRIMZI}
    assert {"Deployment", "NetworkPolicy", "ScaledObject", "PodMonitor"} <= set(of_every_kind)
    for kind, manifest in of_every_kind.items():
        if "spec" in manifest:
            misspelt = manifest | {"spec": manifest["spec"] | {"misspelt": 1}}
            assert wrong(misspelt, VERSIONS["production"]), kind
