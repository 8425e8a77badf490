"""Input that satisfies its schema and still must not be kept: no node could serve it."""

import sys
from collections.abc import Mapping
from typing import Any

import pytest

from tollhouse.admin.bodies import Given
from tollhouse.admin.changes import Checker
from tollhouse.admin.http import Failure
from tollhouse.model.entities import ENTITIES
from tollhouse.plugins import Registry

REGISTRY = Registry()
COMPATIBLE, EXPRESSIONS = "traditional_compatible", "expressions"
ROUTES, SERVICES = ENTITIES["routes"], ENTITIES["services"]
BEGINNING = "Router Expression failed validation: "


def made(kind: str, flavor: str = COMPATIBLE, **values: Any) -> dict[str, Any]:
    return Checker(REGISTRY, flavor).whole(ENTITIES[kind], Given(values), 1)


def fields_of(caught: pytest.ExceptionInfo[Failure]) -> Mapping[str, Any]:
    body: Mapping[str, Any] = caught.value.answer.body
    assert body["code"] == 2
    fields: Mapping[str, Any] = body["fields"]
    return fields


@pytest.mark.parametrize(
    ("flavor", "route", "reason"),
    [
        (COMPATIBLE, {"headers": {"x": ["~*a("]}}, "invalid regex: 'a('"),
        (COMPATIBLE, {"headers": {"x": ["plain", "~*["]}}, "invalid regex: '['"),
        ("traditional", {"headers": {"x": ["~*a("]}}, "invalid regex: 'a('"),
        (EXPRESSIONS, {"headers": {"x": ["~*a("]}}, "invalid regex: 'a('"),
        (EXPRESSIONS, {"expression": "x"}, " --> 1:2"),
        (EXPRESSIONS, {"expression": "http.path == 5"}, "Type mismatch"),
        (EXPRESSIONS, {"expression": "tcp.foo == 1"}, "Unknown LHS field"),
        (EXPRESSIONS, {"expression": 'http.path ~ "("'}, "regex parse error"),
        (EXPRESSIONS, {"expression": "net.src.ip in 10.1.2.3/8", "protocols": ["tcp"]}, " --> 1:15"),
        (EXPRESSIONS, {"expression": 'http.host == "a"', "protocols": ["tls"]}, "Unknown LHS field"),
    ],
)
def test_a_route_that_fits_no_router_is_refused(flavor: str, route: dict[str, Any], reason: str) -> None:
    with pytest.raises(Failure) as caught:
        made("routes", flavor, **route)

    (text,) = fields_of(caught)["@entity"]
    assert text.startswith(f"{BEGINNING}{reason}")


@pytest.mark.parametrize(
    ("flavor", "route"),
    [
        (COMPATIBLE, {"headers": {"x": ["~*a(b|c)", "plain("]}}),
        ("traditional", {"headers": {"x": ["~*a(", "b"]}}),  # only a single value is a regex there
        (EXPRESSIONS, {"expression": 'http.path ^= "/a" && http.headers.x == "1"'}),
        (EXPRESSIONS, {"expression": 'tls.sni == "a"', "protocols": ["tls_passthrough"]}),
    ],
)
def test_a_route_that_fits_is_taken(flavor: str, route: dict[str, Any]) -> None:
    assert made("routes", flavor, **route)["id"]


def test_a_change_is_looked_at_like_a_new_route() -> None:
    route = made("routes", paths=["/a"])
    with pytest.raises(Failure) as caught:
        Checker(REGISTRY, COMPATIBLE).changed(ROUTES, route, Given({"headers": {"x": ["~*("]}}), 2)

    assert fields_of(caught)["@entity"][0].startswith(BEGINNING)


@pytest.mark.parametrize("protocol", ["grpc", "grpcs"])
def test_a_service_over_http2_needs_the_package_for_it(
    protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert made("services", host="a", protocol=protocol)["protocol"] == protocol
    monkeypatch.setitem(sys.modules, "h2", None)  # as if it were not installed

    with pytest.raises(Failure) as caught:
        made("services", host="a", protocol=protocol)

    assert fields_of(caught) == {
        "protocol": f"the protocol {protocol} needs h2: pip install 'tollhouse[http2]'"
    }


def test_a_time_to_live_of_nothing_is_for_ever() -> None:
    owner = {"id": "00000000-0000-4000-8000-000000000001"}

    assert made("keyauth_credentials", consumer=owner, ttl=0)["ttl"] is None
    assert made("keyauth_credentials", consumer=owner, ttl=1)["ttl"] == 1
