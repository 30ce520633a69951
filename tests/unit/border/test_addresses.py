"""Every kind of address that must stay closed, and what a setting may open."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from orchestrator.border.addresses import is_allowed

EVERYTHING = (ip_network("0.0.0.0/0"), ip_network("::/0"))
PRIVATE = (ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"), ip_network("::1/128"))


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104 - it is refused
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.8.8.8",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::10.0.0.1",
        "64:ff9b:1::10.0.0.1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2001:0:a9fe:a9fe::",
        "100::1",
        "2001:db8::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_address_that_is_not_public_is_closed(address):
    assert not is_allowed(ip_address(address), allow=())


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1"],
)
def test_public_address_is_open(address):
    assert is_allowed(ip_address(address), allow=())


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "::1", "::ffff:10.1.2.3"])
def test_allowed_network_opens_its_addresses(address):
    assert is_allowed(ip_address(address), allow=PRIVATE)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104 - it is refused
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "64:ff9b::169.254.169.254",
        "168.63.129.16",
        "100.100.100.200",
        "224.0.0.1",
        "fd00:ec2::254",
        "fe80::1",
        "ff02::1",
        "::",
    ],
)
def test_no_setting_opens_metadata_and_link_local_addresses(address):
    assert not is_allowed(ip_address(address), allow=EVERYTHING)
