"""ai-proxy's route types besides chats."""

import json
from collections.abc import AsyncIterator

import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI, BadRequestError
from tests.support.ai_proxy import route
from tests.support.gateway import Gateway
from tests.support.models import ModelServer, plain, replay
from tests.support.recordings import recording

GEMINI = recording("gemini/embedContent-embeddings-gemini-embedding-2")
VERTEX = recording("vertex/predict-embeddings-gemini-embedding-001")
COUNT = recording("anthropic/messages-count_tokens-count-tokens-claude-haiku-4-5")
CONFIG = '_format_version: "3.0"\nservices:'
SPEECH = {"model": "tts-1", "input": "hi", "voice": "alloy"}


@pytest.fixture(scope="module")
async def routes(models: ModelServer) -> AsyncIterator[Gateway]:
    url = models.url
    embeddings, audio = "llm/v1/embeddings", "llm/v1/audio"
    small = "name: text-embedding-3-small,"
    anthropic = ", anthropic_version: '2023-06-01'"
    found = (
        route("embeddings", f"{url}/v1/embeddings", route_type=embeddings, model=small),
        route(
            "gemini",
            f"{url}/v1beta/models/{{model}}:batchEmbedContents",
            route_type=embeddings,
            provider="gemini",
            model="name: gemini-embedding-2,",
        ),
        route("audio", f"{url}/v1/audio/speech", route_type=audio, model="name: tts-1,"),
        route("rerank", f"{url}/v2/rerank", route_type="llm/v1/rerank", provider="cohere", model=""),
        route(
            "claude",
            f"{url}/v1/messages",
            provider="anthropic",
            model="",
            options=anthropic,
            more="llm_format: anthropic",
        ),
    )
    gateway = await Gateway.start(CONFIG + "".join(found))
    yield gateway
    await gateway.stop()


async def test_embeddings_of_the_configured_model(routes: Gateway, models: ModelServer) -> None:
    host, port = routes.proxy
    models.play = replay(GEMINI)
    async with AsyncOpenAI(base_url=f"http://{host}:{port}/gemini", api_key="x", max_retries=0) as client:
        made = await client.embeddings.create(model="gemini-embedding-2", input="hi")
        assert models.last.target == "/v1beta/models/gemini-embedding-2:batchEmbedContents"
        with pytest.raises(BadRequestError, match="cannot use own model"):
            await client.embeddings.create(model="another", input="hi")

    assert made.data[0].embedding


async def test_a_request_without_a_model_gets_the_configured_one(
    routes: Gateway, models: ModelServer
) -> None:
    models.play = plain(b'{"data":[],"usage":{"prompt_tokens":1}}')

    reply = await routes.request(
        "POST", "/embeddings", {"Content-Type": "application/json"}, b'{"input":"hi"}'
    )

    assert models.last_body == {"input": "hi", "model": "text-embedding-3-small"}
    assert reply.headers["x-kong-llm-model"] == "openai/text-embedding-3-small"


async def test_speech(routes: Gateway, models: ModelServer) -> None:
    models.play = plain(b"ID3", kind="audio/mpeg")

    reply = await routes.request(
        "POST", "/audio", {"Content-Type": "application/json"}, json.dumps(SPEECH).encode()
    )

    assert (reply.body, reply.headers["content-type"]) == (b"ID3", "audio/mpeg")


async def test_a_body_of_another_kind_is_refused(routes: Gateway) -> None:
    text = await routes.request("POST", "/embeddings", {"Content-Type": "text/plain"}, b"hi")
    broken = await routes.request("POST", "/embeddings", {"Content-Type": "application/json"}, b"[")

    assert (text.status, broken.status) == (415, 400)


async def test_tokens_are_counted_where_the_model_is(routes: Gateway, models: ModelServer) -> None:
    host, port = routes.proxy
    models.play = replay(COUNT)

    async with AsyncAnthropic(base_url=f"http://{host}:{port}/claude", api_key="x") as client:
        told = await client.messages.count_tokens(
            model="claude-haiku-4-5", messages=[{"role": "user", "content": "hi"}]
        )

    assert models.last.target == "/v1/messages/count_tokens"
    assert told.input_tokens == json.loads(COUNT.content)["input_tokens"]


@pytest.mark.parametrize(
    ("provider", "route_type", "text"),
    [
        ("anthropic", "llm/v1/embeddings", "has no embeddings"),
        ("gemini", "llm/v1/audio", "has no audio"),
        ("cohere", "llm/v1/images", "has no images"),
    ],
)
async def test_what_a_provider_does_not_have_is_no_configuration(
    routes: Gateway, models: ModelServer, provider: str, route_type: str, text: str
) -> None:
    options = ", anthropic_version: '1'" if provider == "anthropic" else ""
    bad = route("bad", f"{models.url}/x", route_type=route_type, provider=provider, options=options)

    reply = await routes.configure(CONFIG + bad)

    assert reply.status == 400
    assert text in reply.body.decode()
