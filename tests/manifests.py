"""The manifests as they come out of Kustomize, from deploy/kubernetes/rendered, which is kept up by its own test."""

from collections.abc import Iterator
from typing import Any, Final

import yaml

from deploy.kubernetes.__main__ import HERE, OVERLAYS

Manifest = dict[str, Any]
SERVICES: Final = ("ingest", "fetcher", "storage", "notifier")
COMPONENT: Final = "app.kubernetes.io/component"


def load(overlay: str) -> list[Manifest]:
    """Every resource of an overlay."""
    return list(yaml.safe_load_all((HERE / "rendered" / f"{overlay}.yaml").read_text()))


RENDERED: Final = {overlay: load(overlay) for overlay in OVERLAYS}


def of_kind(overlay: str, kind: str) -> dict[str, Manifest]:
    """Those of a kind by name."""
    return {each["metadata"]["name"]: each for each in RENDERED[overlay] if each["kind"] == kind}


def pods(overlay: str) -> dict[str, Manifest]:
    """The pod templates by the name of what makes them."""
    return {
        name: each["spec"]["template"]
        for kind in ("Deployment", "Job")
        for name, each in of_kind(overlay, kind).items()
    }


def container(pod: Manifest) -> Manifest:
    """The one container of a pod."""
    [only] = pod["spec"]["containers"]
    return dict(only)


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a label selector fits, with the operators that we use."""
    if any(labels.get(name) != value for name, value in selector.get("matchLabels", {}).items()):
        return False
    operators = {"In": lambda value, among: value in among, "NotIn": lambda value, among: value not in among}
    return all(
        operators[each["operator"]](labels.get(each["key"]), each["values"])
        for each in selector.get("matchExpressions", [])
    )


def settings_of(overlay: str, pod: Manifest) -> dict[str, str]:
    """The ENGINE_* variables of a container: its own, and those of the ConfigMaps that it names."""
    maps = of_kind(overlay, "ConfigMap")
    only, found = container(pod), dict[str, str]()
    for source in only.get("envFrom", []):
        found |= maps[source["configMapRef"]["name"]]["data"]
    return found | {each["name"]: each["value"] for each in only.get("env", [])}


def references(node: Any) -> Iterator[tuple[str, str]]:
    """What is named anywhere below: (kind, name) of ConfigMaps and Secrets."""
    if isinstance(node, list):
        for each in node:
            yield from references(each)
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        if key in {"configMapRef", "configMap"}:
            yield "ConfigMap", value["name"]
        elif key == "configMapTargetRef":
            yield from (("ConfigMap", each["name"]) for each in value)
        elif key == "secretTargetRef":
            yield from (("Secret", each["name"]) for each in value)
        elif key == "secret" and isinstance(value, dict):
            yield "Secret", value.get("secretName") or value["name"]
        yield from references(value)
