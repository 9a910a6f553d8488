"""Files that settings name: the key that seals webhook secrets, and authorities' certificates; no server is asked."""

import os
import stat
from pathlib import Path
from typing import Final

from deploy.admin.checks.finding import Finding
from shared.sealing import Sealer
from shared.settings import EngineSettings
from shared.tls import trusting

AUTHORITIES: Final = ("kafka_ca_file", "mongodb_ca_file", "s3_ca_file", "otlp_ca_file")


def authorities(settings: EngineSettings) -> list[Finding]:
    """Files with certificate authorities that no connection could use."""
    found = []
    for name, path in ((name, path) for name in AUTHORITIES if (path := getattr(settings, name))):
        try:
            trusting(path)
        except OSError as error:
            wrong = f"ENGINE_{name.upper()} names {path}, which can't be used: {error.strerror or error}."
            found.append(Finding("authority_unfit", wrong, "Name a file with certificates (PEM) that we may read."))
    return found


def sealing_key(path: Path | None) -> list[Finding]:
    """The file with the key that seals webhook secrets."""
    if path is None:
        wrong = "ENGINE_SECRETS_KEY_FILE is not set: no callback can be signed."
        todo = "Name the file with the key that the first initialisation made (32 bytes, base64)."
        return [Finding("sealing_key_unset", wrong, todo)]
    try:
        mode = path.stat().st_mode
        Sealer.from_file(path)
    except (OSError, ValueError) as error:
        return [_unfit(path, error)]
    return [_exposed(path, mode)] if mode & (stat.S_IROTH | stat.S_IWOTH) else []


def _unfit(path: Path, error: OSError | ValueError) -> Finding:
    if isinstance(error, FileNotFoundError):
        wrong = f"There is no sealing key at {path}: no callback can be signed."
        todo = "Bring it back from its backup; without one make a new key (init) and issue all webhook secrets anew."
        return Finding("sealing_key_missing", wrong, todo)
    if isinstance(error, OSError):
        todo = f"Let the user of the services ({os.getuid()} here) read it."
        return Finding("sealing_key_unreadable", f"The sealing key can't be read: {error}.", todo)
    todo = "Bring the right file back; a new installation gets one from: mutation-engine init"
    return Finding("sealing_key_invalid", f"{error}.", todo)


def _exposed(path: Path, mode: int) -> Finding:
    wrong = f"Everybody on the machine can read the sealing key {path} (mode {stat.S_IMODE(mode):04o})."
    todo = f"chmod 600 {path}; of a mounted secret: defaultMode 0440. Who may have seen it? Rotate all secrets."
    return Finding("sealing_key_exposed", wrong, todo)
