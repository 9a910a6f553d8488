# ruff: noqa: E501, RUF001
"""URLs that lead, or try to lead, to this machine or into a private network, each with its reason and the stable code.

`HOSTILE` are refused by their spelling, unasked of any resolver. `TRAPS` are well-spelt names: what they resolve to is
hostile, so one look-up shows it. Addresses are loopback, private, link-local, documentation or reserved ranges.
"""

from typing import Final, NamedTuple

INVALID: Final = "invalid_url"
NOT_ALLOWED: Final = "url_not_allowed"


class Hostile(NamedTuple):
    """A URL, why it is hostile, and what the static checks answer."""

    url: str
    reason: str
    code: str


class Trap(NamedTuple):
    """A name below ZONE, why it is hostile, and its answers, one a look-up, the last one for ever.

    An answer is a list of addresses, UNKNOWN, or SILENT. GOOD stands for an address that the policy permits.
    """

    name: str
    reason: str
    answers: tuple[tuple[str, ...] | str, ...]
    scheme: str = "http"
    port: int | None = None

    @property
    def host(self) -> str:
        """The whole name."""
        return f"{self.name}.{ZONE}"

    def url(self, under: str = "") -> str:
        """To a file there; or at a name under it, which has the same answers, all of them once more."""
        return f"{self.scheme}://{under and f'{under}.'}{self.host}{f':{self.port}' if self.port else ''}/cv.pdf"

    def look_ups(self, tries: int) -> int:
        """Of one download: one a try, and only what gave no answer, or a good one, is tried again."""
        first = self.answers[0]
        return tries if first in ((), UNKNOWN, SILENT) else 2 if first == (GOOD,) else 1


ZONE: Final = "traps.example"
HONEST: Final = f"honest.{ZONE}"  # always leads to the good address
GOOD: Final = "good"
UNKNOWN: Final = "unknown"
SILENT: Final = "silent"

