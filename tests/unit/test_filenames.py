"""File names that fool nobody."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.filenames import content_disposition, safe_name
from shared.limits import FILENAME_BYTES

A_UMLAUT, A_WITH_DIAERESIS = "\u00e4", "a\u0308"


@pytest.mark.parametrize(
    ("given_name", "safe"),
    [
        ("cv.pdf", "cv.pdf"),
        ("Lebenslauf Müller (2).pdf", "Lebenslauf Müller (2).pdf"),
        ("履歴書.docx", "履歴書.docx"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\x\\cv.pdf", "cv.pdf"),
        ("/cv.pdf/", "cv.pdf"),
        ("cv.pdf/   ", "cv.pdf"),
        ('a:b*c?d"e<f>g|h.txt', "a_b_c_d_e_f_g_h.txt"),
        (A_WITH_DIAERESIS + ".pdf", A_UMLAUT + ".pdf"),
        ("a\u200b\u0308.pdf", A_UMLAUT + ".pdf"),
        ("cv\u202efdp.exe", "cvfdp.exe"),
        ("cv\u2066\u2069.pdf", "cv.pdf"),
        ("c\u200bv\u200d\ufeff.pdf", "cv.pdf"),
        ("cv\x00.pdf\r\n", "cv.pdf"),
        ("cv\u2028.pdf", "cv.pdf"),
        ("cv\u00a0final.pdf", "cv final.pdf"),
        ("cv\ud800.pdf", "cv.pdf"),
        ("  .cv.pdf. . ", "cv.pdf"),
        (".htaccess", "htaccess"),
        ("CON", "_CON"),
        ("nul.txt", "_nul.txt"),
        ("Com1.tar.gz", "_Com1.tar.gz"),
        ("LPT³", "_LPT³"),
        ("aux .pdf", "_aux .pdf"),
        ("console.pdf", "console.pdf"),
        ("icon.png", "icon.png"),
        ("_", None),
        ("...", None),
        ("", None),
        (" ", None),
        ("/", None),
        ("..", None),
        ("a/..", None),
        ("\u200b\u202e", None),
        ("???", None),
    ],
)
def test_a_name_becomes_harmless_or_is_refused(given_name: str, safe: str | None) -> None:
    assert safe_name(given_name) == safe


@pytest.mark.parametrize("letter", ["x", "ü", "履", "😀"])
def test_a_long_name_is_cut_on_a_character_edge_and_keeps_its_extension(letter: str) -> None:
    name = safe_name(letter * 300 + ".docx")
    assert name is not None
    assert name.endswith(letter + ".docx")
    assert FILENAME_BYTES - 4 < len(name.encode()) <= FILENAME_BYTES


def test_what_is_too_long_for_an_extension_is_cut_like_the_rest() -> None:
    name = safe_name("a." + "b" * 300)
    assert name == "a." + "b" * (FILENAME_BYTES - 2)


@given(st.text(alphabet=st.characters(codec=None), max_size=300))
def test_every_name_is_safe_and_stays_what_it_is_when_asked_again(name: str) -> None:
    safe = safe_name(name)
    if safe is None:
        return
    assert safe_name(safe) == safe
    assert unicodedata.is_normalized("NFC", safe)
    assert 0 < len(safe.encode()) <= FILENAME_BYTES
    assert not set(safe) & set('/\\:*?"<>|')
    assert safe == safe.strip(". ")
    assert not any(unicodedata.category(character)[0] == "C" for character in safe)


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("cv.pdf", 'attachment; filename="cv.pdf"'),
        ("my cv.pdf", 'attachment; filename="my cv.pdf"'),
        ("Müller.pdf", "attachment; filename=\"Muller.pdf\"; filename*=UTF-8''M%C3%BCller.pdf"),
        ("履歴.pdf", "attachment; filename=\"file.pdf\"; filename*=UTF-8''%E5%B1%A5%E6%AD%B4.pdf"),
        ("履歴", "attachment; filename=\"file\"; filename*=UTF-8''%E5%B1%A5%E6%AD%B4"),
        ("50%.pdf", "attachment; filename=\"50_.pdf\"; filename*=UTF-8''50%25.pdf"),
        ("it's(1).pdf", 'attachment; filename="it\'s(1).pdf"'),
        ("ü'(1).pdf", "attachment; filename=\"u'(1).pdf\"; filename*=UTF-8''%C3%BC%27%281%29.pdf"),
    ],
)
def test_a_download_is_an_attachment_under_its_name(name: str, header: str) -> None:
    assert content_disposition(name) == header


@given(st.text(max_size=60))
def test_no_name_can_leave_its_place_in_the_header(name: str) -> None:
    header = content_disposition(name.encode(errors="ignore").decode())
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2
