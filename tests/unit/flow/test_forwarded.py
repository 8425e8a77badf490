"""Whose word counts: addresses that are trusted, and the client found behind them."""

import pytest

from tollhouse.flow.forwarded import Trust, host_without_port
from tollhouse.pdk.messages import Request
from tollhouse.wire.http1 import RequestReader


def asked(*chain: str) -> Request:
    lines = "".join(f"\r\nX-Forwarded-For: {value}" for value in chain)
    return RequestReader(Request).read(f"GET / HTTP/1.1\r\nHost: a{lines}".encode())


@pytest.mark.parametrize(
    ("trusted", "peer", "trusts"),
    [
        (["10.0.0.0/8"], "10.1.2.3", True),
        (["10.0.0.0/8"], "11.1.2.3", False),
        (["10.1.2.3"], "10.1.2.3", True),
        (["10.1.2.3/8"], "10.9.9.9", True),
        (["::/0"], "2001:db8::1", True),
        (["::/0"], "10.1.2.3", False),
        (["0.0.0.0/0"], "unix:", False),
        (["unix:"], "unix:", True),
        ([], "127.0.0.1", False),
        (["10.0.0.0/8"], "nonsense", False),
    ],
)
def test_a_peer_is_trusted_by_its_address(trusted: list[str], peer: str, trusts: bool) -> None:
    assert Trust.of(trusted, "x-real-ip", recursive=False).trusts(peer) is trusts


def test_a_setting_that_is_no_address_is_refused() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        Trust.of(["nonsense"], "x-real-ip", recursive=False)


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        ((), "10.0.0.1"),
        (("1.1.1.1",), "1.1.1.1"),
        (("6.6.6.6, 1.1.1.1, 10.0.0.2",), "1.1.1.1"),
        (("6.6.6.6", "1.1.1.1", "10.0.0.2"), "1.1.1.1"),
        (("10.0.0.3, 10.0.0.2",), "10.0.0.3"),
        (("1.1.1.1, bad, 10.0.0.2",), "10.0.0.2"),
        ((",, 1.1.1.1 ,",), "1.1.1.1"),
        (("1.1.1.1:99",), "1.1.1.1"),
        (("[2001:db8::1]:99",), "2001:db8::1"),
    ],
)
def test_a_chain_is_walked_while_it_can_be_trusted(chain: tuple[str, ...], client: str) -> None:
    trust = Trust.of(["10.0.0.0/8"], "X-Forwarded-For", recursive=True)

    assert trust.client_ip("10.0.0.1", asked(*chain)) == client


@pytest.mark.parametrize(
    ("host", "bare"), [("a", "a"), ("a:80", "a"), ("[::1]", "[::1]"), ("[::1]:80", "[::1]"), ("", "")]
)
def test_a_port_is_taken_off_a_host(host: str, bare: str) -> None:
    assert host_without_port(host) == bare
