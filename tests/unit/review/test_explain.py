"""Where a request would go."""

from typing import Any

import pytest

from tollhouse.config.declarative import load
from tollhouse.plugins import Registry
from tollhouse.review.asked import Unreadable, asked
from tollhouse.review.explain import Explanation, explain

PLUGINS = Registry()
CONFIG = """_format_version: "3.0"
services:
- name: orders
  url: http://orders.test:8080/v1
  routes:
  - {name: all, paths: [/orders]}
  - {name: one, paths: ['~/orders/(?<id>[0-9]+)$'], methods: [GET]}
  - {name: api, hosts: [api.test], paths: [/orders], headers: {x-version: ["2"]}}
  plugins:
  - {name: rate-limiting, config: {minute: 5}}
- {name: closed, host: pool, enabled: false, routes: [{name: disabled, paths: [/orders]}]}
- {name: pooled, host: pool, routes: [{name: kept, paths: [/pool], strip_path: false, preserve_host: true}]}
upstreams:
- {name: pool, targets: [{target: "10.0.0.1:80", weight: 5}]}
consumers:
- username: u
  keyauth_credentials: [{key: k}]
  plugins: [{name: rate-limiting, config: {minute: 7}}]
plugins:
- {name: key-auth}
- {name: rate-limiting, config: {minute: 1}}
"""


def explained(*words: str, consumer: str | None = None) -> Explanation:
    snapshot = load(CONFIG, file=None, plugins=PLUGINS, flavor="traditional_compatible", now=5)
    return explain(snapshot, asked(words), "traditional_compatible", PLUGINS, consumer)


def plugins(found: Explanation) -> list[tuple[str, str, Any]]:
    return [(each.name, each.origin, each.instance.config.get("minute")) for each in found.plugins]


def test_the_route_and_why_not_the_others() -> None:
    found = explained("GET", "http://any/orders/42?x=1")
    assert found.route is not None
    assert found.route.name == "one"
    assert dict(found.captures) == {"id": "42"}
    assert found.upstream_uri == "http://orders.test:8080/v1?x=1"
    assert found.upstream_host == "orders.test:8080"
    assert {each.route: each.reason for each in found.missed} == {
        "all": "it matches too, but one comes first",
        "api": "hosts: api.test does not hold for any",
        "disabled": "its service closed is disabled",
        "kept": "paths: /pool does not hold for /orders/42",
    }


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("POST", "http://api.test/orders/42"), "methods: GET does not hold for POST"),
        (("GET", "http://api.test/orders"), "paths: ~/orders/(?<id>[0-9]+)$ does not hold for /orders"),
    ],
)
def test_the_first_criterion_that_does_not_hold(words: tuple[str, ...], reason: str) -> None:
    assert {each.route: each.reason for each in explained(*words).missed}["one"] == reason


def test_what_counts_for_whom() -> None:
    assert plugins(explained("/orders")) == [
        ("key-auth", "global", None),
        ("rate-limiting", "service orders", 5),
    ]
    with_key = explained("/orders", "-H", "apikey: k")
    assert with_key.consumer is not None
    assert with_key.consumer.username == "u"
    assert plugins(with_key) == [("key-auth", "global", None), ("rate-limiting", "consumer u", 7)]
    assert [each.origin for each in with_key.outweighed] == ["service orders", "global"]
    assert plugins(explained("/pool", consumer="u"))[1] == ("rate-limiting", "consumer u", 7)


def test_upstreams_and_hosts() -> None:
    found = explained("http://client.test/pool/a")
    assert found.upstream_uri == "http://pool:80/pool/a"
    assert found.upstream_host == "client.test"
    assert found.targets == ("10.0.0.1:80 (weight 5)",)


def test_no_route() -> None:
    found = explained("http://any/none")
    assert (found.route, found.upstream_uri, found.outweighed) == (None, None, ())


def test_a_consumer_that_does_not_exist() -> None:
    with pytest.raises(LookupError, match="there is no consumer x"):
        explained("/orders", consumer="x")


@pytest.mark.parametrize(
    ("words", "method", "raw", "host"),
    [
        (["GET", "http://a.test/b?c"], "GET", "/b?c", "a.test"),
        (["/b"], "GET", "/b", "localhost"),
        (["a.test/b"], "GET", "/b", "a.test"),
        (["curl", "-sS", "-X", "PUT", "https://a.test:8443/b"], "PUT", "/b", "a.test:8443"),
        (["curl -d '{}' http://a.test/b -H 'Host: c.test'"], "POST", "/b", "c.test"),
        (["curl", "--request=DELETE", "--url", "http://a.test/b", "-o", "out"], "DELETE", "/b", "a.test"),
        (["curl", "-XPATCH", "-I", "-H", "A: b", "http://u:p@a.test"], "HEAD", "/", "a.test"),
    ],
)
def test_requests_as_people_write_them(words: list[str], method: str, raw: str, host: str) -> None:
    request = asked(words)
    assert (request.method, request.target.raw, request.host) == (method, raw, host)
    assert request.headers["host"] == host


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "there is no URL"),
        (["ftp://a/b"], "is no http:// or https:// URL"),
        (["/a", "-H", "nonsense"], "is no header"),
    ],
)
def test_what_is_no_request(words: list[str], message: str) -> None:
    with pytest.raises(Unreadable, match=message):
        asked(words)


def test_credentials_and_cookies_are_headers() -> None:
    request = asked(["curl", "-u", "a:b", "-A", "agent", "-b", "c=d", "http://x/"])
    assert request.headers["authorization"] == "Basic YTpi"
    assert request.headers["user-agent"] == "agent"
    assert request.headers["cookie"] == "c=d"
