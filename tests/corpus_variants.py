"""Honest files in the many forms that programs give them; labels as in the corpus of samples."""

from shared.limits import MIB, TEMPORARY_TYPES
from tests import corpus, corpus_archives, corpus_pictures
from tests.corpus_pictures import animated, encoded, heif
from tests.corpus_samples import DOC, DOCX, MISMATCH, ODT, PPT, PPTX, UMLAUTS, XLS, XLSX, Sample

PDF = corpus.pdf()
LONG_XML = '<?xml version="1.0" encoding="{}"?><lebenslauf name="Müller"/>'
TABLE = "Name;Größe\r\nMüller;1,80\r\n"
TELEPHONE = (b"mif1", b"MiHE", b"MiPr", b"miaf", b"MiHB", b"heic")


def alike(kind: str, declared: str, *contents: bytes, label: str = "match") -> list[Sample]:
    """Files of one extension and declared type that are what they say."""
    return [Sample(f"a.{kind}", declared, content, f"{declared} {label}") for content in contents]


PICTURES = [
    *alike("png", "image/png", *(encoded("PNG", mode) for mode in ("1", "L", "LA", "P", "RGBA", "I;16"))),
    *alike("png", "image/png", animated("PNG"), encoded("PNG", side=600), corpus_pictures.png_of(30_000, 30_000)),
    *alike("jpg", "image/jpeg", encoded("JPEG", progressive=True), encoded("JPEG", "CMYK"), encoded("JPEG", "L")),
    # Raw: no APP0; and begun by Exif instead of JFIF, with a profile that moves the rest far behind
    *alike("jpg", "image/jpeg", b"\xff\xd8" + encoded("JPEG")[20:], encoded("JPEG", icc_profile=bytes(60_000))),
    *alike("jpg", "image/jpeg", b"\xff\xd8\xff\xe1\x00\x10Exif\0\0II*\0\x08\0\0\0" + encoded("JPEG")[20:]),
    Sample("a.jfif", "image/pjpeg", encoded("JPEG"), "image/jpeg match"),
    *alike("gif", "image/gif", animated("GIF"), b"GIF87a" + encoded("GIF")[6:], encoded("GIF", interlace=1)),
    # A screen of no size is filled by its first frame.
    *alike("gif", "image/gif", corpus_pictures.gif_of(0, 0)),
    *alike("webp", "image/webp", encoded("WEBP", lossless=True), animated("WEBP"), encoded("WEBP", "RGBA")),
    *alike("webp", "image/webp", encoded("WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0"), corpus_pictures.webp_of(16, 16)),
    *alike("heic", "image/heic", heif(b"heic", TELEPHONE), heif(b"heix"), heif(b"heic", meta_first=False)),
    *alike("heic", "image/heic", heif(b"heim"), heif(b"heis"), heif(b"hevc", (b"msf1",)), heif(b"hevx", (b"msf1",))),
    *alike("heif", "image/heif", heif(b"mif1", (b"heic",)), heif(b"msf1", (b"hevc",))),
    Sample("a.heic", "image/heic-sequence", heif(b"hevc", (b"msf1",)), "image/heic match"),
]
DOCUMENTS = [
    *alike("pdf", "application/pdf", *(b"%PDF-" + version + PDF[8:] for version in (b"1.0", b"1.4", b"1.7", b"2.0"))),
    *alike("pdf", "application/pdf", b"\xef\xbb\xbf" + PDF, b"\r\n\r\n" + PDF, PDF + bytes(2000), PDF[:-7]),
    # Linearised: its first object says so
    *alike("pdf", "application/pdf", PDF[:9] + b"1 0 obj<</Linearized 1/L 9999/N 1>>endobj\n" + PDF[9:]),
    *alike(
        "pdf",
        "application/pdf",
        PDF[:9] + b"%" + b"-" * MIB + b"\n" + PDF[9:],
        PDF.replace(b"trailer\n<<", b"trailer\n<<\n/Encrypt 9 0 R"),
    ),
    Sample("a.ai", None, PDF, "application/pdf compatible"),
    Sample("cv.pdf", "application/x-pdf", PDF, "application/pdf match"),
    *alike(
        "doc", DOC, corpus.ole("WordDocument"), corpus.ole("WORDDOCUMENT", "0Table", "Data", "\5SummaryInformation")
    ),
    *alike("xls", XLS, corpus.ole("Workbook", "\5SummaryInformation"), corpus.ole("Book", "\1CompObj")),
    *alike(
        "ppt", PPT, corpus.ole("Current User", "PowerPoint Document"), corpus.ole("PowerPoint Document", "Pictures")
    ),
    Sample("cv.doc", "application/vnd.msword", corpus.ole("WordDocument"), f"{DOC} match"),
    Sample("a.xls", "application/x-cfb", corpus.ole("Workbook"), f"{XLS} compatible"),
    *alike(
        "docx", DOCX, corpus.ooxml("docx", {"word/media/image1.png": corpus.image("PNG"), "docProps/app.xml": "<x/>"})
    ),
    *alike(
        "docx",
        DOCX,
        corpus.ooxml("docx", stored=True),
        corpus_archives.streamed("docx"),
        corpus_archives.with_zip64("docx"),
    ),
    *alike("docx", DOCX, corpus.ooxml("docx", {"word/embeddings/table.xlsx": corpus.ooxml("xlsx")})),
    # An archive inside is never unpacked, so what it would grow to does not count.
    *alike("docx", DOCX, corpus.ooxml("docx", {"word/embeddings/inner.docx": corpus.bomb(70)})),
    *alike("docx", DOCX, corpus_archives.listing_last("docx")),
    *alike("docx", DOCX, corpus_archives.prefixed("docx")),
    *alike(
        "xlsx",
        XLSX,
        corpus.ooxml("xlsx", {"xl/worksheets/sheet1.xml": "<x/>", "xl/sharedStrings.xml": "<x/>"}),
        corpus_archives.streamed("xlsx"),
    ),
    *alike("pptx", PPTX, corpus.ooxml("pptx", {"ppt/slides/slide1.xml": "<x/>"}), corpus_archives.streamed("pptx")),
    *alike("odt", ODT, corpus.odf(extra={"Pictures/a.png": corpus.image("PNG"), "styles.xml": "<x/>"})),
    Sample("cv.odt", "application/zip", corpus.odf(), f"{ODT} compatible"),
    *alike("rtf", "application/rtf", b"{\\rtf\\pc Hello}", b"{\\rtf1\\mac Hello}", b"{\\rtf1{\\pict\\bin3 \0\1\2}}"),
]
TEXTS = [
    *alike("txt", "text/plain", b"x", b" ", b"\n", UMLAUTS.encode("utf-8-sig"), UMLAUTS.encode("utf-16")),
    *alike("txt", "text/plain", b"\xfe\xff" + UMLAUTS.encode("utf-16-be"), b"\xff\xfe" + UMLAUTS.encode("utf-16-le")),
    *alike(
        "txt", "text/plain", b"one\rtwo\rthree", b"page\x0cpage\x1a", b"\x1b[1mbold\x1b[0m", "👩‍👩‍👧 e\u0301".encode()
    ),
    *alike(
        "txt",
        "text/plain",
        b"From: a@example.test\nSubject: hi\n\nbody",
        b"a < b > c & d",
        b"%PDX-1.4",
        b"Pictures: BM",
    ),
    # Seven bits that only a reader who is told of UTF-7 takes for a script, and nobody is told so
    Sample("a.txt", "text/plain; charset=utf-7", b"+ADw-script+AD4-alert(1)+ADw-/script+AD4-", "text/plain match"),
    Sample("a.log", "text/plain", b"12:00 started\n", "text/plain match"),
    Sample("me.vcf", None, b"BEGIN:VCARD\r\nVERSION:4.0\r\nEND:VCARD\r\n", "text/plain compatible"),
    *alike("csv", "text/csv", TABLE.encode("utf-8-sig"), TABLE.encode("utf-16"), b"a\tb\n1\t2\n", b"a|b\n1|2\n"),
    *alike("csv", "text/csv", b'"a ""b""","line\nbreak"\r\n', b"sep=;\r\na;b\r\n", b"one", b"=cmd|'/c calc'!A1,1\n"),
    Sample("a.csv", "application/csv", b"a,b\n", "text/csv match"),
    *alike(
        "md",
        "text/markdown",
        b"Title\n=====\n",
        b"---\ntitle: x\n---\n",
        b"| a | b |\n|---|---|\n",
        b"<p>x</p>\n\n# y\n",
    ),
    Sample("a.markdown", "text/x-markdown", b"* x\n", "text/markdown match"),
    *alike("json", "application/json", b"null", b"0", b'"x"', b"[]", b"{}", b" \r\n[1]\n", b"\xef\xbb\xbf{}"),
    *alike(
        "json", "application/json", b'{"a":1,"a":2}', b'"\\ud83d\\ude00"', b"1e400", b"9" * 400, b"[" * 90 + b"]" * 90
    ),
    Sample("a.json", "text/json", b"{}", "application/json match"),
    *alike("xml", "application/xml", LONG_XML.format("UTF-8").encode(), LONG_XML.format("utf-16").encode("utf-16")),
    *alike("xml", "application/xml", *(LONG_XML.format(name).encode(name) for name in ("iso-8859-1", "windows-1252"))),
    *alike(
        "xml",
        "application/xml",
        b"\xef\xbb\xbf<a/>",
        b"<!-- x --><a/>",
        b"<!DOCTYPE a><a/>",
        b'<?xml version="1.1"?><a/>',
    ),
    *alike("xml", "application/xml", b"<a><![CDATA[ 1 < 2 ]]></a>", b"\n\n<a:b xmlns:a='urn:x'/>"),
    # Parts of text that each family takes under another of its names
    Sample("a.txt", "text/csv", b"a,b\n", "text/csv compatible"),
    Sample("a.csv", "text/plain", TABLE.encode(), "text/csv compatible"),
    Sample("a.rtf", "text/plain", b"{\\rtf1 x}", "application/rtf compatible"),
]
# What spelling alone makes a stranger
NEARLY = [
    Sample("a.json", "application/json", b'{"a": 1}\n{"a": 2}\n', MISMATCH),
    Sample("a.json", "application/json", "{}".encode("utf-16"), MISMATCH),
    Sample("a.json", "application/json", b"[" * 100_000, MISMATCH),
    Sample("a.json", "application/json", b"{'a': 1}", MISMATCH),
    Sample("a.txt", "text/plain", UMLAUTS.encode("utf-32"), MISMATCH),
    Sample("a.txt", "text/plain", b"\xc0\xbcscript\xc0\xbe", MISMATCH),
    Sample("a.txt", "text/plain", b"\xed\xa0\x80", MISMATCH),
    Sample("a.txt", "text/plain", b"\xff\xfeodd", MISMATCH),
    Sample("a.xml", "application/xml", LONG_XML.format("UTF-8").encode("latin-1"), MISMATCH),
    Sample("a.xml", "application/xml", LONG_XML.format("utf-7").encode("latin-1"), MISMATCH),
    Sample("a.pdf", "application/pdf", b"P", MISMATCH),
    Sample("a.pdf", "application/pdf", b"%pdf-1.4\n" + PDF, MISMATCH),
    Sample("a.pdf", "application/pdf", b"%FDF-1.2\n" + PDF[9:], MISMATCH),
    Sample("a.png", "image/png", b"\x89", MISMATCH),
    Sample("a.docx", DOCX, b"P", MISMATCH),
    *(Sample(f"a.{kind}", None, b"", "empty_file") for kind in ("txt", "csv", "json", "png", "docx", "doc", "heic")),
]
VARIANTS = PICTURES + DOCUMENTS + TEXTS + NEARLY

