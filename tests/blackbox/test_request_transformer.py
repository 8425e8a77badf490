"""request-transformer: every operation on headers, query, body, method and URI, with templates."""

import json
from collections.abc import AsyncIterator

import pytest
import yaml
from tests.support.gateway import Gateway
from tests.support.upstream import Received, Upstream

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
CONFIGS = {
    "headers": {
        "remove": {"headers": ["X-Gone"]},
        "rename": {"headers": ["X-Old:X-New", "X-Host:Host"]},
        "replace": {"headers": ["X-There:new", "X-Missing:new"]},
        "add": {"headers": ["X-There:added", "X-Added:a:b", "Host:never"]},
        "append": {"headers": ["X-More:$(headers.x_there)", "X-Start:$(msec)", "X-Id:$(request_id)"]},
    },
    "query": {
        "remove": {"querystring": ["gone"]},
        "rename": {"querystring": ["old:new"]},
        "replace": {"querystring": ["there:2", "missing:2"]},
        "add": {"querystring": ["there:3", "added:$(headers.x or 'none')"]},
        "append": {"querystring": ["there:4"]},
    },
    "body": {
        "remove": {"body": ["gone"]},
        "rename": {"body": ["old:new"]},
        "replace": {"body": ["there:2", "missing:2"]},
        "add": {"body": ["there:3", "added:$(query_params.q)"]},
        "append": {"body": ["there:4"]},
    },
    "method": {"http_method": "GET"},
    "put": {"http_method": "PUT"},
    "uri": {"replace": {"uri": "/fixed/$(uri_captures.user)/$(uri_captures[1])$(uri_captures[0])"}},
    "lua": {
        "add": {"headers": ["X-Sum:$((function() local s = 0 for i = 1, 4 do s = s + i end return s end)())"]}
    },
    "fails": {"add": {"headers": ["X-Out:$(headers.none.x)"]}},
    "no-lua": {"add": {"headers": ["X-Out:$(shared.written = true)"]}},
    "no-lua-in-uri": {"replace": {"uri": "/$(1 +)"}},
}


def config(url: str) -> str:
    routes = [
        {
            "name": name,
            "paths": ["~/uri/(?<user>[^/]+)"] if name == "uri" else [f"/{name}"],
            "plugins": [{"name": "request-transformer", "config": settings}],
        }
        for name, settings in CONFIGS.items()
    ]
    return yaml.safe_dump(
        {"_format_version": "3.0", "services": [{"name": "s", "url": url, "routes": routes}]}
    )


@pytest.fixture(scope="module")
async def node(upstream: Upstream) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(config(upstream.url))
    yield gateway
    await gateway.stop()


async def sent(
    node: Gateway, upstream: Upstream, path: str, headers: dict[str, str] | None = None, **how: bytes
) -> Received:
    method = "POST" if "body" in how else "GET"
    reply = await node.request(method, path, headers, how.get("body", b""))
    assert reply.status == 200, reply.body
    return upstream.received[-1]


async def test_headers(node: Gateway, upstream: Upstream) -> None:
    given = {"X-Gone": "1", "X-Old": "o", "X-New": "n", "X-There": "t", "X-Host": "own.test"}
    received = await sent(node, upstream, "/headers", given)

    assert received.headers["host"] == "own.test"
    assert received.headers["x-new"] == "o"
    assert received.headers["x-there"] == "new"
    assert received.headers["x-added"] == "a:b"
    assert received.headers["x-more"] == "t", "templates see the request as it came to the headers' turn"
    assert float(received.headers["x-start"]) > 1_600_000_000
    assert received.headers["x-id"] == received.headers["x-kong-request-id"]
    assert not {"x-gone", "x-old", "x-missing", "x-host"} & set(received.headers)


