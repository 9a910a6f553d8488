"""How every Kafka client reaches the brokers and says who it is: the same for all of them, from the settings."""

from typing import Any, Final

from faststream.kafka.security import parse_security
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from shared.settings import EngineSettings
from shared.tls import trusting

SASL: Final = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}


def security(settings: EngineSettings) -> BaseSecurity:
    """For FastStream's broker."""
    encrypted = settings.kafka_security.endswith("SSL")
    context = trusting(settings.kafka_ca_file) if encrypted else None
    if not settings.kafka_security.startswith("SASL_"):
        return BaseSecurity(ssl_context=context, use_ssl=encrypted)
    password = settings.kafka_password.get_secret_value()
    return SASL[settings.kafka_sasl_mechanism](settings.kafka_username, password, context, encrypted)


def client_options(settings: EngineSettings) -> dict[str, Any]:
    """For aiokafka's clients: addresses, protocol, and who we are."""
    return {"bootstrap_servers": settings.kafka_bootstrap} | parse_security(security(settings))
