"""Settings: misspelt, invalid, or odd; no server is asked."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from ipaddress import IPv4Network, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError

from deploy.admin.checks.finding import Finding
from deploy.admin.init import InitSettings
from deploy.admin.installation import in_words
from services.fetcher.settings import FetcherSettings
from services.ingest.settings import IngestSettings
from services.notifier.settings import NotifierSettings
from services.storage.settings import StorageSettings
from shared.addresses import EgressPolicy, Network
from shared.settings import EngineSettings

MODELS: Final = (InitSettings, IngestSettings, FetcherSettings, StorageSettings, NotifierSettings)
OURS: Final = frozenset(  # of this command line, of the tests and of the compose file
    {
        "ENGINE_URL",
        "ENGINE_API_KEY",
        "ENGINE_ADMIN_KEY",
        "ENGINE_WEBHOOK_SECRET",
        "ENGINE_STATE_DIR",
        "ENGINE_HTTP_URL",
        "ENGINE_IMAGE",
        "ENGINE_VERSION",
        "ENGINE_REVISION",
    }
)
METADATA: Final = ip_address("169.254.169.254")
BROAD: Final = {4: 8, 6: 16}  # networks with a shorter prefix hold more than anybody means


def known_variables() -> set[str]:
    """Every ENGINE_* variable that some process reads."""
    fields = {name: field for model in MODELS for name, field in model.model_fields.items()}
    files = {f"ENGINE_{name.upper()}_FILE" for name, field in fields.items() if field.annotation is SecretStr}
    return {f"ENGINE_{name.upper()}" for name in fields} | files | OURS


def misspelt(environment: Mapping[str, str]) -> list[Finding]:
    """Variables that nobody reads, with the one that may be meant."""
    known = known_variables()
    unknown = sorted(name for name in environment if name.startswith("ENGINE_") and name not in known)
    found = []
    for name in unknown:
        near = get_close_matches(name, known, 1)
        todo = f"Did you mean {near[0]}? Rename it" if near else "Remove it"
        found.append(
            Finding("setting_unknown", f"{name} is set, but nothing reads it.", f"{todo} (docs/operations.md).")
        )
    return found


def invalid() -> list[Finding]:
    """Settings with which one of the services would not start."""
    said: dict[str, str] = {}
    for model in MODELS:
        try:
            model()
        except ValidationError as error:
            for line in in_words(error).split("; "):
                said.setdefault(line, model.__name__)
        except (ValueError, OSError) as error:
            said.setdefault(str(error), model.__name__)
    return [
        Finding("setting_invalid", f"{line} ({model} does not take it).", "Correct it; the service would not start.")
        for line, model in said.items()
    ]


def egress(settings: EngineSettings) -> list[Finding]:
    """Networks that let strangers' URLs reach what they never should."""
    return [finding for text in settings.egress_allow for finding in _egress_of(text, settings)]


def _egress_of(text: str, settings: EngineSettings) -> Iterator[Finding]:
    variable = "ENGINE_EGRESS_ALLOW"
    try:
        (network,) = EgressPolicy.from_settings([text]).networks
    except ValueError:
        yield Finding(
            "egress_invalid", f"{variable} holds {text!r}, which is no network.", "Write it like 10.1.2.0/24."
        )
        return
    if network.prefixlen < BROAD[network.version]:
        yield Finding(
            "egress_open", f"{variable} holds {text}: clients' URLs reach nearly all, your own network too.",
            "Name only the networks of the partners that need it; leave it empty for public addresses.",
        )  # fmt: skip
    elif METADATA.version == network.version and METADATA in network:
        yield Finding(
            "egress_metadata", f"{variable} holds {text}: clients' URLs reach the metadata service of a cloud machine.",
            "Take 169.254.0.0/16 out of it.",
        )  # fmt: skip
    else:
        near = [name for name, host in _own_hosts(settings) if _holds(network, host)]
        if near and not network.is_loopback:
            yield Finding(
                "egress_own_servers", f"{variable} holds {text}, where {', '.join(near)} of this engine answer, too.",
                "Narrow it, so that clients' URLs can't reach the engine's own servers.",
            )  # fmt: skip


def _own_hosts(settings: EngineSettings) -> Iterator[tuple[str, str]]:
    for address in settings.kafka_bootstrap.split(","):
        yield "Kafka", address.strip().rpartition(":")[0].strip("[]")
    yield "the object store", urlsplit(settings.s3_endpoint).hostname or ""
    authority = settings.mongodb_uri.get_secret_value().partition("://")[2].partition("/")[0].rpartition("@")[2]
    for address in authority.split(","):
        yield "MongoDB", address.rpartition(":")[0].strip("[]") or address


def _holds(network: Network, host: str) -> bool:
    try:
        inside = ip_network(host)
    except ValueError:
        return False  # a name: where it leads, only a look-up could tell
    return isinstance(inside, IPv4Network) == isinstance(network, IPv4Network) and inside.subnet_of(network)  # type: ignore[arg-type]
