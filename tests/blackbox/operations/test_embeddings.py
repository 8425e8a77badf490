"""Embeddings through a node: the official SDKs, each against providers of other forms."""

import asyncio
import json
from base64 import b64decode
from struct import unpack
from typing import Any

import boto3  # type: ignore[import-untyped]
import cohere
import ollama
import pytest
from botocore.config import Config  # type: ignore[import-untyped]
from google import genai
from google.genai import types
from openai import AsyncOpenAI, BadRequestError, NotFoundError, RateLimitError
from tests.support.gateway import Gateway
from tests.support.models import ModelServer, ai_metrics, plain, replay
from tests.support.recordings import recording
from tests.support.upstream import Received

OPENAI = recording("openai/embeddings-embeddings-text-embedding-3-small")
GEMINI = recording("gemini/embedContent-embeddings-gemini-embedding-2")
COHERE = recording("cohere/embed-embeddings-embed-v4.0")
MISTRAL = recording("mistral/embeddings-embeddings-mistral-embed")
TITAN = json.dumps({"embedding": [0.5, -0.25], "inputTextTokenCount": 7}).encode()
OLLAMA = json.dumps({"model": "nomic", "embeddings": [[0.5, -0.25]], "prompt_eval_count": 3}).encode()
FLOATS = json.dumps(
    {
        "object": "list",
        "model": "text-embedding-3-small",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}],
        "usage": {"prompt_tokens": 2, "total_tokens": 2},
    }
).encode()


@pytest.fixture
async def client(url: str) -> Any:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="the-clients-own", max_retries=0) as client:
        yield client


async def test_openai_s_own_pass_byte_for_byte(node: Gateway, models: ModelServer) -> None:
    models.play = replay(OPENAI)
    body = b'{ "input":"hi",  "model":"text-embedding-3-small","younger":{"a":1.0}}'

    reply = await node.request("POST", "/v1/embeddings", {"Content-Type": "application/json"}, body)

    assert reply.body == OPENAI.content
    assert models.last.target == "/v1/embeddings"
    assert models.last_body == json.loads(body)
    assert models.last.headers["authorization"] == "Bearer openai-key"
    used = json.loads(OPENAI.content)["usage"]["prompt_tokens"]
    assert reply.headers["x-tollhouse-prompt-tokens"] == str(used)
    assert float(reply.headers["x-tollhouse-cost-usd"]) == pytest.approx(used * 0.02 / 1e6)


async def test_gemini_for_openai_s_sdk(client: AsyncOpenAI, models: ModelServer) -> None:
    models.play = replay(GEMINI)

    made = await client.embeddings.create(model="gemini-embedding-2", input=["hi"], dimensions=768)

    assert models.last.target == "/v1beta/models/gemini-embedding-2:batchEmbedContents"
    assert models.last.headers["x-goog-api-key"] == "gemini-key"
    assert models.last_body["requests"][0]["outputDimensionality"] == 768
    told = json.loads(GEMINI.content)["embeddings"][0]["values"]
    assert made.data[0].embedding == pytest.approx(told, rel=1e-6)
    assert made.model == "gemini-embedding-2"


async def test_the_sdk_is_sent_base64_and_whoever_wants_floats_gets_floats(
    node: Gateway, models: ModelServer
) -> None:
    models.play = replay(GEMINI)
    asked = {"model": "gemini-embedding-2", "input": "hi"}
    told = json.loads(GEMINI.content)["embeddings"][0]["values"]

    packed = await post(node, "/v1/embeddings", asked | {"encoding_format": "base64"})
    plain_ = await post(node, "/v1/embeddings", asked | {"encoding_format": "float"})

    data = b64decode(packed["data"][0]["embedding"])
    assert unpack(f"<{len(data) // 4}f", data) == pytest.approx(told, rel=1e-6)
    assert plain_["data"][0]["embedding"] == told


async def test_a_compatible_server_without_base64(client: AsyncOpenAI, models: ModelServer) -> None:
    models.play = plain(FLOATS)

    raw = await client.embeddings.with_raw_response.create(model="text-embedding-3-small", input="hi")

    assert isinstance(json.loads(raw.content)["data"][0]["embedding"], str)
    assert raw.parse().data[0].embedding == [0.5, -0.25]


async def test_cohere_for_openai_s_sdk(client: AsyncOpenAI, models: ModelServer) -> None:
    models.play = replay(COHERE)

    made = await client.embeddings.create(model="cohere/embed-v4.0", input=["hi"])

    assert models.last.target == "/v2/embed"
    assert models.last_body["input_type"] == "search_document"
    assert made.usage.prompt_tokens == json.loads(COHERE.content)["meta"]["billed_units"]["input_tokens"]
    assert made.data[0].embedding


