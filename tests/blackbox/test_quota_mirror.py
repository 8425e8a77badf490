"""quota-mirror against a real Valkey and a real NATS: whose a request is, what is told, what is refused."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import yaml
from tests.support.gateway import Gateway
from tests.support.load import Load
from tests.support.models import ModelServer, plain
from tests.support.nats import NatsServer
from tests.support.routes import routes
from tests.support.upstream import Upstream
from tests.support.valkey import Valkey


@pytest.fixture(scope="module")
async def valkey() -> AsyncIterator[Valkey]:
    server = await Valkey.started()
    yield server
    server.stop()


@pytest.fixture(scope="module")
async def nats() -> AsyncIterator[NatsServer]:
    server = await NatsServer().start(("QUOTA", "quota.>"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
async def models() -> AsyncIterator[ModelServer]:
    server = ModelServer()
    await server.start()
    usage = {"prompt_tokens": 6, "completion_tokens": 4, "total_tokens": 10}
    choices = [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}]
    server.play = plain(json.dumps({"model": "m", "choices": choices, "usage": usage}).encode())
    yield server
    await server.stop()


def config(upstream: str, models: str, redis_port: int, nats_url: str) -> str:
    base = {"redis_host": "127.0.0.1", "redis_port": redis_port}
    strict = base | {"alert_only": False}
    plugins: dict[str, tuple[str, dict[str, Any]]] = {
        "alert": ("quota-mirror", base),
        "strict": ("quota-mirror", strict),
        "defaults": ("quota-mirror", strict | {"requests": {"month": 2}, "periods": ["month"]}),
        "other": ("quota-mirror", base | {"tenant_header": "X-Org", "redis": {"database": 0}}),
        "caller": ("quota-mirror", base | {"consumer_fallback": True}),
        "told": ("quota-mirror", base | {"nats_url": nats_url, "nats_subject": "quota.alerts"}),
        "away": ("quota-mirror", {"redis": {"host": "127.0.0.1", "port": 1}}),
        "away-strict": ("quota-mirror", {"redis": {"host": "127.0.0.1", "port": 1}, "fault_tolerant": False}),
    }
    for period in ("minute", "hour", "day", "month"):
        plugins[period] = ("quota-mirror", strict | {"periods": [period], "requests": {period: 1}})
    document = yaml.safe_load(routes(upstream, plugins))
    document["plugins"] = [{"name": "prometheus"}]
    document["consumers"] = [
        {"username": "ann", "custom_id": "acme-co", "keyauth_credentials": [{"key": "ann-key"}]},
        {"username": "bob", "keyauth_credentials": [{"key": "bob-key"}]},
    ]
    for route in document["services"][0]["routes"]:
        if route["name"] == "caller":
            route["plugins"].append({"name": "key-auth"})
    llm = {
        "route_type": "llm/v1/chat",
        "model": {"provider": "openai", "name": "m", "options": {"upstream_url": models}},
    }
    for name, counts in (("model", True), ("model-uncounted", False)):
        quota = strict | {"tokens": {"month": 20}, "count_tokens": counts}
        plugin = [{"name": "quota-mirror", "config": quota}, {"name": "ai-proxy", "config": llm}]
        document["services"][0]["routes"].append({"name": name, "paths": [f"/{name}"], "plugins": plugin})
    return yaml.safe_dump(document)


@pytest.fixture(scope="module")
async def node(
    upstream: Upstream, models: ModelServer, valkey: Valkey, nats: NatsServer
) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(config(upstream.url, models.url, valkey.port, nats.url), workers=2)
    yield gateway
    await gateway.stop()


async def limit(valkey: Valkey, tenant: str, **limits: str | int) -> None:
    """Does what the keeper of quotas does."""
    for name, value in limits.items():
        await valkey.say("HSET", f"quota:{{{tenant}}}", name.replace("_", ":"), value)


def tenant(name: str) -> dict[str, str]:
    return {"X-Tenant-Id": name}


async def test_a_request_that_is_nobody_s_is_refused(node: Gateway, upstream: Upstream) -> None:
    before = len(upstream.received)
    reply = await node.request("GET", "/alert")
    assert reply.status == 400
    assert reply.json() == {"error": "MISSING_TENANT_ID", "message": "header X-Tenant-Id is required"}
    assert len(upstream.received) == before


@pytest.mark.parametrize("name", ["a b", "{x}", "x" * 129, "-x", "a*"])
async def test_a_name_that_could_be_another_key_is_refused(node: Gateway, name: str) -> None:
    reply = await node.request("GET", "/alert", tenant(name))
    assert reply.status == 400
    assert b"INVALID_TENANT_ID" in reply.body


async def test_the_header_can_be_another_one(node: Gateway, valkey: Valkey) -> None:
    assert (await node.request("GET", "/other", tenant("t"))).status == 400
    assert (await node.request("GET", "/other", {"X-Org": "org-1"})).status == 200
    assert await valkey.say("KEYS", "quota:{org-1}:requests:month:*")


async def test_a_consumer_may_stand_for_the_tenant(node: Gateway, valkey: Valkey) -> None:
    for key, name in (("ann-key", "acme-co"), ("bob-key", "bob")):
        assert (await node.request("GET", "/caller", {"apikey": key})).status == 200
        assert len(await valkey.say("KEYS", f"quota:{{{name}}}:requests:*")) == 4
    assert (await node.request("GET", "/caller", {"apikey": "ann-key"} | tenant("given"))).status == 200
    assert await valkey.say("KEYS", "quota:{given}:requests:*")


async def test_over_the_quota_a_tenant_passes_with_a_header(
    node: Gateway, valkey: Valkey, upstream: Upstream
) -> None:
    await limit(valkey, "soft", requests_month=2)
    replies = [await node.request("GET", "/alert", tenant("soft")) for _ in range(4)]
    assert [reply.status for reply in replies] == [200] * 4
    told = [reply.headers.get("x-quota-exceeded") for reply in replies]
    assert told == [None, None, "true", "true"]
    assert upstream.received[-1].headers["x-quota-exceeded"] == "true"
    other = await node.request("GET", "/alert", tenant("hard") | {"X-Quota-Exceeded": "true"})
    assert "x-quota-exceeded" not in other.headers
    assert "x-quota-exceeded" not in upstream.received[-1].headers
    await node.until_logged("tenant soft exceeds its quota of 2 requests a month")
    metrics = (await node.admin_request("GET", "/metrics")).body.decode()
    labels = 'resource="requests",period="month",action="alerted"'
    assert f"tollhouse_quota_exceeded_total{{{labels}}} 2" in metrics


async def test_enforced_a_tenant_over_the_quota_is_refused(
    node: Gateway, valkey: Valkey, upstream: Upstream
) -> None:
    await limit(valkey, "firm", requests_month=1, requests_day=1)
    assert (await node.request("GET", "/strict", tenant("firm"))).status == 200
    before = len(upstream.received)
    reply = await node.request("GET", "/strict", tenant("firm"))
    assert reply.status == 429
    assert reply.headers["x-quota-exceeded"] == "true"
    wait = int(reply.headers["retry-after"])
    assert 0 < wait <= 31 * 86400
    assert reply.json() == {
        "error": "QUOTA_EXCEEDED",
        "message": "the quota of 1 requests a month is used up",
        "resource": "requests",
        "period": "month",
        "limit": 1,
        "retry_after": wait,
    }
    assert len(upstream.received) == before


async def test_all_workers_and_nodes_together_let_no_more_through(
    node: Gateway, valkey: Valkey, nats: NatsServer, upstream: Upstream, models: ModelServer
) -> None:
    await limit(valkey, "busy", requests_month=200)
    other = await Gateway.start(config(upstream.url, models.url, valkey.port, nats.url))
    try:
        loads = [Load(one.proxy, "/strict", tenant("busy")).start(8) for one in (node, other)]
        await asyncio.gather(*(load.until(200) for load in loads))
        await asyncio.gather(*(load.stop() for load in loads))
    finally:
        await other.stop()
    passed = sum(load.statuses[200] for load in loads)
    assert passed <= 200
    (key,) = await valkey.say("KEYS", "quota:{busy}:requests:month:*")
    assert int(await valkey.say("GET", key)) == passed


async def test_limits_of_the_configuration_hold_for_tenants_without_any(
    node: Gateway, valkey: Valkey
) -> None:
    statuses = [(await node.request("GET", "/defaults", tenant("plain"))).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    await limit(valkey, "rich", requests_month=-1)
    statuses = [(await node.request("GET", "/defaults", tenant("rich"))).status for _ in range(4)]
    assert statuses == [200] * 4
    assert len(await valkey.say("KEYS", "quota:{rich}:requests:*")) == 1


@pytest.mark.parametrize("period", ["minute", "hour", "day", "month"])
async def test_every_period_may_have_a_limit(node: Gateway, period: str) -> None:
    # A period may end meanwhile, once.
    replies = [await node.request("GET", f"/{period}", tenant(f"in-a-{period}")) for _ in range(3)]
    assert replies[0].status == 200
    refused = next(reply for reply in replies if reply.status == 429)
    assert f"the quota of 1 requests a {period} is used up" in refused.body.decode()


async def test_a_limit_that_is_no_number_does_not_count(node: Gateway, valkey: Valkey) -> None:
    await limit(valkey, "odd", requests_month="plenty")
    statuses = [(await node.request("GET", "/defaults", tenant("odd"))).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    await node.until_logged("quota of tenant odd")


async def test_tokens_of_models_count(node: Gateway, valkey: Valkey) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "x"}]}).encode()
    headers = {"Content-Type": "application/json"}

    async def used(name: str) -> int:
        keys = await valkey.say("KEYS", f"quota:{{{name}}}:tokens:month:*")
        return int(await valkey.say("GET", keys[0])) if keys else 0

    for tokens in (10, 20):
        assert (await node.request("POST", "/model", headers | tenant("chatty"), body)).status == 200
        async with asyncio.timeout(10):
            while await used("chatty") != tokens:
                await asyncio.sleep(0.005)
    reply = await node.request("POST", "/model", headers | tenant("chatty"), body)
    assert reply.status == 429
    assert b"20 tokens a month" in reply.body
    for _ in range(3):
        reply = await node.request("POST", "/model-uncounted", headers | tenant("quiet"), body)
        assert reply.status == 200
    assert await used("quiet") == 0


async def test_an_event_is_told_once_to_jetstream(node: Gateway, valkey: Valkey, nats: NatsServer) -> None:
    await limit(valkey, "loud", requests_month=1)
    for _ in range(6):
        await node.request("GET", "/told", tenant("loud"))
    await limit(valkey, "louder", requests_month=1)
    for _ in range(2):
        await node.request("GET", "/told", tenant("louder"))
    events = [json.loads(data) for data in await nats.messages("quota.alerts", 2)]
    assert [event["tenant"] for event in events] == ["loud", "louder"]
    first = events[0]
    assert (first["type"], first["resource"], first["period"]) == ("quota.exceeded", "requests", "month")
    assert (first["limit"], first["used"], first["alert_only"], first["route"]) == (1, 2, True, "told")
    assert await nats.count("QUOTA") == 2


async def test_without_redis_requests_pass_uncounted_or_not_at_all(node: Gateway) -> None:
    assert (await node.request("GET", "/away", tenant("t"))).status == 200
    reply = await node.request("GET", "/away-strict", tenant("t"))
    assert reply.status == 503
    assert reply.json() == {"error": "QUOTA_UNAVAILABLE", "message": "quotas cannot be checked now"}
    await node.until_logged("cannot be reached")
    metrics = (await node.admin_request("GET", "/metrics")).body.decode()
    assert "tollhouse_quota_unchecked_total" in metrics


async def test_a_broker_s_address_is_checked(node: Gateway) -> None:
    asked = json.dumps({"name": "quota-mirror", "config": {"nats_url": "http://x"}}).encode()
    headers = {"Content-Type": "application/json"}
    reply = await node.admin_request("POST", "/schemas/plugins/validate", headers, asked)
    assert reply.status == 400
    assert b"nats_url must begin with" in reply.body
