"""The platform folder, made one file by `tollhouse config render`: four services behind global plugins."""

import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from joserfc import jwt
from joserfc.jwk import OctKey
from tests.support.acceptance import FILES, localised
from tests.support.cli import tollhouse
from tests.support.gateway import Gateway
from tests.support.upstream import Upstream
from tests.support.valkey import Valkey

SERVICES = ("agent-orchestrator:8083", "integrations:8085", "llmops:8086", "knowledge-rag:8084")
ROUTES = {
    "/v1/workflows": ("agent-orchestrator", {"GET", "POST", "PUT", "DELETE"}),
    "/v1/integrations": ("integrations", {"GET", "POST", "PUT", "PATCH", "DELETE"}),
    "/v1/documents": ("knowledge-rag", {"GET", "POST", "DELETE"}),
    "/v1/search": ("knowledge-rag", {"GET", "POST", "DELETE"}),
    "/v1/evaluations": ("llmops", {"GET", "POST", "PUT", "PATCH", "DELETE"}),
    "/v1/prompts": ("llmops", {"GET", "POST", "PUT", "PATCH", "DELETE"}),
}
SECRET = "a secret of at least thirty-two bytes"


def token(**claims: Any) -> str:
    told = {"iss": "acme-issuer", "exp": int(time.time()) + 3600} | claims
    told = {name: value for name, value in told.items() if value is not None}
    return jwt.encode({"alg": "HS256"}, told, OctKey.import_key(SECRET))


def signed(tenant: str | None = "acme", **claims: Any) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {token(**claims)}"}
    return headers | ({"X-Tenant-Id": tenant} if tenant is not None else {})


@pytest.fixture(scope="module")
async def valkey() -> AsyncIterator[Valkey]:
    server = await Valkey.started()
    yield server
    server.stop()


@pytest.fixture(scope="module")
async def services() -> AsyncIterator[dict[str, Upstream]]:
    made = {place.partition(":")[0]: await Upstream().start() for place in (*SERVICES, "otel-collector:1")}
    yield made
    for server in made.values():
        await server.stop()


@pytest.fixture(scope="module")
async def node(
    services: dict[str, Upstream], valkey: Valkey, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    rendered = tmp_path_factory.mktemp("platform") / "kong.yml"
    ended = await tollhouse("config", "render", str(FILES / "platform"), "-o", str(rendered))
    assert ended.code == 0, ended.errors
    text = _local(rendered, services, valkey)
    # As for Kong: what the files promise of traces holds where the node is told to trace.
    tracing = {"KONG_TRACING_INSTRUMENTATIONS": "all", "KONG_TRACING_SAMPLING_RATE": "1"}
    gateway = await Gateway.start(text, workers=2, environment=tracing)
    yield gateway
    await gateway.stop()


def _local(rendered: Path, services: dict[str, Upstream], valkey: Valkey) -> str:
    places = {f"http://{place}": services[place.partition(":")[0]].url for place in SERVICES}
    places["http://otel-collector:4318"] = services["otel-collector"].url
    places |= {"redis_host: redis": "redis_host: 127.0.0.1", "redis_port: 6379": f"redis_port: {valkey.port}"}
    document = yaml.safe_load(localised(rendered.read_text(), places))
    # The platform's consumers are made by its tenants' onboarding, not by these files.
    secret = {"key": "acme-issuer", "secret": SECRET}
    document["consumers"] = [{"username": "acme", "jwt_secrets": [secret]}]
    return yaml.safe_dump(document)


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_each_path_goes_to_its_service_by_its_methods(
    node: Gateway, services: dict[str, Upstream], path: str, method: str
) -> None:
    service, methods = ROUTES[path]
    reply = await node.request(method, f"{path}/7?a=b", signed())
    assert reply.status == (200 if method in methods else 404)
    if method in methods:
        received = services[service].received[-1]
        assert (received.method, received.target) == (method, f"{path}/7?a=b")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer nonsense"},
        signed(exp=1),
        signed(exp=None),
        signed(iss="somebody"),
        signed(iss=None),
        {"Cookie": f"jwt={token()}"},
    ],
    ids=["none", "nonsense", "expired", "without exp", "unknown issuer", "without issuer", "cookie"],
)
async def test_without_a_token_that_holds_nobody_gets_in(node: Gateway, headers: dict[str, str]) -> None:
    assert (await node.request("GET", "/v1/workflows", {"X-Tenant-Id": "acme"} | headers)).status == 401


