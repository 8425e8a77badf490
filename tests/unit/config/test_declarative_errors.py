"""What is wrong with a declarative file, all of it, in Kong's map and with lines."""

from collections.abc import Callable
from typing import Any

import pytest

from tollhouse.config.declarative import Refused
from tollhouse.errors import ConfigErrors

Refuse = Callable[[str], Refused]


def errors_of(refused: ConfigErrors) -> list[tuple[str, str, int | None]]:
    return [(error.path, error.message, error.line) for error in refused.errors]


BROKEN = """\
_format_version: "3.0"
services:
- name: s
  host: a
  routes:
  - name: r
    paths:
    - /ok
    - bad
    plugins:
    - name: key-auth
      config:
        key_names: [a, "b c"]
        bogus: 1
  port: 70000
routes:
- paths: [/x]
  service: nobody
- {}
consumers:
- username: u
- username: u
  groups: [{name: nobody}]
- {jwt_secrets: [{key: k, algorithm: X}], username: v}
filter_chains: [{name: x}]
extra: 1
"""

ALGORITHMS = (
    "expected one of: HS256, HS384, HS512, RS256, RS384, RS512, ES256, ES384, ES512, "
    "PS256, PS384, PS512, EdDSA"
)


def test_every_error_comes_at_once_with_its_path_and_line(refusal_of: Refuse) -> None:
    matcher = "must set one of 'methods', 'hosts', 'headers', 'paths', 'snis' when 'protocols' is 'https'"
    header = "bad header name 'b c', allowed characters are A-Z, a-z, 0-9, '_', and '-'"
    assert errors_of(refusal_of(BROKEN)) == [
        (
            "services[0].routes[0].paths[1]",
            "should start with: / (fixed path) or ~/ (regex path)",
            9,
        ),
        ("services[0].routes[0].plugins[0].config.key_names[1]", header, 13),
        ("services[0].routes[0].plugins[0].config.bogus", "unknown field", 14),
        ("services[0].port", "value should be between 0 and 65535", 15),
        ("routes[0].service", "invalid reference 'service: nobody' (no such entry in 'services')", 18),
        ("routes[1]", matcher, 19),
        (
            "consumers[1]",
            "uniqueness violation: 'consumers' entity with username set to 'u' already declared",
            22,
        ),
        (
            "consumers[1].groups[0].consumer_group",
            "invalid reference 'consumer_group: nobody' (no such entry in 'consumer_groups')",
            23,
        ),
        ("consumers[2].jwt_secrets[0].algorithm", ALGORITHMS, 24),
        ("filter_chains", "'filter_chains' is not supported yet by this version of Tollhouse", 25),
        ("extra", "unknown field", 26),
    ]


