"""Static checks of URLs from outside, without DNS; whether an address may be reached, the dialler decides."""

import hashlib
import re
import unicodedata
from typing import Final, NamedTuple

from httpx2 import URL, InvalidURL

from shared import limits
from shared.addresses import EgressPolicy

SCHEME_PORTS: Final = {"http": 80, "https": 443}
FORBIDDEN_SUFFIXES: Final = (".localhost", ".local", ".internal", ".home.arpa", ".onion")
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")  # a host whose last label looks so is an IPv4 literal (WHATWG URL)
_USERINFO: Final = re.compile(r"[^/?#]*//[^/?#]*@")


class UrlRefused(ValueError):
    """A URL that fails the static checks; `code` is invalid_url or url_not_allowed, the message is fit for clients."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ParsedUrl(NamedTuple):
    """A URL that passed the static checks; `url` is the very object that the client dials from."""

    url: URL
    scheme: str
    host: str
    port: int


def check_url(text: str, policy: EgressPolicy) -> ParsedUrl:
    """Static checks of a URL, without DNS. Raises UrlRefused."""
    url = _parse(text)
    host = url.raw_host.decode("ascii")  # as it is dialled; `host` would decode an international name
    if url.scheme not in SCHEME_PORTS or not host:
        raise UrlRefused("invalid_url", "The URL must be absolute, with the scheme http or https.")
    port = SCHEME_PORTS[url.scheme] if url.port is None else url.port
    if not 1 <= port <= 65535:
        raise UrlRefused("invalid_url", "The port must be between 1 and 65535.")
    bare = host.removesuffix(".")
    if ":" in host or _NUMBER.fullmatch(bare.rpartition(".")[2]):
        _check_literal(host, port, policy)
    elif not (bare == "localhost" and policy.allows_loopback):
        _check_name(bare, port, policy)
    return ParsedUrl(url, url.scheme, host, port)


def _parse(text: str) -> URL:
    if len(text) > limits.URL_LENGTH:
        raise UrlRefused("invalid_url", f"The URL may have {limits.URL_LENGTH} characters.")
    if any(character == "\\" or unicodedata.category(character)[0] in "CZ" for character in text):
        raise UrlRefused("invalid_url", "The URL must not contain white space, control characters or backslashes.")
    if _USERINFO.match(text):
        raise UrlRefused("invalid_url", "The URL must not contain a user name or a password.")
    try:
        return URL(text)
    except (InvalidURL, UnicodeError, ValueError):
        raise UrlRefused("invalid_url", "This is not a valid URL.") from None


def _check_literal(host: str, port: int, policy: EgressPolicy) -> None:
    # 127.1, 0x7f.1 and 017700000001 are refused for their spelling: parsers disagree about them.
    if not policy.permits(host, port):
        raise UrlRefused("url_not_allowed", "The host must be public, and the port one of 80, 443, 8080, 8443.")


def _check_name(host: str, port: int, policy: EgressPolicy) -> None:
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise UrlRefused("invalid_url", "The host name is not valid.")
    if len(labels) == 1 or f".{host}".endswith(FORBIDDEN_SUFFIXES):
        raise UrlRefused("url_not_allowed", "The host must have a public name.")
    # Whether a name leads into an operator's network, where any port is allowed, only the dialler can tell.
    if port not in policy.ports and not policy.networks:
        raise UrlRefused("url_not_allowed", "The port must be one of 80, 443, 8080, 8443.")


def loggable(url: URL | str) -> str:
    """Scheme, host and a short hash: URLs may be signed, so logs never hold the rest."""
    digest = hashlib.sha256(str(url).encode(errors="replace")).hexdigest()[:12]
    try:
        parsed = URL(url)
    except (InvalidURL, UnicodeError, ValueError):
        return f"invalid#{digest}"
    return f"{parsed.scheme}://{parsed.raw_host.decode('ascii')}/#{digest}"
