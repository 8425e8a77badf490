from typing import Any

import pytest

from tollhouse.model.route import route_schema, route_variant
from tollhouse.model.schema import Record


def check(raw: dict[str, Any], flavor: str = "traditional_compatible") -> tuple[dict[str, Any], Any]:
    schema = route_variant(raw, flavor)
    return schema.check(raw) if isinstance(schema, Record) else ({}, schema)


def cannot(field: str, protocols: str) -> str:
    return f"cannot set '{field}' when 'protocols' is {protocols}"


HTTP = "'http' or 'https'"
GRPC = "'grpc' or 'grpcs'"
STREAM = "'tcp', 'tls', 'tls_passthrough' or 'udp'"
NEED = "must set one of {} when 'protocols' is {}"
HTTPS_NEED = NEED.format("'methods', 'hosts', 'headers', 'paths', 'snis'", "'https'")
HTTP_NEED = NEED.format("'methods', 'hosts', 'headers', 'paths'", "'http'")
GRPCS_NEED = NEED.format("'hosts', 'headers', 'paths', 'snis'", "'grpcs'")
GRPC_NEED = NEED.format("'hosts', 'headers', 'paths'", "'grpc'")
TCP_NEED = NEED.format("'sources', 'destinations', 'snis'", "'tcp', 'tls' or 'udp'")
SNIS = "'snis' can only be set when 'protocols' is 'grpcs', 'https', 'tls' or 'tls_passthrough'"
HOST_HEADER = "cannot contain 'host' header, which must be specified in the 'hosts' attribute"
START = "should start with: / (fixed path) or ~/ (regex path)"
LABEL = "invalid wildcard: must be placed at leftmost or rightmost label"


@pytest.mark.parametrize(
    ("raw", "errors"),
    [
        ({}, {"@entity": [HTTPS_NEED]}),
        ({"paths": []}, {"@entity": [HTTPS_NEED]}),
        ({"protocols": ["http"]}, {"@entity": [HTTP_NEED]}),
        ({"protocols": ["grpcs"]}, {"@entity": [GRPCS_NEED]}),
        ({"protocols": ["grpc"]}, {"@entity": [GRPC_NEED]}),
        ({"protocols": ["tcp"]}, {"@entity": [TCP_NEED]}),
        (
            {"protocols": ["tls_passthrough"]},
            {"@entity": ["must set snis when 'protocols' is 'tls_passthrough'"]},
        ),
        ({"protocols": ["http"], "snis": ["a"]}, {"snis": "length must be 0", "@entity": [SNIS, HTTP_NEED]}),
        ({"protocols": ["tcp"], "paths": ["/x"]}, {"paths": cannot("paths", STREAM), "@entity": [TCP_NEED]}),
        (
            {
                "protocols": ["udp"],
                "sources": [{"port": 1}],
                "methods": ["GET"],
                "hosts": ["a"],
                "headers": {"a": ["b"]},
            },
            {name: cannot(name, STREAM) for name in ("methods", "hosts", "headers")},
        ),
        ({"paths": ["/"], "sources": [{"port": 1}]}, {"sources": cannot("sources", HTTP)}),
        ({"paths": ["/"], "destinations": [{"port": 1}]}, {"destinations": cannot("destinations", HTTP)}),
        (
            {"protocols": ["grpc"], "paths": ["/"], "strip_path": True},
            {"strip_path": cannot("strip_path", GRPC)},
        ),
        ({"protocols": ["grpc"], "paths": ["/"], "methods": ["GET"]}, {"methods": cannot("methods", GRPC)}),
        (
            {"protocols": ["http", "tcp"], "paths": ["/"]},
            {"protocols": "these sets are mutually exclusive: ('http', 'https'), ('tcp', 'tls', 'udp')"},
        ),
        ({"protocols": ["nope"]}, {"protocols": "unknown type: nope"}),
        ({"protocols": []}, {"protocols": "length must be at least 1"}),
        ({"protocols": None}, {"protocols": "required field missing"}),
        ({"protocols": 5}, {"protocols": "expected a set"}),
        ({"protocols": [["http"]]}, {"protocols": "unknown type: ['http']"}),
        ({"protocols": "http", "paths": ["/"]}, {"protocols": "expected a set"}),
        (
            {"protocols": ["http", "x"], "paths": ["/"]},
            {
                "protocols": [
                    None,
                    "expected one of: grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp",
                ]
            },
        ),
        ({"paths": "/x"}, {"paths": "expected an array"}),
        ({"paths": ["x"]}, {"paths": [START]}),
        ({"paths": ["~x"]}, {"paths": [START]}),
        ({"paths": ["", None]}, {"paths": ["length must be at least 1", "required field missing"]}),
        (
            {"paths": ["/a//b", "/%zz", "/a b", "/ok/../x"]},
            {
                "paths": [
                    "must not have empty segments",
                    "invalid url-encoded value: '%zz'",
                    None,
                    "non-normalized path, consider use '/x' instead",
                ]
            },
        ),
        ({"methods": ["get"]}, {"methods": ["invalid value: get"]}),
        ({"hosts": ["*.*"]}, {"hosts": ["invalid wildcard: must have at most one wildcard"]}),
        ({"hosts": ["a*b"]}, {"hosts": [LABEL]}),
        ({"hosts": ["a b"]}, {"hosts": ["invalid hostname: a b"]}),
        ({"headers": {"HOST": ["a"]}}, {"headers": HOST_HEADER}),
        (
            {"headers": {"a b": ["a"]}},
            {"headers": "bad header name 'a b', allowed characters are A-Z, a-z, 0-9, '_', and '-'"},
        ),
        ({"headers": {"a": "b"}}, {"headers": "expected an array"}),
        ({"headers": {"a": ["b", 5]}}, {"headers": [None, "expected a string"]}),
        (
            {"paths": ["/"], "https_redirect_status_code": 303},
            {"https_redirect_status_code": "expected one of: 426, 301, 302, 307, 308"},
        ),
        ({"paths": ["/"], "path_handling": "v2"}, {"path_handling": "expected one of: v0, v1"}),
        ({"paths": ["/"], "strip_path": None}, {"strip_path": "required field missing"}),
        ({"snis": ["1.2.3.4"]}, {"snis": ["must not be an IP"]}),
        ({"paths": ["/"], "expression": "x"}, {"expression": "unknown field"}),
        (
            {"protocols": ["tcp"], "sources": [{}]},
            {"sources": [{"@entity": ["at least one of these fields must be non-empty: 'ip', 'port'"]}]},
        ),
        (
            {"protocols": ["tcp"], "sources": [{"ip": "x"}]},
            {"sources": [{"ip": "invalid ip or cidr range: 'x'"}]},
        ),
    ],
)
def test_a_bad_route_is_told_in_kongs_words(raw: dict[str, Any], errors: dict[str, Any]) -> None:
    assert check(raw)[1] == errors


