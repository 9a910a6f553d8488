"""What a file really is: a labelled corpus of honest, odd and hostile files."""

import asyncio
import json
import os
import random
import tracemalloc
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.content.judge import Accepted, Source, Verdict, in_file, in_memory, judge, judge_bytes
from shared.content.media_types import named
from shared.errors import OUTCOME_CODES, BlobMissing
from shared.events import FileError
from shared.limits import ACCEPTED_TYPES, KIB, MIB, OOXML, TEMPORARY_TYPES
from tests import corpus, corpus_archives, corpus_pictures
from tests.corpus_fakes import FAKES, POLYGLOTS
from tests.corpus_samples import DOC, DOCX, MISMATCH, SAMPLES, UNSAFE, UNSUPPORTED, UPLOADS, XLSX, Sample
from tests.corpus_variants import UPLOAD_VARIANTS, VARIANTS

RECORDS = [*SAMPLES, *VARIANTS, *FAKES]
# Whatever a file says of itself: so much is read beside it, in so many reads, and so much memory is taken.
READ_BESIDE_BYTES, READS, MEMORY_BYTES = 128 * KIB, 8, 8 * MIB


def label(verdict: Verdict) -> str:
    return f"{verdict.content_type} {verdict.match}" if isinstance(verdict, Accepted) else verdict.code


def staged(content: bytes) -> tuple[Source, list[int]]:
    """A source like a staged object; the lengths that were read are noted."""
    lengths: list[int] = []

    async def read(start: int, length: int) -> bytes:
        await asyncio.sleep(0)
        piece = content[start : start + length]
        lengths.append(len(piece))
        return piece

    return Source(read, len(content)), lengths


@pytest.mark.parametrize("sample", RECORDS, ids=lambda sample: f"{sample.label}-{sample.name}")
async def test_every_sample_is_judged_as_labelled(sample: Sample) -> None:
    source, lengths = staged(sample.content)
    for same in (in_memory(sample.content), source):
        assert label(await judge(same, sample.name, sample.declared)) == sample.label
    assert sum(lengths) <= len(sample.content) + READ_BESIDE_BYTES
    assert len(lengths) <= READS


@pytest.mark.parametrize("sample", [*UPLOADS, *UPLOAD_VARIANTS], ids=lambda sample: f"{sample.label}-{sample.name}")
async def test_of_an_upload_only_the_bytes_are_judged(sample: Sample, tmp_path: Path) -> None:
    path = tmp_path / "spool"
    path.write_bytes(sample.content)
    with path.open("rb") as file:
        for source in (in_memory(sample.content), in_file(file, len(sample.content))):
            found = await judge_bytes(source)
            assert (found.code if isinstance(found, FileError) else found) == sample.label


def test_the_corpus_of_uploads_holds_every_accepted_type_and_every_refusal() -> None:
    assert {sample.label for sample in UPLOADS} == TEMPORARY_TYPES | {UNSUPPORTED, UNSAFE, "empty_file"}


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("cv.pdf", "cv.pdf"), ("CV.PDF", "CV.PDF"), ("cv", "cv.pdf"), ("cv.html", "cv.html.pdf"), ("cv.", "cv..pdf"),
        ("run.exe", "run.exe.pdf"), (".pdf", ".pdf"), ("x" * 255, "x" * 251 + ".pdf"),
    ],
)  # fmt: skip
def test_a_name_that_says_another_type_gets_an_extension_that_fits(name: str, stored: str) -> None:
    assert named(name, "application/pdf") == stored


def test_the_corpus_is_as_large_as_promised() -> None:
    files = {(sample.name, sample.declared, sample.content) for sample in [*RECORDS, *UPLOADS, *UPLOAD_VARIANTS]}
    assert len(files) >= 450
    assert len({(sample.name, sample.content) for sample in FAKES}) >= 100
    assert len(POLYGLOTS) >= 25


def test_the_corpus_has_several_files_of_every_accepted_type() -> None:
    counts = Counter(sample.label.partition(" ")[0] for sample in RECORDS)
    assert {kind: counts[kind] for kind in ACCEPTED_TYPES if counts[kind] < 3} == {}


async def test_a_fake_is_no_upload_of_another_type_either() -> None:
    # What is a fake by its name only is what its bytes are; what is one by its bytes is refused.
    beginnings = {"application/pdf": b"%PDF", DOC: b"\xd0\xcf\x11\xe0", DOCX: b"PK\3\4", "image/svg+xml": b"<"}
    beginnings |= {"image/gif": b"GIF8", "image/jpeg": b"\xff\xd8\xff", "image/png": b"\x89PNG"}
    for sample in FAKES:
        found = await judge_bytes(in_memory(sample.content))
        assert isinstance(found, FileError) or sample.content.startswith(beginnings[found]), (sample.name, found)