# Hosts, spelt in every way that some parser accepts: (reason, code, spellings).
_HOSTS: Final = (
    ("loopback as it is", NOT_ALLOWED, (
        "127.0.0.1", "127.0.0.2", "127.255.255.254", "[::1]", "[0:0:0:0:0:0:0:1]", "[0000::0001]",
    )),
    ("this network, which means this machine", NOT_ALLOWED, ("0.0.0.0", "0.1.2.3", "[::]", "[0:0:0:0:0:0:0:0]")),
    ("an address in a short form", NOT_ALLOWED, (
        "127.1", "127.0.1", "0", "0.0", "169.254.43518", "192.168.257", "10.1",
    )),
    ("an address as one decimal number", NOT_ALLOWED, (
        "2130706433", "167772161", "2852039166", "3232235521", "4294967295", "000000000000",
    )),
    ("an address in hexadecimal", NOT_ALLOWED, (
        "0x7f.0.0.1", "0x7f.1", "0X7F.0.0.1", "0x7f.0x0.0x0.0x1", "0x7f000001", "0x7F000001", "0x00007f000001", "0x0",
        "0x", "0x0.0x0.0x0.0x0", "0xa.1", "0xa9fea9fe", "0xffffffff7f000001",
    )),
    ("an address in octal", NOT_ALLOWED, ("0177.1", "017700000001", "0017700000001")),
    ("an address in octal, which only looks like a decimal one", INVALID, (
        "0177.0.0.1", "0177.0000.0000.0001", "00177.0.0.1", "127.000.000.001", "00.00.00.00", "012.0.0.1",
        "0251.0376.0251.0376", "010.0.0.1",
    )),
    ("an address in mixed bases", NOT_ALLOWED, ("127.0.0.0x1", "127.0x0.1", "0177.0x0.1", "0x7f.0.1")),
    ("an address with a trailing dot", NOT_ALLOWED, (
        "127.0.0.1.", "127.1.", "0x7f.1.", "2130706433.", "0.0.0.0.", "169.254.169.254.",
    )),
    ("numbers that some parser wraps around", NOT_ALLOWED, ("127.0.0.1.1", "6425673729")),
    ("numbers that some parser wraps around, in four parts", INVALID, ("256.256.256.256", "127.0.0.256", "383.0.0.1")),
    ("full-width or enclosed digits", INVALID, (
        "①②⑦.⓪.⓪.①", "１２７.０.０.１", "127.0.0.１", "０x7f.1", "①⑥⑨.②⑤④.①⑥⑨.②⑤④", "𝟏𝟐𝟕.𝟎.𝟎.𝟏",
    )),
    ("ideographic dots", NOT_ALLOWED, ("127。0。0。1", "127．0．0．1", "127｡0｡0｡1", "127.0.0.1。", "169。254｡169．254")),
    ("IPv4 mapped into IPv6", NOT_ALLOWED, (
        "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:7f00:0001]", "[0:0:0:0:0:ffff:127.0.0.1]",
        "[0:0:0:0:0:FFFF:7F00:1]", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[::ffff:10.0.0.1]",
        "[::ffff:192.168.0.1]", "[::ffff:0.0.0.0]",
    )),
    ("IPv4-compatible or translated IPv6", NOT_ALLOWED, ("[::127.0.0.1]", "[::7f00:1]", "[::ffff:0:127.0.0.1]")),
    ("IPv4 embedded by NAT64", NOT_ALLOWED, (
        "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[64:ff9b::a00:1]", "[64:ff9b::a9fe:a9fe]",
    )),
    ("IPv4 embedded by 6to4", NOT_ALLOWED, (
        "[2002:7f00:1::]", "[2002:7f00:0001::1]", "[2002:a00:1::]", "[2002:a9fe:a9fe::1]",
    )),
    ("IPv4 embedded by Teredo", NOT_ALLOWED, ("[2001::7f00:1]", "[2001:0:7f00:1::80ff:fffe]")),
    ("IPv4 embedded by ISATAP", NOT_ALLOWED, ("[fe80::5efe:127.0.0.1]", "[fd00::200:5efe:10.0.0.1]")),
    ("an address with a scope", NOT_ALLOWED, ("[::1%251]", "[::1%lo]", "[::1%25lo]", "[fe80::1%25lo]", "[2000::9%251]")),
    ("a private network", NOT_ALLOWED, (
        "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "[fc00::1]",
        "[fdff::1]", "[fec0::1]",
    )),
    ("link-local", NOT_ALLOWED, ("169.254.0.1", "[fe80::1]", "[febf::1]")),
    ("metadata of a cloud", NOT_ALLOWED, (
        "169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "192.0.0.192", "[fd00:ec2::254]",
    )),
    ("multicast or broadcast", NOT_ALLOWED, ("224.0.0.1", "239.255.255.255", "255.255.255.255", "[ff02::1]", "[ff0e::1]")),
    ("reserved for documentation, tests, relays or nobody", NOT_ALLOWED, (
        "192.0.2.1", "198.51.100.7", "203.0.113.9", "198.18.0.1", "198.19.255.255", "192.88.99.1", "240.0.0.1",
        "[2001:db8::1]", "[3fff::1]", "[2620:4f:8000::1]", "[100::1]", "[5f00::1]",
    )),
    ("a name of this machine", NOT_ALLOWED, (
        "localhost", "LOCALHOST", "LocalHost", "localhost.", "a.localhost", "a.b.localhost.", "localhost.local",
    )),
    ("a name of this machine in odd letters", INVALID, ("ⓛocalhost", "ｌｏｃａｌｈｏｓｔ", "localhoﬆ", "loc\u00adalhost")),
    ("a percent sign in the host", INVALID, (
        "local%68ost", "%6cocalhost", "127%2e0%2e0%2e1", "127.0.0.1%00", "127.0.0.1%20.public.example",
        "127.0.0.1%2f.public.example",
    )),
    ("a host that percent-decodes to an address", NOT_ALLOWED, ("%31%32%37.0.0.1", "%31%36%39.254.169.254")),
    ("a name without a dot", NOT_ALLOWED, ("printer", "printer.", "metadata", "kubernetes")),
    ("a name of a private network", NOT_ALLOWED, (
        "router.local", "metadata.internal", "metadata.google.internal", "METADATA.INTERNAL", "db.corp.internal.",
        "host.docker.internal", "nas.home.arpa", "hidden.onion", "kubernetes.default.svc.cluster.local",
    )),
    ("no name at all", INVALID, (
        "xn--", "...", ".", "a..b.example", ".public.example", "-a.example", "a-.example", "a" * 64 + ".example",
        "a." * 127 + "example", "public.example..", "a!b.example", "a,b.example",
    )),
    ("broken brackets", INVALID, ("[::1", "::1", "[::1]x", "[127.0.0.1]", "[]", "[v1.::1]", "[::1].public.example")),
)  # fmt: skip
_URLS: Final = (
    ("loopback under another scheme, port or case", NOT_ALLOWED, (
        "https://127.0.0.1/", "http://127.0.0.1:80/", "http://127.0.0.1:8080/", "http://127.0.0.1:22/", "HTTP://127.1/",
        "http://[::1]:80/", "http://[::1]:8443/x", "http://127.0.0.1:6379/", "https://localhost:8443/",
        "http://127.0.0.1:8080?x=/", "http://127.0.0.1#@public.example/", "http://127.0.0.1?@public.example/",
    )),
    ("a user name before the host", INVALID, (
        "http://public.example@127.0.0.1/", "http://public.example:80@127.0.0.1/", "http://127.0.0.1@public.example/",
        "http://@127.0.0.1/", "http://public.example%2f@127.0.0.1/", "http://[::1]@public.example/",
        "http://a@b@127.0.0.1/", "http://:@public.example/", "http://public.example:80:@127.0.0.1/",
    )),
    ("a backslash", INVALID, (
        "http://public.example\\@127.0.0.1/", "http://127.0.0.1\\@public.example/",
        "http://127.0.0.1\\.public.example/", "http:\\\\127.0.0.1\\", "http://public.example/..\\x",
        "http:/\\127.0.0.1/", "\\\\127.0.0.1\\share",
    )),
    ("white space, control or invisible characters", INVALID, (
        "http://127.0.0.1\t/", "http://127.0.0.1\n/", "http://\t127.0.0.1/", "ht\ntp://127.0.0.1/",
        " http://127.0.0.1/", "http://127.0.0.1\u200b/", "http://127.0.0.1\u2028/",
        "http://127.0.0.1\x00.public.example/", "http:// 127.0.0.1/", "http://public.example/a b",
        "http://public.example/\u200b", "http://public.example/\x7f", "http://public.example/\u2028",
        "http://public.example/\r\nX-Injected: 1", "http://public.example/\u202e", "http://127.0.0.1\u00a0/",
    )),
    ("no host", INVALID, ("http:127.0.0.1", "http:/127.0.0.1/", "http:///127.0.0.1/", "http://?127.0.0.1", "https:")),
    ("no absolute URL", INVALID, ("//127.0.0.1/", "127.0.0.1", "/127.0.0.1", "127.0.0.1:80/", "")),
    ("another scheme", INVALID, (
        "file:///etc/passwd", "file://localhost/etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1:6379/_INFO",
        "dict://127.0.0.1:11211/", "ldap://127.0.0.1/", "jar:http://127.0.0.1!/", "data:text/plain,x", "javascript:1",
        "unix:///var/run/docker.sock", "http+unix://%2Fvar%2Frun%2Fdocker.sock/", "ws://127.0.0.1/",
        "wss://public.example/", "tcp://127.0.0.1:80/", "sftp://127.0.0.1/", "smb://127.0.0.1/share",
        "url:http://127.0.0.1/", "view-source:http://127.0.0.1/", "httpx://127.0.0.1/",
    )),
    ("a port that is none", INVALID, (
        "http://public.example:0/", "http://public.example:65536/", "http://public.example:-80/",
        "http://public.example:8o/", "http://public.example:80:80/",
    )),
    ("a port of another protocol", NOT_ALLOWED, (
        "http://public.example:22/", "http://public.example:6379/", "http://public.example:25/",
        "http://public.example:9200/", "https://public.example:2375/",
    )),
    ("longer than any URL has to be", INVALID, ("http://public.example/" + "a" * 2048,)),
)  # fmt: skip