@pytest.mark.parametrize(
    "raw",
    [
        {"paths": ["/re/\\d+", "~/re/(?<id>\\d+)"]},
        {"hosts": ["*.a.test", "a.*", "a.test:8000"]},
        {"headers": {"x-a": ["~*^v"]}},
        {"snis": ["*.a.test"]},
        {"protocols": ["https"], "snis": ["a.test"]},
        {"protocols": ["grpcs"], "snis": ["a.test"]},
        {"protocols": ["tls_passthrough"], "snis": ["a.test"]},
        {"protocols": ["tls", "tcp"], "destinations": [{"ip": "10.0.0.0/8", "port": 5432}]},
    ],
)
def test_a_good_route_passes(raw: dict[str, Any]) -> None:
    assert check(raw)[1] == {}


def test_a_grpc_route_does_not_strip_its_path() -> None:
    assert check({"protocols": ["grpc"], "paths": ["/"]})[0]["strip_path"] is False
    assert check({"paths": ["/"]})[0]["strip_path"] is True


def test_the_traditional_router_takes_plain_server_names_only() -> None:
    assert check({"snis": ["*.a.test"]}, "traditional")[1] == {"snis": ["invalid value: *.a.test"]}


CANNOT = "Router Expression failed validation: cannot set"
FIELDS = "'methods', 'hosts', 'paths', 'headers', 'snis', 'sources' or 'destinations'"


@pytest.mark.parametrize(
    ("raw", "errors"),
    [
        ({"expression": 'http.path == "/"', "priority": 5}, {}),
        ({"paths": ["/"], "sources": [{"ip": "10.0.0.0/8"}]}, {}),
        (
            {},
            {"@entity": [HTTPS_NEED.replace("'snis' ", "'snis', 'expression' ")]},
        ),
        (
            {"expression": "x", "paths": ["/"]},
            {"@entity": [f"{CANNOT} 'expression' with {FIELDS} simultaneously"]},
        ),
        (
            {"expression": "x", "regex_priority": 1},
            {"@entity": [f"{CANNOT} 'regex_priority' with 'expression' simultaneously"]},
        ),
        (
            {"paths": ["/"], "priority": 1},
            {"@entity": [f"{CANNOT} 'priority' with {FIELDS} simultaneously"]},
        ),
        ({"expression": "x", "priority": -1}, {"priority": "value should be between 0 and 70368744177663"}),
    ],
)
def test_the_expressions_router_has_routes_of_its_own(raw: dict[str, Any], errors: dict[str, Any]) -> None:
    assert check(raw, "expressions")[1] == errors


def test_only_the_expressions_router_publishes_expressions() -> None:
    assert "expression" in route_schema("expressions").fields
    assert "expression" not in route_schema("traditional_compatible").fields
