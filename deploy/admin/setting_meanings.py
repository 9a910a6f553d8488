"""What each setting is about, for readers of docs/configuration.md; a test asks for a line for each, in their order.

Units follow from names (`_seconds`, `_bytes`), others are said. `only` names those who use a shared setting.
"""

from typing import Final, NamedTuple

CONSUMERS: Final = ("fetcher", "storage", "notifier")
WITH_BLOBS: Final = ("ingest", "fetcher", "storage", "init")
TRACED: Final = ("ingest", *CONSUMERS)


class Meaning(NamedTuple):
    """What a setting does; `only`: of a shared one, the services that use it, all when empty."""

    says: str
    only: tuple[str, ...] = ()


SHARED: Final = {
    "kafka_bootstrap": Meaning("Brokers to ask first, `host:port`, separated by commas"),
    "kafka_security": Meaning("How the connection is protected, and whether a user is named"),
    "kafka_sasl_mechanism": Meaning("How the user is proved; counts with `SASL_…` only"),
    "kafka_username": Meaning("The user; goes with `SASL_…` and a password, and only so"),
    "kafka_password": Meaning("Its password"),
    "kafka_ca_file": Meaning("Certificate authorities (PEM) in place of the system's; needs `SSL` or `SASL_SSL`"),
    "kafka_idempotence": Meaning("Producers number what they send; false for a broker that can't, as the embedded one"),
    "kafka_access_rules": Meaning(
        "Tenants' principals get rules at the broker; false where it takes none, or others keep them",
        ("ingest", "init"),
    ),
    "kafka_session_seconds": Meaning("A consumer that is silent for so long loses its partitions"),
    "kafka_send_seconds": Meaning("For the acknowledgement of what is published"),
    "kafka_instance_id": Meaning(
        "Static membership: partitions are kept over a restart. One name for one process", CONSUMERS
    ),
    "mongodb_uri": Meaning("The replica set, with user, password and the driver's options; reads go to the primary"),
    "mongodb_ca_file": Meaning("Certificate authorities (PEM); with it TLS is on"),
    "s3_endpoint": Meaning("The object store as the services reach it", WITH_BLOBS),
    "s3_ca_file": Meaning("Certificate authorities (PEM); needs an endpoint that begins with `https://`", WITH_BLOBS),
    "s3_public_endpoint": Meaning(
        "The store as clients reach it, for download links; the same when not set", ("ingest",)
    ),
    "s3_bucket": Meaning("The bucket; the initialisation makes it", WITH_BLOBS),
    "s3_region": Meaning("What requests are signed for", WITH_BLOBS),
    "s3_access_key": Meaning("Who we are at the store", WITH_BLOBS),
    "s3_secret_key": Meaning("What requests are signed with", WITH_BLOBS),
    "secrets_key_file": Meaning(
        "32 bytes in base64 that seal the webhook secrets; whoever loses it issues new ones",
        ("ingest", "notifier", "init"),
    ),
    "lease_seconds": Meaning("Of a job that one replica does at a time; renewed at every round", ("ingest", "storage")),
    "egress_allow": Meaning(
        "Networks that downloads and callbacks may reach beyond public addresses, any port there",
        ("ingest", "fetcher", "notifier"),
    ),
    "health_host": Meaning(
        "Where `/healthz`, `/readyz` and `/metrics` answer; the gateway's answer where requests do", CONSUMERS
    ),
    "health_port": Meaning("The same; 0: any free port", CONSUMERS),
    "log_level": Meaning("The least level that is logged: `debug`, `info`, `warning`, `error`"),
    "otlp_endpoint": Meaning("An OpenTelemetry collector, as `http://127.0.0.1:4318`; empty: no traces", TRACED),
    "otlp_headers": Meaning("Headers for it, `name=value,name=value`; may hold a key", TRACED),
    "otlp_ca_file": Meaning("Certificate authorities (PEM); needs an endpoint that begins with `https://`", TRACED),
    "otlp_sample_ratio": Meaning("The share of traces that is recorded; the same for all services", TRACED),
    "grace_seconds": Meaning("From SIGTERM to the end of the process; less than whoever stops it allows"),
    "loop_blocked_seconds": Meaning("An event loop that stands still for so long ends its process"),
}
INGEST: Final = {
    "http_host": Meaning("Where requests are taken"),
    "http_port": Meaning("The same; 0: any free port"),
    "http_header_seconds": Meaning("For a request's headers, and for the next request of a connection"),
    "http_connections": Meaning("Connections at once; beyond it they wait in the kernel's queue"),
    "http_header_bytes": Meaning("All headers of a request; more is 431"),
    "http_unread_seconds": Meaning("For a client to take, or confirm, what was sent"),
    "http_bytes_in_flight": Meaning("Request bodies in memory, all clients together; 503 beyond it"),
    "http_body_seconds": Meaning("For a JSON body to arrive"),
    "http_body_rate": Meaning("Bytes a second that a body needs after its first five seconds"),
    "tenant_rate": Meaning("Requests a second of a tenant in the long run, this process; 429 beyond it"),
    "tenant_burst": Meaning("Requests of a tenant at once, this process; 429 beyond it"),
    "upload_kept_seconds": Meaning("The life of a temporary upload that nobody assigns"),
    "upload_quota_bytes": Meaning("Unassigned temporary uploads of a tenant; 429 beyond it"),
    "upload_quota_files": Meaning("Their number; 429 beyond it"),
    "uploads_at_once": Meaning("Temporary uploads at once; 503 beyond it. Each may spool one file"),
    "mutations_watched": Meaning("Mutations that clients wait for at once, by `wait` or `/events`; 503 beyond it"),
    "watch_seconds": Meaning("Between two looks at those: one query for all of them"),
    "spool_directory": Meaning(
        "Where files are spooled: a disk, not memory; the system's temporary directory when not set"
    ),
    "mongodb_timeout_seconds": Meaning("For an answer to a request; then 503"),
    "relay_seconds": Meaning("Between two looks for what waits in the ledger, or stands still"),
    "notice_seconds": Meaning(
        "From SIGTERM on requests are served for so long while `/readyz` is 503, for proxies to notice"
    ),
}
FETCHER: Final = {
    "in_flight": Meaning("Mutations, and downloads, at once"),
    "commit_seconds": Meaning("Between two commits of offsets"),
    "host_wait_seconds": Meaning("For a place at a source's host; then the mutation is put off"),
    "spool_directory": INGEST["spool_directory"],
    "user_agent": Meaning("What sources read in `User-Agent`"),
}
STORAGE: Final = {
    "batch_records": Meaning("Events at once"),
    "sweep_seconds": Meaning("Between two looks for outcomes that are owed"),
    "deadline_seconds": Meaning("Between two looks for mutations past their deadline"),
    "staging_sweep_seconds": Meaning("Between two looks for leftovers below `staging/`"),
    "staging_age_seconds": Meaning("Younger staged objects may belong to a request that is under way"),
    "reconcile_seconds": Meaning("Between two comparisons of `records/` with the documents"),
    "reconcile_age_seconds": Meaning("Younger objects may belong to a decision that is under way"),
    "sandbox_reset_at": Meaning("When each tenant's sandbox is emptied every night, UTC; empty: never"),
    "sandbox_look_seconds": Meaning("Between two looks for resets that were asked for"),
    "expiry_seconds": Meaning("Between two looks for expired uploads and second passes of erasures"),
    "erasure_again_seconds": Meaning("From an erasure to its second pass"),
}
NOTIFIER: Final = {
    "callback_pauses": Meaning("Seconds before each attempt, separated by commas; as many attempts as there are"),
    "callback_least_pause_seconds": Meaning("The least pause after a 429 or a time-out"),
    "callback_seconds": Meaning("For a receiver to answer"),
    "callbacks_in_flight": Meaning("Callbacks at once"),
    "callbacks_per_tenant": Meaning("The same, of one tenant"),
    "callbacks_per_host": Meaning("The same, of one tenant to one host"),
    "callbacks_waiting": Meaning("Deliveries in memory, with those in flight"),
    "callbacks_waiting_per_host": Meaning("The same, of one tenant to one host"),
    "delivery_lease_seconds": Meaning(
        "A delivery belongs to its notifier for so long; at least twice the time for an answer"
    ),
    "delivery_poll_seconds": Meaning("Between two looks for deliveries that are due"),
    "result_linger_seconds": Meaning("Results that end meanwhile are written together"),
    "completed_batch": Meaning("Events at once"),
}
INIT: Final = {
    "topic_partitions": Meaning("Of each topic of the pipeline; topics that are there stay as they are"),
    "topic_replication": Meaning("Replicas of every topic"),
    "init_tenants": Meaning("Tenants to begin with, separated by commas"),
    "credentials_file": Meaning("Takes the keys and secrets of those tenants in the clear (mode 0600)"),
    "init_patience_seconds": Meaning("How long to wait for each server"),
}
OWN: Final = {"ingest": INGEST, "fetcher": FETCHER, "storage": STORAGE, "notifier": NOTIFIER, "init": INIT}
