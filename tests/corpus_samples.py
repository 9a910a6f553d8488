"""Labelled files: what each is called, what is declared, what it is, and what must become of it."""

import gzip
import os
import struct
from typing import NamedTuple

from shared.limits import MIB, OOXML
from tests import corpus

DOCX = f"{OOXML}.wordprocessingml.document"
XLSX = f"{OOXML}.spreadsheetml.sheet"
PPTX = f"{OOXML}.presentationml.presentation"
ODT = "application/vnd.oasis.opendocument.text"
DOC, XLS, PPT = "application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint"
MISMATCH, UNSUPPORTED, UNSAFE = "content_type_mismatch", "unsupported_content_type", "unsafe_content"
UMLAUTS = "Müller, 履歴書, naïve\n"
RTF = b"{\\rtf1\\ansi Curriculum vitae\\par}"
MAIN_PART = ("word/document.xml", f"{DOCX}.main+xml")
LONG_LISTING = corpus.archive(
    {
        "[Content_Types].xml": f"<!-- {os.urandom(100_000).hex()} -->" + corpus.listing(MAIN_PART),
        "word/document.xml": "<x/>",
        "word/media/image1.png": os.urandom(600_000),
    }
)
MARKED_UP_JSON = b'{"text": "<script>alert(1)</script>"}'


class Sample(NamedTuple):
    """A file, what it is called, and its label: `type match`, `type compatible` or a code."""

    name: str
    declared: str | None
    content: bytes
    label: str