async def test_mistral_for_openai_s_sdk(client: AsyncOpenAI, models: ModelServer) -> None:
    models.play = replay(MISTRAL)

    made = await client.embeddings.create(model="mistral-embed", input=["hi"], dimensions=8)

    assert models.last_body == {"model": "mistral-embed", "input": "hi", "output_dimension": 8}
    assert made.data[0].embedding


async def test_titan_for_openai_s_sdk(client: AsyncOpenAI, models: ModelServer) -> None:
    models.play = plain(TITAN)
    model = "bedrock/amazon.titan-embed-text-v2:0"

    made = await client.embeddings.create(model=model, input="hi", dimensions=256)

    assert models.last.target == "/model/amazon.titan-embed-text-v2%3A0/invoke"
    assert models.last_body == {"inputText": "hi", "dimensions": 256}
    assert (made.data[0].embedding, made.usage.prompt_tokens) == ([0.5, -0.25], 7)


async def test_many_texts_for_who_takes_one_are_one_answer_and_one_bill(
    client: AsyncOpenAI, node: Gateway, models: ModelServer
) -> None:
    async def echo(received: Received, writer: asyncio.StreamWriter) -> bool:
        number = float(json.loads(received.body)["inputText"])
        body = json.dumps({"embedding": [number], "inputTextTokenCount": 7}).encode()
        return await plain(body)(received, writer)

    models.play = echo
    asked, before = len(models.received), await ai_metrics(node)
    texts = [str(number) for number in range(20)]

    made = await client.embeddings.create(model="bedrock/amazon.titan-embed-text-v2:0", input=texts)

    assert [(one.index, one.embedding) for one in made.data] == [(n, [float(n)]) for n in range(20)]
    assert made.usage.prompt_tokens == 140
    assert len(models.received) == asked + 20
    assert {one.headers["authorization"] for one in models.received[asked:]} == {"Bearer bedrock-key"}
    after = await ai_metrics(node)
    requests = [name for name in after if name.startswith("kong_ai_llm_requests_total") and "titan" in name]
    assert sum(after[name] - before.get(name, 0) for name in requests) == 1


@pytest.mark.parametrize("failing", ["3", "5"])
async def test_what_was_answered_before_a_failure_is_billed(
    client: AsyncOpenAI, node: Gateway, models: ModelServer, failing: str
) -> None:
    async def mostly(received: Received, writer: asyncio.StreamWriter) -> bool:
        if json.loads(received.body)["inputText"] != failing:
            return await plain(TITAN)(received, writer)
        busy = b'{"message": "slow down"}'
        return await plain(busy, 429, "x-amzn-errortype: ThrottlingException")(received, writer)

    models.play = mostly
    before = await ai_metrics(node)

    with pytest.raises(RateLimitError, match="slow down"):
        await client.embeddings.create(model="bedrock/amazon.titan-embed-text-v2:0", input=list("012345"))

    after = await ai_metrics(node)
    tokens = [name for name in after if "titan" in name and 'token_type="prompt_tokens"' in name]
    grown = sum(after[name] - before.get(name, 0) for name in tokens)
    assert grown % 7 == 0
    assert 0 < grown <= 35


async def test_ollama_for_openai_s_sdk(client: AsyncOpenAI, models: ModelServer) -> None:
    models.play = plain(OLLAMA)

    made = await client.embeddings.create(model="ollama/nomic", input="hi")

    assert (models.last.target, models.last_body) == ("/api/embed", {"model": "nomic", "input": ["hi"]})
    assert made.data[0].embedding == [0.5, -0.25]


async def test_who_has_no_embeddings_says_so(client: AsyncOpenAI, models: ModelServer) -> None:
    models.received.clear()

    with pytest.raises(NotFoundError, match="'anthropic' has no embeddings"):
        await client.embeddings.create(model="claude-haiku-4-5", input="hi")
    with pytest.raises(BadRequestError, match="token ids"):
        await client.embeddings.create(model="gemini-embedding-2", input=[[1, 2]])
    with pytest.raises(BadRequestError, match="you must provide a model"):
        await client.embeddings.create(model="", input="hi")
    assert models.received == []


async def test_a_provider_s_error_in_openai_s_form(client: AsyncOpenAI, models: ModelServer) -> None:
    models.play = replay(recording("cohere/embed-error404-nonexistent"))

    with pytest.raises(NotFoundError) as caught:
        await client.embeddings.create(model="cohere/nonexistent", input="hi")

    assert caught.value.code == "model_not_found"


