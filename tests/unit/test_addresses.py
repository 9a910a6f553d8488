# ruff: noqa: E501
"""The address table: every edge of every range, and what an operator allows."""

from ipaddress import IPv4Network, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.addresses import (
    IPV4_REFUSED,
    IPV6_GLOBAL,
    IPV6_REFUSED,
    EgressPolicy,
    is_public,
    parse_address,
)

REFUSED: tuple[IPv4Network | IPv6Network, ...] = (*IPV4_REFUSED, *IPV6_REFUSED)
# The table said once more, so that a range that gets lost or shrinks is noticed.
EXPECTED = {
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16",
    "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    "2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
}  # fmt: skip


def test_the_table_holds_every_special_range() -> None:
    assert {str(network) for network in REFUSED} == EXPECTED
    assert str(IPV6_GLOBAL) == "2000::/3"


@pytest.mark.parametrize("network", REFUSED, ids=str)
def test_first_and_last_address_of_a_range_are_refused(network: IPv4Network | IPv6Network) -> None:
    assert not is_public(network[0])
    assert not is_public(network[-1])


@pytest.mark.parametrize("network", REFUSED, ids=str)
def test_neighbours_of_a_range_are_judged_by_their_own_range(network: IPv4Network | IPv6Network) -> None:
    neighbours = [int(network[0]) - 1, int(network[-1]) + 1]
    for number in (n for n in neighbours if 0 <= n < 2**network.max_prefixlen):
        neighbour = type(network[0])(number)
        others = [other for other in REFUSED if other.version == neighbour.version and neighbour in other]
        outside = neighbour.version == 6 and neighbour not in IPV6_GLOBAL
        assert is_public(neighbour) is not bool(others or outside)


@pytest.mark.parametrize(
    "address",
    ["1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
     "168.63.129.15", "168.63.129.17", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0",
     "198.17.255.255", "198.20.0.0", "223.255.255.255", "2000::", "2001:200::", "2001:db7:ffff::", "2001:db9::",
     "2003::", "2620:4f:7fff::", "2620:4f:8001::", "3ffe:ffff::", "3fff:1000::"],
)  # fmt: skip
def test_public_address_is_permitted_on_the_usual_ports_only(address: str) -> None:
    policy = EgressPolicy()
    assert [port for port in (22, 80, 443, 8080, 8443, 6379) if policy.permits(address, port)] == [80, 443, 8080, 8443]


@pytest.mark.parametrize(
    "address",
    ["::", "::1", "::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "100::1", "1fff:ffff::1", "4000::", "fc00::1", "fd00::1",
     "fe80::1", "fec0::1", "ff02::1", "2000::1%1", "fe80::1%lo", "::ffff:127.0.0.1", "::ffff:10.1.2.3",
     "::ffff:169.254.169.254", "::ffff:0:127.0.0.1", "127.1", "2130706433", "0x7f000001", "017700000001", "localhost", "", "8.8.8.8 "],
)  # fmt: skip
def test_anything_else_is_refused(address: str) -> None:
    assert not EgressPolicy().permits(address, 80)


@given(st.integers(0, 2**32 - 1))
def test_a_mapped_address_is_judged_as_the_ipv4_address_it_is(number: int) -> None:
    plain = ip_address(number)
    mapped = parse_address(f"::ffff:{plain}")
    assert mapped == plain
    assert EgressPolicy().permits(f"::ffff:{plain}", 80) is EgressPolicy().permits(str(plain), 80)


@given(st.ip_addresses(v=6))
def test_ipv6_outside_global_unicast_is_never_public(address: object) -> None:
    parsed = parse_address(str(address))
    assert parsed is not None
    if parsed.version == 6 and parsed not in IPV6_GLOBAL:
        assert not is_public(parsed)


def test_operators_network_is_permitted_on_any_port_and_nothing_beside_it() -> None:
    policy = EgressPolicy.from_settings(["10.1.0.0/16", "fd00:1::/32"])
    assert policy.permits("10.1.0.0", 5432)
    assert policy.permits("10.1.255.255", 1)
    assert policy.permits("::ffff:10.1.2.3", 22)
    assert policy.permits("fd00:1::9", 9000)
    assert not policy.permits("10.0.255.255", 80)
    assert not policy.permits("10.2.0.0", 80)
    assert not policy.permits("fd00:2::", 443)
    assert not policy.permits("127.0.0.1", 80)


@pytest.mark.parametrize(
    ("networks", "allowed"),
    [([], False), (["10.0.0.0/8"], False), (["127.0.0.0/8"], True), (["127.0.0.1/32"], True), (["::1/128"], True), (["::2/128"], False)],
)  # fmt: skip
def test_only_a_network_in_loopback_allows_the_name_localhost(networks: list[str], allowed: bool) -> None:
    assert EgressPolicy.from_settings(networks).allows_loopback is allowed


@pytest.mark.parametrize("network", ["10.0.0.1/8", "localhost", "10.0.0.0/33", "*"])
def test_what_is_no_network_stops_the_start(network: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        EgressPolicy.from_settings([network])
