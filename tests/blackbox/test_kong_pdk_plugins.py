"""Files written for Kong's own Python PDK, unchanged."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from textwrap import dedent

import pytest
from tests.support.cli import tollhouse
from tests.support.gateway import Gateway
from tests.support.upstream import Received, Upstream

FILES = {
    # As Kong's documentation has it, hints and the way to be started by itself included.
    "py-hello": """
        #!/usr/bin/env python3
        import os
        import kong_pdk.pdk.kong as kong
        from kong_pdk.exception import PDKException

        Schema = (
            {"message": {"type": "string", "default": "hello", "len_max": 12}},
            {"levels": {"type": "array", "elements": {"type": "integer", "between": [1, 5]}}},
            {"inner": {"type": "record", "fields": [{"kind": {"type": "string", "one_of": ["a", "b"]}}]}},
            {"secret": {"type": "string", "referenceable": True}},
        )
        version = "0.3.0"
        priority = 101

        class Plugin(object):
            def __init__(self, config):
                self.config = config

            def access(self, kong: kong.kong):
                host, err = kong.request.get_header("host")
                if err:
                    pass
                message = self.config["message"]
                kong.response.set_header("x-hello-from-python", "Python says %s to %s" % (message, host))
                kong.response.set_header("x-python-pid", str(os.getpid()))
                keys = ",".join(sorted(self.config))
                kong.service.request.set_headers({"X-Up": ["one", "two"], "X-Keys": keys})

        if __name__ == "__main__":
            from kong_pdk.cli import start_dedicated_server
            start_dedicated_server("py-hello", Plugin, version, priority, Schema)
        """,
    "py_all": """
        import json
        from urllib.request import urlopen

        Schema = []
        priority = 5

        class Plugin:
            def __init__(self, config):
                self.config = config

            def access(self, kong):
                request, wanted = kong.request, kong.request.get_header("x-do")
                if wanted == "block":
                    urlopen(request.get_header("x-url"), timeout=10).read()
                elif wanted == "raise":
                    raise RuntimeError("access fails")
                elif wanted == "exit":
                    kong.response.set_header("X-Before", "1")
                    return kong.response.exit(418, {"tea": "caf\\u00e9"}, {"X-Many": ["a", "b"]})
                elif wanted == "exit-text":
                    return kong.response.exit(202, "taken", {"Content-Type": "text/x"})
                elif wanted == "error":
                    kong.response.error(403, "no entry")
                    kong.response.exit(200)
                elif wanted == "unknown":
                    kong.request.get_nothing()
                elif wanted == "no-meaning":
                    try:
                        kong.client.tls.request_client_certificate()
                    except Exception as error:
                        kong.response.exit(200, str(error))
                elif wanted == "body":
                    body = request.get_body()
                    body["added"] = len(request.get_raw_body())
                    kong.service.request.set_body(body)
                kong.ctx.shared.set("seen", request.get_path())
                kong.service.request.set_header("X-Facts", json.dumps({
                    "method": request.get_method(), "scheme": request.get_scheme(),
                    "host": request.get_host(), "raw": request.get_raw_path(),
                    "query": request.get_query(), "q": request.get_query_arg("q"),
                    "captures": request.get_uri_captures(), "version": request.get_http_version(),
                    "ip": kong.client.get_ip(), "consumer": kong.client.get_consumer(),
                    "route": kong.router.get_route()["name"], "service": kong.router.get_service()["name"],
                    "node": bool(kong.node.get_id()), "plugin": kong.plugin.get_id(),
                    "var": kong.nginx.get_var("http_x_do"), "trusted": kong.ip.is_trusted("10.1.1.1"),
                    "protocol": kong.client.get_protocol(), "vault": kong.vault.get("{vault://env/py-secret}"),
                }))
                kong.service.request.set_path("/elsewhere")
                kong.service.request.set_query({"b": [1, 2], "a": True})
                kong.service.request.set_method("PUT")
                kong.service.request.clear_header("X-Gone")
                kong.service.request.set_header("Host", "other.test")
                kong.log.set_serialize_value("custom.seen", kong.ctx.shared.get("seen"))

            async def response(self, kong):
                kong.response.set_header("X-Seen", kong.ctx.shared.get("seen"))
                kong.response.clear_header("X-Own")
                kong.response.add_header("X-Length", len(kong.service.response.get_raw_body()))
                kong.response.set_status(kong.service.response.get_status() + 1)
                if kong.request.get_header("x-late"):
                    kong.response.exit(451, "too late")

            def log(self, kong):
                kong.log.err("logged ", json.loads(kong.log.serialize())["custom"]["seen"])
        """,
}
CONFIG = """_format_version: "3.0"
services:
- name: s
  url: {url}
  routes:
  - {{name: hello, paths: [/hello], plugins: [{{name: py-hello, config: {{message: hi}}}}]}}
  - {{name: all, paths: ["~/all/(?<part>[a-z]+)"], plugins: [{{name: py_all}}]}}
  - {{name: plain, paths: [/plain]}}
