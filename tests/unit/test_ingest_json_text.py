"""Bodies in pieces give what one parse of the whole would give, and long strings are put aside on the way."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.json_text import LONG_STRING, PARTS, SKELETON_BYTES, STRING_BYTES, JsonText, LongText
from services.ingest.problems import Problem

characters = st.characters(exclude_categories=["Cs"])
short = st.text(characters, max_size=20)
sizes = st.sampled_from([LONG_STRING - 2, LONG_STRING, LONG_STRING + 1, 3 * LONG_STRING])
unquoted = st.characters(exclude_categories=["Cs"], exclude_characters='"')  # of quotes a string may hold few
long = st.builds(lambda part, size: part * (size // len(part)), st.text(unquoted, min_size=1, max_size=9), sizes)
scalars = st.one_of(st.none(), st.booleans(), st.integers(-(2**62), 2**62), short, long)
trees = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(short, inner, max_size=4))


def parse(text: bytes, cuts: random.Random | None = None) -> object:
    reader, position = JsonText(), 0
    while position < len(text):
        size = cuts.choice([1, 2, 3, 7, 100, LONG_STRING, 50_000]) if cuts else len(text)
        feed(reader, text[position : position + size])
        position += size
    return plain(reader.value())


def feed(reader: JsonText, piece: bytes) -> None:
    position = 0
    while position < len(piece):
        position = reader.feed(piece, position)


def plain(tree: object) -> object:
    if isinstance(tree, LongText):
        return tree.take().decode()
    if isinstance(tree, dict):
        return {name: plain(member) for name, member in tree.items()}
    return [plain(item) for item in tree] if isinstance(tree, list) else tree


@settings(deadline=None, max_examples=200)
@given(tree=trees, ascii_only=st.booleans(), slashes=st.booleans(), seed=st.integers(0, 2**32))
def test_any_value_in_any_pieces_is_what_one_parse_gives(
    tree: object, ascii_only: bool, slashes: bool, seed: int
) -> None:
    text = json.dumps([tree, 1], ensure_ascii=ascii_only)
    if slashes:
        text = text.replace("/", "\\/")
    assert parse(text.encode(), random.Random(seed)) == [tree, 1]


@settings(deadline=None, max_examples=200)
@given(tail=st.text('\\"/u0bx', max_size=12), seed=st.integers(0, 2**32))
def test_escapes_at_the_end_of_a_long_string_are_understood_or_refused_like_one_parse(tail: str, seed: int) -> None:
    text = '["' + "a" * LONG_STRING + tail + '", "b"]'
    try:
        wanted = json.loads(text)
    except ValueError:
        with pytest.raises(Problem):
            parse(text.encode(), random.Random(seed))
    else:
        assert parse(text.encode(), random.Random(seed)) == wanted


def test_escaped_and_plain_spelling_of_a_long_string_have_one_digest() -> None:
    base64 = "ab+/" * LONG_STRING
    digests = set()
    for spelling in (base64, base64.replace("/", "\\/"), base64.replace("+", "\\u002B")):
        reader = JsonText()
        feed(reader, f'["{spelling}"]'.encode())
        [long] = reader.value()
        assert isinstance(long, LongText)
        digests.add(long.sha256)
    assert len(digests) == 1


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b'"', b"[1] x", b"[NaN]", b"[-Infinity]", b'{"a":1,"a":2}', b"[" * 100_000, b'{"a":"\\ud800"}',
        b"\xef\xbb\xbf[]", b'"\xff"', '["a"]'.encode("utf-16"), b"[" + b"1" * 5000 + b"]", b"[01]", b"['a']", b'["\n"]',
        b"[1,]",
        b'["' + b"a" * 20_000, b'["' + b"a" * 20_000 + b'\\x"]', b'{"' + b"a" * 20_000 + b'":1}',
    ],
)  # fmt: skip
def test_what_is_no_json_of_ours_is_refused_as_malformed(text: bytes) -> None:
    with pytest.raises(Problem) as refused:
        parse(text)
    assert refused.value.code == "malformed_json"


@pytest.mark.parametrize("name", ["Jane", 'J" at line', "J\\n", "x" * 100])
def test_reason_tells_the_place_and_never_the_content(name: str) -> None:
    with pytest.raises(Problem) as refused:
        parse(f'{{"{json.dumps(name)[1:-1]}": 1, "{json.dumps(name)[1:-1]}": 2}}'.encode())
    assert refused.value.detail.startswith("The body is not valid JSON: a member comes twice at line 1 column ")


def test_skeleton_beyond_its_limit_is_refused_while_it_streams() -> None:
    reader, piece = JsonText(), b"1234567," * 8_000
    for _ in range(SKELETON_BYTES // len(piece)):
        feed(reader, piece)
    with pytest.raises(Problem) as refused:
        feed(reader, piece)
    assert refused.value.code == "payload_too_large"


@pytest.mark.parametrize("part", [b'"",', b"[],", b'{"":{}},', b"1,", b'"' + b'\\"' * 9 + b'",'])
def test_body_of_very_many_parts_is_refused(part: bytes) -> None:
    with pytest.raises(Problem) as refused:
        parse(b"[" + part * (PARTS + 1) + b"1]", random.Random(1))
    assert refused.value.code == "payload_too_large"


def test_string_of_very_many_quotes_is_refused() -> None:
    with pytest.raises(Problem) as refused:
        parse(b'["' + b'\\"' * 20_000 + b'"]')
    assert refused.value.code == "payload_too_large"


def test_a_string_that_no_file_can_be_is_not_kept() -> None:
    reader = JsonText()
    feed(reader, b'["')
    for _ in range(STRING_BYTES // 65536 + 2):
        feed(reader, b"a" * 65536)
    feed(reader, b'"]')
    [long] = reader.value()
    assert isinstance(long, LongText)
    assert long.overlong
    assert long.take() == b""
