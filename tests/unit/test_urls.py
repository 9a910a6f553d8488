"""Static URL checks: hostile spellings are refused, honest URLs pass unchanged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.addresses import EgressPolicy
from shared.urls import UrlRefused, check_url, loggable

PUBLIC = EgressPolicy()
LOOPBACK = EgressPolicy.from_settings(["127.0.0.0/8", "::1/128"])


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://files.example/cv.pdf", "files.example", 443),
        ("http://files.example", "files.example", 80),
        ("HTTPS://Files.Example:8443/a%2Fb?sig=a%2Bb%3D#top", "files.example", 8443),
        ("http://files.example:8080/", "files.example", 8080),
        ("https://files.example./", "files.example.", 443),
        ("https://bücher.example/", "xn--bcher-kva.example", 443),
        ("https://my_bucket.s3.example/", "my_bucket.s3.example", 443),
        ("https://1and1.example/", "1and1.example", 443),
        ("https://1.2.3.4.example/", "1.2.3.4.example", 443),
        ("https://files.example/user@host?mail=a@b.example", "files.example", 443),
        ("https://9.9.9.9/", "9.9.9.9", 443),
        ("https://[2000::9]:443/", "2000::9", 443),
        ("https://notlocalhost.example/", "notlocalhost.example", 443),
    ],
)
def test_public_url_passes(url: str, host: str, port: int) -> None:
    parsed = check_url(url, PUBLIC)
    assert (parsed.host, parsed.port) == (host, port)


def test_signed_url_keeps_its_escapes() -> None:
    url = "https://files.example/a%2Fb%7Ec?X-Amz-Credential=k%2F2026&Signature=a%2Fb%2Bc%3D%3D"
    assert str(check_url(url, PUBLIC).url) == url


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9000/", "http://localhost:1/", "http://[::1]:9/", "http://LOCALHOST./", "http://[::ffff:127.0.0.1]:9/"]
)  # fmt: skip
def test_allowed_loopback_is_reachable_on_any_port(url: str) -> None:
    assert check_url(url, LOOPBACK)


@pytest.mark.parametrize(
    "url", ["http://127.1/", "http://2130706433/", "http://a.localhost/", "http://10.0.0.1/", "http://printer/"]
)
def test_allowed_loopback_allows_neither_odd_spellings_nor_more_names(url: str) -> None:
    with pytest.raises(UrlRefused):
        check_url(url, LOOPBACK)


def test_name_with_an_odd_port_is_left_to_the_dialler_where_networks_are_allowed() -> None:
    assert check_url("http://files.partner.example:9000/", EgressPolicy.from_settings(["10.1.0.0/16"]))


@given(st.text(max_size=60))
def test_any_text_is_either_refused_or_parsed(text: str) -> None:
    try:
        assert check_url(text, PUBLIC).host
    except UrlRefused as refused:
        assert refused.code in {"invalid_url", "url_not_allowed"}  # noqa: PT017


@given(st.from_regex(r"https?://[0-9a-fx.:\[\]@%/\\-]{1,40}", fullmatch=True))
def test_no_spelling_of_numbers_leads_to_a_refused_address(text: str) -> None:
    try:
        parsed = check_url(text, PUBLIC)
    except UrlRefused:
        return
    if parsed.host.replace(".", "").isdigit() or ":" in parsed.host:
        assert PUBLIC.permits(parsed.host, parsed.port)


def test_logs_hold_neither_path_nor_query() -> None:
    text = loggable("https://files.example/secret?sig=abc")
    assert text.startswith("https://files.example/#")
    assert "secret" not in text
    assert "abc" not in text
    assert loggable("https://files.example/other") != text
    assert loggable("http://[x]").startswith("invalid#")
