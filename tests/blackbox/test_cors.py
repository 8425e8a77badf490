"""cors: preflights answered here, other answers decorated, for every way to name origins."""

from collections.abc import AsyncIterator

import pytest
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream

CONFIG = """_format_version: "3.0"
services:
- name: s
  url: {url}
  routes:
  - {{name: any, paths: [/any], plugins: [{{name: cors}}]}}
  - {{name: cookies, paths: [/cookies], plugins: [{{name: cors, config: {{credentials: true}}}}]}}
  - {{name: one, paths: [/one], plugins: [{{name: cors, config: {{origins: ["http://a.test"],
      credentials: true, max_age: 23, headers: [X-A, X-B], exposed_headers: [X-C, X-D],
      methods: [GET, PUT], private_network: true}}}}]}}
  - {{name: some, paths: [/some], plugins: [{{name: cors, config: {{credentials: true,
      origins: ["http://a.test", 'http://b\\.test:80\\d\\d', '[a-z]+\\.c\\.test', d.test]}}}}]}}
  - {{name: wild, paths: [/wild], plugins: [{{name: cors, config: {{origins: ["*", "http://a.test"]}}}}]}}
  - {{name: continued, paths: [/on], plugins: [{{name: cors, config: {{preflight_continue: true}}}}]}}
  - {{name: absent, paths: [/absent], plugins: [{{name: cors, config: {{allow_origin_absent: false}}}}]}}
  - {{name: keyed, paths: [/keyed], plugins: [{{name: cors}}, {{name: key-auth}}]}}
"""
PREFLIGHT = {"Origin": "http://a.test", "Access-Control-Request-Method": "PUT"}
ALL_METHODS = "GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS,TRACE,CONNECT"


@pytest.fixture(scope="module")
async def node(upstream: Upstream) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(CONFIG.format(url=upstream.url))
    yield gateway
    await gateway.stop()


async def cors_headers(node: Gateway, method: str, path: str, headers: dict[str, str]) -> dict[str, str]:
    """What CORS put on the answer."""
    reply = await node.request(method, path, headers)
    assert reply.status == 200
    prefix = "access-control-"
    return {
        name.removeprefix(prefix): value
        for name, value in reply.headers.items()
        if name == "vary" or name.startswith(prefix)
    }


async def test_a_preflight_is_answered_without_the_upstream(node: Gateway, upstream: Upstream) -> None:
    before = len(upstream.received)

    reply = await node.request("OPTIONS", "/any", PREFLIGHT)

    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["content-length"] == "0"
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["access-control-allow-methods"] == ALL_METHODS
    assert "access-control-allow-headers" not in reply.headers
    assert "access-control-max-age" not in reply.headers
    assert "access-control-allow-credentials" not in reply.headers
    assert len(upstream.received) == before


async def test_a_preflight_says_all_that_is_configured(node: Gateway) -> None:
    asked = PREFLIGHT | {
        "Access-Control-Request-Headers": "X-Z",
        "Access-Control-Request-Private-Network": "true",
    }

    assert await cors_headers(node, "OPTIONS", "/one", asked) == {
        "allow-origin": "http://a.test",
        "vary": "Origin",
        "allow-credentials": "true",
        "allow-headers": "X-A,X-B",
        "allow-methods": "GET,PUT",
        "max-age": "23",
        "allow-private-network": "true",
    }


async def test_headers_that_are_not_configured_are_allowed_as_asked(node: Gateway) -> None:
    asked = PREFLIGHT | {"Access-Control-Request-Headers": "x-one, x-two"}

    assert (await cors_headers(node, "OPTIONS", "/any", asked))["allow-headers"] == "x-one, x-two"


@pytest.mark.parametrize("missing", sorted(PREFLIGHT))
async def test_options_that_is_no_preflight_goes_to_the_upstream(
    node: Gateway, upstream: Upstream, missing: str
) -> None:
    before = len(upstream.received)

    await node.request("OPTIONS", "/any", {name: PREFLIGHT[name] for name in PREFLIGHT if name != missing})

    assert len(upstream.received) == before + 1


