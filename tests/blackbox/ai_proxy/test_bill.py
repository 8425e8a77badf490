"""What calls are said to have used and cost: in headers, log records, metrics and on the command line."""

import asyncio

import pytest
from tests.support.ai_proxy import STREAM, TEXT, ask, config, open_stream, route
from tests.support.cli import tollhouse
from tests.support.gateway import Gateway
from tests.support.models import ModelServer, plain, record_of, replay, stream
from tests.support.prometheus import Scrape
from tests.support.recordings import Recording, recording

CLAUDE = recording("anthropic/messages-stream-text-claude-3-5-haiku-20241022")
PRICES = """prices:
      - {model: gpt-4o-mini, input: 100, output: 200, cached_input: 10, reasoning: 300}
      - {model: gpt-4o-mini, tier: flex, input: 50, output: 100}"""
ANSWER = (
    b'{"model":"gpt-4o-mini","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":100,"completion_tokens":10,"total_tokens":110,'
    b'"prompt_tokens_details":{"cached_tokens":40},"completion_tokens_details":{"reasoning_tokens":4}}%b}'
)


@pytest.fixture(scope="module", autouse=True)
async def priced(node: Gateway, models: ModelServer) -> None:
    chat = f"{models.url}/v1/chat/completions"
    routes = (
        route("own-prices", chat, more=PRICES)
        + route("unknown", chat, model="name: nobody-knows-this,")
        + route(
            "claude",
            f"{models.url}/v1/messages",
            provider="anthropic",
            model="name: claude-3-5-haiku-20241022,",
            options=', anthropic_version: "2023-06-01"',
        )
    )
    keyed = """
- name: key-auth
  route: own-prices
  config: {anonymous: guest}
consumers:
- {username: guest}
- {username: team-a, keyauth_credentials: [{key: a-key}]}
"""
    text = config(models.url, str(node.folder / "log.json"))
    loaded = await node.configure(text.replace("\nplugins:\n", routes + "\nplugins:\n") + keyed.lstrip("\n"))
    assert loaded.status == 201, loaded.body


async def scrape(node: Gateway) -> Scrape:
    return Scrape.of((await node.admin_request("GET", "/metrics")).body.decode())


@pytest.mark.parametrize(
    ("more", "cost"),
    [
        (b"", (60 * 100 + 40 * 10 + 6 * 200 + 4 * 300) / 1e6),
        (b',"service_tier":"flex"', (100 * 50 + 10 * 100) / 1e6),
    ],
    ids=["standard", "flex"],
)
async def test_prices_of_the_configuration_go_by_model_and_tier(
    node: Gateway, models: ModelServer, more: bytes, cost: float
) -> None:
    models.play = plain(ANSWER % more)

    reply = await ask(node, "/own-prices")

    assert float(reply.headers["x-tollhouse-cost-usd"]) == cost
    assert reply.headers["x-tollhouse-usage"] == "reported"
    request_id = reply.headers["x-kong-request-id"]
    call = (await record_of(node, request_id))["ai"]["call"]
    assert call["usage_source"] == "provider"
    assert call["tokens"]["cached_tokens"] == 40
    done = await tollhouse("cost", "explain", request_id, "--log", str(node.folder / "log.json"))
    assert done.code == 0, done.errors
    assert f"{cost:f}".rstrip("0") in done.output
    assert "configuration: prices" in done.output


async def test_calls_are_counted_by_model_and_role(node: Gateway, models: ModelServer) -> None:
    models.play = plain(ANSWER % b"")
    await ask(node, "/own-prices", headers={"apikey": "a-key"})
    models.play = plain(b"{}", 500)
    await ask(node, "/own-prices", headers={"apikey": "a-key"})

    metrics = await scrape(node)

    labels = {"model": "gpt-4o-mini", "role": "team-a"}
    assert metrics.value("kong_bedrock_requests_total", **labels) == 2
    assert metrics.value("kong_bedrock_errors_total", **labels) == 1
    assert metrics.value("kong_bedrock_tokens_input_total", **labels) == 100
    assert metrics.value("kong_bedrock_tokens_output_total", **labels) == 10
    assert metrics.value("kong_bedrock_cost_estimate_dollars", **labels) == pytest.approx(0.0088)
    assert metrics.value("kong_bedrock_request_duration_seconds_count", **labels) == 2


async def test_a_price_that_nobody_knows_is_counted_and_no_price(node: Gateway, models: ModelServer) -> None:
    models.play = plain(ANSWER.replace(b"gpt-4o-mini", b"nobody-knows-this") % b"")
    before = (await scrape(node)).value("tollhouse_llm_unpriced_calls_total")

    reply = await ask(node, "/unknown")

    assert "x-tollhouse-cost-usd" not in reply.headers
    request_id = reply.headers["x-kong-request-id"]
    call = (await record_of(node, request_id))["ai"]["call"]
    assert (call["unpriced"], call["cost_nano_usd"]) == (True, None)
    assert (await scrape(node)).value("tollhouse_llm_unpriced_calls_total") == before + 1
    done = await tollhouse("cost", "explain", request_id, "--log", str(node.folder / "log.json"))
    assert done.code == 1
    assert "nobody knows the price" in done.errors


@pytest.mark.parametrize(
    ("path", "stored"),
    [("/openai", TEXT), ("/openai", STREAM), ("/claude", CLAUDE)],
    ids=["whole", "streamed", "translated"],
)
async def test_the_catalogue_s_row_explains_the_cost(
    node: Gateway, models: ModelServer, path: str, stored: Recording
) -> None:
    models.play = replay(stored)

    reply = await ask(node, path, stream=stored.streamed)

    request_id = reply.headers["x-kong-request-id"]
    call = (await record_of(node, request_id))["ai"]["call"]
    assert call["cost_nano_usd"] > 0
    done = await tollhouse("cost", "explain", request_id, "--log", str(node.folder / "log.json"))
    assert done.code == 0, done.errors
    assert "tokens reported by the provider" in done.output
    assert "prices: genai-prices" in done.output


async def test_a_client_that_hangs_up_pays_for_what_was_delivered(node: Gateway, models: ModelServer) -> None:
    held = asyncio.Event()
    whole = b"".join(CLAUDE.chunks)
    half = whole[: whole.rindex(b"event: content_block_delta")]
    models.play = stream([half, whole[len(half) :]], after=held)
    before = await scrape(node)
    reader, writer = await open_stream(node, "/claude")
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    await reader.readuntil(b'"content"')

    writer.close()

    request_id = head.partition("x-kong-request-id: ")[2].partition("\r\n")[0]
    call = (await record_of(node, request_id))["ai"]["call"]
    held.set()
    assert call["error"] == "client_gone"
    assert call["usage_source"] == "estimated"
    assert call["tokens"]["prompt_tokens"] > 0
    assert call["tokens"]["completion_tokens"] > 0
    labels = {"model": "claude-3-5-haiku-20241022"}
    after = await scrape(node)
    name = "kong_bedrock_errors_total"
    assert after.value(name, **labels) == before.value(name, **labels) + 1
