"""ai-request-transformer: a model rewrites what goes in; and what holds for ai-response-transformer too."""

import json
from typing import Any

import pytest
from tests.support.cli import tollhouse
from tests.support.gateway import Gateway
from tests.support.models import ModelServer, hanging, plain, record_of
from tests.support.transformers import llm, said
from tests.support.upstream import Upstream


async def test_the_model_s_answer_is_the_request_s_body(
    node: Gateway, models: ModelServer, service: Upstream
) -> None:
    models.play = plain(said("Hello chat"))
    reply = await node.request("POST", "/ask/x", {"Content-Type": "text/plain"}, b"original words")
    assert reply.status == 201
    assert service.received[-1].body == b"Hello chat"
    assert service.received[-1].headers["content-type"] == "text/plain"
    asked = models.last_body
    assert asked["messages"] == [
        {"role": "system", "content": "rewrite it"},
        {"role": "user", "content": "original words"},
    ]
    assert (asked["model"], asked["stream"]) == ("m-1", False)
    assert models.last.headers["authorization"] == "Bearer sk-own"


async def test_a_pattern_takes_a_part_of_the_answer(
    node: Gateway, models: ModelServer, service: Upstream
) -> None:
    models.play = plain(said('Sure: {"a": 1} there you are'))
    await node.request("POST", "/part", {}, b"x")
    assert service.received[-1].body == b'{"a": 1}'
    assert (await node.request("GET", "/answer-part")).body == b'{"a": 1}'


@pytest.mark.parametrize("path", ["/part", "/answer-part"])
async def test_an_answer_without_the_pattern_is_refused(
    node: Gateway, models: ModelServer, path: str
) -> None:
    models.play = plain(said("nothing of the kind"))
    reply = await node.request("POST", path, {}, b"x")
    assert reply.status == 400
    assert reply.json() == {"error": {"message": "AI response did not match specified regular expression"}}


async def test_the_pattern_is_looked_for_in_every_line_and_case(
    node: Gateway, models: ModelServer, service: Upstream
) -> None:
    models.play = plain(said("Here it is:\nBODY: 5\nThat was all."))
    assert (await node.request("POST", "/line", {}, b"x")).status == 201
    assert service.received[-1].body == b"BODY: 5"


async def test_an_answer_that_gemini_holds_back_is_no_body(
    node: Gateway, models: ModelServer, service: Upstream
) -> None:
    models.play = plain(b'{"candidates":[{"finishReason":"SAFETY"}]}')
    reply = await node.request("POST", "/gemini", {}, b"x")
    assert reply.status == 400
    message = reply.json()["error"]["message"]  # type: ignore[index]
    assert message.endswith("transformation generation candidate breached Gemini content safety")


@pytest.mark.parametrize("path", ["/ask", "/answer"])
@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, said("x", choices=[]), "no 'choices' in upstream AI service response"),
        (200, said(None), "no 'choices' in upstream AI service response"),
        (401, b'{"error": "bad key"}', "failed to introspect request with AI service: status code 401"),
        (200, b"<html>", "failed to convert AI response to Kong format: transformation failed from type "),
    ],
)
async def test_a_model_that_does_not_answer_fails_the_request(
    node: Gateway, models: ModelServer, service: Upstream, path: str, status: int, body: bytes, words: str
) -> None:
    models.play = plain(body, status)
    service.received.clear()
    reply = await node.request("POST", path, {}, b"x")
    assert reply.status == 400
    message = reply.json()["error"]["message"]  # type: ignore[index]
    assert message.startswith(words)
    assert bool(service.received) is (path == "/answer")


@pytest.mark.parametrize("path", ["/hasty", "/answer-hasty"])
async def test_a_slow_model_is_given_up(node: Gateway, models: ModelServer, path: str) -> None:
    models.play = hanging()
    reply = await node.request("POST", path, {}, b"x")
    assert reply.status == 400
    assert b"did not answer in time" in reply.body


@pytest.mark.parametrize("path", ["/small", "/answer-small"])
async def test_a_body_over_the_limit_is_refused(node: Gateway, models: ModelServer, path: str) -> None:
    asked = len(models.received)
    assert (await node.request("POST", path, {}, b"x" * 20_000)).status == 413
    assert len(models.received) == asked