SAMPLES = [
    # What it says it is
    Sample("cv.pdf", "application/pdf", corpus.pdf(), "application/pdf match"),
    Sample("CV.PDF", None, corpus.pdf(), "application/pdf match"),
    Sample("cv.pdf", "Application/PDF; charset=binary", corpus.pdf(), "application/pdf match"),
    Sample("cv.pdf", "application/octet-stream", corpus.pdf(), "application/pdf match"),
    Sample("a.png", "image/png", corpus.image("PNG"), "image/png match"),
    Sample("a.jpg", "image/jpeg", corpus.image("JPEG"), "image/jpeg match"),
    Sample("a.jpeg", "image/jpg", corpus.image("JPEG"), "image/jpeg match"),
    Sample("a.gif", "image/gif", corpus.image("GIF"), "image/gif match"),
    Sample("a.webp", "image/webp", corpus.image("WEBP"), "image/webp match"),
    Sample("a.heic", "image/heic", corpus.isobmff(b"heic", b"mif1", b"heic"), "image/heic match"),
    Sample("a.heif", "image/heif", corpus.isobmff(b"mif1", b"heix"), "image/heif match"),
    Sample("cv.docx", DOCX, corpus.ooxml("docx"), f"{DOCX} match"),
    Sample("a.xlsx", XLSX, corpus.ooxml("xlsx"), f"{XLSX} match"),
    Sample("a.pptx", PPTX, corpus.ooxml("pptx"), f"{PPTX} match"),
    Sample("cv.odt", ODT, corpus.odf(), f"{ODT} match"),
    Sample("cv.doc", DOC, corpus.ole("WordDocument", "1Table"), f"{DOC} match"),
    Sample("a.xls", XLS, corpus.ole("Workbook"), f"{XLS} match"),
    Sample("old.xls", XLS, corpus.ole("Book"), f"{XLS} match"),
    Sample("a.ppt", PPT, corpus.ole("PowerPoint Document", "Current User"), f"{PPT} match"),
    Sample("a.txt", "text/plain", UMLAUTS.encode(), "text/plain match"),
    Sample("a.txt", "text/plain; charset=utf-16", UMLAUTS.encode("utf-16"), "text/plain match"),
    Sample("a.txt", "text/plain", b"\xef\xbb\xbf" + UMLAUTS.encode(), "text/plain match"),
    Sample("a.md", "text/markdown", b"# Me\n\n* one\n", "text/markdown match"),
    Sample("a.csv", "text/csv", b"name,age\nA,1\n", "text/csv match"),
    Sample("a.rtf", "application/rtf", RTF, "application/rtf match"),
    Sample("a.rtf", "text/rtf", RTF, "application/rtf match"),
    Sample("a.json", "application/json", b'{"a": [1, 2]}', "application/json match"),
    Sample("a.json", "application/json", MARKED_UP_JSON, "application/json match"),
    Sample("a.xml", "text/xml", b'<?xml version="1.0"?><note><body>x</body></note>', "application/xml match"),
    Sample("a.xml", "application/xml", b"<soap:Envelope><soap:Body/></soap:Envelope>", "application/xml match"),
    Sample("a.md", "text/markdown", b'<h1 align="center">Me</h1>\n', "text/markdown match"),
    Sample("cv.docx", DOCX, LONG_LISTING, f"{DOCX} match"),
    # Said vaguely, or in other words
    Sample("cv", None, corpus.pdf(), "application/pdf compatible"),
    Sample("cv.v2", "application/octet-stream", corpus.pdf(), "application/pdf compatible"),
    Sample("cv", "binary/octet-stream", corpus.ooxml("docx"), f"{DOCX} compatible"),
    Sample("cv.docx", "application/zip", corpus.ooxml("docx"), f"{DOCX} compatible"),
    Sample("cv.docx", DOC, corpus.ooxml("docx"), f"{DOCX} compatible"),
    Sample("cv.doc", "application/x-ole-storage", corpus.ole("WordDocument"), f"{DOC} compatible"),
    Sample("cv.doc", DOC, RTF, "application/rtf compatible"),
    Sample("a.heic", "image/heif", corpus.isobmff(b"heic"), "image/heic compatible"),
    Sample("a.csv", "text/plain", b"a;b\n1;2\n", "text/csv compatible"),
    Sample("a.csv", XLS, b"a;b\n1;2\n", "text/csv match"),
    Sample("a.md", "text/plain", b"# x\n", "text/markdown compatible"),
    Sample("a.json", "text/plain", b"[1]", "application/json compatible"),
    Sample("a", None, b"just words", "text/plain compatible"),
    Sample("a", None, b'<?xml version="1.0"?><a/>', "application/xml compatible"),
    Sample("a.txt", "text/plain", b'{"a": 1}', "text/plain match"),
    Sample("cv.txt", "text/plain", b"I know <b>HTML</b> & C++: if a < b then ...", "text/plain match"),
    # Not what it says
    Sample("cv.pdf", "application/pdf", corpus.image("PNG"), MISMATCH),
    Sample("cv.pdf", "image/png", corpus.image("PNG"), MISMATCH),
    Sample("a.png", "application/pdf", corpus.image("PNG"), MISMATCH),
    Sample("a.jpg", "image/jpeg", corpus.image("PNG"), MISMATCH),
    Sample("cv.pdf", "application/pdf", corpus.program(), MISMATCH),
    Sample("cv.pdf", "application/pdf", corpus.program() + corpus.pdf(), MISMATCH),
    Sample("cv.pdf", "application/pdf", b"%!PS\n" + corpus.pdf(), MISMATCH),
    Sample("cv.pdf", "application/pdf", b"words", MISMATCH),
    Sample("cv.pdf", "text/html", corpus.pdf(), MISMATCH),
    Sample("cv.docx", DOCX, corpus.pdf(), MISMATCH),
    Sample("cv.docx", DOCX, corpus.ooxml("xlsx"), MISMATCH),
    Sample("cv.docx", DOCX, corpus.archive({"word/document.xml": "<x/>"}), MISMATCH),
    Sample("cv.docx", DOCX, corpus.archive({"[Content_Types].xml": corpus.listing(), "word/a.xml": "<x/>"}), MISMATCH),
    Sample("cv.docx", DOCX, corpus.archive({"[Content_Types].xml": "<Override " * 100_000}), MISMATCH),
    Sample("cv.docx", DOCX, corpus.archive({"[Content_Types].xml": corpus.listing(MAIN_PART)}), MISMATCH),
    Sample("cv.docx", DOCX, corpus.ooxml("docx", comment=b"<script>"), MISMATCH),
    Sample("cv.docx", DOCX, corpus.ooxml("docx") + b"more", MISMATCH),
    Sample("cv.docx", DOCX, corpus.ooxml("docx")[:-30], MISMATCH),
    Sample("cv.docx", DOCX, b"PK\3\4" + os.urandom(300), MISMATCH),
    Sample("cv.odt", ODT, corpus.odf("spreadsheet"), MISMATCH),
    Sample("cv.doc", DOC, corpus.ole("Workbook"), MISMATCH),
    Sample("cv.doc", DOC, corpus.ole("__properties_version1.0"), MISMATCH),
    Sample("cv.doc", DOC, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504), MISMATCH),
    Sample("cv.doc", DOC, b"\xdb\xa5\x2d\x00" + bytes(100), MISMATCH),
    Sample("a.heic", "image/heic", corpus.isobmff(b"avif", b"mif1"), MISMATCH),
    Sample("a.heic", "image/heic", corpus.isobmff(b"isom", b"mp42"), MISMATCH),
    Sample("a.json", "application/json", b"{not json}", MISMATCH),
    Sample("a.json", "application/json", b'{"a": NaN}', MISMATCH),
    Sample("a.xml", "application/xml", b"no markup at all", MISMATCH),
    Sample("a.txt", "text/plain", b"one\0two", MISMATCH),
    Sample("a.txt", "text/plain", b"one\x01\x02two", MISMATCH),
    Sample("a.txt", "text/plain", "Müller".encode("latin-1"), MISMATCH),
    Sample("a.txt", "text/plain", "Müller".encode("utf-16-le"), MISMATCH),
    Sample("a.txt", "text/plain", b"x" * (2 * MIB) + b"\xff", MISMATCH),
    Sample("a.txt", "text/plain", b"<!DOCTYPE html><html><body>x</body></html>", MISMATCH),
    Sample("a.txt", "text/plain", b"  \n<HTML\n><p>x", MISMATCH),
    Sample("a.txt", "text/plain", b"words " * 5000 + b"<script>alert(1)</script>", MISMATCH),
    Sample("a.txt", "text/plain", "<html><script>x</script>".encode("utf-16"), MISMATCH),
    Sample("a.txt", "text/plain", b"<script>x</script>" + b"x" * (2 * MIB), MISMATCH),
    Sample("a.csv", "text/csv", b"a,b\n<iframe src=x>,1\n", MISMATCH),
    Sample("a.md", "text/markdown", b"# x\n<svg onload=alert(1)>", MISMATCH),
    Sample("a.xml", "application/xml", b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', MISMATCH),
    Sample("a.xml", "text/xml", b"<x:a xmlns:x='http://www.w3.org/2000/svg'/>", MISMATCH),
    Sample("a.xml", "text/xml", b'<a xmlns:h="http://www.w3.org/1999/xhtml"><h:script/></a>', MISMATCH),
    Sample("a.txt", "text/plain", b"#!/bin/sh\nrm -rf x\n", MISMATCH),
    Sample("a.txt", "text/plain", b"@ECHO OFF\r\nformat c:\r\n", MISMATCH),
    Sample("a.txt", "text/plain", b" <img src=x onerror=alert(1)>", MISMATCH),
    Sample("a.csv", "text/csv", b"<!-- a --><table><tr>", MISMATCH),
    Sample("a.png", "image/png", b"\x89PNG\r\n\x1a\n", MISMATCH),
    Sample("a.webp", "image/webp", b"RIFF\0\0\0\0WAVEfmt ", MISMATCH),
    Sample("a.txt", "text/plain", b"<?php system(1); ?>", MISMATCH),
    Sample("run.bat", "text/plain", b"words", MISMATCH),
    Sample("a.html", "text/plain", b"words", MISMATCH),
    # Nothing that is taken
    Sample("a.html", "text/html", b"<!DOCTYPE html><html></html>", UNSUPPORTED),
    Sample("a.svg", "image/svg+xml", b'<svg xmlns="http://www.w3.org/2000/svg"/>', UNSUPPORTED),
    Sample("a.zip", "application/zip", corpus.archive({"a.txt": "x"}), UNSUPPORTED),
    Sample("a.bmp", "image/bmp", corpus.image("BMP"), UNSUPPORTED),
    Sample("a.mp4", "video/mp4", corpus.isobmff(b"isom", b"mp42"), UNSUPPORTED),
    Sample("a.exe", None, corpus.program(), UNSUPPORTED),
    Sample("a.ods", None, corpus.odf("spreadsheet"), UNSUPPORTED),
    Sample("a", None, bytes(range(256)), UNSUPPORTED),
    Sample("cv.docx", DOCX, corpus.ole("EncryptedPackage", "EncryptionInfo"), UNSUPPORTED),
    Sample("cv.docx", DOCX, corpus.encrypted_archive(), UNSUPPORTED),
    # Built to harm
    Sample("cv.docx", DOCX, corpus.archive({"word/evil.exe": corpus.program()}), UNSAFE),
    Sample("cv.docx", DOCX, corpus.ooxml("docx", {"word/embeddings/evil.exe": corpus.program()}), UNSAFE),
    Sample("cv.docx", DOCX, corpus.ooxml("docx", {"word/vbaProject.bin": b"x"}), UNSAFE),
    Sample("a.xlsx", XLSX, corpus.ooxml("xlsx", {"xl/macrosheets/sheet1.xml": "<x/>"}), UNSAFE),
    Sample(
        "cv.docm",
        None,
        corpus.archive(
            {
                "[Content_Types].xml": corpus.listing(
                    ("word/document.xml", "application/vnd.ms-word.document.macroEnabled.main+xml")
                ),
                "word/document.xml": "<x/>",
            }
        ),
        UNSAFE,
    ),
    Sample("cv.odt", ODT, corpus.odf(extra={"Basic/Standard/Module1.xml": "<x/>"}), UNSAFE),
    Sample("cv.doc", DOC, corpus.ole("WordDocument", "Macros"), UNSAFE),
    Sample("a.xls", XLS, corpus.ole("Workbook", "_VBA_PROJECT_CUR"), UNSAFE),
    Sample("cv.doc", DOC, corpus.ole("WordDocument", "Workbook"), UNSAFE),
    Sample(
        "cv.docx",
        DOCX,
        corpus.ooxml(
            "docx",
            {
                "[Content_Types].xml": corpus.listing(
                    ("word/document.xml", f"{DOCX}.main+xml"), ("_rels/.rels", f"{XLSX}.main+xml")
                )
            },
        ),
        UNSAFE,
    ),
    Sample("cv.docx", DOCX, corpus.bomb(2), UNSAFE),
    Sample("cv.docx", DOCX, corpus.bomb(70), UNSAFE),
    Sample("cv.docx", DOCX, corpus.ooxml("docx", {f"word/{n}.xml": "" for n in range(10_000)}), UNSAFE),
    Sample("cv.docx", DOCX, corpus.overlapping(), UNSAFE),
    Sample("cv.docx", DOCX, corpus.contradictory(), UNSAFE),
    Sample("cv.docx", DOCX, b"PK\3\4" + b"first" * 50 + corpus.ooxml("docx"), UNSAFE),
    Sample("cv.docx", DOCX, corpus.twice(), UNSAFE),
    Sample("cv.docx", DOCX, corpus.ooxml("docx", {"../../evil.xml": "<x/>"}), UNSAFE),
    Sample("a.xml", "text/xml", b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bb">]><a>&b;</a>', UNSAFE),
    Sample("cv.pdf", "application/pdf", b"", "empty_file"),
]

# Of temporary uploads: neither name nor declared type counts.
UPLOADS = [
    Sample("a", None, corpus.pdf(), "application/pdf"),
    Sample("cv.png", "image/png", corpus.pdf(), "application/pdf"),
    Sample("cv", None, corpus.ole("WordDocument", "1Table"), DOC),
    Sample("cv", None, corpus.ooxml("docx"), DOCX),
    Sample("a", None, corpus.ooxml("xlsx"), XLSX),
    Sample("a", None, corpus.image("JPEG"), "image/jpeg"),
    Sample("a", None, corpus.image("PNG"), "image/png"),
    Sample("evil.html", "text/html", corpus.image("PNG"), "image/png"),
    Sample("a", None, corpus.image("GIF"), "image/gif"),
    Sample("a", None, corpus.image("WEBP"), "image/webp"),
    Sample("a", None, corpus.image("BMP"), "image/bmp"),
    Sample("a", None, corpus.image("TIFF"), "image/tiff"),
    Sample("a", "image/x-icon", corpus.image("ICO"), "image/vnd.microsoft.icon"),
    Sample("a", "image/vnd.microsoft.icon", corpus.icon(struct.pack("<I", 40) + bytes(60)), "image/vnd.microsoft.icon"),
    Sample("a.svg", None, corpus.svg(), "image/svg+xml"),
    Sample("a.svg", None, corpus.svg("<script>alert(1)</script>"), "image/svg+xml"),
    Sample("a.svg", None, corpus.svg(before="\n<!-- <html> -->"), "image/svg+xml"),
    Sample("a.svg", None, corpus.svg().decode().encode("utf-16"), "image/svg+xml"),
    Sample("a.svg", None, b'<s:svg xmlns:s="http://www.w3.org/2000/svg"/>', "image/svg+xml"),
    # Not what they seem
    Sample("a.svg", "image/svg+xml", b"<!doctype html><svg xmlns='http://www.w3.org/2000/svg'/>", UNSUPPORTED),
    Sample("a.svg", "image/svg+xml", b"<html><svg xmlns='http://www.w3.org/2000/svg'/></html>", UNSUPPORTED),
    Sample("a.svg", "image/svg+xml", b"<div><svg xmlns='http://www.w3.org/2000/svg'/></div>", UNSUPPORTED),
    Sample("a.svg", "image/svg+xml", b"<svg onload=alert(1)>", UNSUPPORTED),
    Sample("a.svg", "image/svg+xml", b"<s:svg xmlns='http://www.w3.org/2000/svg'/>", UNSUPPORTED),
    Sample("a.svg", "image/svg+xml", b"<svg xmlns:s='http://www.w3.org/2000/svg'/>", UNSUPPORTED),
    Sample("a.svg", "image/svg+xml", b"<g xmlns='http://www.w3.org/2000/svg'/>", UNSUPPORTED),
    Sample("a.svg", "image/svg+xml", corpus.svg("\x00"), UNSUPPORTED),
    Sample("a.svg", "image/svg+xml", corpus.svg() + b"\xe4", UNSUPPORTED),
    Sample("a.svg", "image/svg+xml", gzip.compress(corpus.svg()), UNSUPPORTED),
    Sample("a.svg", "image/svg+xml", corpus.svg(before='<!DOCTYPE svg [<!ENTITY b "bb">]>'), UNSAFE),
    Sample("a.bmp", "image/bmp", b"BMW builds cars, and this is a text about one of them.", UNSUPPORTED),
    Sample("a.bmp", "image/bmp", b"BM" + bytes(100), UNSUPPORTED),
    Sample("a.bmp", "image/bmp", corpus.image("BMP")[:20], UNSUPPORTED),
    Sample("a.bmp", "image/bmp", corpus.image("BMP")[:54], UNSUPPORTED),
    Sample("a.tiff", "image/tiff", b"II*\0" + bytes(100), UNSUPPORTED),
    Sample("a.tiff", "image/tiff", b"II*\0\x08\0\0\0", UNSUPPORTED),
    Sample("a.tiff", "image/tiff", b"II+\0\x08\0\0\0" + bytes(100), UNSUPPORTED),
    Sample("a.cr2", "image/tiff", corpus.image("TIFF").replace(b"II*\0", b"II*\0\x10\0\0\0CR\2\0", 1), UNSUPPORTED),
    Sample("a.ico", "image/x-icon", b"\0\0\1\0" + bytes(100), UNSUPPORTED),
    Sample("a.ico", "image/x-icon", corpus.icon(b"<script>alert(1)</script>"), UNSUPPORTED),
    Sample("a.ico", "image/x-icon", corpus.icon(corpus.image("PNG"), place=6), UNSUPPORTED),
    Sample("a.ico", "image/x-icon", corpus.icon(corpus.image("PNG"), length=1_000_000), UNSUPPORTED),
    Sample("a.cur", "image/x-icon", corpus.image("ICO").replace(b"\0\0\1\0", b"\0\0\2\0", 1), UNSUPPORTED),
    # Taken on a record, but not here, and never taken
    Sample("a.heic", "image/heic", corpus.isobmff(b"heic", b"mif1", b"heic"), UNSUPPORTED),
    Sample("a.pptx", PPTX, corpus.ooxml("pptx"), UNSUPPORTED),
    Sample("a.xls", XLS, corpus.ole("Workbook"), UNSUPPORTED),
    Sample("a.pdf", "application/pdf", b"only words", UNSUPPORTED),
    Sample("a.pdf", "application/pdf", corpus.program() + corpus.pdf(), UNSUPPORTED),
    Sample("a.json", "application/json", b'{"a": 1}', UNSUPPORTED),
    Sample("a.xml", "application/xml", b'<?xml version="1.0"?><a/>', UNSUPPORTED),
    Sample("a.zip", "application/zip", corpus.archive({"a.txt": "x"}), UNSUPPORTED),
    Sample("a.docx", DOCX, corpus.encrypted_archive(), UNSUPPORTED),
    Sample("a.docx", DOCX, corpus.ole("EncryptedPackage", "EncryptionInfo"), UNSUPPORTED),
    # Built to harm
    Sample("a.docx", DOCX, corpus.ooxml("docx", {"word/vbaProject.bin": b"x"}), UNSAFE),
    Sample("a.doc", DOC, corpus.ole("WordDocument", "Macros"), UNSAFE),
    Sample("a.xlsx", XLSX, corpus.bomb(70), UNSAFE),
    Sample("a.docx", DOCX, corpus.overlapping(), UNSAFE),
    Sample("a.docx", DOCX, b"PK\3\4" + b"first" * 50 + corpus.ooxml("docx"), UNSAFE),
    Sample("a.pdf", "application/pdf", b"", "empty_file"),
]
