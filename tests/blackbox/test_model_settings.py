"""Settings that all plugins with models share, with each of them: ai-gateway, ai-proxy, ai-proxy-advanced,
bedrock-proxy. Times of ai-fault-injection."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import pytest
from tests.support.gateway import Gateway, Reply
from tests.support.models import ModelServer, plain, replay, silent
from tests.support.recordings import recording
from tests.support.routes import routes

CHAT: Final = {"messages": [{"role": "user", "content": "hi"}]}
CLAUDE: Final = recording("anthropic/messages-text-claude-opus-4-6")
#: 100 tokens in, 10 of them heard; 50 out, 20 of them spoken
SPOKEN: Final = json.dumps(
    {
        "model": "gpt-4o-mini",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "total_tokens": 150,
            "prompt_tokens_details": {"audio_tokens": 10},
            "completion_tokens_details": {"audio_tokens": 20},
        },
    }
).encode()
CONVERSED: Final = json.dumps(
    {
        "output": {"message": {"role": "assistant", "content": [{"text": "Hi"}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 100, "outputTokens": 50, "totalTokens": 150},
    }
).encode()
NOVA: Final = "amazon.nova-micro-v1:0"
PLUGINS: Final = ("ai-gateway", "ai-proxy", "ai-proxy-advanced", "bedrock-proxy")
#: dollars for a million tokens
PRICES: Final = {"input": 1000, "output": 2000, "input_audio": 3000, "output_audio": 4000}


def settings(plugin: str, url: str) -> dict[str, Any]:
    target = {
        "route_type": "llm/v1/chat",
        "auth": {"header_name": "Authorization", "header_value": "Bearer the-key"},
        "model": {
            "provider": "openai",
            "name": "gpt-4o-mini",
            "options": {"upstream_url": f"{url}/v1/chat/completions"},
        },
    }
    aws = {"aws_access_key_id": "AKID", "aws_secret_access_key": "secret"}
    known: dict[str, dict[str, Any]] = {
        "ai-gateway": {"providers": [{"name": name, "key": "k", "base_url": url} for name in PROVIDERS]},
        "ai-proxy": target,
        "ai-proxy-advanced": {"targets": [target]},
        "bedrock-proxy": {"base_url": url, "auth": aws},
    }
    return known[plugin]


PROVIDERS: Final = ("openai", "anthropic")


def claude_target(url: str) -> dict[str, Any]:
    options = {"upstream_url": f"{url}/v1/messages", "anthropic_version": "2023-06-01"}
    return {
        "route_type": "llm/v1/chat",
        "auth": {"header_name": "x-api-key", "header_value": "the-key"},
        "model": {"provider": "anthropic", "name": "claude-haiku-4-5", "options": options},
    }


def openai_target(url: str) -> dict[str, Any]:
    target: dict[str, Any] = settings("ai-proxy-advanced", url)["targets"][0]
    return target | {"weight": 1000}


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    """Of a socket that takes no connections, and of one that never reads."""
    sockets = {name: socket.socket() for name in ("full", "deaf")}
    for sock in sockets.values():
        sock.bind(("127.0.0.1", 0))
    sockets["full"].listen(0)
    sockets["deaf"].listen(5)
    filling = [socket.socket() for _ in range(2)]
    for sock in filling:  # once its queue is full, the kernel drops what comes
        sock.setblocking(False)
        sock.connect_ex(sockets["full"].getsockname())
    yield {name: sock.getsockname()[1] for name, sock in sockets.items()}
    for sock in (*sockets.values(), *filling):
        sock.close()


@pytest.fixture(scope="module")
async def models() -> AsyncIterator[ModelServer]:
    server = ModelServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(scope="module")
async def node(models: ModelServer, ports: dict[str, int]) -> AsyncIterator[Gateway]:
    url = models.url
    named: dict[str, tuple[str, dict[str, Any]]] = {}
    for plugin in PLUGINS:
        usual = settings(plugin, url)
        prices = [{"model": NOVA if plugin == "bedrock-proxy" else "gpt-4o-mini", **PRICES}]
        named |= {
            f"{plugin}-usual": (plugin, usual),
            f"{plugin}-twice": (plugin, usual | {"limits": {"idempotency_ttl": 0}}),
            f"{plugin}-hasty": (plugin, usual | {"limits": {"first_byte_timeout": 300}}),
            f"{plugin}-priced": (plugin, usual | {"prices": prices}),
        }
    bedrock = settings("bedrock-proxy", url)
    named |= {
        "gateway-drops": ("ai-gateway", settings("ai-gateway", url) | {"drop_unsupported": True}),
        "bedrock-drops": ("bedrock-proxy", bedrock | {"drop_unsupported": True}),
        "bedrock-claude": ("bedrock-proxy", bedrock | {"llm_format": "anthropic"}),
        "bedrock-small": ("bedrock-proxy", bedrock | {"max_request_body_size": 9000}),
        "bedrock-silent": ("bedrock-proxy", bedrock | {"model_name_header": False}),
        "bedrock-whole": ("bedrock-proxy", bedrock | {"response_streaming": "deny"}),
    }
    for name, balancer in (("full", {"connect_timeout": 300}), ("deaf", {"write_timeout": 300})):
        first = openai_target(f"http://127.0.0.1:{ports[name]}")
        targets = {"targets": [first, claude_target(url)], "max_request_body_size": 64 * 1024 * 1024}
        named[name] = ("ai-proxy-advanced", targets | {"balancer": {"algorithm": "priority", **balancer}})
    gateway = await Gateway.start(routes(url, named))
    yield gateway
    await gateway.stop()


async def ask(node: Gateway, route: str, headers: dict[str, str] | None = None, **members: Any) -> Reply:
    path, body = f"/{route}", CHAT | members
    if route.startswith(("ai-gateway", "gateway")):
        path, body = f"{path}/v1/chat/completions", {"model": "gpt-4o-mini"} | body
    elif "bedrock" in route:
        body = {"model": NOVA} | body
    fields = {"Content-Type": "application/json", **(headers or {})}
    return await node.request("POST", path, fields, json.dumps(body).encode())


def answer_of(plugin: str) -> bytes:
    return CONVERSED if plugin == "bedrock-proxy" else SPOKEN


@pytest.mark.parametrize("plugin", PLUGINS)
async def test_without_a_time_to_keep_answers_retries_are_asked_anew(
    node: Gateway, models: ModelServer, plugin: str
) -> None:
    models.play = plain(answer_of(plugin))
    for route, times in ((f"{plugin}-usual", 1), (f"{plugin}-twice", 2)):
        asked = len(models.received)

        replies = [await ask(node, route, {"Idempotency-Key": "one"}) for _ in range(2)]

        assert [reply.status for reply in replies] == [200, 200]
        assert len(models.received) == asked + times


@pytest.mark.parametrize("plugin", PLUGINS)
async def test_who_says_nothing_is_given_up_after_the_limit(
    node: Gateway, models: ModelServer, plugin: str
) -> None:
    models.play = silent

    assert (await ask(node, f"{plugin}-hasty")).status == 504


@pytest.mark.parametrize("plugin", PLUGINS)
async def test_prices_are_the_operator_s(node: Gateway, models: ModelServer, plugin: str) -> None:
    models.play = plain(answer_of(plugin))

    reply = await ask(node, f"{plugin}-priced")

    cost = float(reply.headers["x-tollhouse-cost-usd"])
    if plugin == "bedrock-proxy":  # where nothing is heard or spoken
        assert cost == pytest.approx((100 * 1000 + 50 * 2000) / 1e6)
    else:
        assert cost == pytest.approx((90 * 1000 + 10 * 3000 + 30 * 2000 + 20 * 4000) / 1e6)


@pytest.mark.parametrize("route", ["gateway-drops", "bedrock-drops"])
async def test_what_cannot_be_expressed_is_dropped_where_that_is_allowed(
    node: Gateway, models: ModelServer, route: str
) -> None:
    models.play = replay(CLAUDE) if route == "gateway-drops" else plain(CONVERSED)
    name = "claude-opus-4-6" if route == "gateway-drops" else NOVA
    usual = "ai-gateway-usual" if route == "gateway-drops" else "bedrock-proxy-usual"

    reply = await ask(node, route, seed=7, model=name)

    assert (reply.status, reply.headers.get("x-tollhouse-dropped")) == (200, "seed")
    refused = await ask(node, usual, seed=7, model=name)
    assert (refused.status, b"seed" in refused.body) == (400, True)


async def test_bedrock_for_clients_of_anthropic_s_form(node: Gateway, models: ModelServer) -> None:
    models.play = plain(CONVERSED)

    reply = await ask(node, "bedrock-claude", max_tokens=9)

    answer: Any = reply.json()
    assert (answer["type"], answer["content"][0]["text"]) == ("message", "Hi")
    assert models.last_body["inferenceConfig"]["maxTokens"] == 9


async def test_a_request_that_is_larger_than_allowed_is_not_sent(node: Gateway, models: ModelServer) -> None:
    models.play = plain(CONVERSED)
    asked = len(models.received)

    assert (await ask(node, "bedrock-small", user="u" * 10_000)).status in (400, 413)
    assert len(models.received) == asked


async def test_the_model_is_told_in_a_header_unless_that_is_off(node: Gateway, models: ModelServer) -> None:
    models.play = plain(CONVERSED)

    told, quiet = await ask(node, "bedrock-proxy-usual"), await ask(node, "bedrock-silent")

    assert told.headers["x-kong-llm-model"] == f"bedrock/{NOVA}"
    assert (quiet.status, quiet.headers.get("x-kong-llm-model")) == (200, None)


async def test_streams_may_be_denied(node: Gateway, models: ModelServer) -> None:
    models.play = plain(CONVERSED)

    reply = await ask(node, "bedrock-whole", stream=True)

    assert (reply.status, b"not enabled" in reply.body) == (400, True)


@pytest.mark.parametrize(("route", "size"), [("full", 1), ("deaf", 24 * 1024 * 1024)])
async def test_a_target_that_takes_no_connection_or_no_bytes_gives_way(
    node: Gateway, models: ModelServer, route: str, size: int
) -> None:
    """`connect_timeout` and `write_timeout` of the balancer."""
    models.play = replay(CLAUDE)
    messages = [{"role": "user", "content": "x" * size}]

    reply = await ask(node, route, messages=messages)

    assert (reply.status, reply.headers.get("x-tollhouse-provider")) == (200, "anthropic")


# ai-fault-injection


@pytest.fixture(scope="module")
async def drill() -> AsyncIterator[Gateway]:
    """A drill whose pieces come late, and one that stalls for a second only."""
    late = {"delay": 60_000}
    short = {"fault": "stall", "silence": 1}
    gateway = await Gateway.start(
        routes(
            "http://127.0.0.1:1",
            {
                "late": ("ai-fault-injection", late),
                "at-once": ("ai-fault-injection", {}),
                "short": ("ai-fault-injection", short),
            },
        )
    )
    yield gateway
    await gateway.stop()


@pytest.mark.parametrize(("route", "status"), [("late", 504), ("at-once", 200)])
async def test_a_delay_comes_before_each_piece(drill: Gateway, route: str, status: int) -> None:
    """Seen by a gateway that does not wait for it."""
    host, port = drill.proxy
    limits = {"limits": {"chunk_timeout": 1000}}
    drilled = settings("ai-proxy", f"http://{host}:{port}/{route}") | limits
    node = await Gateway.start(routes("http://127.0.0.1:1", {"ai-proxy": ("ai-proxy", drilled)}))
    try:
        assert (await ask(node, "ai-proxy")).status == status
    finally:
        await node.stop()


async def test_a_stall_ends_after_its_silence(drill: Gateway) -> None:
    with pytest.raises((EOFError, asyncio.IncompleteReadError)):
        await ask(drill, "short", stream=True)
