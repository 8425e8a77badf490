"""Whole answers, and what is told of the calls."""

import msgspec
import pytest
from tests.support.ai_proxy import (
    HELLO,
    SECRET,
    STREAM,
    STREAM_TOKENS,
    TEXT,
    TEXT_TOKENS,
    ai_block,
    ask,
    growth,
)
from tests.support.gateway import Gateway
from tests.support.models import ModelServer, ai_metrics, gzipped, plain, record_of, records, replay
from tests.support.recordings import Recording

# Whole answers


async def test_an_answer_comes_through_byte_for_byte(node: Gateway, models: ModelServer) -> None:
    models.play = replay(TEXT, "x-ratelimit-remaining-tokens: 199977", "Set-Cookie: __cf_bm=1")

    reply = await ask(node, temperature=0.1, tools=[], brand_new={"a": [1.50]})

    assert (reply.status, reply.body) == (200, TEXT.content)
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-kong-llm-model"] == "openai/gpt-4o-mini"
    assert reply.headers["x-ratelimit-remaining-tokens"] == "199977"
    assert "set-cookie" not in reply.headers
    assert models.last.target == "/v1/chat/completions"
    assert models.last.headers["authorization"] == f"Bearer {SECRET}"
    assert models.last_body == {
        "model": "gpt-4o-mini",
        "stream": False,
        "messages": HELLO,
        "temperature": 0.1,
        "tools": [],
        "brand_new": {"a": [1.50]},
    }


async def test_what_a_call_used_is_told_in_headers_log_and_metrics(
    node: Gateway, models: ModelServer
) -> None:
    before = await ai_metrics(node)
    models.play = replay(TEXT)

    reply = await ask(node, "/priced")

    prompt, completion = TEXT_TOKENS
    assert reply.headers["x-tollhouse-prompt-tokens"] == str(prompt)
    assert reply.headers["x-tollhouse-completion-tokens"] == str(completion)
    assert reply.headers["x-tollhouse-cost-usd"] == "0.022"
    assert int(reply.headers["x-tollhouse-latency-ms"]) >= 0
    block = await ai_block(node, reply)
    assert block["meta"].pop("plugin_id")
    assert block["meta"].pop("llm_latency") >= 0
    assert block["meta"] == {
        "provider_name": "openai",
        "request_model": "gpt-4o-mini",
        "response_model": "gpt-4o-mini-2024-07-18",
    }
    assert block["usage"].pop("time_per_token") >= 0
    assert block["usage"] == {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17, "cost": 0.022}
    assert "payload" not in block
    grown = growth(before, await ai_metrics(node))
    assert grown["kong_ai_llm_requests_total"] == 1
    assert grown["kong_ai_llm_cost_total"] == pytest.approx(0.022)
    assert grown["prompt_tokens"] == prompt
    assert grown["completion_tokens"] == completion
    assert grown["total_tokens"] == prompt + completion


async def test_prices_of_the_catalogue_apply_where_the_operator_has_none(
    node: Gateway, models: ModelServer
) -> None:
    models.play = replay(TEXT)

    reply = await ask(node)

    # 12 tokens at 0.15 and 5 at 0.60 dollars a million
    assert reply.headers["x-tollhouse-cost-usd"] == "0.0000048"


async def test_a_model_without_a_price_has_no_cost_rather_than_none_at_all(
    node: Gateway, models: ModelServer
) -> None:
    models.play = plain(TEXT.content.replace(b"gpt-4o-mini-2024-07-18", b"brand-new"))

    reply = await ask(node, "/own", model="brand-new")

    assert reply.headers["x-kong-llm-model"] == "openai/brand-new"
    assert "x-tollhouse-cost-usd" not in reply.headers
    assert (await ai_block(node, reply))["usage"]["cost"] == 0


async def test_an_answer_without_usage_is_estimated(node: Gateway, models: ModelServer) -> None:
    said = {"model": "m", "choices": [{"message": {"content": "12345678"}, "finish_reason": "stop"}]}
    models.play = plain(msgspec.json.encode(said))

    usage = (await ai_block(node, await ask(node)))["usage"]

    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (9, 2)


