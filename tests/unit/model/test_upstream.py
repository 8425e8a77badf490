from typing import Any

import pytest

from tollhouse.model.entities import ENTITIES
from tollhouse.model.upstream import Healthchecks, Upstream, with_port

FAILED = "failed conditional validation given value of field '{}'"
REQUIRED = "required field missing"


def check(raw: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    return ENTITIES["upstreams"].schema.check({"name": "u", **raw})


def test_health_checks_are_filled_in() -> None:
    values, errors = check({"healthchecks": {"active": {"healthy": {"interval": 5}}}})
    assert errors == {}
    assert values["healthchecks"]["active"]["healthy"] == {
        "interval": 5,
        "http_statuses": [200, 302],
        "successes": 0,
    }
    assert values["healthchecks"]["passive"]["unhealthy"]["http_statuses"] == [429, 500, 503]


def test_the_defaults_of_the_classes_are_those_of_the_schema() -> None:
    assert Upstream(name="u").healthchecks == Healthchecks()


@pytest.mark.parametrize(
    ("raw", "algorithm", "hash_on"),
    [
        ({}, "round-robin", "none"),
        ({"hash_on": "ip"}, "consistent-hashing", "ip"),
        ({"hash_on": None}, "round-robin", "none"),
        ({"hash_on": "none", "algorithm": "consistent-hashing"}, "consistent-hashing", "none"),
        ({"hash_on": "ip", "algorithm": "round-robin"}, "consistent-hashing", "ip"),
        ({"algorithm": "latency", "hash_on": "ip"}, "latency", "none"),
        ({"algorithm": "least-connections"}, "least-connections", "none"),
    ],
)
def test_hash_and_algorithm_pull_each_other_along(raw: dict[str, Any], algorithm: str, hash_on: str) -> None:
    values, errors = check(raw)
    assert errors == {}
    assert (values["algorithm"], values["hash_on"]) == (algorithm, hash_on)


def needs(field: str, hash_field: str) -> dict[str, Any]:
    return {field: REQUIRED, "@entity": [FAILED.format(hash_field)]}


def only(text: str) -> dict[str, Any]:
    return {"hash_fallback": f"expected one of: {text}", "@entity": [FAILED.format("hash_on")]}


@pytest.mark.parametrize(
    ("raw", "errors"),
    [
        ({"name": None}, {"name": REQUIRED}),
        ({"slots": 1}, {"slots": "value should be between 10 and 65536"}),
        (
            {"algorithm": "x"},
            {"algorithm": "expected one of: consistent-hashing, least-connections, round-robin, latency"},
        ),
        ({"algorithm": 5}, {"algorithm": "expected a string"}),
        ({"host_header": "a b"}, {"host_header": "invalid hostname: a b"}),
        ({"hash_on": "header"}, needs("hash_on_header", "hash_on")),
        ({"hash_on": "cookie"}, needs("hash_on_cookie", "hash_on")),
        ({"hash_on": "query_arg"}, needs("hash_on_query_arg", "hash_on")),
        ({"hash_on": "uri_capture"}, needs("hash_on_uri_capture", "hash_on")),
        ({"hash_on": "ip", "hash_fallback": "header"}, needs("hash_fallback_header", "hash_fallback")),
        ({"hash_on": "ip", "hash_fallback": "cookie"}, needs("hash_on_cookie", "hash_fallback")),
        ({"hash_on": "ip", "hash_fallback": "query_arg"}, needs("hash_fallback_query_arg", "hash_fallback")),
        (
            {"hash_on": "ip", "hash_fallback": "uri_capture"},
            needs("hash_fallback_uri_capture", "hash_fallback"),
        ),
        ({"hash_fallback": "ip"}, only("none")),
        ({"hash_on": "cookie", "hash_on_cookie": "c", "hash_fallback": "ip"}, only("none")),
        (
            {"hash_on": "consumer", "hash_fallback": "consumer"},
            only("none, ip, header, cookie, path, query_arg, uri_capture"),
        ),
        (
            {"hash_on": "ip", "hash_fallback": "ip"},
            only("none, consumer, header, cookie, path, query_arg, uri_capture"),
        ),
        (
            {"hash_on": "path", "hash_fallback": "path"},
            only("none, consumer, header, cookie, query_arg, ip, uri_capture"),
        ),
        (
            {
                "hash_on": "header",
                "hash_fallback": "header",
                "hash_on_header": "a",
                "hash_fallback_header": "a",
            },
            {
                "@entity": [
                    "values of these fields must be distinct: 'hash_on_header', 'hash_fallback_header'"
                ]
            },
        ),
        (
            {
                "hash_on": "header",
                "hash_fallback": "header",
                "hash_on_header": "a",
                "hash_fallback_header": "b",
            },
            {},
        ),
        (
            {
                "healthchecks": {
                    "active": {"healthy": {"successes": 256, "x": 1}, "concurrency": 0},
                    "threshold": 101,
                }
            },
            {
                "healthchecks": {
                    "active": {
                        "healthy": {"successes": "value should be between 0 and 255", "x": "unknown field"},
                        "concurrency": "value should be between 1 and 2147483648",
                    },
                    "threshold": "value should be between 0 and 100",
                }
            },
        ),
    ],
)
def test_a_bad_upstream_is_told_in_kongs_words(raw: dict[str, Any], errors: dict[str, Any]) -> None:
    assert check(raw)[1] == errors


def test_a_target_needs_its_upstream() -> None:
    values, errors = ENTITIES["targets"].schema.check({"target": "x:99999"})
    assert errors == {
        "upstream": REQUIRED,
        "target": "Invalid target ('x:99999'); not a valid hostname or ip address",
    }
    assert values["weight"] == 100


@pytest.mark.parametrize(
    ("target", "stored"),
    [("a.test", "a.test:8000"), ("a.test:80", "a.test:80"), ("1.2.3.4", "1.2.3.4:8000")],
)
def test_a_target_is_kept_with_its_port(target: str, stored: str) -> None:
    assert with_port(target) == stored
