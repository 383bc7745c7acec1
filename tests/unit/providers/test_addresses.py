from __future__ import annotations

import ipaddress

import pytest

from adaptive_engine.errors import UpstreamFailed
from adaptive_engine.providers.addresses import AddressPolicy


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("93.184.216.34", True),
        ("127.0.0.1", True),
        ("10.0.0.5", True),
        ("169.254.169.254", False),
        ("::ffff:169.254.169.254", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("2002:a9fe:a9fe::1", False),
        ("fe80::1", False),
        ("fd00:ec2::254", False),
        ("224.0.0.1", False),
    ],
)
def test_link_local_is_refused_in_any_spelling(address: str, allowed: bool) -> None:
    assert (AddressPolicy().problem(ipaddress.ip_address(address), 80) is None) is allowed


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.5", "192.168.1.1", "::1", "fd12::1", "0.0.0.0"])
def test_private_ones_by_setting(address: str) -> None:
    problem = AddressPolicy(private=False).problem(ipaddress.ip_address(address), 80)
    assert problem is not None
    assert "ALLOW_PRIVATE_ENDPOINTS" in problem
    assert AddressPolicy(private=False).problem(ipaddress.ip_address("93.184.216.34"), 80) is None


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "0.0.0.0", "::1", "::ffff:127.0.0.1"])
def test_the_server_itself_is_refused(address: str) -> None:
    own = AddressPolicy(own=frozenset({("127.0.0.1", 9000)}))
    assert own.problem(ipaddress.ip_address(address), 9000) is not None
    assert own.problem(ipaddress.ip_address(address), 9001) is None


async def test_odd_spellings_of_addresses_are_looked_at_as_what_they_mean() -> None:
    """C libraries read 0x7f.1 as 127.0.0.1."""
    with pytest.raises(UpstreamFailed, match="link-local"):
        await AddressPolicy().resolve("0xa9.0xfe.0xa9.0xfe", 80)
    assert "127.0.0.1" in await AddressPolicy().resolve("localhost", 80)
