"""Which IP addresses may be dialled: one table of ranges (IANA special-purpose registries), and the egress policy.

`ipaddress.is_global` is not used: it lets NAT64, 6to4 and multicast through, and differs between Python versions.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

IPV4_REFUSED: Final = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared address space of carriers
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # a cloud's platform address
        "169.254.0.0/16",  # link-local, instance metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
IPV6_GLOBAL: Final = IPv6Network("2000::/3")  # everything outside is refused
IPV6_REFUSED: Final = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: carries an IPv4 address
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
PORTS: Final = frozenset({80, 443, 8080, 8443})
LOOPBACK: Final[tuple[Network, ...]] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))


def parse_address(text: str) -> Address | None:
    """The address as it will be dialled, `::ffff:a.b.c.d` unwrapped; None for anything else, also with a scope id."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    if address.scope_id is not None:
        return None
    return address.ipv4_mapped or address


def is_public(address: Address) -> bool:
    """Whether an address lies in the public Internet by the table above."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in IPV4_REFUSED)
    return address in IPV6_GLOBAL and not any(address in network for network in IPV6_REFUSED)


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """Public addresses on the usual ports, and the operator's networks on any port."""

    networks: tuple[Network, ...] = ()
    ports: frozenset[int] = PORTS

    @classmethod
    def from_settings(cls, networks: Iterable[str]) -> "EgressPolicy":
        """The policy of ENGINE_EGRESS_ALLOW; raises ValueError for what is not a network in CIDR notation."""
        return cls(tuple(ip_network(network) for network in networks))

    @property
    def allows_loopback(self) -> bool:
        """Whether a network of the operator lies in loopback; then the name `localhost` is allowed, too."""
        pairs = ((network, own) for network in self.networks for own in LOOPBACK)
        return any(network.version == own.version and network.overlaps(own) for network, own in pairs)

    def permits(self, address: str, port: int) -> bool:
        """Whether this address and port may be dialled; anything but a plain IP address may not."""
        parsed = parse_address(address)
        if parsed is None:
            return False
        return any(parsed in network for network in self.networks) or (is_public(parsed) and port in self.ports)
