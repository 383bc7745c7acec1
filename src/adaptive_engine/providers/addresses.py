"""Where requests to providers may go: what an endpoint's name stands for is looked at before each connection."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass

from adaptive_engine.errors import UpstreamFailed

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Metadata services of clouds that are not link-local.
_METADATA = {ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("100.100.100.200")}


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """`private`: whether this machine and its networks may be asked. `own`: the addresses this server listens on."""

    private: bool = True
    own: frozenset[tuple[str, int]] = frozenset()

    def problem(self, address: Address, port: int) -> str | None:
        """Why no request goes there, None where it may."""
        address = _plain(address)
        if address.is_link_local or address in _METADATA:
            return f"{address} is link-local: clouds answer there with the secrets of their machines"
        here = address.is_loopback or address.is_unspecified
        if address.is_multicast or (address.is_reserved and not here):
            return f"{address} is no address of a server"
        if any(port == own_port and (here or str(address) == host) for host, own_port in self.own):
            return f"{address}:{port} is this server itself"
        if not self.private and not address.is_global:
            return f"{address} is private, and ADAPTIVE_PROVIDERS__ALLOW_PRIVATE_ENDPOINTS is off"
        return None

    async def resolve(self, host: str, port: int) -> list[str]:
        """Addresses to connect to. Raises UpstreamFailed when none of them is allowed, OSError without any."""
        found: list[Address] = []
        try:
            found.append(ipaddress.ip_address(host))
        except ValueError:
            loop = asyncio.get_running_loop()
            for info in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                found.append(ipaddress.ip_address(str(info[4][0]).partition("%")[0]))
        problems = [self.problem(address, port) for address in found]
        allowed = [str(address) for address, problem in zip(found, problems, strict=True) if problem is None]
        if not allowed:
            raise UpstreamFailed(f"The endpoint is refused: {problems[0]}.", code="upstream_address_refused")
        return allowed


def _plain(address: Address) -> Address:
    """IPv4 in any of the forms that IPv6 has for it."""
    if isinstance(address, ipaddress.IPv6Address):
        embedded = address.ipv4_mapped or address.sixtofour
        if embedded is not None:
            return embedded
        # NAT64.
        if address in ipaddress.ip_network("64:ff9b::/96"):
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
