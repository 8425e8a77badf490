import pytest

from tollhouse.routing.hosts import (
    HostKeys,
    compatible_key,
    compatible_parts,
    split_port,
    traditional_parts,
    wildcards,
)


@pytest.mark.parametrize(
    ("host", "parts"),
    [
        ("a.test", ("a.test", "")),
        ("a.test:80", ("a.test", "80")),
        ("a.test:080", ("a.test", "80")),
        ("a.test:0", ("a.test", "0")),
        ("a.test:", ("a.test:", "")),
        ("a.test:x", ("a.test:x", "")),
        ("a.test:²", ("a.test:²", "")),
        ("[::1]:80", ("[::1]:80", "")),
        ("a.test:" + "9" * 5000, ("a.test:" + "9" * 5000, "")),
        ("", ("", "")),
    ],
)
def test_only_a_number_is_a_port(host: str, parts: tuple[str, str]) -> None:
    assert split_port(host) == parts


def test_a_configured_port_is_a_number_too() -> None:
    assert compatible_key("a.test:0080") == "a.test:80"
    assert compatible_key("*.a.test") == "*.a.test"


@pytest.mark.parametrize(
    ("host", "bare", "with_port", "explicit"),
    [
        ("a.test", "a.test", "a.test:80", False),
        ("a.test:81", "a.test", "a.test:81", True),
        ("a.test:", "a.test", "a.test:80", False),
        ("a.test:x", "a.test:x", "[a.test:x]:80", False),
        ("[::1]", "::1", "[::1]:80", False),
        ("[::1]:", "::1", "[::1]:80", False),
        ("[::1]:81", "::1", "[::1]:81", True),
        ("[::1", "[::1", "[::1:80", False),
        ("[::1]:x", "[::1]:x", "[::1]:x:80", False),
    ],
)
def test_how_the_traditional_router_splits(host: str, bare: str, with_port: str, explicit: bool) -> None:
    name, _, number = with_port.rpartition(":")
    keys = (bare, with_port) if explicit else (bare,)
    assert traditional_parts(host, "http", 8000) == (keys, name, number)


def test_the_scheme_decides_the_default_port() -> None:
    assert traditional_parts("a", "https", 8443) == (("a",), "a", "443")
    assert compatible_parts("a", "https", 8443) == (("a", "a:8443"), "a", "8443")


def test_wildcards_are_open_at_one_end() -> None:
    assert wildcards("a.b.c") == ["*.b.c", "a.*", "*.c", "a.b.*"]
    assert wildcards("a.b", "80") == ["*.b", "a.*", "*.b:80", "a.*:80"]
    assert wildcards("a") == []


def test_no_more_keys_than_kinds_are_configured() -> None:
    assert list(HostKeys(compatible_parts, wild=False, ported=False)("a.b", "http", 80)) == ["a.b"]
    assert list(HostKeys(compatible_parts, wild=False, ported=True)("a.b", "http", 80)) == ["a.b", "a.b:80"]
    assert "a.*" in HostKeys(compatible_parts, wild=True, ported=False)("a.b", "http", 80)
    assert "a.*:80" not in HostKeys(compatible_parts, wild=True, ported=False)("a.b", "http", 80)
    assert "a.*:80" in HostKeys(compatible_parts, wild=True, ported=True)("a.b", "http", 80)