# Temporary uploads: labels without a word about the match, because a name or header says nothing there.
UPLOAD_VARIANTS = [
    *(sample._replace(label=sample.label.partition(" ")[0]) for sample in PICTURES + DOCUMENTS),
    *(Sample("a", "image/bmp", encoded("BMP", mode), "image/bmp") for mode in ("1", "L", "P", "RGBA")),
    Sample("a", "image/bmp", corpus_pictures.bmp_of(16, -16), "image/bmp"),
    *(Sample("a", "image/tiff", encoded("TIFF", compression=how), "image/tiff") for how in ("raw", "tiff_lzw", "jpeg")),
    Sample("a", "image/tiff", animated("TIFF"), "image/tiff"),
    Sample("a", "image/tiff", encoded("TIFF", "I;16B"), "image/tiff"),
    Sample("a", "image/x-icon", encoded("ICO", side=64, sizes=[(16, 16), (32, 32)]), "image/vnd.microsoft.icon"),
    Sample("a", "image/x-icon", encoded("ICO", side=64, bitmap_format="bmp"), "image/vnd.microsoft.icon"),
    Sample("a", "image/svg+xml", corpus.svg(before="\ufeff"), "image/svg+xml"),
    Sample("a", "image/svg+xml", corpus.svg(before="<!-- by a drawing program -->\r\n"), "image/svg+xml"),
]
UPLOAD_VARIANTS = [
    sample if sample.label in TEMPORARY_TYPES else sample._replace(label="unsupported_content_type")
    for sample in UPLOAD_VARIANTS
]