def test_the_corpus_holds_every_accepted_type_and_every_refusal() -> None:
    labels = {sample.label.partition(" ")[0] for sample in RECORDS}
    assert labels == ACCEPTED_TYPES | {MISMATCH, UNSUPPORTED, UNSAFE, "empty_file"}
    assert labels - ACCEPTED_TYPES <= OUTCOME_CODES.keys()


async def test_of_a_large_file_only_what_is_needed_is_read() -> None:
    picture, noise = corpus.image("PNG"), random.Random(1).randbytes(8 * MIB)
    source, lengths = staged(picture + noise)
    assert label(await judge(source, "a.png", None)) == "image/png match"
    assert sum(lengths) <= 4 * KIB
    source, lengths = staged(corpus.ooxml("docx", {"word/media/image1.png": picture + noise}))
    assert label(await judge(source, "cv.docx", None)) == f"{DOCX} match"
    assert sum(lengths) <= 200 * KIB


def _long_names(element: str) -> bytes:
    """A start tag of 60 KiB whose attributes are 90 MB of names, when their namespace is written out for each."""
    names = " ".join(f"a:b{n}=''" for n in range(3000))
    return f"{element} xmlns:a='{'u' * 30_000}' {names}>".encode()


BOMBS = [
    corpus.bomb(2),
    corpus.bomb(70),
    corpus.ooxml("docx", {"word/embeddings/inner.docx": corpus.bomb(70)}),
    corpus.archive({"[Content_Types].xml": os.urandom(20 * KIB).hex() * 200, "word/document.xml": "<x/>"}),
    corpus.ooxml("docx", {f"word/{n}.xml": "" for n in range(9_990)}),
    corpus.ooxml("docx", {f"word/{n}.xml": "" for n in range(10_000)}),
    corpus.commented(b"PK\1\2" * 10_001),
    corpus_archives.lying_zip64(1 << 60),
    corpus.endless_difat(),
    corpus.endless_directory(1200),
    corpus_pictures.png_of(2**31 - 1, 2**31 - 1),
    b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "' + b"b" * MIB + b'">]><a>&b;&b;</a>',
    b"[" * (200 * KIB),
    corpus_archives.stuffed("<Override/>"),
    corpus_archives.stuffed("<Override PartName='/a' ContentType='b'/>"),
    corpus_archives.stuffed("<Override " + "PartName='' " * 1000 + "/>"),
    corpus_archives.stuffed("<Override " + "PartName='' " * 80_000 + "/>"),
    corpus_archives.stuffed(f"<Override PartName='/a' ContentType='{OOXML}.wordprocessingml.document.main+xml'/>"),
    _long_names("<svg xmlns='http://www.w3.org/2000/svg' "),
    _long_names("<html "),
]


@pytest.mark.parametrize("content", BOMBS, ids=range(len(BOMBS)))
@pytest.mark.parametrize("name", ["cv.docx", "a.xml", "a.json"])
async def test_a_bomb_costs_no_more_than_an_honest_file(content: bytes, name: str) -> None:
    source, lengths = staged(content)
    tracemalloc.start()
    try:
        await judge(source, name, None)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(lengths) <= len(content) + READ_BESIDE_BYTES
    assert len(lengths) <= READS
    assert most <= len(content) + MEMORY_BYTES


async def test_a_long_directory_is_read_whole() -> None:
    many = {f"word/media/a-rather-long-name-of-a-picture-{n}.png": os.urandom(300) for n in range(2500)}
    source, _ = staged(corpus.ooxml("docx", many))
    assert source.size > MIB
    assert label(await judge(source, "cv.docx", None)) == f"{DOCX} match"


async def test_a_long_listing_is_read_whole() -> None:
    sheets = [f"xl/worksheets/sheet{n}.xml" for n in range(3000)]
    book, sheet = (f"{OOXML}.spreadsheetml.{kind}+xml" for kind in ("sheet.main", "worksheet"))
    types = corpus.listing(*((name, sheet) for name in sheets), ("xl/workbook.xml", book))
    assert len(types) > 256 * KIB
    content = corpus.archive({"[Content_Types].xml": types, "xl/workbook.xml": "<x/>"} | dict.fromkeys(sheets, "<x/>"))
    assert label(await judge(in_memory(content), "a.xlsx", None)) == f"{XLSX} match"


async def test_a_directory_is_parsed_beside_the_event_loop() -> None:
    given_away: list[object] = []

    class Threads(ThreadPoolExecutor):
        def submit(self, *args: Any, **given: Any) -> Future[Any]:
            given_away.append(args)
            return super().submit(*args, **given)

    asyncio.get_running_loop().set_default_executor(Threads())
    assert label(await judge(in_memory(corpus.ooxml("docx")), "cv.docx", None)) == f"{DOCX} match"
    assert given_away