async def test_a_token_may_stand_in_the_query(node: Gateway) -> None:
    reply = await node.request("GET", f"/v1/integrations?jwt={token()}", {"X-Tenant-Id": "acme"})
    assert reply.status == 200


async def test_preflight_requests_need_a_token_too(node: Gateway) -> None:
    assert (await node.request("OPTIONS", "/v1/integrations", {"X-Tenant-Id": "acme"})).status == 401


async def test_services_are_told_who_forwarded_when_and_under_which_trace(
    node: Gateway, services: dict[str, Upstream]
) -> None:
    reply = await node.request("GET", "/v1/prompts", signed() | {"X-Trace-Id": "mine"})
    received = services["llmops"].received[-1]
    assert received.headers["x-forwarded-by"] == "Kong"
    assert re.fullmatch(r"\d{10}\.\d{3}", received.headers["x-request-start"])
    traces = [value for name, value in received.fields if name == "x-trace-id"]
    assert traces == ["mine", reply.headers["x-kong-request-id"]]


async def test_limits_are_told_and_counted_in_database_one(node: Gateway, valkey: Valkey) -> None:
    reply = await node.request("GET", "/v1/documents", signed())
    told = {name: reply.headers[f"x-ratelimit-limit-{name}"] for name in ("second", "minute", "hour")}
    assert told == {"second": "100", "minute": "1000", "hour": "10000"}
    assert len(await valkey.say("KEYS", "*", database=1)) >= 2


async def test_a_request_needs_a_tenant(node: Gateway) -> None:
    reply = await node.request("GET", "/v1/workflows", signed(tenant=None))
    assert reply.status == 400
    assert b"MISSING_TENANT_ID" in reply.body


async def test_a_tenant_over_the_quota_is_only_alerted(node: Gateway, valkey: Valkey) -> None:
    await valkey.say("HSET", "quota:{globex}", "requests:month", 1)
    replies = [await node.request("GET", "/v1/workflows", signed("globex")) for _ in range(2)]
    assert [reply.status for reply in replies] == [200, 200]
    assert [reply.headers.get("x-quota-exceeded") for reply in replies] == [None, "true"]


async def test_traces_reach_the_collector_under_the_platform_s_name(
    node: Gateway, services: dict[str, Upstream]
) -> None:
    assert (await node.request("GET", "/v1/evaluations", signed())).status == 200
    collector = services["otel-collector"]
    await collector.until(1, "/v1/traces")
    (sent,) = {(received.method, received.target) for received in collector.received}
    assert sent == ("POST", "/v1/traces")
    # Protocol buffers carry text as it is.
    for text in (b"service.name", b"kong-gateway", b"deployment.environment", b"r1"):
        assert all(text in received.body for received in collector.received)


async def test_without_redis_requests_still_pass(
    services: dict[str, Upstream], tmp_path_factory: pytest.TempPathFactory
) -> None:
    rendered = tmp_path_factory.mktemp("platform") / "kong.yml"
    await tollhouse("config", "render", str(FILES / "platform"), "-o", str(rendered))
    server = await Valkey.started()
    text = _local(rendered, services, server)
    node = await Gateway.start(text)
    try:
        assert (await node.request("GET", "/v1/workflows", signed())).status == 200
        server.kill()
        reply = await node.request("GET", "/v1/workflows", signed())
        assert reply.status == 200
        assert reply.headers["x-ratelimit-limit-hour"] == "10000"
    finally:
        await node.stop()
        server.stop()
