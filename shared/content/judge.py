"""Judges what a file really is: by its bytes, against what its name and its declared type say."""

import asyncio
import codecs
import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import pylibmagic  # noqa: F401  (puts its libmagic where python-magic looks; so it comes first)

import magic  # isort: skip

from shared.content import compound, containers, pictures, texts, vectors
from shared.content.media_types import ALIASES, HTML, RTF, SVG, claims, compatible, extensions
from shared.content.source import Source, in_file, in_memory
from shared.events import FileError
from shared.limits import ACCEPTED_TYPES, CONTENT_HEAD_BYTES, KIB, TEMPORARY_TYPES

__all__ = ["Accepted", "Judge", "Source", "Verdict", "in_file", "in_memory", "judge", "judge_bytes"]

MISMATCH: Final = "content_type_mismatch"
UNSUPPORTED: Final = "unsupported_content_type"
UNSAFE: Final = "unsafe_content"
EMPTY: Final = "empty_file"
UNKNOWN: Final = "application/octet-stream"
FETCHED_WHOLE_BYTES: Final = 512 * KIB
# Readers look for this further in, too, but then something else stands before it.
PDF_START: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s{0,64}%PDF-\d\.\d")
# Types that libmagic tells by a signature alone; of the other accepted ones its word is not enough.
SIGNED: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
SIGNATURES: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"RIFF")
ZIP_SIGNATURE: Final = b"PK\3\4"
OLE_SIGNATURE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The type that the bytes have; `match` when every claim said just that."""

    content_type: str
    match: Literal["match", "compatible"]


Verdict = Accepted | FileError


class Judge(Protocol):
    """What `judge` is to its callers."""

    async def __call__(self, source: Source, filename: str, declared: str | None) -> Verdict: ...


async def judge(
    source: Source, filename: str, declared: str | None, accepted: frozenset[str] = ACCEPTED_TYPES
) -> Verdict:
    """The type of the bytes, or why they are refused: a code of the outcome table and a sentence that echoes nothing.

    Mostly the first 4 KiB are read; of archives the end, of texts and OLE files all. What the source raises passes.
    """
    if source.size == 0:
        return FileError(code=EMPTY, message="The file holds no byte.")
    claimed = claims(filename, declared)
    try:
        found = await _found(source, claimed)
    except (containers.Unsafe, texts.DangerousText, pictures.TooManyPoints) as error:
        return FileError(code=UNSAFE, message=f"The file is not safe: {error}.")
    except containers.Encrypted:
        return FileError(code=UNSUPPORTED, message="The file is encrypted; send it without a password.")
    return _compare(found, claimed, accepted)


async def judge_bytes(source: Source, accepted: frozenset[str] = TEMPORARY_TYPES) -> str | FileError:
    """The same where nothing that a name or a header says counts: the type of the bytes, or why they are refused."""
    verdict = await judge(source, "", None, accepted)
    return verdict if isinstance(verdict, FileError) else verdict.content_type


def _compare(found: str, claimed: Sequence[str], accepted: frozenset[str]) -> Verdict:
    if found in accepted and all(compatible(claim, found) for claim in claimed):
        return Accepted(found, "match" if set(claimed) == {found} else "compatible")
    if found in accepted or accepted.intersection(claimed):
        known = "are of no type that is known" if found == UNKNOWN else f"are {found}"
        sentence = f"The bytes {known}, which is not what the name or the declared type says."
        return FileError(code=MISMATCH, message=sentence)
    known = "The type of the file is not known" if found == UNKNOWN else f"Files of type {found} are not accepted"
    return FileError(code=UNSUPPORTED, message=f"{known}; send one of these: {extensions(accepted)}.")


async def _found(source: Source, claimed: Sequence[str]) -> str:
    head = await source.read(0, CONTENT_HEAD_BYTES)
    if PDF_START.match(head):
        return "application/pdf"
    if head.startswith(SIGNATURES):
        return _sniffed(head) if pictures.told(head) else UNKNOWN
    if await pictures.plausible(source, head):
        return _sniffed(head, believed=pictures.TYPES)
    if heif := pictures.heif_type(head, source.size):
        return heif
    if head.startswith((ZIP_SIGNATURE, OLE_SIGNATURE)):
        return await _contained(await _at_hand(source), head)
    if head.startswith(b"{\\rtf"):
        return RTF
    may_be_text = b"\0" not in head or head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = await texts.look(await _at_hand(source), claimed) if may_be_text else None
    if text in (HTML, SVG):
        return SVG if vectors.is_svg(await source.read(0, vectors.READ_BYTES)) else HTML
    # Without a signature libmagic tries all it knows, which takes milliseconds on what looks like text.
    return text if text is not None else await asyncio.to_thread(_sniffed, head)


async def _contained(source: Source, head: bytes) -> str:
    if head.startswith(ZIP_SIGNATURE):
        return await containers.zip_type(source)
    return await asyncio.to_thread(compound.ole_type, await source.whole())


async def _at_hand(source: Source) -> Source:
    """What is small is read once, because every range of a staged object is a request."""
    return source if source.size > FETCHED_WHOLE_BYTES else in_memory(await source.read(0, source.size))


def _sniffed(head: bytes, believed: frozenset[str] = SIGNED) -> str:
    """What libmagic says, but for accepted types that it can't tell alone."""
    try:
        kind = str(_libmagic().from_buffer(head))
    except magic.MagicException:
        return UNKNOWN
    kind = ALIASES.get(kind, kind)
    return UNKNOWN if kind in (ACCEPTED_TYPES | TEMPORARY_TYPES) - believed else kind


@functools.cache
def _libmagic() -> magic.Magic:
    """One cookie a process: loading its database takes milliseconds. Looks into archives and programs are left out."""
    sniffer = magic.Magic(mime=True)
    left_out = magic.MAGIC_NO_CHECK_COMPRESS | magic.MAGIC_NO_CHECK_TAR | magic.MAGIC_NO_CHECK_ELF
    magic.magic_setflags(sniffer.cookie, sniffer.flags | left_out | magic.MAGIC_NO_CHECK_TOKENS)
    return sniffer
