"""Builds multipart forms as clients send them."""

from collections.abc import Iterable

BOUNDARY = "----engine-test-boundary"
FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def head(filename: str, declared: str = "application/octet-stream", field: str = "files") -> bytes:
    """What stands before a file's bytes."""
    disposition = f'Content-Disposition: form-data; name="{field}"; filename="{filename}"'
    return f"--{BOUNDARY}\r\n{disposition}\r\nContent-Type: {declared}\r\n\r\n".encode()


def form(*files: tuple[str, bytes], field: str = "files") -> bytes:
    """A whole form of (name, bytes)."""
    parts: Iterable[bytes] = (head(name, field=field) + content + b"\r\n" for name, content in files)
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
