"""Which addresses are public: none that leads into a machine, a network or a cloud, however spelt."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overture.core.addresses import is_public


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "8.8.8.8",
        "93.184.216.34",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.1",
        "223.255.255.255",
        "2001:4860:4860::8888",
        "2606:4700:4700::1111",
        "2a00:1450:4001:81b::200e",
        "2A00:1450:4001:81B:0:0:0:200E",
    ],
)
def test_machines_on_the_internet_are_public(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        # This machine.
        *("0.0.0.0", "0.1.2.3", "127.0.0.1", "127.8.9.10", "127.255.255.255", "::", "::1"),
        # Its networks.
        *("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12:3456::1"),
        *("169.254.0.1", "fe80::1", "fe80::1%eth0", "fe80::1%1", "febf::1", "fec0::1", "feff::1"),
        *("100.64.0.1", "100.127.255.255"),
        # What clouds tell their machines.
        *("169.254.169.254", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "168.63.129.16"),
        # Everybody, nobody, examples.
        *("224.0.0.1", "239.255.255.250", "255.255.255.255", "240.0.0.1", "ff02::1", "ff0e::1"),
        *("192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "192.88.99.1"),
        *("2001:db8::1", "3fff::1", "2001::1", "2001:2::1", "2001:10::1", "100::1", "5f00::1"),
        # An IPv4 address in disguise: mapped, compatible, translated, 6to4, Teredo, ISATAP.
        *("::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:8.8.8.8", "::127.0.0.1", "::10.0.0.1"),
        *("64:ff9b::7f00:1", "64:ff9b::10.0.0.1", "64:ff9b:1::a00:1", "::ffff:0:127.0.0.1"),
        *("2002:7f00:1::", "2002:a00:1::1", "2001:0:7f00:1::", "2001:0:53aa:64c:0:0:80ff:fffe"),
        *("2606:4700::5efe:127.0.0.1", "2606:4700::200:5efe:10.0.0.1"),
        # No address at all, to those who read them strictly.
        *("", "localhost", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "1.1"),
        *("8.8.8.8.", " 8.8.8.8", "8.8.8.8:80", "08.8.8.8", "[2606:4700::1]", "٨.٨.٨.٨"),
    ],
)
def test_nothing_else_is(address):
    assert not is_public(address)


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_what_python_knows_not_to_be_global_is_not_public(address: IPv4Address | IPv6Address):
    known = address.is_private or address.is_multicast or address.is_reserved
    assert not (known and is_public(str(address)))


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:0:0", "::", "64:ff9b::", "2002::"]))
def test_no_disguise_of_an_address_is_public(inner: IPv4Address, network: str):
    shift = 80 if network == "2002::" else 0
    disguised = IPv6Address(int(ip_address(network)) | int(inner) << shift)
    assert not is_public(str(disguised))
