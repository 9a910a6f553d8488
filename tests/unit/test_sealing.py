"""Sealed secrets open with the right key in the right place, and nowhere else."""

import stat
from pathlib import Path

import pytest

from shared.sealing import SealBroken, Sealer, ensure_key_file

SEALER = Sealer(b"k" * 32)


def test_what_was_sealed_opens_again() -> None:
    assert SEALER.open(SEALER.seal(b"whsec_example", "demo"), "demo") == b"whsec_example"


def test_the_sealed_bytes_hold_nothing_of_the_secret_and_differ_every_time() -> None:
    first, second = SEALER.seal(b"whsec_example", "demo"), SEALER.seal(b"whsec_example", "demo")
    assert first != second
    assert b"whsec" not in first


def test_a_seal_does_not_open_in_another_place_with_another_key_or_when_altered() -> None:
    sealed = SEALER.seal(b"whsec_example", "demo")
    for sealer, altered, place in [
        (SEALER, sealed, "other"),
        (Sealer(b"x" * 32), sealed, "demo"),
        (SEALER, sealed[:-1] + bytes([sealed[-1] ^ 1]), "demo"),
        (SEALER, b"", "demo"),
    ]:
        with pytest.raises(SealBroken):
            sealer.open(altered, place)


def test_a_key_file_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "secrets.key"
    ensure_key_file(path)
    made = path.read_bytes()
    ensure_key_file(path)
    assert path.read_bytes() == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Sealer.from_file(path).open(Sealer.from_file(path).seal(b"x", "p"), "p") == b"x"


@pytest.mark.parametrize("content", ["", "c2hvcnQ=", "not base64!", "é"])
def test_a_file_that_holds_no_key_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "secrets.key"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"secrets\.key"):
        Sealer.from_file(path)
