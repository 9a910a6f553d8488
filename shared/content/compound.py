"""Looks inside compound files (OLE, MS-CFB): no more than the names in their directory."""

import io
import struct
from collections.abc import Iterable
from typing import Any, BinaryIO, Final

import olefile

from shared.content.containers import Encrypted, Unsafe
from shared.content.media_types import DOC, OLE, PPT, XLS
from shared.limits import KIB

OLE_MAIN: Final = {"worddocument": DOC, "workbook": XLS, "book": XLS, "powerpoint document": PPT}
OLE_HEADER: Final = struct.Struct("<30xH12xI16xI4xI")  # MS-CFB 2.2: sector shift; sectors of FAT, mini FAT, DIFAT
SECTOR_SHIFTS: Final = (9, 12)
OLE_DIRECTORY_BYTES: Final = 512 * KIB  # 4096 entries
OLE_MACROS: Final = frozenset({"macros", "vba", "_vba_project", "_vba_project_cur"})


def ole_type(file: BinaryIO) -> str:
    """DOC, XLS or PPT by the streams of the root, application/x-ole-storage for every other compound file.

    Takes milliseconds for megabytes: call it in a thread. Raises Unsafe, Encrypted.
    """
    try:
        if not _plausible(file):
            return OLE
        with _Compound(file) as compound:  # leaves a file that it did not open itself open
            entries, top = compound.direntries[1:], compound.root
    except Exception:  # whatever a hostile file makes its parser raise
        return OLE
    if top.used:  # the root lies within itself
        return OLE
    if any(name in OLE_MACROS for name in _names(entries)):
        raise Unsafe("it holds macros")
    root = _names(top.kids)
    if "encryptedpackage" in root:
        raise Encrypted
    found = {kind for name, kind in OLE_MAIN.items() if name in root}
    if len(found) > 1:
        raise Unsafe("it is several kinds of document at once")
    return found.pop() if found else OLE


def _plausible(file: BinaryIO) -> bool:
    """Whether the file can hold the tables that its header tells of: the parser follows as many as it is told to."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    shift, fat, mini_fat, difat = OLE_HEADER.unpack_from(file.read(OLE_HEADER.size))
    if shift not in SECTOR_SHIFTS:
        return False
    sector = 1 << shift
    most, most_mini = (size // each // (sector // 4) + 1 for each in (sector, 64))
    return bool(fat <= most and mini_fat <= most_mini and difat <= fat // 127 + 1)


def _names(entries: Iterable[Any]) -> set[str]:
    """Of the streams and storages among directory entries; None stands for one that nothing refers to."""
    kinds = (olefile.STGTY_STREAM, olefile.STGTY_STORAGE)
    return {entry.name.lower() for entry in entries if entry and entry.entry_type in kinds}


class _Compound(olefile.OleFileIO):  # type: ignore[misc]
    """Refuses a long directory: the parser's time grows with the square of its entries."""

    def loaddirectory(self, sect: int) -> None:
        place = sect
        for _ in range(OLE_DIRECTORY_BYTES // self.sectorsize + 1):
            if place >= len(self.fat):
                break
            place = self.fat[place]
        else:
            raise olefile.OleFileError("the directory is too long")
        super().loaddirectory(sect)
