"""What clients call a file's type: declared types, name extensions, and which of them may stand for which bytes."""

from collections.abc import Iterable
from typing import Final

from shared.filenames import safe_name
from shared.limits import OOXML

DOCX: Final = f"{OOXML}.wordprocessingml.document"
XLSX: Final = f"{OOXML}.spreadsheetml.sheet"
PPTX: Final = f"{OOXML}.presentationml.presentation"
ODT: Final = "application/vnd.oasis.opendocument.text"
DOC, XLS, PPT = "application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint"
RTF, ZIP, OLE = "application/rtf", "application/zip", "application/x-ole-storage"
HTML, SVG = "text/html", "image/svg+xml"
JSON, XML, CSV, PLAIN, MARKDOWN = "application/json", "application/xml", "text/csv", "text/plain", "text/markdown"

TEXTS: Final = frozenset({JSON, XML, CSV, PLAIN, MARKDOWN})
# Who says one of these says nothing about the bytes.
SILENT: Final = frozenset(
    {"application/octet-stream", "binary/octet-stream", "application/download", "application/x-download"}
    | {"application/force-download", "application/x-unknown", "application/unknown", "unknown/unknown", "*/*"}
)
ALIASES: Final = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "image/heic-sequence": "image/heic",
    "image/heif-sequence": "image/heif",
    "image/x-ms-bmp": "image/bmp",
    "image/x-icon": "image/vnd.microsoft.icon",
    "application/x-pdf": "application/pdf",
    "application/vnd.msword": DOC,
    "application/x-msword": DOC,
    "application/excel": XLS,
    "application/x-excel": XLS,
    "application/msexcel": XLS,
    "application/mspowerpoint": PPT,
    "application/powerpoint": PPT,
    "text/rtf": RTF,
    "text/richtext": RTF,
    "application/x-rtf": RTF,
    "text/xml": XML,
    "text/json": JSON,
    "application/csv": CSV,
    "text/comma-separated-values": CSV,
    "text/x-markdown": MARKDOWN,
    "application/x-zip-compressed": ZIP,
    "application/x-cfb": OLE,
    "application/cdfv2": OLE,
    "application/vnd.ms-office": OLE,
}
EXTENSIONS: Final = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "jpe": "image/jpeg",
    "jfif": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "pdf": "application/pdf",
    "doc": DOC,
    "docx": DOCX,
    "odt": ODT,
    "xls": XLS,
    "xlsx": XLSX,
    "ppt": PPT,
    "pptx": PPTX,
    "txt": PLAIN,
    "text": PLAIN,
    "log": PLAIN,
    "md": MARKDOWN,
    "markdown": MARKDOWN,
    "csv": CSV,
    "rtf": RTF,
    "json": JSON,
    "xml": XML,
    # Not accepted on a record, but each a promise that must hold.
    "zip": ZIP,
    "html": HTML,
    "htm": HTML,
    "xhtml": "application/xhtml+xml",
    "svg": SVG,
    "bmp": "image/bmp",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "ico": "image/vnd.microsoft.icon",
    "avif": "image/avif",
    "docm": "application/vnd.ms-word.document.macroenabled.12",
    "xlsm": "application/vnd.ms-excel.sheet.macroenabled.12",
    "pptm": "application/vnd.ms-powerpoint.presentation.macroenabled.12",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "eml": "message/rfc822",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
}
# The extension that files of a type get from us: the first that stands for it.
SUFFIXES: Final = {kind: suffix for suffix, kind in reversed(EXTENSIONS.items())}
# A text under one of these names would be run, not read.
EXECUTABLE: Final = frozenset(
    {"bat", "cmd", "com", "cpl", "dll", "exe", "hta", "jar", "js", "jse", "lnk", "mjs", "msc", "msi", "msp", "php"}
    | {"pif", "ps1", "psm1", "py", "reg", "scf", "scr", "sh", "url", "vb", "vbe", "vbs", "ws", "wsf"}
)
SCRIPT: Final = "application/x-executable"
# Bytes that may come under another name: a container's own type, or one word processor's formats.
STANDS_FOR: Final = {
    ZIP: frozenset({DOCX, XLSX, PPTX, ODT}),
    OLE: frozenset({DOC, XLS, PPT}),
    DOC: frozenset({DOCX, RTF}),
    XLS: frozenset({XLSX}),
    PPT: frozenset({PPTX}),
    PLAIN: TEXTS | {RTF},
    CSV: TEXTS,
    MARKDOWN: TEXTS,
    "image/heic": frozenset({"image/heif"}),
    "image/heif": frozenset({"image/heic"}),
}


def claims(filename: str, declared: str | None) -> list[str]:
    """What the declared type and the name's extension say, in this order; without what says nothing."""
    by_name = by_extension(filename)
    media_type = (declared or "").partition(";")[0].strip().lower()
    media_type = ALIASES.get(media_type, media_type)
    if by_name == CSV and media_type == XLS:  # what browsers declare where a spreadsheet owns the extension
        media_type = ""
    stated = media_type if media_type and media_type not in SILENT else None
    return [claim for claim in (stated, by_name) if claim]


def by_extension(filename: str) -> str | None:
    """The type that a name promises, None when its extension is unknown."""
    _, dot, extension = filename.rpartition(".")
    extension = extension.lower()
    if not dot:
        return None
    if extension in EXECUTABLE:
        return SCRIPT
    return EXTENSIONS.get(extension)


def named(filename: str, found: str) -> str:
    """The name with an extension that fits the bytes, which is added where another one, or none, stands.

    An upload's name says nothing about its type, so a reader must not be led by it either.
    """
    if by_extension(filename) == found:
        return filename
    return safe_name(f"{filename}.{SUFFIXES[found]}") or filename


def extensions(accepted: Iterable[str]) -> str:
    """Types as people know them: their extensions, separated by commas."""
    return ", ".join(sorted(SUFFIXES[kind] for kind in accepted))


def compatible(claim: str, found: str) -> bool:
    """Whether bytes of the found type may come under this claim."""
    return claim == found or found in STANDS_FOR.get(claim, ())
