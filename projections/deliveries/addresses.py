"""Where a webhook may go: nowhere inside. The defence against server-side request forgery.

A URL is somebody's input, and this process may reach what its author may not. So a name is resolved here,
every address that it has must be a public one, and the connection goes to one of the addresses that were
checked: there is no second look-up that a name server could answer in another way. An address that carries an
IPv4 address inside (mapped, NAT64, 6to4, Teredo) is refused whatever it carries. A number that looks like a
name (`2130706433`, `0177.0.0.1`) is turned into an address by the resolver like any other name, and checked.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple

Resolve = Callable[[str, int], Sequence[str]]

# The IANA registries of special-purpose addresses, multicast, and Azure's metadata server, which is public.
_REFUSED_V4 = [
    ip_network("0.0.0.0/8"),
    ip_network("10.0.0.0/8"),
    ip_network("100.64.0.0/10"),
    ip_network("127.0.0.0/8"),
    ip_network("169.254.0.0/16"),
    ip_network("172.16.0.0/12"),
    ip_network("192.0.0.0/24"),
    ip_network("192.0.2.0/24"),
    ip_network("192.31.196.0/24"),
    ip_network("192.52.193.0/24"),
    ip_network("192.88.99.0/24"),
    ip_network("192.168.0.0/16"),
    ip_network("192.175.48.0/24"),
    ip_network("198.18.0.0/15"),
    ip_network("198.51.100.0/24"),
    ip_network("203.0.113.0/24"),
    ip_network("224.0.0.0/4"),
    ip_network("240.0.0.0/4"),
    ip_network("168.63.129.16/32"),
]
# Of IPv6 only global unicast is allowed, and of that not what is reserved or carries IPv4.
_GLOBAL_V6 = ip_network("2000::/3")
_REFUSED_V6 = [
    ip_network("2001::/23"),
    ip_network("2001:db8::/32"),
    ip_network("2002::/16"),
    ip_network("2620:4f:8000::/48"),
    ip_network("3fff::/20"),
]
_ISATAP = (0x00005EFE, 0x02005EFE)  # bits 64 to 95 of an address that carries IPv4 (RFC 5214)

_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<target>(?:/[!-\"$-;=?-\[\]-~]*)?)\Z"
)


class AddressRefused(Exception):
    """Nothing is sent there; the message says why, without what the resolver said about the inside."""


class Target(NamedTuple):
    """A URL that was taken apart once, for everybody. `host` of an IPv6 address is without brackets."""

    scheme: str
    host: str
    port: int
    target: str


def parse(url: str, *, insecure: bool = False) -> Target:
    """A URL that may be subscribed (AddressRefused). `insecure`: http and private addresses too."""
    found = _URL.match(url)
    if found is None or len(url) > 2_000:
        raise AddressRefused("a URL is https://host[:port]/path, in ASCII, without user or fragment")
    if found["scheme"] != "https" and not insecure:
        raise AddressRefused("only https is allowed")
    host = found["host"].strip("[]")
    port = int(found["port"] or (443 if found["scheme"] == "https" else 80))
    if not 1 <= port <= 65_535:
        raise AddressRefused("there is no such port")
    try:
        literal = ip_address(host)
    except ValueError:
        if found["host"].startswith("["):
            raise AddressRefused("the address in brackets is not an IPv6 address") from None
    else:
        if not insecure and not public(str(literal)):
            raise AddressRefused("the address is not a public one")
    return Target(found["scheme"], host, port, found["target"] or "/")


def public(address: str) -> bool:
    """Whether an address is out in the internet, beyond doubt."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv4Address):
        return not any(found in network for network in _REFUSED_V4)
    assert isinstance(found, IPv6Address)
    if found.scope_id is not None or found not in _GLOBAL_V6 or any(found in n for n in _REFUSED_V6):
        return False
    return (int(found) >> 32) & 0xFFFFFFFF not in _ISATAP


def resolve(host: str, port: int) -> Sequence[str]:
    """Every address of a name, as the system finds them (OSError)."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


def checked(host: str, port: int, resolve: Resolve, *, insecure: bool = False) -> Sequence[str]:
    """The addresses of a name, all of them and each of them public (AddressRefused, OSError)."""
    found = resolve(host, port)
    if not found:
        raise AddressRefused("the name has no address")
    if not insecure and not all(public(address) for address in found):
        raise AddressRefused("the name has an address that is not public")
    return found