async def test_cohere_s_sdk(url: str, models: ModelServer) -> None:
    def ask(model: str) -> Any:
        with cohere.ClientV2(api_key="x", base_url=url) as client:
            return client.embed(
                model=model, texts=["hi"], input_type="search_query", embedding_types=["float"]
            )

    models.play = replay(COHERE)
    passed = await asyncio.to_thread(ask, "embed-v4.0")
    assert models.last.target == "/v2/embed"
    models.play = replay(GEMINI)
    made = await asyncio.to_thread(ask, "gemini-embedding-2")

    assert models.last_body["requests"][0]["taskType"] == "RETRIEVAL_QUERY"
    assert passed.embeddings.float_ is not None
    assert made.embeddings.float_[0] == json.loads(GEMINI.content)["embeddings"][0]["values"]


async def test_google_s_sdk(url: str, models: ModelServer) -> None:
    client = genai.Client(api_key="x", http_options=types.HttpOptions(base_url=url))

    models.play = replay(GEMINI)
    passed = await client.aio.models.embed_content(model="gemini-embedding-001", contents="hi")
    assert models.last.target == "/v1beta/models/gemini-embedding-001:batchEmbedContents"
    models.play = plain(FLOATS)
    made = await client.aio.models.embed_content(model="text-embedding-3-small", contents="hi")
    await client.aio.aclose()
    client.close()

    assert models.last_body == {"model": "text-embedding-3-small", "input": "hi"}
    assert passed.embeddings is not None
    assert passed.embeddings[0].values == json.loads(GEMINI.content)["embeddings"][0]["values"]
    assert made.embeddings is not None
    assert made.embeddings[0].values == [0.5, -0.25]


async def test_ollama_s_sdk(url: str, models: ModelServer) -> None:
    async with ollama.AsyncClient(host=url) as client:
        models.play = plain(OLLAMA)
        passed = await client.embed(model="ollama/nomic", input="hi")
        models.play = plain(FLOATS)
        made = await client.embed(model="text-embedding-3-small", input=["hi"])
        older = await client.embeddings(model="text-embedding-3-small", prompt="hi")

    assert list(passed.embeddings[0]) == list(made.embeddings[0]) == list(older.embedding) == [0.5, -0.25]
    assert made.prompt_eval_count == 2


async def test_aws_s_sdk_invokes_a_model(url: str, models: ModelServer) -> None:
    models.play = plain(TITAN)

    def ask() -> Any:
        client = boto3.client(
            "bedrock-runtime",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="a",
            aws_secret_access_key="b",
            config=Config(retries={"max_attempts": 0}),
        )
        answer = client.invoke_model(
            modelId="bedrock/amazon.titan-embed-text-v2:0", body=json.dumps({"inputText": "hi"})
        )
        told = json.loads(answer["body"].read())
        client.close()
        return told

    assert await asyncio.to_thread(ask) == json.loads(TITAN)
    assert models.last.target == "/model/amazon.titan-embed-text-v2%3A0/invoke"
    assert models.last.headers["authorization"] == "Bearer bedrock-key"
    assert models.last_body == {"inputText": "hi"}


async def test_every_call_is_counted(node: Gateway, models: ModelServer) -> None:
    before = await ai_metrics(node)
    models.play = plain(TITAN)
    await post(node, "/v1/embeddings", {"model": "bedrock/amazon.titan-embed-text-v2:0", "input": "hi"})
    models.play = plain(FLOATS.replace(b'"usage"', b'"unused"'))
    await post(node, "/v1/embeddings", {"model": "text-embedding-3-small", "input": "one two three"})
    after = await ai_metrics(node)

    def grown(name: str, **labels: str) -> float:
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(
            value - before.get(series, 0)
            for series, value in after.items()
            if series.startswith(name) and all(label in series for label in wanted)
        )

    assert grown("kong_ai_llm_requests_total", ai_provider="bedrock") == 1
    assert grown("kong_ai_llm_tokens_total", ai_provider="bedrock", token_type="prompt_tokens") == 7
    assert grown("kong_ai_llm_requests_total", ai_provider="openai") == 1
    assert grown("kong_ai_llm_tokens_total", ai_provider="openai", token_type="prompt_tokens") == 5


async def post(node: Gateway, path: str, body: dict[str, Any]) -> Any:
    reply = await node.request("POST", path, {"Content-Type": "application/json"}, json.dumps(body).encode())
    assert reply.status == 200, reply.body
    return reply.json()
