"""Files that are two things at once, or not what they seem; labels as in the corpus of samples."""

import struct

from shared.limits import OOXML
from tests import corpus, corpus_archives
from tests.corpus_pictures import bmp_of, boxes, gif_of, heif, png_of, webp_of
from tests.corpus_samples import DOC, DOCX, MISMATCH, ODT, PPTX, UNSAFE, UNSUPPORTED, XLS, XLSX, Sample

PDF, PNG, JPEG, GIF = corpus.pdf(), corpus.image("PNG"), corpus.image("JPEG"), corpus.image("GIF")
SCRIPT = b"<script>alert(1)</script>"
PAGE = b"<!DOCTYPE html><html><body>" + SCRIPT + b"</body></html>"
JAR = corpus.archive({"META-INF/MANIFEST.MF": "Main-Class: A", "A.class": b"\xca\xfe\xba\xbe\0\0\0\x34"})
ELF = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHI", 2, 62, 1) + bytes(40)
MACH_O = b"\xcf\xfa\xed\xfe" + struct.pack("<IIII", 0x01000007, 3, 2, 0) + bytes(12)
MSI_STREAMS = ("\u4840\u3f3f\u4577\u446c\u3b6a\u45e4\u4824", "\5SummaryInformation")
# Said by an archive about itself, in the place where OpenDocument says it
BOASTS = ("application/pdf", "image/png", "image/svg+xml", "text/plain", DOCX, DOC)
MACROS = {
    "docx": ("word/document.xml", "application/vnd.ms-word.document.macroEnabled.main+xml"),
    "xlsx": ("xl/workbook.xml", "application/vnd.ms-excel.sheet.macroEnabled.main+xml"),
    "pptx": ("ppt/presentation.xml", "application/vnd.ms-powerpoint.presentation.macroEnabled.main+xml"),
}


def with_macros(kind: str) -> bytes:
    """A document of the kind that its listing calls one with macros, though no macro has its usual name."""
    part, name = MACROS[kind]
    return corpus.archive({"[Content_Types].xml": corpus.listing((part, name)), part: "<x/>"})


