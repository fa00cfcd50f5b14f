"""Where a key may go, and which addresses an upstream may have.

A key is given for one origin. `NAME_HOST` beside the variable `NAME` says which, in the same place
(`.env` or the environment). The loader withholds a key whose origin is another one, so that whoever
can edit an address cannot read the key by it.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from config.errors import UsageError

PORTS = {"http": 80, "https": 443}
BOUND = "_HOST"
"""What follows a key variable's name in that of the variable with the key's origin."""
KEY_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,60}_(?:API_KEY|KEY|TOKEN)")
"""Names that the application may write into `.env`, and name in a host that it adds."""
OWN = ("ROUTER_", "GRADIO_", "AWS_", "GITHUB_", "GH_", "SSH_")
"""Beginnings of names that are not an upstream's key, whatever they end in."""

Resolve = Callable[[str], Iterable[str]]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def bound_variable(variable: str) -> str:
    """The variable that says for which origin the key in `variable` was given."""
    return variable + BOUND


def origin(url: str) -> str:
    """`https://name` of an address, with its port unless that is the scheme's own; a name alone is
    taken for https."""
    parts = urlsplit(url if "://" in url else f"https://{url}")
    name = (parts.hostname or "").rstrip(".")
    name = f"[{name}]" if ":" in name else name
    port = "" if parts.port in (None, PORTS.get(parts.scheme)) else f":{parts.port}"
    return f"{parts.scheme}://{name}{port}"


def withheld(variable: str, url: str, given_for: str | None, *, bound: bool) -> str | None:
    """Why the key in `variable` is not sent to `url`, as a sentence; None if it may be.

    `given_for` is the origin that it was given for, if that is known; `bound`: it must be.
    """
    if given_for is None and not bound:
        return None
    if given_for is not None and _same(given_for, url):
        return None
    was = "for no address yet" if given_for is None else f"for {given_for}"
    return (
        f"{variable} was given {was}, and is not sent to {origin(url)}: give it again on the page"
        f" (Providers, “Use a key”), or set {bound_variable(variable)}={origin(url)} beside it"
    )


def _same(given_for: str, url: str) -> bool:
    try:
        return origin(given_for) == origin(url)
    except ValueError:
        return False


def check_key_variable(name: str) -> None:
    """Raise UsageError unless `name` is a variable that the application may fill with a key."""
    if not KEY_VARIABLE.fullmatch(name) or name.startswith(OWN):
        raise UsageError(
            "the variable must be in capitals and end in _API_KEY, _KEY or _TOKEN, such as"
            " ACME_API_KEY, and must not be one that the system itself uses",
            "api_key_env",
        )


def resolved(name: str) -> list[str]:
    """The addresses of a host name; blocks. Empty if there are none."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [str(one[4][0]) for one in found]


def check_upstream(url: str, *, here: bool, keyed: bool, resolve: Resolve = resolved) -> None:
    """Raise UsageError for an address that a person may not put into the configuration.

    `here`: the person sits at this machine. Others may name public https addresses alone: their
    certificates also keep a name from being pointed at an inner service later. Nobody may name
    link-local addresses, where clouds serve credentials. Blocks while the name is looked up.
    """
    parts = urlsplit(url)
    name = parts.hostname or ""
    found = [_address(one) for one in _literal(name) or resolve(name)]
    if not found:
        raise UsageError(f"the host {name} is not known; check the address", "base_url")
    if any(_never(one) for one in found):
        raise UsageError(f"{name} is an address that no model is served at", "base_url")
    inner = any(not one.is_global for one in found)
    if not here and (inner or parts.scheme != "https"):
        raise UsageError(
            "only whoever sits at this machine may name an address that is not public or not https",
            "base_url",
        )
    if keyed and parts.scheme != "https" and not inner:
        raise UsageError(
            "a key would travel to a public address unencrypted: use https", "base_url"
        )


def _literal(name: str) -> list[str]:
    try:
        return [str(ipaddress.ip_address(name))]
    except ValueError:
        return []


def _address(text: str) -> Address:
    address = ipaddress.ip_address(text.partition("%")[0])
    return (_carried(address) if address.version == 6 else None) or address


def _carried(address: ipaddress.IPv6Address) -> Address | None:
    """The IPv4 address that packets to this one may end at (RFC 4291, 3056 and 6052)."""
    if any(address in net for net in _IN_LAST_BITS) and int(address) & 0xFFFFFFFF > 1:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


_IN_LAST_BITS = (ipaddress.IPv6Network("::/96"), ipaddress.IPv6Network("64:ff9b::/96"))
"""IPv4-compatible addresses and those of NAT64; `::` and `::1` are neither."""


def _never(address: Address) -> bool:
    return address.is_link_local or address.is_multicast or address.is_unspecified