@pytest.mark.parametrize("wide", [False, True])
async def test_a_character_may_lie_across_two_pieces(wide: bool) -> None:
    text = "x" + "履😀" * (600 * KIB)
    source, _ = staged(text.encode("utf-16" if wide else "utf-8"))
    assert label(await judge(source, "a.txt", None)) == "text/plain match"


async def test_a_large_json_must_begin_and_end_like_one() -> None:
    whole = json.dumps({"names": ["x" * 1000] * 700}).encode()
    assert label(await judge(in_memory(whole), "a.json", None)) == "application/json match"
    assert label(await judge(in_memory(whole[:-1]), "a.json", None)) == MISMATCH


async def test_other_types_may_be_accepted_elsewhere() -> None:
    pictures = frozenset({"image/bmp", "image/tiff", "image/vnd.microsoft.icon", "image/svg+xml"})
    for name, kind in (("a.bmp", "BMP"), ("a.tiff", "TIFF"), ("a.ico", "ICO")):
        assert label(await judge(in_memory(corpus.image(kind)), name, None, pictures)).endswith(" match")
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
    assert label(await judge(in_memory(svg), "a.svg", None, pictures)) == "image/svg+xml match"
    assert label(await judge(in_memory(corpus.pdf()), "cv.pdf", None, pictures)) == UNSUPPORTED


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (corpus.bomb(2), "100-fold"),
        (corpus.bomb(70), "64 MiB"),
        (corpus.ooxml("docx", {f"word/{n}.xml": "" for n in range(10_000)}), "10000 entries"),
        (corpus.commented(b"PK\1\2" * 10_001), "10000 entries"),
        (corpus.commented(b"x" * 65_000, 50), "directory is too long"),
        (corpus.overlapping(), "overlap"),
        (corpus.contradictory(), "contradicts"),
        (corpus.twice(), "same name"),
        (b"PK\3\4" + b"first" * 50 + corpus.ooxml("docx"), "before its first"),
        (corpus.ooxml("docx", {"word/vbaProject.bin": b"x"}), "macros"),
        (corpus.ooxml("docx", {"xl/macrosheets/a\nb": b"x"}), "macros"),
        (corpus.ooxml("docx", {"word/a.js": b"x"}), "program"),
        (corpus.ole("WordDocument", "Macros"), "macros"),
        (corpus_pictures.png_of(100_000, 100_000), "1,000,000,000 points"),
        (corpus.ole("WordDocument", "Workbook"), "several kinds"),
        (corpus_archives.listed(*[("word/document.xml", f"{DOCX}.main+xml")] * 9), "main parts"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_the_refusal_of_unsafe_content_says_why(content: bytes, reason: str) -> None:
    verdict = await judge(in_memory(content), "cv", None)
    assert isinstance(verdict, FileError)
    assert (verdict.code, reason in verdict.message) == (UNSAFE, True), verdict.message


@pytest.mark.parametrize(
    "content",
    [
        corpus.patched(corpus.ole("WordDocument"), (44, 1000)),
        corpus.patched(corpus.ole("WordDocument"), (64, 1000)),
        corpus.patched(corpus.ole("WordDocument") + b"\xff" * 508 + b"\xfe\xff\xff\xff", (44, 110), (68, 2), (72, 1)),
        corpus.endless_difat(),
        corpus.endless_directory(1200),
        corpus.patched(corpus.ole("WordDocument"), (2 * 512 + 128 + 68, 0)),
    ],
    ids=["fat", "mini-fat", "difat", "endless-difat", "endless-directory", "root-in-itself"],
)
async def test_a_compound_file_that_claims_more_than_it_can_hold_is_not_looked_into(content: bytes) -> None:
    assert label(await judge(in_memory(content), "cv.doc", None)) == MISMATCH


async def test_a_source_that_is_gone_is_no_verdict() -> None:
    async def read(start: int, length: int) -> bytes:
        raise BlobMissing("gone")

    with pytest.raises(BlobMissing):
        await judge(Source(read, 10), "cv.pdf", None)


async def test_a_refusal_echoes_nothing_that_was_sent() -> None:
    verdict = await judge(in_memory(b"words"), "cv-of-somebody.pdf", "text/x-secret")
    assert isinstance(verdict, FileError)
    assert "somebody" not in verdict.message
    assert "secret" not in verdict.message


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([s for s in RECORDS if 0 < len(s.content) < 20 * KIB]),
    st.integers(0, 2**32),
    st.integers(1, 12),
)
def test_a_damaged_file_is_judged_too(sample: Sample, seed: int, changes: int) -> None:
    dice, content = random.Random(seed), bytearray(sample.content)
    for _ in range(changes):
        content[dice.randrange(len(content))] = dice.randrange(256)
    del content[dice.randrange(1, len(content) + 1) :]
    verdict = asyncio.run(judge(in_memory(bytes(content)), sample.name, sample.declared))
    assert isinstance(verdict, Accepted) or verdict.code in OUTCOME_CODES
