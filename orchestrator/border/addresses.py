"""Which addresses a call may reach.

`ipaddress` alone is no answer: it calls several closed ranges global, and an IPv6 address may wrap
an IPv4 one that a gateway on the way unwraps.
"""

from __future__ import annotations

from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_network,
)
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_ALWAYS_CLOSED: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "169.254.0.0/16",
        "224.0.0.0/4",
        "255.255.255.255/32",
        "::/128",
        "fe80::/10",
        "ff00::/8",
        # Where clouds hand out credentials.
        "100.100.100.200/32",
        "168.63.129.16/32",
        "192.0.0.192/32",
        "fd00:ec2::254/128",
    )
)
"""Closed even if an allowed network holds them."""

_CLOSED_ALTHOUGH_GLOBAL: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "192.0.0.0/24",
        "192.88.99.0/24",
        "240.0.0.0/4",
        "fec0::/10",
        "3fff::/20",
        "5f00::/16",
    )
)

_LOOPBACK_6 = IPv6Address("::1")
_LAST_32_BITS: tuple[IPv6Network, ...] = tuple(
    IPv6Network(text) for text in ("::/96", "64:ff9b::/96", "64:ff9b:1::/48")
)
_MAPPED = IPv6Network("::ffff:0:0/96")


def is_allowed(address: Address, *, allow: Collection[Network]) -> bool:
    """Say whether a call may go to this address.

    Args:
        address: What the name of the host was resolved to.
        allow: Networks that are open although they are not public.
    """
    return all(_is_open(found, allow) for found in _unwrapped(address))


def _is_open(address: Address, allow: Collection[Network]) -> bool:
    if _is_in(address, _ALWAYS_CLOSED):
        return False
    if _is_in(address, allow):
        return True
    return (
        address.is_global
        and not address.is_multicast
        and not _is_in(address, _CLOSED_ALTHOUGH_GLOBAL)
    )


def _is_in(address: Address, networks: Collection[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _unwrapped(address: Address) -> Iterator[Address]:
    """Yield every address that this one may end at: itself and those it wraps."""
    if isinstance(address, IPv4Address):
        yield address
        return
    if address in _MAPPED:
        # The system connects to the IPv4 address, never to this one.
        yield _low_bits(address)
        return
    yield address
    if address == _LOOPBACK_6:
        return
    if any(address in network for network in _LAST_32_BITS):
        yield _low_bits(address)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo


def _low_bits(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFF_FFFF)
