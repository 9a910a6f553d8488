"""Base64 text and data URIs: one text for one value."""

import base64

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.base64text import decode, decoded_size, split_data_uri

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
BASE64_LIKE = st.text(alphabet="ABQgwxz09+/=-_ \n", max_size=24).map(str.encode)


@pytest.mark.parametrize("text", ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"])
def test_the_vectors_of_the_standard_are_decoded(text: str) -> None:
    """RFC 4648, section 10."""
    expected = b"foobar"[: len(text) // 4 * 3 - text.count("=")]
    assert decode(text.encode()) == expected
    assert decoded_size(text.encode()) == len(expected)


def test_every_stray_bit_is_seen() -> None:
    """RFC 4648, section 3.5: of the texts that decode to the same bytes, one is taken."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    for ending, bits in ((b"==", 4), (b"=", 2)):
        taken = [
            last for last in range(64) if _is_taken(b"QUJ"[: 3 - len(ending)] + alphabet[last : last + 1] + ending)
        ]
        assert taken == list(range(0, 64, 1 << bits))


def _is_taken(text: bytes) -> bool:
    try:
        decode(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("stray", [bytes([code]) for code in (*range(0x2B), *b",-._:;<>?@[]^`{|}~", 0x7F, 0x80, 0xFF)])
def test_no_character_of_another_alphabet_is_passed_over(stray: bytes, place: int) -> None:
    for text in (b"QUJD" * 3, b"QUJD" * 3 + b"QQ=="):
        swapped = text[: 4 + place] + stray + text[5 + place :]
        inserted = text[: 4 + place] + stray * 4 + text[4 + place :]
        assert not _is_taken(swapped)
        assert not _is_taken(inserted)


@given(st.binary(max_size=200))
def test_what_was_encoded_is_decoded_and_its_size_known_before(content: bytes) -> None:
    text = base64.b64encode(content)
    assert decode(text) == decode(memoryview(text)) == content
    assert decoded_size(text) == decoded_size(memoryview(text)) == len(content)


@given(BASE64_LIKE)
@example(b"QQ==QQ==")
@example(b"QQ=A")
@example(b"Q===")
@example(b"====")
@example(b"AA==AAAA")
def test_a_text_is_taken_only_if_encoding_again_gives_it(text: bytes) -> None:
    try:
        decoded = decode(text)
    except ValueError:
        # Whatever the standard library takes strictly and gives back unchanged must not have been refused.
        with pytest.raises((ValueError, AssertionError)):
            assert base64.b64encode(base64.b64decode(text, validate=True)) == text
    else:
        assert base64.b64encode(decoded) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"QUJD\nQUJD", "multiple of 4"),
        (b"QUJDQQ", "padding is missing"),
        (b"QUJDQUJ\n", "white space"),
        (b"QQ", "padding is missing"),
        (b"QQ=", "padding is missing"),
        (b"QQ===", "multiple of 4"),
        (b"QQ==QQ==", "padding inside"),
        (b"QUI=QUI=", "padding inside"),
        (b"=QUJ", "padding inside"),
        (b" QUJ", "white space"),
        (b"QUJDQUJD\r\n\r\n", "white space"),
        ("QUJ\uff21QQ".encode(), "standard alphabet"),
        (b"QUJ-_UJD", "standard alphabet"),
        (b"QR==", "encode nothing"),
        (b"QUJ=", "encode nothing"),
        (b"====", "padding inside"),
    ],
)
def test_the_refusal_says_why(text: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        decode(text)


@pytest.mark.parametrize(
    ("uri", "media_type", "payload"),
    [
        (b"data:application/pdf;base64,JVBERi0=", "application/pdf", b"JVBERi0="),
        (b"DATA:Application/PDF;BASE64,JVBERi0=", "application/pdf", b"JVBERi0="),
        (b"data:text/csv;charset=utf-8;header=present;base64,YQ==", "text/csv", b"YQ=="),
        (b"data:;base64,YQ==", "text/plain", b"YQ=="),
        (b"data:;charset=utf-8;base64,YQ==", "text/plain", b"YQ=="),
        (b"data:image/svg+xml;base64,", "image/svg+xml", b""),
        (b"data:text/plain;base64,YQ==,YQ==", "text/plain", b"YQ==,YQ=="),
        (b"data:application/vnd.openxmlformats-officedocument.wordprocessingml.document;base64,YQ==", DOCX, b"YQ=="),
        (b"data:text/plain;charset=US-ASCII;name=a.txt;base64,", "text/plain", b""),
        (b"data:text/plain;;base64,YQ==", "text/plain", b"YQ=="),
        (b"data:text/plain;base64=no;base64,YQ==", "text/plain", b"YQ=="),
        (b"data:text/plain;base64,YQ%3D%3D", "text/plain", b"YQ%3D%3D"),
    ],
)
def test_a_data_uri_is_split_without_copying(uri: bytes, media_type: str, payload: bytes) -> None:
    found, rest = split_data_uri(uri)
    assert (found, bytes(rest)) == (media_type, payload)
    assert rest.obj is uri


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        (b"", "start with"),
        (b"JVBERi0=", "start with"),
        (b"http://example.com/,", "start with"),
        (b"data:application/pdf;base64", "no comma"),
        (b"data:application/pdf;base64;" + b"a" * 200 + b",YQ==", "no comma"),
        (b"data:,plain text", "not marked as base64"),
        (b"data:text/plain,plain text", "not marked as base64"),
        (b"data:base64,YQ==", "not marked as base64"),
        (b"data:text/plain;base64;charset=utf-8,YQ==", "not marked as base64"),
        (b"data:pdf;base64,YQ==", "type/subtype"),
        (b" data:text/plain;base64,YQ==", "start with"),
        (b"data :text/plain;base64,YQ==", "start with"),
        (b"data:text/plain;base64 ,YQ==", "not marked as base64"),
        (b"data:text/plain;base64=,YQ==", "not marked as base64"),
        (b"data: text/plain;base64,YQ==", "type/subtype"),
        (b"data:text/;base64,YQ==", "type/subtype"),
        (b"data:text/html<script>;base64,YQ==", "type/subtype"),
        (b"data:text/plain\r\nX: y;base64,YQ==", "type/subtype"),
        (b"data:a/b/c;base64,YQ==", "type/subtype"),
        ("data:text/plaïn;base64,YQ==".encode(), "type/subtype"),
    ],
)
def test_a_broken_data_uri_is_refused_with_a_reason(uri: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        split_data_uri(uri)