HOSTILE: Final = (
    *(Hostile(f"http://{host}/", reason, code) for reason, code, hosts in _HOSTS for host in hosts),
    *(Hostile(url, reason, code) for reason, code, urls in _URLS for url in urls),
)
HOSTILE_URLS: Final = tuple(each.url for each in HOSTILE)
# Where a redirect leads to them, these are references to a file of the origin itself, which has none of them.
_PATHS: Final = ("127.0.0.1", "127.0.0.1:80/", "/127.0.0.1", "http:127.0.0.1", "http:/127.0.0.1/", "http:///127.0.0.1/")
_ODD: Final = ("http://?127.0.0.1", "ht\ntp://127.0.0.1/")
AS_REFERENCES: Final = dict.fromkeys((*_PATHS, *_ODD), "source_not_found") | {"": "source_error"}

_ADDRESSES: Final = (
    ("loopback", ("127.0.0.1", "127.8.8.8", "0.0.0.0", "::1", "::")),
    ("private", ("10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "fd00::1", "fec0::1")),
    ("metadata", ("169.254.169.254", "168.63.129.16", "100.100.100.200", "fd00:ec2::254")),
    ("multicast", ("224.0.0.1", "255.255.255.255", "ff02::1")),
    ("reserved", ("192.0.2.1", "198.18.0.1", "240.0.0.1", "2001:db8::1", "100::1")),
    ("embedded", (
        "::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "2002:7f00:1::1",
        "2001:0:7f00:1::1", "fe80::5efe:7f00:1",
    )),
    ("scoped", ("fe80::1%2", "::1%1", "2000::9%1")),
)  # fmt: skip

TRAPS: Final = (
    *(
        Trap(f"{kind}-{number}", f"leads to {address}", ((address,),))
        for kind, addresses in _ADDRESSES
        for number, address in enumerate(addresses)
    ),
    Trap("both-1", "one good address and one bad", ((GOOD, "10.0.0.1"),)),
    Trap("both-2", "one bad address and one good", (("127.0.0.1", GOOD),)),
    Trap("both-3", "a good IPv4 address and a bad IPv6 address", ((GOOD, "::1"),)),
    Trap("many", "a bad address behind as many good ones as are ever dialled", ((*(GOOD,) * 16, "169.254.169.254"),)),
    Trap("rebinds", "a good address first, a bad one at the next look-up", ((GOOD,), ("127.0.0.1",))),
    Trap("rebinds-inside", "changes from one bad address to another", (("10.0.0.1",), ("127.0.0.1",))),
    Trap("number", "the resolver answers a number", (("2130706433",),)),
    Trap("text", "the resolver answers no address", (("localhost",),)),
    Trap("127.0.0.1", "an address in the name, and behind it", (("127.0.0.1",),)),
    Trap("7f000001", "an address in hexadecimal in the name, and behind it", (("127.0.0.1",),)),
    Trap("localhost", "a public name that begins like ours", (("127.0.0.1",),)),
    Trap("alias.of.an.alias", "a long way to a bad address", (("127.0.0.1",),)),
    Trap("xn--bcher-kva", "an international name of a bad address", (("127.0.0.1",),)),
    Trap("tls", "a bad address over TLS", (("127.0.0.1",),), "https"),
    Trap("port", "a bad address on another port", (("127.0.0.1",),), port=8443),
    Trap("nobody", "an empty answer", ((),)),
    Trap("unknown", "no such name", (UNKNOWN,)),
    Trap("silent", "no answer in time", (SILENT,)),
)  # fmt: skip
