import re

import pytest

from tollhouse.model import hosts


@pytest.mark.parametrize(
    ("text", "kind", "host", "port"),
    [
        ("a.test", "name", "a.test", None),
        ("a_b-c.test.", "name", "a_b-c.test.", None),
        ("A:80", "name", "A", 80),
        ("-a", "name", "-a", None),
        ("1.2.3.4", "ipv4", "1.2.3.4", None),
        ("001.02.3.4:8000", "ipv4", "1.2.3.4", 8000),
        ("::1", "ipv6", "0000:0000:0000:0000:0000:0000:0000:0001", None),
        ("[fe80::A]:443", "ipv6", "fe80:0000:0000:0000:0000:0000:0000:000a", 443),
        ("[::]", "ipv6", "0000:0000:0000:0000:0000:0000:0000:0000", None),
        ("1:2:3:4:5:6:7:8", "ipv6", "0001:0002:0003:0004:0005:0006:0007:0008", None),
    ],
)
def test_a_host_is_read_as_kong_reads_it(text: str, kind: str, host: str, port: int | None) -> None:
    assert hosts.parse(text) == hosts.Host(kind, host, port)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "invalid hostname: "),
        ("a b", "invalid hostname: a b"),
        ("a..b", "invalid hostname: a..b"),
        ("a-.b", "invalid hostname: a-.b"),
        ("http://x", "invalid hostname: http://x"),
        ("x:y", "invalid hostname: x:y"),
        ("300.1.1.1", "invalid ipv4 address: 300.1.1.1"),
        ("1.2.3", "invalid ipv4 address: 1.2.3"),
        ("x:y:z", "invalid ipv6 address: x:y:z"),
        ("[::1", "invalid ipv6 address"),
        ("1::2::3", "invalid ipv6 address: 1::2::3"),
        ("a:99999", "invalid port number"),
        ("1.2.3.4:65536", "invalid port number"),
        ("[::1]:" + "9" * 5000, "invalid port number"),
    ],
)
def test_what_is_no_host_is_told(text: str, error: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(error)}$"):
        hosts.parse(text)


def test_a_port_is_added_where_there_is_none() -> None:
    assert hosts.parse("a").with_port(8000) == "a:8000"
    assert hosts.parse("a:1").with_port(8000) == "a:1"
    assert hosts.parse("::1").with_port(80) == "[0000:0000:0000:0000:0000:0000:0000:0001]:80"


@pytest.mark.parametrize("text", ["1.2.3.4", "::1", "[::1]", "10.0.0.0/8", "::/0", "1.2.3.4/32", "fe80::/64"])
def test_an_address_or_range_is_known(text: str) -> None:
    assert hosts.is_ip_or_cidr(text)


@pytest.mark.parametrize(
    "text",
    ["a", "1.2.3", "01.2.3.4", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/08", "fe80::1%eth0", "::/129", "/8"],
)
def test_what_is_neither_address_nor_range_is_not(text: str) -> None:
    assert not hosts.is_ip_or_cidr(text)
