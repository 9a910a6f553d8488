"""TLS to our own servers: certificates are always checked, host names too."""

import ssl
from pathlib import Path


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """A context that trusts this authority (PEM) alone, or those of the system. Raises OSError for an unfit file."""
    return ssl.create_default_context(cafile=ca_file)
