from ipaddress import ip_address

import pytest

from tollhouse.routing.facts import Facts, field_type, reader
from tollhouse.wire.headers import Headers


def facts(path: str = "/foo/bar/baz", query: str | None = None, sni: str | None = None) -> Facts:
    headers = Headers.new([("X-Ver", "1"), ("X_Odd", "u"), ("X-Odd", "d"), ("Two", "a"), ("Two", "b")])
    return Facts("GET", path, "a.test", headers, "https", 8443, sni, query, ("10.0.0.1", 5000), "::1")


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("http.method", ["GET"]),
        ("http.host", ["a.test"]),
        ("http.path", ["/foo/bar/baz"]),
        ("http.headers.x_ver", ["1"]),
        ("http.headers.X_Ver", ["1"]),
        ("http.headers.x_odd", ["u"]),
        ("http.headers.two", ["a", "b"]),
        ("http.headers.none", []),
        ("net.protocol", ["https"]),
        ("net.dst.port", [8443]),
        ("net.dst.ip", [ip_address("::1")]),
        ("net.src.ip", [ip_address("10.0.0.1")]),
        ("net.src.port", [5000]),
        ("tls.sni", []),
    ],
)
def test_values(field: str, values: list[object]) -> None:
    assert field_type(field) is not None
    assert list(reader(field)(facts())) == values


@pytest.mark.parametrize(
    ("path", "key", "values"),
    [
        ("/foo/bar", "0", ["foo"]),
        ("/foo/bar", "1", ["bar"]),
        ("/foo/bar", "2", []),
        ("/foo/bar/", "len", [2]),
        ("/foo/bar/", "2", []),
        ("/", "len", [0]),
        ("/", "0", []),
        ("/a/b/c", "0_1", ["a/b"]),
        ("/a/b/c", "1_2", ["b/c"]),
        ("/a/b/c", "1_3", []),
    ],
)
def test_segments(path: str, key: str, values: list[object]) -> None:
    assert list(reader(f"http.path.segments.{key}")(facts(path))) == values


@pytest.mark.parametrize(
    ("query", "values"),
    [
        (None, []),
        ("b=1", []),
        ("a=1", ["1"]),
        ("a", [""]),
        ("a=", [""]),
        ("a=1&b=2&a=%32+3", ["1", "2 3"]),
    ],
)
def test_queries(query: str | None, values: list[str]) -> None:
    assert list(reader("http.queries.a")(facts(query=query))) == values


def test_an_sni_is_there_when_the_client_sent_one() -> None:
    assert list(reader("tls.sni")(facts(sni="s.test"))) == ["s.test"]


def test_what_is_not_known_is_not_there() -> None:
    bare = Facts("GET", "/", "", Headers.new(), "http", 80, None, None, ("unix:", 0), None)
    for field in ("http.host", "net.src.ip", "net.dst.ip"):
        assert list(reader(field)(bare)) == []


@pytest.mark.parametrize("field", ["http", "http.headers", "http.headers.a.b", "net.port", "http.path.x"])
def test_unknown_fields_have_no_type(field: str) -> None:
    assert field_type(field) is None
