"""However a form's bytes are cut into pieces, it means the same; what is no form is refused in a sentence."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.api.multipart import Mark, Multipart, Part
from services.ingest.problems import Problem
from shared import limits

TYPE = "multipart/form-data; boundary=b0"
FILE = (
    b'--b0\r\nContent-Disposition: form-data; name="files"; filename="a.pdf"\r\nContent-Type: application/pdf\r\n\r\n'
)
END = b"\r\n--b0--\r\n"
FORMS = [
    FILE + b"one" + END,
    FILE + b"\r\n--b0" + END,
    FILE + b"--b0--\r\n--b\r\n-\r\r\n--b0 -- \r\n--b0x" + END,
    FILE + b"\r\n" + b"\r\n" + FILE + END,
    FILE + b"one\r\n" + FILE + b"two\r\n--b0--epilogue\r\n--b0\r\n",
    FILE + b"one\r\n--b0 \t\r\nContent-Disposition: form-data; name=files\r\n\r\ntwo" + END,
    b"--b0--\r\n",
    b"--b0--",
    b"--b1\r\n",
    b"-",
    b"",
    FILE + b"one",
    FILE[:-2] + b"one" + END,
    b"--b0\r\nContent-Disposition : form-data\r\n\r\n" + END,
    b"--b0\r\nContent-Disposition: form-data; name=files\r\nX: " + b"x" * 5000 + b"\r\n\r\n" + END,
    b"--b0\r\n" + b"".join(b"X-%d: x\r\n" % n for n in range(9)) + b"\r\n" + END,
    b"\r\nx" + FILE + b"one" + END,
    b"preamble\r\n" + FILE + b"one" + END,
    FILE + b"one" + END + b"x" * limits.UPLOAD_OVERHEAD_BYTES,
]


def parsed(pieces: list[bytes], content_type: str = TYPE) -> list[Any]:
    """Heads and whole contents of the parts, then `end`, or the code of the refusal."""
    found: list[Any] = []
    try:
        stream = Multipart(content_type)
        for piece in pieces:
            for event in stream.feed(piece):
                if isinstance(event, bytes) and isinstance(found[-1], bytes):
                    found[-1] += event
                else:
                    found += [event, b""] if isinstance(event, Part) else [event]
        stream.finish()
    except Problem as problem:
        return [problem.code]
    return [*found, "end"]


def part(disposition: str | bytes, more: bytes = b"") -> list[Any]:
    head = disposition if isinstance(disposition, bytes) else disposition.encode()
    return parsed([b"--b0\r\nContent-Disposition: " + head + b"\r\n" + more + b"\r\n" + END])


@pytest.mark.parametrize("form", FORMS)
def test_every_single_cut_means_the_same(form: bytes) -> None:
    whole = parsed([form])
    step = max(1, len(form) // 500)
    assert all(parsed([form[:cut], form[cut:]]) == whole for cut in range(0, len(form), step))
    assert parsed([form[n : n + 1] for n in range(len(form))]) == whole


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(FORMS), st.lists(st.integers(0, 400), max_size=8))
def test_all_cuts_together_mean_the_same(form: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(form)]
    assert parsed([form[a:b] for a, b in pairwise(places)]) == parsed([form])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=60) | st.sampled_from([b"\r\n--b0", b"\r\n--b0-", b"\r", b"\r\n-"]), max_size=6))
def test_what_is_written_is_read(contents: list[bytes]) -> None:
    kept = [content for content in contents if b"\r\n--b0" not in b"\r\n" + content]
    form = b"".join(FILE + content + b"\r\n" for content in kept) + b"--b0--\r\n"
    read = parsed([form[n : n + 7] for n in range(0, len(form), 7)])
    assert [one for one in read if isinstance(one, bytes)] == kept
    assert read.count(Mark.END) == len(kept)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_a_form_or_a_refusal(content: bytes, inside: bool) -> None:
    assert parsed([b"--b0\r\n" + content if inside else content])[-1] in ("end", "malformed_request")


@pytest.mark.parametrize(
    ("form", "outcome"),
    [
        (FORMS[0], [Part("files", "a.pdf", "application/pdf"), b"one", Mark.END, "end"]),
        (FORMS[6], ["end"]),
        (FORMS[7], ["end"]),
        *((form, ["malformed_request"]) for form in (*FORMS[8:14], *FORMS[14:18])),
        (FORMS[18], ["payload_too_large"]),
    ],
)
def test_a_form_is_whole_or_refused(form: bytes, outcome: list[Any]) -> None:
    assert parsed([form]) == outcome


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        ('form-data; name="files"; filename="Lebenslauf Müller.pdf"', "Lebenslauf Müller.pdf"),
        ('form-data; name="files"; filename="履歴書; v=2.pdf"', "履歴書; v=2.pdf"),
        ('form-data; name="files"; filename="a%22b%0D%0a.pdf"', 'a"b\r\n.pdf'),
        ('form-data; name="files"; filename="100%25%20.pdf"', "100%25%20.pdf"),
        (r'form-data; name="files"; filename="a\"b\\c.pdf"', 'a"b\\c.pdf'),
        (r'form-data; name="files"; filename="C:\temp\cv.pdf"', r"C:\temp\cv.pdf"),
        ("form-data; name=files; filename=cv.pdf", "cv.pdf"),
        ("FORM-DATA;NAME=files;FileName=cv.pdf;", "cv.pdf"),
        ("form-data; filename*=UTF-8''M%C3%BCller.pdf; filename=\"x.pdf\"; name=files", "Müller.pdf"),
        ("form-data; filename*=iso-8859-1'de'M%FCller.pdf; name=files", "Müller.pdf"),
        ("form-data; filename*=koi8-r''x.pdf; filename=y.pdf; name=files", "y.pdf"),
        ('form-data; name="files"; filename=""', ""),
        ('form-data; name="files"', None),
    ],
)
def test_names_are_read_as_clients_write_them(disposition: str, filename: str | None) -> None:
    assert part(disposition)[0] == Part("files", filename, None)


@pytest.mark.parametrize(
    ("disposition", "more"),
    [
        (b"form-data", b""),
        (b"attachment; name=files", b""),
        (b"", b""),
        (b'form-data; name="files', b""),
        (b"form-data; name=files; name=files", b""),
        (b"form-data; name=files; filename", b""),
        (b'form-data; name=files; filename="a"b', b""),
        (b"form-data; name=files; filename=\xe4.pdf", b""),
        (b"form-data; name=files; filename*=utf-8''%E4.pdf", b""),
        (b"form-data; name=files; filename=a", b"Content-Transfer-Encoding: base64\r\n"),
        (b"form-data; name=files; filename=a", b"content-disposition: form-data; name=files\r\n"),
    ],
)
def test_an_odd_head_is_refused(disposition: bytes, more: bytes) -> None:
    assert part(disposition, more) == ["malformed_request"]


@pytest.mark.parametrize(
    ("content_type", "outcome"),
    [
        ('Multipart/Form-Data; charset=utf-8; boundary="b0"', "end"),
        ("multipart/form-data", "malformed_request"),
        ("multipart/form-data; boundary=", "malformed_request"),
        ('multipart/form-data; boundary="b 0"', "malformed_request"),
        (f"multipart/form-data; boundary={'b' * 71}", "malformed_request"),
        ("multipart/form-data; boundary=b0; boundary=b1", "malformed_request"),
        ("multipart/form-data; boundary=\xe4", "malformed_request"),
        ("multipart/mixed; boundary=b0", "unsupported_media_type"),
        ("application/json", "unsupported_media_type"),
        ("", "unsupported_media_type"),
    ],
)
def test_the_boundary_must_be_named(content_type: str, outcome: str) -> None:
    assert parsed([FORMS[0]], content_type)[-1] == outcome