async def test_query(node: Gateway, upstream: Upstream) -> None:
    received = await sent(node, upstream, "/query?gone=1&old=a%20b&there=1&there=x&flag")
    assert received.target == "/?added=none&flag&new=a%20b&there=2&there=4"
    received = await sent(node, upstream, "/query", {"X": "y z"})
    assert received.target == "/?added=y%20z&there=3&there=4"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"gone": 1, "old": 2, "there": 3, "kept": None},
            {"new": 2, "there": ["2", "4"], "kept": None, "added": "v"},
        ),
        ({"there": ["a"]}, {"there": ["2", "4"], "added": "v"}),
        ({}, {"there": ["3", "4"], "added": "v"}),
    ],
)
async def test_json_bodies(node: Gateway, upstream: Upstream, given: object, expected: object) -> None:
    received = await sent(node, upstream, "/body?q=v", JSON, body=json.dumps(given).encode())
    assert json.loads(received.body) == expected
    assert received.headers["content-length"] == str(len(received.body))


@pytest.mark.parametrize("body", [b"[1, 2]", b'"text"', b"{broken", b"12"])
async def test_json_that_is_no_object_goes_on_unchanged(
    node: Gateway, upstream: Upstream, body: bytes
) -> None:
    assert (await sent(node, upstream, "/body?q=v", JSON, body=body)).body == body


async def test_forms(node: Gateway, upstream: Upstream) -> None:
    received = await sent(node, upstream, "/body?q=v", FORM, body=b"gone=1&old=a+b&there=3&x=%C3%BC")
    assert sorted(received.body.decode().split("&")) == [
        "added=v",
        "new=a%20b",
        "there=2",
        "there=4",
        "x=%C3%BC",
    ]


async def test_multipart_forms_keep_the_bytes_of_their_files(node: Gateway, upstream: Upstream) -> None:
    def part(name: str, value: str, more: str = "") -> str:
        return f'--b1\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{value}\r\n'

    file = part("file", "\x00\xff--b", '; filename="a.bin"\r\nContent-Type: application/octet-stream')
    body = part("gone", "1") + part("old", "2") + part("there", "3") + file + "--b1--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=b1"}
    received = await sent(node, upstream, "/body?q=v", kind, body=body.encode("latin-1"))

    text = received.body.decode("latin-1")
    assert 'name="gone"' not in text
    assert part("new", "2") in text
    assert part("there", "2") in text
    assert part("there", "4") not in text, "nothing is appended to a multipart form"
    assert part("added", "v") in text
    assert file in text
    assert text.endswith("--b1--\r\n")


async def test_other_bodies_are_not_even_read(node: Gateway, upstream: Upstream) -> None:
    received = await sent(node, upstream, "/body?q=v", {"Content-Type": "text/plain"}, body=b"there=1")
    assert received.body == b"there=1"


async def test_methods(node: Gateway, upstream: Upstream) -> None:
    received = await sent(node, upstream, "/method?x=1", FORM, body=b"a=1&x=2")
    assert (received.method, received.target, received.body) == ("GET", "/?a=1&x=1&x=2", b"a=1&x=2")
    assert (await sent(node, upstream, "/put")).method == "PUT"


async def test_a_client_of_head_gets_no_body_whatever_the_upstream_was_asked(node: Gateway) -> None:
    reply = await node.request("HEAD", "/method")
    assert (reply.status, reply.body) == (200, b"")
    assert (await node.request("GET", "/put")).status == 200


async def test_the_uri(node: Gateway, upstream: Upstream) -> None:
    received = await sent(node, upstream, "/uri/anne%20b?x=1")
    assert received.target == "/fixed/anne%20b/anne%20b/uri/anne%20b?x=1"


async def test_lua_beyond_the_built_in_forms(node: Gateway, upstream: Upstream) -> None:
    assert (await sent(node, upstream, "/lua")).headers["x-sum"] == "10"


@pytest.mark.parametrize("path", ["/fails", "/no-lua", "/no-lua-in-uri"])
async def test_a_template_that_fails_is_a_500(node: Gateway, upstream: Upstream, path: str) -> None:
    before = len(upstream.received)
    assert (await node.request("GET", path)).status == 500
    assert len(upstream.received) == before