# Two at once. A picture ends where its format says; what stands behind is nothing to a reader of pictures, and
# telephones put films there. So it is a picture under a picture's name, and under any other name it is refused.
POLYGLOTS = [
    Sample("a.gif", "image/gif", GIF + JAR, "image/gif match"),
    Sample("a.jar", "application/java-archive", GIF + JAR, MISMATCH),
    Sample("a.gif", "image/gif", gif_of(0x2A2F, 16) + b"*/=1;alert(1)", "image/gif match"),
    Sample("a.js", "text/javascript", gif_of(0x2A2F, 16) + b"*/=1;alert(1)", MISMATCH),
    Sample("a.html", "text/html", GIF + PAGE, MISMATCH),
    Sample("a.txt", "text/plain", GIF + PAGE, MISMATCH),
    Sample("a.jpg", "image/jpeg", JPEG + corpus.archive({"a.txt": "x"}), "image/jpeg match"),
    Sample("cv.docx", DOCX, JPEG + corpus.ooxml("docx"), MISMATCH),
    Sample("a.zip", "application/zip", JPEG + corpus.archive({"a.txt": "x"}), MISMATCH),
    Sample("a.png", "image/png", PNG + b"<?php system($_GET[0]); ?>", "image/png match"),
    Sample("a.php", "application/x-php", PNG + b"<?php system($_GET[0]); ?>", MISMATCH),
    Sample("a.png.php", "image/png", PNG, MISMATCH),
    Sample("cv.pdf", "application/pdf", PDF + corpus.archive({"a.txt": "x"}), "application/pdf match"),
    Sample("cv.docx", DOCX, PDF + corpus.ooxml("docx"), MISMATCH),
    Sample("cv.pdf", "application/pdf", corpus.archive({"cv.pdf": PDF}, stored=True), MISMATCH),
    Sample("cv.pdf", "application/pdf", corpus.ooxml("docx", {"word/cv.pdf": PDF}, stored=True), MISMATCH),
    Sample("cv.html", "text/html", b"%PDF-1.7\n" + PAGE + PDF[9:], MISMATCH),
    Sample("cv.pdf", "application/pdf", PAGE + PDF, MISMATCH),
    Sample("cv.pdf", "application/pdf", b"GIF89a" + PDF, MISMATCH),
    Sample("cv.pdf", "application/pdf", b"MZ" + bytes(900) + PDF, MISMATCH),
    Sample("cv.pdf", "application/pdf", b"x" * 1000 + b"\n" + PDF, MISMATCH),
    Sample("cv.rtf", "application/rtf", PDF.replace(b"\n", b"\n{\\rtf1 x}", 1), MISMATCH),
    Sample("a.docx", DOCX, corpus.ole("WordDocument") + corpus.ooxml("docx"), MISMATCH),
    Sample("cv.doc", DOC, corpus.ooxml("docx") + corpus.ole("WordDocument"), MISMATCH),
    Sample("cv.docx", DOCX, PAGE + corpus.ooxml("docx"), MISMATCH),
    Sample("cv.docx", DOCX, corpus.ooxml("docx", comment=PDF[:1000]), MISMATCH),
    Sample("a.svg", "image/svg+xml", corpus.svg() + PAGE, UNSUPPORTED),
]
PROGRAMS = [
    Sample("cv.pdf", "application/pdf", ELF, MISMATCH),
    Sample("cv.doc", DOC, MACH_O, MISMATCH),
    Sample("cv", None, ELF, UNSUPPORTED),
    Sample("cv.pdf.exe", "application/pdf", PDF, MISMATCH),
    Sample("cv.docx", DOCX, b"\xca\xfe\xba\xbe\0\0\0\x34" + bytes(50), MISMATCH),
    Sample("a.csv", "text/csv", b"#!/usr/bin/env python3\nimport os\n", MISMATCH),
    Sample("a.txt", "text/plain", b"\xef\xbb\xbf#!/bin/sh\nid\n", MISMATCH),
    Sample("a.ps1", "text/plain", b"Invoke-Expression x", MISMATCH),
    Sample("a.lnk", "text/plain", b"L\0\0\0\1\x14\2\0" + bytes(68), MISMATCH),
    Sample("cv.doc", DOC, corpus.ole(*MSI_STREAMS), MISMATCH),
    Sample("setup.msi", "application/x-msi", corpus.ole(*MSI_STREAMS), UNSUPPORTED),
]
PAGES = [
    Sample("a.txt", "text/plain", b"\xef\xbb\xbf" + PAGE, MISMATCH),
    Sample("a.txt", "text/plain", b" \t\r\n" * 200 + PAGE, MISMATCH),
    Sample("a.txt", "text/plain", b"<!-- harmless -->" * 200 + SCRIPT, MISMATCH),
    Sample("a.txt", "text/plain", PAGE.decode().encode("utf-16"), MISMATCH),
    Sample("a.csv", "text/csv", b"a,b\n1,<sVg/onload=alert(1)>\n", MISMATCH),
    Sample("a.md", "text/markdown", b"# x\n\n<ScRiPt\n>alert(1)</sCrIpT>\n", MISMATCH),
    Sample("cv.doc", DOC, b"<html xmlns:w='urn:schemas-microsoft-com:office:word'></html>", MISMATCH),
    Sample("a.xls", XLS, b"<table><tr><td>1</td></tr></table>", MISMATCH),
    Sample("a.xml", "application/xml", corpus.svg("<script>alert(1)</script>"), MISMATCH),
    Sample(
        "a.xml",
        "application/xml",
        b"<?xml version='1.0' encoding='iso-8859-1'?><svg xmlns='http://www.w3.org/2000/svg'/>",
        MISMATCH,
    ),
    Sample("a.xml", "application/xml", b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"/>', MISMATCH),
    Sample("a.png", "image/png", corpus.svg(), MISMATCH),
    Sample("cv.rtf", "application/rtf", b"{\\rt" + PAGE, MISMATCH),
]
OFFICE = [
    *(Sample(f"a.{kind}", None, with_macros(kind), UNSAFE) for kind in MACROS),
    Sample("a.docm", MACROS["docx"][1].removesuffix(".main+xml") + ".12", with_macros("docx"), UNSAFE),
    Sample("a.pptx", PPTX, corpus.ooxml("pptx", {"ppt/vbaProject.bin": b"x"}), UNSAFE),
    Sample("a.xlsx", XLSX, corpus.ooxml("xlsx", {"XL/VBAPROJECT.BIN": b"x"}), UNSAFE),
    Sample("cv.doc", DOC, corpus.ole("WordDocument", "_VBA_PROJECT", "dir"), UNSAFE),
    Sample("cv.doc", DOC, corpus.ole("WordDocument", "VBA"), UNSAFE),
    Sample("a.ppt", None, corpus.ole("EncryptedPackage", "PowerPoint Document"), UNSUPPORTED),
    Sample(
        "cv.docx",
        DOCX,
        corpus.archive({"[Content_Types].xml": f"<!--{OOXML}-->", "word/document.xml": "<x/>"}),
        MISMATCH,
    ),
    Sample("cv.docx", DOCX, corpus.ooxml("docx", {"../word/document.xml": "<x/>"}), UNSAFE),
    Sample("cv.docx", DOCX, corpus.ooxml("docx", {"word\\..\\..\\a.xml": "<x/>"}), UNSAFE),
    # OpenDocument (ODF 1.3 part 2, 3.3): its own type comes first and plain; a manifest says what is encrypted
    Sample("cv.odt", ODT, corpus.archive({"content.xml": "<x/>", "mimetype": ODT}, stored=True), MISMATCH),
    Sample("cv.odt", ODT, corpus.archive({"mimetype": ODT, "content.xml": "<x/>"}), MISMATCH),
    Sample("cv.odt", ODT, corpus.archive({"mimetype": ODT}, stored=True), MISMATCH),
    Sample("cv.odt", ODT, corpus.odf(extra={"META-INF/manifest.xml": "<m:encryption-data/>"}), UNSUPPORTED),
    Sample("cv.odt", ODT, corpus.odf("text-template"), MISMATCH),
    Sample("cv.odt", ODT, corpus.odf(extra={"Scripts/python/a.xml": "x"}), UNSAFE),
    *(
        Sample(
            "cv",
            said,
            corpus.archive({"mimetype": said, "a.txt": "x"}, stored=True),
            UNSUPPORTED if said == "image/svg+xml" else MISMATCH,
        )
        for said in BOASTS
    ),
]
ARCHIVES = [
    Sample("cv.docx", DOCX, corpus_archives.lying_size(0xFFFFFFF0), UNSAFE),
    Sample("cv.docx", DOCX, corpus_archives.lying_zip64(1 << 60), UNSAFE),
    Sample("cv.docx", DOCX, corpus.ooxml("docx", {f"word/{n}.xml": bytes(7_000_000) for n in range(10)}), UNSAFE),
    Sample("cv.docx", DOCX, corpus_archives.two_directories(), UNSAFE),
    Sample("cv.docx", DOCX, corpus.ooxml("docx")[:-40] + corpus.ooxml("docx")[-22:], MISMATCH),
    Sample("cv.docx", DOCX, corpus.ooxml("docx")[:200], MISMATCH),
    Sample("cv.docx", DOCX, b"PK\3\4", MISMATCH),
    Sample("cv.docx", DOCX, b"PK\5\6" + bytes(18), MISMATCH),
    # Its type is what it says; whether every byte of it came is what the SHA-256 of its source is for.
    Sample("cv.docx", DOCX, corpus_archives.wrong_checksum(), f"{DOCX} match"),
]
PICTURES = [
    Sample("a.png", "image/png", png_of(0, 16), MISMATCH),
    Sample("a.png", "image/png", png_of(16, 0), MISMATCH),
    Sample("a.png", "image/png", png_of(100_000, 100_000), UNSAFE),
    Sample("a.png", "image/png", png_of(2**31 - 1, 2**31 - 1), UNSAFE),
    Sample("a.gif", "image/gif", gif_of(65_535, 65_535), UNSAFE),
    Sample("a.webp", "image/webp", webp_of(2**24, 255), UNSAFE),
    Sample("a.bmp", "image/bmp", bmp_of(100_000, -100_000), UNSAFE),
    Sample("a.png", "image/png", PNG[:20], MISMATCH),
    Sample("a.gif", "image/gif", GIF[:5], MISMATCH),
    Sample("a.jpg", "image/jpeg", JPEG[:3], MISMATCH),
    Sample("a.webp", "image/webp", corpus.image("WEBP")[:11], MISMATCH),
    Sample("a.png", "image/png", b"\x8aMNG\r\n\x1a\n" + PNG[8:], MISMATCH),
    Sample("a.png", "image/png", b"\x89PNG\n\x1a\n" + PNG[8:], MISMATCH),
    Sample("a.jpg", "image/jpeg", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(60), MISMATCH),
    Sample(
        "a.webp",
        "image/webp",
        b"\x1a\x45\xdf\xa3\x9fB\x86\x81\1B\xf7\x81\1B\xf2\x81\4B\xf3\x81\x08B\x82\x84webm",
        MISMATCH,
    ),
    Sample("a.heic", "image/heic", heif(b"avis", (b"avif", b"msf1")), MISMATCH),
    Sample("a.heic", "image/heic", heif(b"qt  "), MISMATCH),
    Sample("a.heic", "image/heic", b"\0\0\0\x18ftypheic", MISMATCH),
    Sample("a.heic", "image/heic", b"\0\0\0\x10ftypheic\0\0\0\0" + PAGE, MISMATCH),
    Sample("a.heic", "image/heic", b"\xff\0\0\0ftypheic\0\0\0\0" + boxes((b"mdat", bytes(8))), MISMATCH),
]
FAKES = POLYGLOTS + PROGRAMS + PAGES + OFFICE + ARCHIVES + PICTURES
