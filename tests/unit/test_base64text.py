"""Base64 text and data URIs: one text for one value."""

import base64

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.base64text import decode, decoded_size, split_data_uri

BASE64_LIKE = st.text(alphabet="ABQgwxz09+/=-_ \n", max_size=24).map(str.encode)


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
        (b"data:a/b/c;base64,YQ==", "type/subtype"),
        ("data:text/plaïn;base64,YQ==".encode(), "type/subtype"),
    ],
)
def test_a_broken_data_uri_is_refused_with_a_reason(uri: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        split_data_uri(uri)