async def test_a_client_may_bring_its_own_key_where_that_is_allowed(
    node: Gateway, models: ModelServer
) -> None:
    models.play = plain(said("x"))
    await node.request("POST", "/override", {"Authorization": "Bearer mine"}, b"x")
    assert models.last.headers["authorization"] == "Bearer mine"
    await node.request("POST", "/ask", {"Authorization": "Bearer mine"}, b"x")
    assert models.last.headers["authorization"] == "Bearer sk-own"


async def test_hugging_face_is_told_of_cache_and_waiting(node: Gateway, models: ModelServer) -> None:
    models.play = plain(said("x"))
    assert (await node.request("POST", "/hugging", {}, b"x")).status == 201
    headers = models.last.headers
    assert (headers["x-use-cache"], headers["x-wait-for-model"]) == ("false", "true")
    await node.request("POST", "/ask", {}, b"x")
    assert "x-use-cache" not in models.last.headers


@pytest.mark.parametrize("path", ["/trusting", "/answer-trusting"])
async def test_a_certificate_is_not_looked_at_if_told_so(node: Gateway, path: str) -> None:
    assert (await node.request("POST", path, {}, b"x")).status == 201


@pytest.mark.parametrize("path", ["/careful", "/answer-careful"])
async def test_a_certificate_that_nobody_knows_is_a_failure(node: Gateway, path: str) -> None:
    reply = await node.request("POST", path, {}, b"x")
    assert reply.status == 400
    assert b"failed to introspect request with AI service" in reply.body


@pytest.mark.parametrize("path", ["ask", "answer"])
async def test_what_the_gateway_spends_is_a_line_of_its_own(
    node: Gateway, models: ModelServer, path: str
) -> None:
    models.play = plain(said("x"))
    reply = await node.request("POST", f"/{path}", {}, b"x")
    record = await record_of(node, reply.headers["x-kong-request-id"])
    name = "ai-request-transformer" if path == "ask" else "ai-response-transformer"
    block = record["ai"][name]
    assert block["usage"]["prompt_tokens"] == 11
    assert block["meta"]["request_model"] == "m-1"
    assert block["cache"] == {}
    (own,) = record["ai"]["own_calls"]
    assert (own["purpose"], own["cost_nano_usd"], own["usage_source"]) == (name, 19_000_000, "provider")
    assert "proxy" not in record["ai"]
    explained = await tollhouse(
        "cost", "explain", record["request"]["id"], "--log", str(node.folder / "log.json")
    )
    assert f"asked by the gateway itself for {name}" in explained.output
    metrics = (await node.admin_request("GET", "/metrics")).body.decode()
    labels = f'purpose="{name}",ai_provider="openai",ai_model="m-1"'
    assert f"tollhouse_llm_own_calls_total{{{labels}}}" in metrics
    assert f"tollhouse_llm_own_cost_total{{{labels}}}" in metrics
    assert f'tollhouse_llm_own_tokens_total{{{labels},token_type="prompt_tokens"}}' in metrics


@pytest.mark.parametrize("plugin", ["ai-request-transformer", "ai-response-transformer"])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"llm": {"route_type": "preserve"}}, "must be 'llm/v1/chat' for AI transformer plugins"),
        ({"http_proxy_host": "proxy.test", "http_proxy_port": 3128}, "through a proxy are not supported"),
        ({"https_proxy_host": "proxy.test", "https_proxy_port": 3128}, "through a proxy are not supported"),
        ({"http_proxy_port": 3128}, "http_proxy_host"),
        (
            {"http_proxy_host": "proxy.test"},
            '"fields":{"@entity":["all or none of these fields must be set: ',
        ),
        ({"https_proxy_port": 3128}, "https_proxy_host"),
        ({"transformation_extract_pattern": "("}, "not a valid regex"),
        ({"llm": {"model": {"provider": "openai"}}}, "model.name is needed"),
        ({"llm": {"model": {"provider": "openai", "name": "$(headers.m)"}}}, "cannot depend on the request"),
        ({"prompt": None}, "required field missing"),
    ],
)
async def test_settings_that_cannot_hold_are_refused(
    node: Gateway, plugin: str, changes: dict[str, Any], words: str
) -> None:
    config: dict[str, Any] = {"prompt": "p", "llm": llm("http://127.0.0.1:1")} | changes
    if "llm" in changes:
        config["llm"] = llm("http://127.0.0.1:1") | changes["llm"]
    asked = json.dumps({"name": plugin, "config": config}).encode()
    headers = {"Content-Type": "application/json"}
    reply = await node.admin_request("POST", "/schemas/plugins/validate", headers, asked)
    assert reply.status == 400
    assert words in reply.body.decode().replace("\\", "")