def test_an_error_reads_as_file_line_path_and_text(refusal_of: Refuse) -> None:
    refused = refusal_of('_format_version: "3.0"\nservices:\n- {name: s}\n')
    assert str(refused.errors[0]) == "kong.yml:3: services[0].host: required field missing"


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (
            "routes: [{name: r, paths: [/], service: x}]",
            {"routes": {"r": ["invalid reference 'service: x' (no such entry in 'services')"]}},
        ),
        (
            "plugins: [{name: rate-limiting, config: {minute: 1}, id: 00000001-0000-4000-8000-000000000000, "
            "service: x, consumer: {id: 00000002-0000-4000-8000-000000000000}}]",
            {
                "plugins": {
                    "00000001-0000-4000-8000-000000000000": [
                        "invalid reference 'service: x' (no such entry in 'services')",
                        'invalid reference \'consumer: {"id":"00000002-0000-4000-8000-000000000000"}\' '
                        "(no such entry in 'consumers')",
                    ]
                }
            },
        ),
        (
            "services: [{name: s, host: a, protocol: https, client_certificate: x}]",
            {
                "services": {
                    "s": ["invalid reference 'client_certificate: x' (no such entry in 'certificates')"]
                }
            },
        ),
        (
            "routes: [{name: r, paths: [/], service: {name: x}}]",
            {"routes": [{"service": {"id": "missing primary key"}}]},
        ),
        (
            "routes: [{name: r, paths: [/], service: {id: x}}]",
            {"routes": {"r": ["invalid reference 'service: {\"id\":\"x\"}' (no such entry in 'services')"]}},
        ),
        (
            "routes: [{name: r, paths: [/], service: 5}]",
            {"routes": [{"service": {"id": "missing primary key"}}]},
        ),
        ("targets: [{target: a}]", {"targets": [{"upstream": "required field missing"}]}),
        (
            "keyauth_credentials: [{key: k}]",
            {"keyauth_credentials": [{"consumer": "required field missing"}]},
        ),
        (
            "services: [{name: a, host: a}, {name: b, host: b, routes: [{name: r, paths: [/], service: a}]}]",
            {"services": [None, {"routes": [{"service": "value must be null"}]}]},
        ),
        (
            "services: [{name: a, host: a, routes: [{name: r, paths: [/], service: x}]}]",
            {"services": [{"routes": [{"service": "value must be null"}]}]},
        ),
        (
            "services: [{name: a, host: a, routes: [{name: r, paths: [/], service: {id: x}}]}]",
            {"routes": {"r": ["invalid reference 'service: {\"id\":\"x\"}' (no such entry in 'services')"]}},
        ),
        (
            "services: [{host: a, protocol: tls, client_certificate: {cert: '', key: '', tags: [x]}}]",
            {
                "services": [
                    {
                        "client_certificate": {
                            "cert": "length must be at least 1",
                            "key": "length must be at least 1",
                        }
                    }
                ]
            },
        ),
        (
            "services: [{name: a, host: a, protocol: https, client_certificate: {tags: [x]}}]",
            {"services": [{"client_certificate": {"id": "missing primary key"}}]},
        ),
        (
            "services: [{name: a, host: a, routes: [{name: r, paths: [/], service: {name: x}}]}]",
            {"services": [{"routes": [{"service": "value must be null"}]}]},
        ),
        (
            "consumers: [{username: a, custom_id: c}, {username: b, custom_id: c}]",
            {
                "consumers": {
                    "b": "uniqueness violation: 'consumers' entity with custom_id set to 'c' already declared"
                }
            },
        ),
        (
            "consumers: [{username: a, keyauth_credentials: [{key: k}, {key: k}]}]",
            {
                "consumers": [
                    {
                        "keyauth_credentials": [
                            None,
                            "uniqueness violation: 'keyauth_credentials' entity "
                            "with key set to 'k' already declared",
                        ]
                    }
                ]
            },
        ),
        (
            "plugins: [{id: 00000001-0000-4000-8000-000000000000, name: cors}, {name: cors}]",
            {
                "plugins": [
                    None,
                    "UNIQUE violation detected on '{consumer=null,name=\"cors\",route=null,service=null}'",
                ]
            },
        ),
        (
            "consumers: [{username: a, plugins: [{name: key-auth}]}]",
            {"consumers": [{"plugins": [{"consumer": "value must be null"}]}]},
        ),
        ("services: [text, null]", {"services": ["expected a record", "expected a record"]}),
        ("services: [{name: s, host: a, routes: 5}]", {"services": [{"routes": "expected an array"}]}),
        ("_transform: 5", {"_transform": "expected a boolean"}),
        ("services: [{id: 5, host: a}]", {"services": [{"id": "expected a string"}]}),
        (
            "plugins: [{name: rate-limiting, config: {minute: 1, redis_host: a, redis: {host: b}}}]",
            {
                "plugins": [
                    {
                        "config": {
                            "redis_host": "both deprecated and new field are used but their values mismatch: "
                            "redis_host = a vs redis.host = b"
                        }
                    }
                ]
            },
        ),
    ],
)
def test_a_refusal_has_kongs_map(text: str, fields: dict[str, Any], refusal_of: Refuse) -> None:
    assert refusal_of(f'_format_version: "3.0"\n{text}\n').fields == fields


def test_a_route_that_fits_no_router_is_an_error_of_the_entity(refusal_of: Refuse) -> None:
    refused = refusal_of(
        """_format_version: "3.0"
services:
- url: http://a.test
  routes:
  - {paths: [/]}
  - {headers: {x: ["~*a("]}}
"""
    )

    (found,) = errors_of(refused)
    assert (found[0], found[2]) == ("services[0].routes[1]", 6)
    assert found[1].startswith("Router Expression failed validation: invalid regex: 'a('")
