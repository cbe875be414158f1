"""Where webhooks may be sent to. An address that somebody gives us is asked by our machine, which may reach
what they cannot: so it is https, and on the public internet, unless the operator allows private networks.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

from billing.errors import Invalid

LONGEST_URL = 2000
ALLOW = "BILLING_WEBHOOK_PRIVATE=on"

# Carry an address of IPv4 inside: what they lead to is not known here.
_EMBEDDING = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")))


class NotAllowed(Exception):  # noqa: N818 - reads as what happened
    """An address that is not asked; the message says why."""


def check_url(url: str, *, private: bool) -> str:
    """The address of an endpoint, as it is kept. Its name is looked up only when something is sent. Raises
    Invalid."""
    url = url.strip()
    if len(url) > LONGEST_URL or not url.isascii() or any(each <= " " or each == "\x7f" for each in url):
        raise Invalid(
            f"url must be an address of at most {LONGEST_URL} characters, without spaces", field="url"
        )
    try:
        read = urlsplit(url)
        check_parts(read, private=private)
    except ValueError:
        raise Invalid(
            f"url {url!r} is not an address such as https://example.com/hooks", field="url"
        ) from None
    except NotAllowed as error:
        raise Invalid(f"url {error}", field="url") from None
    return url


def check_parts(read: SplitResult, *, private: bool) -> None:
    """Raises NotAllowed, or ValueError for what is no address."""
    if read.scheme not in ("http", "https") or not read.hostname:
        raise NotAllowed("must be an address such as https://example.com/hooks")
    if read.username is not None or read.fragment:
        raise NotAllowed("must not hold a user, a password or a fragment; requests are signed instead")
    _ = read.port  # raises ValueError for one that there is not
    if read.scheme == "http" and not private:
        raise NotAllowed(f"must begin with https://; http is for tests and networks of your own: set {ALLOW}")
    try:
        ip = ipaddress.ip_address(read.hostname)
    except ValueError:
        return
    allowed_among([str(ip)], private=private)


def resolve(host: str, port: int, *, private: bool) -> str:
    """The IP address of a host that may be asked. What is looked up here is what is connected to: a name that
    leads elsewhere a moment later leads nowhere. Raises NotAllowed, or OSError where there is none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return allowed_among([str(each[4][0]) for each in found], private=private)


def allowed_among(addresses: Iterable[str], *, private: bool) -> str:
    """The first of a host's addresses. Raises NotAllowed if one of them is not public."""
    listed = list(addresses)
    for each in listed:
        if not private and not is_public(each):
            raise NotAllowed(
                f"leads to {each}, which is not on the public internet; to allow it: set {ALLOW}"
            )
    return listed[0]


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet.

    >>> is_public("93.184.216.34"), is_public("127.0.0.1"), is_public("::ffff:10.0.0.1")
    (True, False, False)
    >>> is_public("169.254.169.254"), is_public("100.64.0.1"), is_public("fe80::1%eth0")
    (False, False, False)
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif any(ip in network for network in _EMBEDDING):
            return False
    return ip.is_global and not ip.is_multicast
