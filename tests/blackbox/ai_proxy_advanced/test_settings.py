"""What the settings of ai-proxy-advanced do, beside the choice of a target."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from tests.support.ai_proxy import TEXT, ai_block, ask, message_of
from tests.support.gateway import Gateway
from tests.support.models import plain, replay, silent
from tests.support.recordings import recording
from tests.support.targets import CLAUDE, OPENAI, Servers, service
from tests.support.upstream import Received

CLAUDE_TEXT = recording("anthropic/messages-text-claude-opus-4-6")
#: long enough that no answer that comes at once takes it
SLOW_SECONDS = 0.4
SEED = "model_name_header: false\n      drop_unsupported: true"
PRICES = "prices: [{model: gpt-4o-mini, input: 1000, output: 2000}]"


def config(servers: Servers, log: str) -> str:
    openai = OPENAI.format(weight=200, url=servers.openai.url, route_type="llm/v1/chat")
    claude = CLAUDE.format(weight=100, url=servers.claude.url, route_type="llm/v1/chat")
    told = openai.replace("description: the usual", "metadata: {team: search}")
    services = (
        *(
            service(way, openai, claude, balancer=f"algorithm: lowest-latency, latency_strategy: {way}")
            for way in ("tpot", "e2e")
        ),
        service("few", openai, claude, balancer="algorithm: consistent-hashing, slots: 10"),
        service("patient", openai, claude, balancer="algorithm: priority, read_timeout: 300"),
        service("told", told),
        service("deny", openai, more="response_streaming: deny"),
        service("small", openai, more="max_request_body_size: 9000"),
        service("drops", claude, more=SEED),
        service("priced", openai, more=PRICES),
    )
    return f"""_format_version: "3.0"
services:{"".join(services)}
plugins:
- {{name: file-log, config: {{path: "{log}"}}}}
"""


@pytest.fixture(scope="module")
async def tuned(servers: Servers) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start('_format_version: "3.0"\n')
    loaded = await gateway.configure(config(servers, str(gateway.folder / "log.json")))
    assert loaded.status == 201, loaded.body
    yield gateway
    await gateway.stop()


@pytest.mark.parametrize(("way", "chosen"), [("tpot", "anthropic"), ("e2e", "openai")])
async def test_latency_strategy_says_what_is_fast(
    tuned: Gateway, servers: Servers, way: str, chosen: str
) -> None:
    """One target is slow and says much, the other answers one token at once."""
    one = msgspec.json.decode(TEXT.content)
    one["usage"] = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    many = msgspec.json.decode(CLAUDE_TEXT.content)
    many["usage"] |= {"output_tokens": 100_000_000}
    much = plain(msgspec.json.encode(many))

    async def slow(received: Received, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(SLOW_SECONDS)
        return await much(received, writer)

    servers.openai.play, servers.claude.play = plain(msgspec.json.encode(one)), slow

    asked = [(await ask(tuned, f"/{way}")).headers["x-tollhouse-provider"] for _ in range(3)]

    assert asked == ["openai", "anthropic", chosen]


async def test_few_slots_still_lead_equal_callers_to_equal_targets(tuned: Gateway, servers: Servers) -> None:
    servers.openai.play, servers.claude.play = replay(TEXT), replay(CLAUDE_TEXT)
    headers = {"X-Kong-LLM-Request-ID": "one"}

    asked = {(await ask(tuned, "/few", headers=headers)).headers["x-tollhouse-provider"] for _ in range(5)}

    assert len(asked) == 1


async def test_another_is_asked_after_the_read_timeout(tuned: Gateway, servers: Servers) -> None:
    servers.openai.play, servers.claude.play = silent, replay(CLAUDE_TEXT)

    assert (await ask(tuned, "/patient")).headers["x-tollhouse-provider"] == "anthropic"


async def test_metadata_stands_in_log_records(tuned: Gateway, servers: Servers) -> None:
    servers.openai.play = replay(TEXT)

    block = await ai_block(tuned, await ask(tuned, "/told"))

    assert "search" in str(block)


async def test_streams_are_denied(tuned: Gateway) -> None:
    reply = await ask(tuned, "/deny", stream=True)

    assert (reply.status, message_of(reply)) == (400, "response streaming is not enabled for this LLM")


async def test_a_request_that_is_too_large_is_refused(tuned: Gateway, servers: Servers) -> None:
    servers.openai.play = replay(TEXT)
    before = servers.asked

    reply = await ask(tuned, "/small", user="u" * 10_000)

    assert reply.status in (400, 413)
    assert servers.asked == before


async def test_what_a_provider_cannot_express_is_dropped_and_told(tuned: Gateway, servers: Servers) -> None:
    servers.claude.play = replay(CLAUDE_TEXT)

    reply = await ask(tuned, "/drops", seed=1)

    assert reply.headers["x-tollhouse-dropped"] == "seed"
    assert "x-kong-llm-model" not in reply.headers


async def test_the_operator_s_prices_go_before_the_catalogue(tuned: Gateway, servers: Servers) -> None:
    servers.openai.play = replay(TEXT)

    reply = await ask(tuned, "/priced")
    kinds = ("prompt", "completion")
    prompt, completion = (int(reply.headers[f"x-tollhouse-{kind}-tokens"]) for kind in kinds)

    assert float(reply.headers["x-tollhouse-cost-usd"]) == (1000 * prompt + 2000 * completion) / 1_000_000
