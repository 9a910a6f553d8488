"""Secrets come from the environment or from files, are shown nowhere, and what would not protect is refused."""

import ssl
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo

from deploy.admin.init import InitSettings
from services.fetcher.settings import FetcherSettings
from services.ingest.settings import IngestSettings
from services.notifier.settings import NotifierSettings
from services.storage.settings import StorageSettings
from shared.kafka_access import client_options
from shared.settings import EngineSettings
from tests.tls import Authority

EVERY = (EngineSettings, IngestSettings, FetcherSettings, StorageSettings, NotifierSettings, InitSettings)
CANARY = "canary-7f3a"
SASL = {"kafka_security": "SASL_SSL", "kafka_username": "engine", "kafka_password": CANARY}


def secret_settings(settings: type[EngineSettings]) -> list[str]:
    fields: dict[str, FieldInfo] = settings.model_fields
    return [name for name, field in fields.items() if field.annotation is SecretStr]


@pytest.mark.parametrize("settings", EVERY)
def test_every_secret_can_be_in_a_file(
    settings: type[EngineSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = secret_settings(settings)
    assert {"kafka_password", "mongodb_uri", "s3_access_key", "s3_secret_key"} <= set(names)
    monkeypatch.setenv("ENGINE_KAFKA_SECURITY", "SASL_PLAINTEXT")
    monkeypatch.setenv("ENGINE_KAFKA_USERNAME", "engine")
    for name in names:
        (tmp_path / name).write_text(f"{CANARY}-{name}\n")
        monkeypatch.setenv(f"ENGINE_{name}_FILE".upper(), str(tmp_path / name))
    read = settings()
    assert {name: getattr(read, name).get_secret_value() for name in names} == {
        name: f"{CANARY}-{name}" for name in names
    }


def test_a_secret_that_is_set_twice_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text("one")
    monkeypatch.setenv("ENGINE_S3_SECRET_KEY", "other")
    monkeypatch.setenv("ENGINE_S3_SECRET_KEY_FILE", str(tmp_path / "password"))
    with pytest.raises(ValueError, match="not both"):
        EngineSettings()


def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_S3_SECRET_KEY_FILE", str(tmp_path / "absent"))
    with pytest.raises(OSError, match="absent"):
        EngineSettings()


@pytest.mark.parametrize("settings", EVERY)
def test_settings_show_no_secret(settings: type[EngineSettings]) -> None:
    names = secret_settings(settings)
    shown = settings.model_validate(
        {"kafka_security": "SASL_SSL", "kafka_username": "u"} | dict.fromkeys(names, CANARY)
    )
    assert CANARY not in repr(shown) + str(shown) + repr(shown.model_dump()) + shown.model_dump_json()


def test_an_error_in_the_settings_shows_no_secret() -> None:
    with pytest.raises(ValidationError) as told:
        EngineSettings.model_validate(SASL | {"kafka_security": "none", "health_port": "x", "s3_secret_key": [CANARY]})
    assert CANARY not in str(told.value)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"kafka_username": "engine", "kafka_password": "p"}, "ENGINE_KAFKA_SECURITY"),
        ({"kafka_security": "SASL_SSL", "kafka_username": "engine"}, "ENGINE_KAFKA_PASSWORD"),
        ({"kafka_security": "SASL_SSL"}, "ENGINE_KAFKA_USERNAME"),
        ({"kafka_username": "engine"}, "ENGINE_KAFKA_SECURITY"),
        ({"kafka_password": "p"}, "ENGINE_KAFKA_SECURITY"),
        ({"mongodb_uri": "mongodb://db.test/?tls=true&tlsinsecure=true"}, "ENGINE_MONGODB_CA_FILE"),
        ({"mongodb_uri": "mongodb://db.test/?tlsAllowInvalidHostnames=true"}, "ENGINE_MONGODB_CA_FILE"),
        ({"mongodb_uri": "mongodb://db.test/?tlsAllowInvalidCertificates=true"}, "ENGINE_MONGODB_CA_FILE"),
        ({"kafka_ca_file": "ca.pem"}, "ENGINE_KAFKA_CA_FILE"),
        ({"s3_ca_file": "ca.pem", "s3_endpoint": "http://127.0.0.1:1"}, "ENGINE_S3_CA_FILE"),
    ],
)
def test_what_would_not_protect_is_refused(given: dict[str, str], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        EngineSettings.model_validate(given)


@pytest.mark.parametrize(
    "name", ["http_bytes_in_flight", "http_body_seconds", "http_body_rate", "mongodb_timeout_seconds"]
)
def test_a_limit_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=name):
        IngestSettings.model_validate({name: 0})


@pytest.mark.parametrize("name", ["kafka_session_seconds", "kafka_send_seconds", "lease_seconds"])
def test_a_time_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=name):
        EngineSettings.model_validate({name: 0})


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_every_kafka_client_gets_protocol_mechanism_and_credentials(mechanism: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    wanted = SASL | {"kafka_sasl_mechanism": mechanism, "kafka_ca_file": authority.ca_file}
    options = client_options(EngineSettings.model_validate(wanted))
    context: ssl.SSLContext = options.pop("ssl_context")
    assert [each["subject"] for each in context.get_ca_certs()] == [((("commonName", "authority"),),)]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert options == {
        "bootstrap_servers": "127.0.0.1:9092",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": mechanism,
        "sasl_plain_username": "engine",
        "sasl_plain_password": CANARY,
    }
