from collections.abc import Callable

import pytest

from tollhouse.model import validators as v

Validator = Callable[[str], str | None]


@pytest.mark.parametrize(
    ("validator", "text", "error"),
    [
        (
            v.tag,
            "a,b",
            "invalid tag 'a,b': expected printable ascii (except `,` and `/`) or valid utf-8 sequences",
        ),
        (
            v.tag,
            "a/b",
            "invalid tag 'a/b': expected printable ascii (except `,` and `/`) or valid utf-8 sequences",
        ),
        (
            v.utf8_name,
            "a b",
            "invalid value 'a b': the only accepted ascii characters are alphanumerics or ., -, _, and ~",
        ),
        (
            v.header_name,
            "a b",
            "bad header name 'a b', allowed characters are A-Z, a-z, 0-9, '_', and '-'",
        ),
        (v.ip, "x", "not an ip address: x"),
        (v.ip_or_cidr, "300.1.1.1", "invalid ip or cidr range: '300.1.1.1'"),
        (v.host, "a b", "invalid value: a b"),
        (v.host, "a:80", "must not have a port"),
        (v.host, "a:99999", "must not have a port"),
        (v.sni, "1.2.3.4", "must not be an IP"),
        (v.sni, "a:1", "must not have a port"),
        (v.wildcard_host, "a*b", "wildcard must be leftmost or rightmost character"),
        (v.wildcard_host, "*.x.*", "only one wildcard must be specified"),
        (v.wildcard_host, "*. x", "invalid value: wildcard. x"),
        (v.host_with_optional_port, "a b", "invalid hostname: a b"),
        (v.host_with_optional_port, "a:99999", "invalid port number"),
        (v.route_host, "a b.*", "invalid hostname: a b.abc"),
        (v.upstream_name, "http://x", "Invalid name ('http://x'); must be a valid hostname"),
        (v.upstream_name, "1.2.3.4", "Invalid name ('1.2.3.4'); no ip addresses allowed"),
        (v.upstream_name, "a:1", "Invalid name ('a:1'); no port allowed"),
        (v.target, "x:y:z", "Invalid target ('x:y:z'); not a valid hostname or ip address"),
        (v.path, "/a b", "invalid path: '/a b' (characters outside of the reserved list of RFC 3986 found)"),
        (v.path, "/%zz", "invalid url-encoded value: '%zz'"),
        (v.path, "/%", "invalid url-encoded value: '%'"),
        (v.route_path, "/%zz", "invalid url-encoded value: '%zz'"),
        (v.route_path, "/ok/../x", "non-normalized path, consider use '/x' instead"),
        (v.route_path, "/%41", "non-normalized path, consider use '/A' instead"),
        (v.route_path, "/%2f", "non-normalized path, consider use '/%2F' instead"),
        (v.route_path, "/..", "non-normalized path, consider use '/' instead"),
        (
            v.route_path,
            "~/(",
            "invalid regex: '/(' (PCRE returned: pcre2_compile() failed: "
            'missing closing parenthesis in "/(")',
        ),
        (v.url, "nourl", "missing host in url"),
        (v.url, "http:///x", "missing host in url"),
        (v.url, "//host", "missing scheme in url"),
    ],
)
def test_a_bad_text_is_told_in_kongs_words(validator: Validator, text: str, error: str) -> None:
    assert validator(text) == error


@pytest.mark.parametrize(
    ("validator", "text"),
    [
        (v.tag, "a b~é"),
        (v.utf8_name, "naïve.name-1_~"),
        (v.header_name, "X-Kong_1"),
        (v.cookie_name, "session|id"),
        (v.ip, "::1"),
        (v.ip_or_cidr, "10.0.0.0/8"),
        (v.host, "1.2.3.4"),
        (v.host, "::1"),
        (v.sni, "a.test"),
        (v.wildcard_host, "*.a.test"),
        (v.wildcard_host, "a.*"),
        (v.host_with_optional_port, "[::1]:80"),
        (v.route_host, "*.a.test:8000"),
        (v.upstream_name, "a_b.test"),
        (v.target, "1.2.3.4"),
        (v.path, "/a/%2f;x=1"),
        (v.route_path, "/a b"),
        (v.route_path, "/re/\\d+"),
        (v.route_path, "/é"),
        (v.route_path, "/a/b/"),
        (v.route_path, "~/a/(?<id>\\d+)$"),
        (v.url, "http://a:80/x"),
    ],
)
def test_a_good_text_passes(validator: Validator, text: str) -> None:
    assert validator(text) is None


def test_a_bad_cookie_name_is_told() -> None:
    assert (v.cookie_name("a b") or "").startswith("contains one or more invalid characters.")


@pytest.mark.parametrize(
    ("path", "normal"),
    [
        ("/", "/"),
        ("/a/./b", "/a/b"),
        ("/a//b/", "/a/b/"),
        ("/a/b/..", "/a/"),
        ("/../../x", "/x"),
        ("/%c3%a9", "/é"),
        ("/%zz", "/%zz"),
        ("/a.b", "/a.b"),
    ],
)
def test_a_path_is_normalised_as_by_kongs_router(path: str, normal: str) -> None:
    assert v.normalised_path(path) == normal


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("http://a.test:80/x?y#z", ("http", "a.test", "80", "/x")),
        ("https://[::1]:8443", ("https", "::1", "8443", None)),
        ("//a/p;q", (None, "a", None, "/p")),
        ("x", (None, None, None, "x")),
        ("http://u:p@h/", ("http", "h", None, "/")),
    ],
)
def test_a_url_is_split_as_by_luasocket(url: str, parts: tuple[str | None, ...]) -> None:
    assert v.url_parts(url) == parts
