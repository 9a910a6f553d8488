"""The state directory: lock, credentials, and stack.json, which tells everybody where the running stack is."""

import fcntl
import os
import secrets
from pathlib import Path
from typing import IO, Any

from deploy.admin.credentials import read_credentials, write_private


class StateInUse(Exception):
    """Another stack runs on this directory; says so in a sentence."""


class StateDir:
    """What a stack keeps between two runs; made for its owner only."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.logs = self.root / "logs"
        self.logs.mkdir(exist_ok=True)
        self.credentials = self.root / "credentials.json"
        self.handle = self.root / "stack.json"
        self.secrets_key = self.root / "secrets.key"
        self._lock: IO[str] | None = None

    def lock(self) -> None:
        """Hold the directory until this process ends, however it ends; raises StateInUse."""
        self._lock = (self.root / "lock").open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            holder = self._lock.read().strip() or "unknown"
            raise StateInUse(
                f"Another stack (process {holder}) runs on {self.root}: stop it, or choose another state directory."
            ) from None
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()

    def s3_keys(self) -> tuple[str, str]:
        """Access key and secret key of the object store, made once."""
        content = read_credentials(self.credentials)
        if "s3" not in content:
            content["s3"] = {"accessKey": secrets.token_hex(10), "secretKey": secrets.token_urlsafe(30)}
            write_private(self.credentials, content)
        return content["s3"]["accessKey"], content["s3"]["secretKey"]

    def admin(self) -> dict[str, str]:
        """The admin key, as the initialisation has put it into the credentials."""
        return dict(read_credentials(self.credentials)["admin"])

    def write_handle(self, handle: dict[str, Any]) -> None:
        """Replace stack.json atomically."""
        write_private(self.handle, handle)

    def drop_handle(self) -> None:
        """No stack runs here any more."""
        self.handle.unlink(missing_ok=True)
