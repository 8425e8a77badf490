"""pre-function: Lua in the configuration, before all other plugins."""

from collections.abc import AsyncIterator

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream

CONFIG = """_format_version: "3.0"
services:
- url: {url}
  routes:
  - name: r
    paths: [/]
    plugins:
    - name: pre-function
      config:
        access:
        - |
          local wanted = kong.request.get_header("x-do")
          if wanted == "exit" then
            return kong.response.exit(418, {{tea = "caf\\195\\169"}}, {{["X-By"] = "lua"}})
          elseif wanted == "fail" then
            kong.no_such.thing()
          end
          kong.service.request.set_header("X-Lua", "pre")
        - return function() kong.log("from lua ", kong.request.get_method()) end
  - name: kept
    paths: [/kept]
    plugins:
    - name: pre-function
      config:
        access:
        - |
          local count, request = 0, kong.request
          return function()
            count = count + 1
            kong.ctx.shared.told = {{count = count, text = "caf\\195\\169"}}
            kong.service.request.set_header("X-Count", count .. request.get_header("x-me"))
            ngx.log(ngx.ERR, "seen by ", ngx.var.http_x_me)
          end
    - name: request-transformer
      config: {{add: {{headers: ["X-Shared:$(shared.told.count) $(shared.told.text)"]}}}}
  - name: nginx
    paths: [/nginx]
    plugins:
    - name: pre-function
      config:
        access:
        - |
          local headers = ngx.req.get_headers()
          if headers["x-do"] == "say" then
            ngx.status = 404
            ngx.header.x_by = "lua"
            ngx.say("Not ", {{"here", 1}}, nil)
            ngx.exit(ngx.status)
          elseif headers["x-do"] == "count" then
            ngx.req.read_body()
            ngx.print(ngx.req.get_body_data() + 1)
          elseif headers["x-do"] == "status" then
            ngx.status = ngx.HTTP_BAD_REQUEST
          elseif headers["x-do"] == "ok" then
            ngx.var.args = nil
            ngx.exit(ngx.OK)
          end
        - if ngx.status == 400 then ngx.exit(ngx.status) end
        - kong.service.request.set_header("X-Went-On", tostring(ngx.var.arg_q) .. ngx.escape_uri("a b"))
  - name: token
    paths: [/token]
    plugins:
    - {{name: jwt}}
    - name: request-transformer
      config: {{add: {{headers: ["X-Token:$(shared.authenticated_jwt_token)"]}}}}
consumers:
- {{username: alice, jwt_secrets: [{{key: k, secret: {secret}}}]}}
"""
SECRET = "a secret of thirty-two characters"


@pytest.fixture(scope="module")
async def node(upstream: Upstream) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(CONFIG.format(url=upstream.url, secret=SECRET))
    yield gateway
    await gateway.stop()


async def test_lua_changes_the_request(node: Gateway, upstream: Upstream) -> None:
    reply = await node.request("GET", "/some")

    assert reply.status == 200, node.errors
    assert upstream.received[-1].headers["x-lua"] == "pre"
    await node.until_logged("[pre-function] from lua GET")


async def test_lua_answers_early(node: Gateway) -> None:
    reply = await node.request("GET", "/", {"X-Do": "exit"})

    assert reply.status == 418
    assert reply.headers["x-by"] == "lua"
    assert reply.json() == {"tea": "café"}


@pytest.mark.parametrize(
    ("wanted", "body", "status", "said"),
    [
        ("say", b"", 404, b"Not here1nil\n"),
        ("count", b"41", 200, b"42"),
        ("status", b"", 400, b"Bad request"),
    ],
)
async def test_lua_answers_by_the_functions_of_nginx(
    node: Gateway, wanted: str, body: bytes, status: int, said: bytes
) -> None:
    reply = await node.request("POST", "/nginx", {"X-Do": wanted}, body)

    assert (reply.status, said in reply.body) == (status, True), (reply, node.errors)
    assert reply.headers.get("x-by") == ("lua" if wanted == "say" else None)


async def test_lua_ends_its_phase_and_the_request_goes_on(node: Gateway, upstream: Upstream) -> None:
    assert (await node.request("GET", "/nginx?q=1", {"X-Do": "ok"})).status == 200
    assert (upstream.received[-1].target, "x-went-on" in upstream.received[-1].headers) == ("/", False)
    assert (await node.request("GET", "/nginx?q=1")).status == 200
    assert (upstream.received[-1].target, upstream.received[-1].headers["x-went-on"]) == ("/?q=1", "1a%20b")


async def test_code_that_returns_a_function_keeps_its_variables(node: Gateway, upstream: Upstream) -> None:
    for number, who in enumerate(("a", "b", "c"), 1):
        assert (await node.request("GET", "/kept", {"X-Me": who})).status == 200, node.errors
        told = upstream.received[-1].headers
        assert told["x-count"] == f"{number}{who}"
        assert told["x-shared"] == f"{number} caf\u00c3\u00a9", "what it left for other plugins"
        await node.until_logged(f"[pre-function] seen by {who}")


async def test_other_plugins_see_the_token_that_jwt_has_verified(node: Gateway, upstream: Upstream) -> None:
    token = jwt.encode({"alg": "HS256"}, {"iss": "k"}, OctKey.import_key(SECRET))

    assert (await node.request("GET", "/token", {"Authorization": f"Bearer {token}"})).status == 200

    assert upstream.received[-1].headers["x-token"] == token


async def test_what_is_missing_is_named(node: Gateway) -> None:
    assert (await node.request("GET", "/", {"X-Do": "fail"})).status == 500
    await node.until_logged("no_such")


async def test_wrong_lua_and_phases_that_do_not_run_are_refused(node: Gateway) -> None:
    body = b'{"name": "pre-function", "config": {"access": ["return ("], "certificate": ["return 1"]}}'
    fields = {"Content-Type": "application/json"}
    told = (await node.admin_request("POST", "/schemas/plugins/validate", fields, body)).json()

    assert isinstance(told, dict)
    config = told["fields"]["config"]
    assert config["access"][0].startswith("error parsing pre-function: ")
    assert config["certificate"] == ["phase certificate does not run in Tollhouse"]
