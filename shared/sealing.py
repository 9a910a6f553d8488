"""Seals secrets that must be readable again (AES-256-GCM), so that a dump of the database holds none."""

import base64
import binascii
import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12


class SealBroken(Exception):
    """The key, the place or the sealed bytes are not those of the sealing."""


class Sealer:
    """Seals and opens; `place` (say, the tenant's name) is bound to the seal, so it opens nowhere else."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"the sealing key must have {KEY_BYTES} bytes, not {len(key)}")
        self._cipher = AESGCM(key)

    @classmethod
    def from_file(cls, path: Path) -> "Sealer":
        """With the key of a file (32 bytes in base64); raises ValueError when it holds something else."""
        try:
            return cls(base64.b64decode(path.read_text().strip(), validate=True))
        except (binascii.Error, ValueError) as error:
            raise ValueError(f"{path} does not hold {KEY_BYTES} bytes in base64") from error

    def seal(self, plain: bytes, place: str) -> bytes:
        """A fresh nonce, then the ciphertext with its tag."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """What was sealed; raises SealBroken."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place.encode())
        except (InvalidTag, ValueError):
            raise SealBroken(f"a sealed secret of {place} can't be opened with this key") from None


def ensure_key_file(path: Path) -> None:
    """Make a key file (mode 0600) unless there is one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "wb") as file:
        file.write(base64.b64encode(os.urandom(KEY_BYTES)) + b"\n")
