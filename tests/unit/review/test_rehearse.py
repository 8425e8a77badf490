"""Recorded requests against configurations that were never served."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from tollhouse.config.declarative import load
from tollhouse.plugins import Registry
from tollhouse.review.prospect import Prospect
from tollhouse.review.recorded import Place, Recorded, Unreadable, read
from tollhouse.review.rehearse import Change, Summary, rehearse

PLUGINS = Registry()
OPEN = "services: [{name: s, host: h, routes: [{name: r, paths: [/a]}]}]\n"
NOON = 1_700_000_000
CONSUMERS = """consumers:
- {username: ann, keyauth_credentials: [{key: k1}], acls: [{group: staff}]}
- {username: bob, keyauth_credentials: [{key: k2}]}
- {username: eve}
"""


def prospect(text: str) -> Prospect:
    snapshot = load(
        f'_format_version: "3.0"\n{text}', file=None, plugins=PLUGINS, flavor="traditional_compatible", now=5
    )
    return Prospect(snapshot, "traditional_compatible", PLUGINS)


def logged(uri: str = "/a", *, at: float = NOON, status: int = 200, **more: Any) -> str:
    headers = {"host": "example.com", **more.pop("headers", {})}
    record = {
        "request": {"uri": uri, "url": f"http://example.com:80{uri}", "method": "GET", "headers": headers},
        "response": {"status": status, "headers": {"content-type": "application/json"}},
        "started_at": at * 1000,
        "client_ip": "10.1.2.3",
        "upstream_status": "200" if status == 200 else "",
        "route": {"name": "r", "id": "1"},
        **more,
    }
    return json.dumps(record)


def recorded(lines: Iterable[str]) -> list[Recorded]:
    return [each for each in read(lines, Place()) if isinstance(each, Recorded)]


def changes(
    lines: Iterable[str], new: str, old: str | None = None
) -> tuple[list[tuple[str, str, str]], Summary]:
    summary = Summary()
    found: list[Change] = list(
        rehearse(recorded(lines), prospect(new), prospect(old) if old else None, summary)
    )
    return [(change.what, change.before, change.after) for change in found], summary


def plugin(text: str) -> str:
    return f"{OPEN}plugins:\n- {text}\n{CONSUMERS}"


def consumer(name: str) -> dict[str, Any]:
    return {"consumer": {"id": f"id-{name}", "username": name}}


@pytest.mark.parametrize(
    ("line", "new", "expected"),
    [
        (logged(), OPEN, []),
        (logged(), OPEN.replace("name: r,", "name: q,"), [("route", "r", "q")]),
        (logged(), OPEN.replace("/a", "/b"), [("refused", "r", "404 no route matches")]),
        (logged(status=404, route=None), OPEN, [("accepted", "404 refused", "r")]),
        (logged(status=404), OPEN.replace("/a", "/b"), [("refused", "r", "404 no route matches")]),
        (logged(), plugin("name: key-auth"), [("refused", "r", "401 no credential was shown (key-auth)")]),
        (logged(headers={"apikey": "k1"}), plugin("name: key-auth"), []),
        (logged("/a?apikey=k1"), plugin("name: key-auth"), []),
        (
            logged(headers={"apikey": "no"}),
            plugin("name: key-auth"),
            [("refused", "r", "401 nobody has the key that was shown (key-auth)")],
        ),
        (logged(**consumer("ann")), plugin("name: key-auth"), []),
        (
            logged(**consumer("eve")),
            plugin("name: key-auth"),
            [("refused", "r", "401 consumer eve has no credential for key-auth (key-auth)")],
        ),
        (
            logged(**consumer("zoe")),
            plugin("name: key-auth"),
            [("refused", "r", "401 there is no consumer zoe (key-auth)")],
        ),
        (logged(), plugin("{name: key-auth, config: {anonymous: eve}}"), []),
        (
            logged(**consumer("bob")),
            plugin("name: key-auth\n- {name: acl, config: {allow: [staff]}}"),
            [("refused", "r", "403 consumer bob is in no group that may (acl)")],
        ),
        (logged(**consumer("ann")), plugin("name: key-auth\n- {name: acl, config: {allow: [staff]}}"), []),
        (
            logged(),
            plugin("{name: ip-restriction, config: {deny: [10.0.0.0/8]}}"),
            [("refused", "r", "403 the address is not allowed (ip-restriction)")],
        ),
        (
            logged(),
            plugin("{name: request-termination, config: {status_code: 410}}"),
            [("refused", "r", "410 request-termination answers (request-termination)")],
        ),
        (
            logged(),
            OPEN.replace("paths: [/a]", "paths: [/a], protocols: [https]"),
            [("refused", "r", "426 the route is for HTTPS alone")],
        ),
        (
            logged(),
            "routes: [{name: r, paths: [/a]}]\n",
            [("refused", "r", "503 the route has no service")],
        ),
        (
            logged(),
            plugin("{name: redirect, config: {location: 'https://new.test'}}"),
            [("refused", "r", "301 redirect to https://new.test (redirect)")],
        ),
        (
            logged(status=401),
            plugin("{name: ip-restriction, config: {deny: [10.0.0.0/8]}}"),
            [("refused", "401 refused", "403 the address is not allowed (ip-restriction)")],
        ),
        (
            logged(**consumer("bob")),
            plugin(
                "{name: key-auth, config: {anonymous: eve}}\n"
                "- {name: basic-auth, config: {anonymous: eve}}\n- {name: acl, config: {allow: [staff]}}"
            ),
            [("refused", "r", "403 consumer bob is in no group that may (acl)")],
        ),
        (
            logged(service={"protocol": "http", "host": "h", "port": 80}, upstream_uri="/?x=1"),
            OPEN,
            [],
        ),
        (
            logged(service={"protocol": "http", "host": "h", "port": 80}, upstream_uri="/?x=1"),
            OPEN.replace("host: h", "host: i, port: 81"),
            [("upstream", "http://h:80", "http://i:81")],
        ),
        (
            logged(service={"protocol": "http", "host": "h", "port": 80}, upstream_uri="/"),
            OPEN.replace("paths: [/a]", "paths: [/a], strip_path: false"),
            [("upstream", "http://h:80/", "http://h:80/a")],
        ),
    ],
)
def test_one_request(line: str, new: str, expected: list[tuple[str, str, str]]) -> None:
    assert changes([line], new)[0] == expected


def test_plugins_that_are_not_judged_are_named() -> None:
    new = plugin("{name: request-size-limiting, config: {allowed_payload_size: 1}}\n- {name: prometheus}")
    found, summary = changes([logged()], new)
    assert found == []
    assert dict(summary.unsure) == {"what request-size-limiting does is not judged": 1}


def test_limits_count_in_the_time_of_the_records() -> None:
    start = NOON - NOON % 60
    lines = [logged(at=start + second) for second in (0, 10, 59, 60, 61)]
    found, summary = changes(lines, plugin("{name: rate-limiting, config: {minute: 2, limit_by: ip}}"))
    assert found == [("refused", "r", "429 more than 2 in a minute (rate-limiting)")]
    assert (summary.requests, summary.unchanged, summary.statuses) == (5, 4, {429: 1})


def test_a_limit_of_a_consumer_outweighs_the_one_for_all() -> None:
    new = plugin("name: key-auth\n- {name: rate-limiting, config: {minute: 1}}").replace(
        "username: bob,", "username: bob, plugins: [{name: rate-limiting, config: {minute: 9}}],"
    )
    lines = [logged(**consumer(name)) for name in ("bob", "bob", "ann", "ann")]
    assert [what for what, _, _ in changes(lines, new)[0]] == ["refused"]


def test_the_cache_is_filled_in_the_time_of_the_records() -> None:
    cached = "{name: proxy-cache, config: {strategy: memory, cache_ttl: %d}}"
    lines = [logged(at=NOON + second) for second in (0, 5, 20, 29)]
    found, summary = changes(lines, plugin(cached % 10), plugin(cached % 25))
    assert found == [("cache", "hit", "miss"), ("cache", "miss", "hit")]
    assert (summary.hits_before, summary.hits_after) == (2, 2)


def test_what_a_call_would_cost() -> None:
    usage = {"prompt_tokens": 1_000_000, "completion_tokens": 500_000, "cost": 5}
    meta = {"provider_name": "openai", "request_model": "m", "response_model": "m"}
    line = logged(ai={"proxy": {"meta": meta, "usage": usage}})
    model = "model: {provider: openai, name: n, options: {input_cost: 1, output_cost: 2}}"
    found, summary = changes(
        [line], plugin(f"{{name: ai-proxy, config: {{route_type: llm/v1/chat, {model}}}}}")
    )
    assert found == [("cost", "m", "n")]
    assert (summary.cost_before, summary.cost_after) == (5_000_000_000, 2_000_000_000)


def test_an_access_log_has_no_headers_and_leaves_things_open() -> None:
    line = (
        '10.0.0.1 - - [14/Nov/2023:22:13:20 +0000] "GET /a?x=\\x22 HTTP/1.1" 200 5 "-" "c"'
        ' kong_request_id: "f"'
    )
    [request] = recorded([line])
    assert (request.at, request.method, request.target.raw) == (NOON, "GET", '/a?x="')
    found, summary = changes([line], plugin("name: key-auth"))
    assert (found, summary.unsure) == ([], {"the log does not tell of credentials": 1})
    assert changes([line], OPEN.replace("/a", "/b"))[0] == [("refused", "passed", "404 no route matches")]


@pytest.mark.parametrize(
    "line",
    ["nonsense", "{}", "[1]", '{"request": {}}', '1.1.1.1 - - [x] "-" 400 0 "-" "-"', logged("/%zz"), "{"],
)
def test_lines_that_hold_no_request_are_told(line: str) -> None:
    [found] = read([line], Place())
    assert isinstance(found, Unreadable)
    assert str(found).startswith("line 1: ")


def test_batches_of_http_log_are_lists() -> None:
    assert len(recorded([f"[{logged()}, {logged()}]"])) == 2
