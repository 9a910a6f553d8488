# ruff: noqa: E501, RUF001
"""URLs that lead, or try to lead, to this machine or into a private network; each must be refused by the static checks.

Hosts are loopback, private, link-local, documentation or reserved ranges, spelled in every way that some parser accepts.
"""

from typing import Final

_LOOPBACK_SPELLINGS: Final = (
    "127.0.0.1", "127.0.0.2", "127.255.255.254", "127.1", "127.0.1", "127.000.000.001", "0177.0.0.1", "0177.1",
    "0177.0000.0000.0001", "00177.0.0.1", "0x7f.0.0.1", "0x7f.1", "0X7F.0.0.1", "0x7f.0x0.0x0.0x1", "0x7f000001",
    "0x7F000001", "0x00007f000001", "2130706433", "017700000001", "0017700000001", "127.0.0.1.", "127.1.", "0x7f.1.",
    "2130706433.", "127.0.0.0x1", "127.0x0.1", "0", "0.0.0.0", "00.00.00.00", "0x0", "0x", "000000000000",
    "0.0.0.0.", "0.0", "0.1.2.3", "0x0.0x0.0x0.0x0", "256.256.256.256", "127.0.0.1.1", "4294967295", "127.0.0.256",
    "①②⑦.⓪.⓪.①", "１２７.０.０.１", "127。0。0。1", "127．0．0．1", "127｡0｡0｡1", "127.0.0.１", "０x7f.1", "127.0.0.1。",
    "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[0000::0001]", "[0:0:0:0:0:0:0:0]", "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]", "[::ffff:7f00:0001]", "[0:0:0:0:0:ffff:127.0.0.1]", "[0:0:0:0:0:FFFF:7F00:1]", "[::127.0.0.1]",
    "[::7f00:1]", "[::ffff:0:127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]", "[2002:7f00:0001::1]", "[2001::7f00:1]", "[::1%251]", "[::1%lo]", "[::1%25lo]", "[fe80::1%25lo]",
    "localhost", "LOCALHOST", "LocalHost", "localhost.", "a.localhost", "a.b.localhost.", "localhost.local",
    "ⓛocalhost", "ｌｏｃａｌｈｏｓｔ", "local%68ost", "%6cocalhost", "127%2e0%2e0%2e1", "%31%32%37.0.0.1", "127.0.0.1%00",
)  # fmt: skip
_PRIVATE_SPELLINGS: Final = (
    "10.0.0.1", "10.255.255.255", "0xa.1", "012.0.0.1", "167772161", "100.64.0.1", "169.254.169.254", "0xa9fea9fe",
    "2852039166", "169.254.43518", "0251.0376.0251.0376", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "172.16.0.1",
    "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1", "192.168.257", "3232235521", "198.18.0.1",
    "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "168.63.129.16", "[::ffff:10.0.0.1]", "[::ffff:192.168.0.1]", "[64:ff9b::a00:1]", "[2002:a00:1::]", "[2001:db8::1]",
    "[3fff::1]", "[fc00::1]", "[fd00:ec2::254]", "[fe80::1]", "[fec0::1]", "[ff02::1]", "[2620:4f:8000::1]", "[100::1]",
    "printer", "printer.", "router.local", "metadata.internal", "db.corp.internal.", "nas.home.arpa", "hidden.onion",
)  # fmt: skip
_SPELLED: Final = tuple(f"http://{host}/" for host in _LOOPBACK_SPELLINGS + _PRIVATE_SPELLINGS)
_TRICKS: Final = (
    "https://127.0.0.1/", "http://127.0.0.1:80/", "http://127.0.0.1:8080/", "http://127.0.0.1:22/", "HTTP://127.1/",
    "http://[::1]:80/", "http://[::1]:8443/x", "http://127.0.0.1:6379/", "https://localhost:8443/",
    "http://public.example@127.0.0.1/", "http://public.example:80@127.0.0.1/", "http://127.0.0.1@public.example/",
    "http://@127.0.0.1/", "http://public.example\\@127.0.0.1/",
    "http://127.0.0.1\\@public.example/", "http://127.0.0.1\\.public.example/", "http:\\\\127.0.0.1\\",
    "http://127.0.0.1%20.public.example/", "http://public.example%2f@127.0.0.1/", "http://127.0.0.1%2f.public.example/",
    "http://127.0.0.1\t/", "http://127.0.0.1\n/", "http://\t127.0.0.1/", "ht\ntp://127.0.0.1/", " http://127.0.0.1/",
    "http://127.0.0.1\u200b/", "http://127.0.0.1\u2028/", "http://127.0.0.1\x00.public.example/", "http:// 127.0.0.1/",
    "http://public.example/a b", "http://public.example/\u200b", "http://public.example/\x7f", "http://public.example/\u2028",
    "http://public.example/..\\x", "http:127.0.0.1", "http:/127.0.0.1/", "http:///127.0.0.1/", "//127.0.0.1/", "127.0.0.1", "/127.0.0.1", "",
    "file:///etc/passwd", "file://localhost/etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1:6379/_INFO",
    "dict://127.0.0.1:11211/", "ldap://127.0.0.1/", "jar:http://127.0.0.1!/", "data:text/plain,x", "javascript:1",
    "unix:///var/run/docker.sock", "http+unix://%2Fvar%2Frun%2Fdocker.sock/", "ws://127.0.0.1/", "tcp://127.0.0.1:80/",
    "http://public.example:22/", "http://public.example:0/", "http://public.example:65536/",
    "http://public.example:-80/", "http://public.example:8o/", "http://public.example:6379/", "http://xn--/", "http://.../",
    "http://./", "http://a..b.example/", "http://-a.example/", "http://a-.example/", "http://[::1/", "http://::1/",
    "http://[::1]x/", "http://[127.0.0.1]/", "http://[]/", "http://[v1.::1]/", "http://[::1]@public.example/",
    "http://" + "a" * 64 + ".example/", "http://" + "a." * 127 + "example/", "http://public.example/" + "a" * 2048,
)  # fmt: skip

HOSTILE_URLS: Final = _SPELLED + _TRICKS