async def test_what_the_operator_sets_goes_before_the_client_s_wishes(
    node: Gateway, models: ModelServer
) -> None:
    models.play = replay(TEXT)

    await ask(node, "/limited", temperature=2, max_tokens=1000)

    assert (models.last_body["temperature"], models.last_body["max_tokens"]) == (0.5, 5)


@pytest.mark.parametrize("told", [(), ("Date: Tue, 15 Nov 1994 08:12:31 GMT",)])
async def test_every_answer_has_one_date(node: Gateway, models: ModelServer, told: tuple[str, ...]) -> None:
    models.play = replay(TEXT, *told)

    dates = [value for name, value in (await ask(node)).fields if name == "date"]

    assert len(dates) == 1
    assert not told or told[0] == f"Date: {dates[0]}"


async def test_payloads_are_logged_only_where_that_is_asked_for(node: Gateway, models: ModelServer) -> None:
    models.play = replay(TEXT)

    block = await ai_block(node, await ask(node, "/payloads"))

    # What the provider was sent, written as Kong writes it.
    assert msgspec.json.decode(block["payload"]["request"]) == models.last_body
    assert '"messages":[{"role":"user"' in block["payload"]["request"]
    assert block["payload"]["response"].encode() == TEXT.content


async def test_what_is_passed_on_tells_its_model_itself(node: Gateway, models: ModelServer) -> None:
    models.play = plain(b"{}")

    reply = await ask(node, "/unread", model="m-embeds", input="x")

    assert reply.headers["x-kong-llm-model"] == "openai/m-embeds"
    assert b"m-embeds" in models.last.body


async def test_the_model_is_not_told_where_that_is_switched_off(node: Gateway, models: ModelServer) -> None:
    models.play = replay(TEXT)

    assert "x-kong-llm-model" not in (await ask(node, "/unnamed")).headers


async def test_any_other_body_passes_untouched_on_a_preserve_route(
    node: Gateway, models: ModelServer
) -> None:
    models.play = plain(b"\x00\x01", 200, kind="audio/mpeg")

    reply = await node.request("POST", "/preserve/x?a=1", {"Content-Type": "text/plain"}, b"not json")

    assert (reply.status, reply.body) == (200, b"\x00\x01")
    assert (models.last.body, models.last.target) == (b"not json", "/preserve/x?a=1")
    assert models.last.headers["authorization"] == f"Bearer {SECRET}"
    assert "accept-encoding" not in models.last.headers


@pytest.mark.parametrize(("stored", "tokens"), [(TEXT, TEXT_TOKENS), (STREAM, STREAM_TOKENS)])
async def test_what_passes_untouched_is_metered_too(
    node: Gateway, models: ModelServer, stored: Recording, tokens: tuple[int, int]
) -> None:
    models.play = replay(stored)

    reply = await node.request("POST", "/preserve/v1/chat/completions", body=b"not ours to read")

    assert (reply.status, reply.body) == (200, stored.content)
    usage = (await ai_block(node, reply))["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == tokens
    assert usage["cost"] > 0


# Keys


async def test_a_key_in_the_query_takes_the_place_of_the_client_s(node: Gateway, models: ModelServer) -> None:
    models.play = replay(TEXT)

    await ask(node, "/keyed?key=mine&a=1")

    assert models.last.target == f"/v1/chat/completions?a=1&key={SECRET}"


async def test_the_key_shows_nowhere(node: Gateway, models: ModelServer) -> None:
    for answer in (replay(TEXT), replay(STREAM), plain(b"oops"), plain(b'{"error":1}', 401), gzipped(TEXT)):
        models.play = answer
        for path in ("/openai", "/keyed", "/dead", "/payloads"):
            reply = await ask(node, path)
            assert SECRET not in str(reply.fields)
            assert SECRET.encode() not in reply.body
            record = await record_of(node, reply.headers["x-kong-request-id"])
            assert "***" in record["upstream_uri"] or path != "/keyed"
    assert SECRET not in str(records(node.folder / "log.json"))
    assert SECRET not in "".join(node.errors)
