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
        ("..\\..\\windows\\system32\\cv.pdf", "cv.pdf"),
        ("....//....//cv.pdf", "cv.pdf"),
        ("file:///etc/passwd", "passwd"),
        ("\\\\server\\share\\cv.pdf", "cv.pdf"),
        ("cv.pdf::$DATA", "cv.pdf__$DATA"),
        ("cv.pdf\x00.exe", "cv.pdf.exe"),
        ("cv.pdf" + " " * 100 + ".exe", "cv.pdf" + " " * 100 + ".exe"),
        ("cv\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u2067\u2068.pdf", "cv.pdf"),
        ("c\u00adv\u180e\u2060\u2061.pdf", "cv.pdf"),
        ("cv\U000e0041\U000e007f.pdf", "cv.pdf"),
        ("cv\u034f\u3164\u2800\uffa0.pdf", "cv   .pdf"),
        ("\u3164\u2800\u115f", None),
        ("cv\ue000\U0010ffff\ufdd0.pdf", "cv.pdf"),
        ("\udcff\ud83dcv.pdf", "cv.pdf"),
        ("cv\x7f\x85\x9b.pdf", "cv.pdf"),
        ("\u0301.pdf", "\u0301.pdf"),
        ("\u1112\u1161\u11ab.pdf", "\ud55c.pdf"),
        ("\u212b.pdf", "\u00c5.pdf"),
        ("com0", "_com0"),
        ("CONIN$", "_CONIN$"),
        ("prn .txt", "_prn .txt"),
        ("con\u200b.txt", "_con.txt"),
        ("-rf", "-rf"),
        ("~", "~"),
        ("%2e%2e%2fcv.pdf", "%2e%2e%2fcv.pdf"),
        ("cv\uff0fetc\uff0epdf", "cv\uff0fetc\uff0epdf"),
        ("\u2026", "\u2026"),
        ("\t\n\r", None),
        (". . .", None),
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


@pytest.mark.parametrize("cluster", ["👩\U0001f3fd", "❤\ufe0f", "q\u0301\u0323", "🇩🇪"])
@pytest.mark.parametrize("before", range(12))
def test_a_cut_in_what_looks_like_one_letter_leaves_a_whole_name(cluster: str, before: int) -> None:
    name = safe_name("x" * (FILENAME_BYTES - 5 - before) + cluster * 2 + ".pdf")
    assert name is not None
    assert name.startswith("x" * (FILENAME_BYTES - 5 - before))
    assert name.endswith(".pdf")
    assert len(name.encode()) <= FILENAME_BYTES
    assert safe_name(name) == name


def test_a_name_of_exactly_the_limit_stays_as_it_is() -> None:
    name = "ü" * 125 + "x.pdf"
    assert len(name.encode()) == FILENAME_BYTES
    assert safe_name(name) == name


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
        ("a\uff0fb\uff1a\uff0e\uff0e.pdf", "a_b_...pdf a%EF%BC%8Fb%EF%BC%9A%EF%BC%8E%EF%BC%8E.pdf"),
        ("\uff0e\uff0e\uff0fcv", "file.._cv %EF%BC%8E%EF%BC%8E%EF%BC%8Fcv"),
        ("\uff23\uff2f\uff2e.pdf", "_CON.pdf %EF%BC%A3%EF%BC%AF%EF%BC%AE.pdf"),
        ("\uff02\uff3c\uff05.pdf", "___.pdf %EF%BC%82%EF%BC%BC%EF%BC%85.pdf"),
        ("₤ rates;v=1.pdf", " rates;v=1.pdf %E2%82%A4%20rates%3Bv%3D1.pdf"),
        ("😀.pdf", "file.pdf %F0%9F%98%80.pdf"),
        ("a!#$&+-.^_`~.pdf", 'attachment; filename="a!#$&+-.^_`~.pdf"'),
        ("ä!#$&+-.^_`|~.pdf", "a!#$&+-.^_`_~.pdf %C3%A4!#$&+-.^_`|~.pdf"),
        ("it's(1).pdf", 'attachment; filename="it\'s(1).pdf"'),
        ("ü'(1).pdf", "attachment; filename=\"u'(1).pdf\"; filename*=UTF-8''%C3%BC%27%281%29.pdf"),
    ],
)
def test_a_download_is_an_attachment_under_its_name(name: str, header: str) -> None:
    if not header.startswith("attachment"):
        fallback, _, encoded = header.rpartition(" ")
        header = f"attachment; filename=\"{fallback}\"; filename*=UTF-8''{encoded}"
    assert content_disposition(name) == header


@given(st.text(max_size=60))
def test_no_name_can_leave_its_place_in_the_header(name: str) -> None:
    header = content_disposition(name.encode(errors="ignore").decode())
    assert header.isascii()
    assert header.isprintable()
    assert header.count('"') == 2
    fallback = header.split('"')[1]
    assert not set(fallback) & set("/\\:*?<>|%")
    assert not fallback.startswith(".")