async def test_a_preflight_may_be_left_to_the_upstream(node: Gateway, upstream: Upstream) -> None:
    before = len(upstream.received)

    assert await cors_headers(node, "OPTIONS", "/on", PREFLIGHT) == {}
    assert len(upstream.received) == before + 1
    assert await cors_headers(node, "GET", "/on", PREFLIGHT) == {"allow-origin": "*"}


async def test_a_preflight_needs_no_key(node: Gateway) -> None:
    assert (await node.request("OPTIONS", "/keyed", PREFLIGHT)).status == 200


async def test_a_refusal_can_be_read_by_the_page_that_caused_it(node: Gateway) -> None:
    refused = await node.request("GET", "/keyed", {"Origin": "http://a.test"})

    assert refused.status == 401
    assert refused.headers["access-control-allow-origin"] == "*"


async def test_with_cookies_the_origin_is_named(node: Gateway) -> None:
    assert await cors_headers(node, "GET", "/cookies", {"Origin": "http://x.test"}) == {
        "allow-origin": "http://x.test",
        "allow-credentials": "true",
        "vary": "Origin",
    }
    assert await cors_headers(node, "GET", "/cookies", {}) == {"allow-origin": "*"}


@pytest.mark.parametrize("origin", ["http://a.test", "http://other.test", None])
async def test_a_single_origin_is_always_the_same(node: Gateway, origin: str | None) -> None:
    headers = {"Origin": origin} if origin else {}

    assert await cors_headers(node, "GET", "/one", headers) == {
        "allow-origin": "http://a.test",
        "vary": "Origin",
        "allow-credentials": "true",
        "expose-headers": "X-C,X-D",
    }


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://a.test", "http://a.test"),
        ("http://a.test:80", "http://a.test"),
        ("http://a.test:81", None),
        ("https://a.test", None),
        ("http://a.test.evil", None),
        ("http://evil-a.test", None),
        ("http://b.test:8042", "http://b.test:8042"),
        ("http://b.test:80421", None),
        ("http://bxtest:8042", None),
        ("https://sub.c.test", "https://sub.c.test"),
        ("https://sub.c.test:9", "https://sub.c.test:9"),
        ("https://sub.c.test.evil", None),
        ("https://evil.test/sub.c.test", None),
        ("http://d.test", None),  # a literal without scheme matches no URL
        ("d.test", "d.test"),
        ("sub.c.test", "sub.c.test"),
        ("null", None),
        ("no url at all", None),
        (None, None),
    ],
)
async def test_of_several_origins_the_one_that_matches_is_named(
    node: Gateway, origin: str | None, allowed: str | None
) -> None:
    expected = {"vary": "Origin", "allow-credentials": "true"}
    if allowed is not None:
        expected |= {"allow-origin": allowed}

    assert await cors_headers(node, "GET", "/some", {"Origin": origin} if origin else {}) == expected


async def test_an_asterisk_among_others_allows_all(node: Gateway) -> None:
    for origin in ("http://a.test", "http://b.test"):
        headers = await cors_headers(node, "GET", "/wild", {"Origin": origin})
        assert headers["vary"] == "Origin"
        assert headers["allow-origin"] == "*"
    assert await cors_headers(node, "GET", "/wild", {}) == {"vary": "Origin"}


async def test_without_an_origin_nothing_need_be_said(node: Gateway) -> None:
    assert await cors_headers(node, "GET", "/absent", {}) == {}
    assert await cors_headers(node, "GET", "/absent", {"Origin": ""}) == {}
    assert await cors_headers(node, "GET", "/absent", {"Origin": "http://a.test"}) == {"allow-origin": "*"}


async def test_a_setting_of_newer_versions_is_published_and_shown_where_it_says_something(
    node: Gateway,
) -> None:
    schema = (await node.admin_request("GET", "/schemas/plugins/cors")).json()
    plugins = (await node.admin_request("GET", "/plugins?size=1000")).json()

    assert isinstance(schema, dict)
    assert isinstance(plugins, dict)
    config = next(field["config"] for field in schema["fields"] if "config" in field)
    assert "allow_origin_absent" in {name for field in config["fields"] for name in field}
    configs = [plugin["config"] for plugin in plugins["data"] if plugin["name"] == "cors"]
    assert [each["allow_origin_absent"] for each in configs if "allow_origin_absent" in each] == [False]