"""


async def answer(received: Received, writer: asyncio.StreamWriter) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\nX-Own: 1\r\nContent-Length: 5\r\n\r\nhello")
    return True


@pytest.fixture(scope="module")
async def upstream() -> AsyncIterator[Upstream]:
    server = await Upstream(answer).start()
    yield server
    await server.stop()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugins")
    for name, text in FILES.items():
        (folder / f"{name}.py").write_text(dedent(text).lstrip())
    return folder


@pytest.fixture(scope="module")
async def node(upstream: Upstream, folder: Path) -> AsyncIterator[Gateway]:
    environment = {
        "KONG_PLUGINS": "bundled,py-hello,py_all",
        "TOLLHOUSE_PLUGINS_PATH": str(folder),
        "KONG_TRUSTED_IPS": "10.0.0.0/8",
        "PY_SECRET": "hush",
    }
    gateway = await Gateway.start(CONFIG.format(url=upstream.url), environment=environment)
    yield gateway
    await gateway.stop()


async def test_kongs_own_example_runs(node: Gateway, upstream: Upstream) -> None:
    reply = await node.request("GET", "/hello")

    assert reply.status == 200
    assert reply.headers["x-hello-from-python"] == "Python says hi to gw.test"
    assert reply.headers["x-python-pid"].isdigit()
    received = upstream.received[-1]
    assert [value for name, value in received.fields if name == "x-up"] == ["one", "two"]
    assert received.headers["x-keys"] == "message"


async def test_the_request_is_told_and_changed(node: Gateway, upstream: Upstream) -> None:
    reply = await node.request("GET", "/all/some?q=1&q=2&flag", {"X-Gone": "1", "X-Do": "facts"})

    assert reply.status == 201, "".join(node.errors)[-900:]
    received = upstream.received[-1]
    assert (received.method, received.target) == ("PUT", "/elsewhere?a&b=1&b=2")
    assert received.headers["host"] == "other.test"
    assert "x-gone" not in received.headers
    facts = json.loads(received.headers["x-facts"])
    assert len(facts.pop("plugin")) == 36
    assert facts == {
        "method": "GET", "scheme": "http", "host": "gw.test", "raw": "/all/some", "q": "1",
        "query": {"q": ["1", "2"], "flag": True}, "version": 1.1, "ip": "127.0.0.1", "consumer": None,
        "captures": {"named": {"part": "some"}, "unnamed": ["some"]}, "route": "all", "service": "s",
        "node": True, "var": "facts", "trusted": True, "protocol": "http", "vault": "hush",
    }  # fmt: skip


async def test_the_answer_is_changed_and_logged(node: Gateway) -> None:
    reply = await node.request("GET", "/all/answer")

    assert (reply.status, reply.body) == (201, b"hello")
    assert (reply.headers["x-seen"], reply.headers["x-length"]) == ("/all/answer", "5")
    assert "x-own" not in reply.headers
    await node.until_logged("[py_all] logged /all/answer")


async def test_bodies_are_read_and_written(node: Gateway, upstream: Upstream) -> None:
    body = '{"name":"café"}'.encode()
    fields = {"X-Do": "body", "Content-Type": "application/json"}
    reply = await node.request("POST", "/all/body", fields, body)

    assert reply.status == 201, "".join(node.errors)[-900:]
    assert json.loads(upstream.received[-1].body) == {"name": "café", "added": len(body)}


async def test_it_answers_early_as_in_kong(node: Gateway, upstream: Upstream) -> None:
    before = len(upstream.received)

    reply = await node.request("GET", "/all/x", {"X-Do": "exit"})
    assert (reply.status, reply.json()) == (418, {"tea": "café"})
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    assert [value for name, value in reply.fields if name == "x-many"] == ["a", "b"]
    assert reply.headers["x-before"] == "1"

    reply = await node.request("GET", "/all/x", {"X-Do": "exit-text"})
    assert (reply.status, reply.body, reply.headers["content-type"]) == (202, b"taken", "text/x")

    reply = await node.request("GET", "/all/x", {"X-Do": "error"})
    told = reply.json()
    assert isinstance(told, dict)
    assert (reply.status, told["message"]) == (403, "no entry")
    assert len(upstream.received) == before

    reply = await node.request("GET", "/all/x", {"X-Late": "1"})
    assert (reply.status, reply.body) == (451, b"too late")


async def test_one_that_blocks_holds_up_nobody_else(node: Gateway) -> None:
    """It asks the very worker that it would hold up."""
    fields = {"X-Do": "block", "X-Url": f"http://127.0.0.1:{node.proxy[1]}/plain"}
    replies = await asyncio.gather(*(node.request("GET", "/all/x", fields) for _ in range(8)))
    assert {reply.status for reply in replies} == {201}


async def test_what_it_raises_is_500_and_logged(node: Gateway) -> None:
    assert (await node.request("GET", "/all/x", {"X-Do": "raise"})).status == 500
    await node.until_logged("RuntimeError: access fails")
    assert (await node.request("GET", "/all/x", {"X-Do": "unknown"})).status == 500
    await node.until_logged("kong.request.get_nothing does not exist in Tollhouse")


async def test_a_call_without_meaning_says_so(node: Gateway) -> None:
    reply = await node.request("GET", "/all/x", {"X-Do": "no-meaning"})
    assert b"kong.client.tls.request_client_certificate has no meaning in Tollhouse" in reply.body


async def test_its_schema_is_published_and_checked(node: Gateway) -> None:
    schema = (await node.admin_request("GET", "/schemas/plugins/py-hello")).json()
    assert isinstance(schema, dict)
    config = next(field["config"] for field in schema["fields"] if "config" in field)
    shown = {name: rules for field in config["fields"] for name, rules in field.items()}
    assert shown["message"]["default"] == "hello"
    assert shown["levels"]["elements"]["between"] == [1, 5]

    wrong = {"message": "far too long a word", "levels": [1, 9], "inner": {"kind": "c"}, "other": 1}
    body = json.dumps({"name": "py-hello", "config": wrong}).encode()
    fields = {"Content-Type": "application/json"}
    told = (await node.admin_request("POST", "/schemas/plugins/validate", fields, body)).json()
    assert isinstance(told, dict)
    assert told["fields"]["config"] == {
        "message": "length must be at most 12",
        "levels": [None, "value should be between 1 and 5"],
        "inner": {"kind": "expected one of: a, b"},
        "other": "unknown field",
    }


async def test_what_cannot_run_here_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "kong.yml").write_text('_format_version: "3.0"\n')
    (tmp_path / "tls.py").write_text("class Plugin:\n    def certificate(self, kong): ...\n")
    (tmp_path / "odd.py").write_text(
        'Schema = [{"x": {"type": "function"}}]\nclass Plugin:\n    def access(self, kong): ...\n'
    )
    environment = {"TOLLHOUSE_PLUGINS_PATH": str(tmp_path), "KONG_PLUGINS": "bundled,tls,odd"}

    ended = await tollhouse("check", str(tmp_path / "kong.yml"), **environment)

    assert f"{tmp_path}/tls.py:1: plugin 'tls': phase `certificate` cannot run here" in ended.errors
    assert f"{tmp_path}/odd.py:1: plugin 'odd': Schema.x: type 'function' is not supported" in ended.errors
