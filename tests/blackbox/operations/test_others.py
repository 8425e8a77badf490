"""Reranking, pictures, sound, completions, files and lists of models through a node."""

import asyncio
import json
from typing import Any

import cohere
import ollama
import pytest
from anthropic import AsyncAnthropic
from google import genai
from google.genai import types
from openai import AsyncOpenAI
from tests.support.gateway import Gateway
from tests.support.models import ModelServer, ai_metrics, plain, replay, stream
from tests.support.recordings import recording

COHERE = recording("cohere/rerank-rerank-rerank-english-v3.0")
VOYAGE = recording("openai-compatible/rerank-rerank-rerank-2.5-lite")
COUNT = recording("anthropic/messages-count_tokens-count-tokens-claude-haiku-4-5")
PICTURE = json.dumps(
    {
        "created": 1,
        "data": [{"b64_json": "aGk="}],
        "usage": {
            "input_tokens": 50,
            "output_tokens": 40,
            "total_tokens": 90,
            "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
        },
    }
).encode()
HEARD = {
    "text": "hello",
    "usage": {
        "type": "tokens",
        "input_tokens": 14,
        "input_token_details": {"text_tokens": 4, "audio_tokens": 10},
        "output_tokens": 5,
        "total_tokens": 19,
    },
}
COMPLETION = b'data: {"id":"c","object":"text_completion","model":"gpt-3.5-turbo-instruct","choices":%b}\n\n'
SAID = COMPLETION % b'[{"index":0,"text":"Hi","finish_reason":null}]'
ENDED = COMPLETION % b'[{"index":0,"text":"","finish_reason":"stop"}]'
USED = (COMPLETION % b"[]").replace(
    b'"choices"', b'"usage":{"prompt_tokens":3,"completion_tokens":1},"choices"'
)


@pytest.fixture
async def client(url: str) -> Any:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="the-clients-own", max_retries=0) as client:
        yield client


async def counted(node: Gateway, kind: str) -> float:
    metrics = await ai_metrics(node)
    return sum(value for name, value in metrics.items() if kind in name)


async def until_counted(node: Gateway, kind: str, value: float) -> None:
    """A stream is settled when it is over, which the client may know first."""
    async with asyncio.timeout(10):
        while await counted(node, kind) < value:
            await asyncio.sleep(0.005)
    assert await counted(node, kind) == value


async def test_cohere_s_sdk_reranks_at_cohere_and_at_bedrock(url: str, models: ModelServer) -> None:
    def ask(model: str) -> Any:
        with cohere.ClientV2(api_key="x", base_url=url) as client:
            return client.rerank(model=model, query="capital?", documents=["a", "b"], top_n=2)

    models.play = replay(COHERE)
    passed = await asyncio.to_thread(ask, "cohere/rerank-english-v3.0")
    assert models.last.target == "/v2/rerank"
    models.play = plain(b'{"results":[{"index":1,"relevance_score":0.9}]}')
    made = await asyncio.to_thread(ask, "bedrock/cohere.rerank-v3-5:0")

    assert models.last.target == "/model/cohere.rerank-v3-5%3A0/invoke"
    expected = {"query": "capital?", "documents": ["a", "b"], "top_n": 2, "api_version": 2}
    assert models.last_body == expected
    assert passed.results[0].index == json.loads(COHERE.content)["results"][0]["index"]
    assert (made.results[0].index, made.results[0].relevance_score) == (1, 0.9)


async def test_reranking_in_the_compatible_form(node: Gateway, models: ModelServer) -> None:
    body = {"model": "groq/voyageai/rerank-2.5-lite", "query": "q", "documents": ["a"]}
    models.play = replay(VOYAGE)
    reply = await post(node, "/v1/rerank", body)
    assert models.last.target == "/openai/v1/rerank" or models.last.target == "/v1/rerank"
    assert reply.body == VOYAGE.content
    assert reply.headers["x-tollhouse-prompt-tokens"] == "17"

    models.play = replay(COHERE)
    answer = (await post(node, "/v1/rerank", body | {"model": "cohere/rerank-english-v3.0"})).json()
    assert isinstance(answer, dict)
    assert answer["model"] == "rerank-english-v3.0"
    assert answer["results"]


async def test_pictures_cost_their_tokens(node: Gateway, models: ModelServer, client: AsyncOpenAI) -> None:
    models.play = plain(PICTURE)

    raw = await client.images.with_raw_response.generate(model="gpt-image-1", prompt="a cat")

    assert (raw.content, models.last.target) == (PICTURE, "/v1/images/generations")
    assert raw.headers["x-tollhouse-prompt-tokens"] == "50"
    assert raw.headers["x-tollhouse-completion-tokens"] == "40"
    # 10 of text, 40 of pictures, 40 drawn
    assert float(raw.headers["x-tollhouse-cost-usd"]) == pytest.approx((10 * 5 + 40 * 10 + 40 * 40) / 1e6)


async def test_an_edited_picture_is_a_form_whose_model_is_replaced(
    models: ModelServer, client: AsyncOpenAI
) -> None:
    models.play = plain(PICTURE)

    await client.images.edit(model="openai/gpt-image-1", image=("a.png", b"\x89PNG\r\n--x"), prompt="hat")

    assert models.last.target == "/v1/images/edits"
    assert b'name="model"\r\n\r\ngpt-image-1\r\n' in models.last.body
    assert b"\x89PNG\r\n--x" in models.last.body


async def test_a_transcription_is_metered_by_what_it_tells(
    node: Gateway, models: ModelServer, client: AsyncOpenAI
) -> None:
    models.play = plain(json.dumps(HEARD).encode())
    raw = await client.audio.transcriptions.with_raw_response.create(
        model="gpt-4o-mini-transcribe", file=("a.wav", b"RIFF\0\1")
    )
    assert raw.headers["x-tollhouse-prompt-tokens"] == "14"
    # 4 of text, 10 of sound, 5 written
    assert float(raw.headers["x-tollhouse-cost-usd"]) == pytest.approx((4 * 1.25 + 10 * 3 + 5 * 5) / 1e6)

    done = {"type": "transcript.text.done", **HEARD}
    pieces = [b'data: {"type":"transcript.text.delta","delta":"hello"}\n\n', sse(done)]
    models.play = stream(pieces)
    before = await counted(node, "prompt_tokens")
    events = [
        event
        async for event in await client.audio.transcriptions.create(
            model="gpt-4o-mini-transcribe", file=("a.wav", b"RIFF"), stream=True
        )
    ]
    assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.done"]
    await until_counted(node, "prompt_tokens", before + 14)


async def test_a_cut_transcription_says_so(node: Gateway, models: ModelServer) -> None:
    models.play = stream([b'data: {"type":"transcript.text.delta","delta":"hel"}\n\n'])
    body = {"model": "gpt-4o-mini-tts", "input": "hello", "voice": "alloy", "stream_format": "sse"}

    reply = await post(node, "/v1/audio/speech", body)

    assert b'"error"' in reply.body


@pytest.mark.parametrize(
    ("model", "answer", "seconds"),
    [
        ("whisper-1", {"text": "hi", "usage": {"type": "duration", "seconds": 9}}, 9),
        ("whisper-1", {"text": "hi", "duration": 8.47, "segments": []}, 8.47),
    ],
)
async def test_a_transcription_may_cost_by_the_hour(
    client: AsyncOpenAI, models: ModelServer, model: str, answer: dict[str, Any], seconds: float
) -> None:
    models.play = plain(json.dumps(answer).encode())

    raw = await client.audio.transcriptions.with_raw_response.create(model=model, file=("a.wav", b"RIFF\0"))

    # 0.36 USD an hour
    assert float(raw.headers["x-tollhouse-cost-usd"]) == pytest.approx(seconds * 0.36 / 3600, abs=1e-9)
    assert raw.headers["x-tollhouse-usage"] == "reported"


async def test_a_transcription_of_unknown_length_has_an_unknown_cost(
    client: AsyncOpenAI, models: ModelServer
) -> None:
    models.play = plain(b'{"text": "hi"}')

    raw = await client.audio.transcriptions.with_raw_response.create(
        model="whisper-1", file=("a.wav", b"RIFF\0")
    )

    assert "x-tollhouse-cost-usd" not in raw.headers


async def test_speech_may_cost_by_its_characters(client: AsyncOpenAI, models: ModelServer) -> None:
    models.play = plain(b"ID3\0\xff", kind="audio/mpeg")

    raw = await client.audio.speech.with_raw_response.create(model="tts-1", voice="alloy", input="één two")

    assert float(raw.headers["x-tollhouse-cost-usd"]) == 7 * 15 / 1e6


async def test_speech_passes_as_it_is_and_is_counted_with_an_unknown_cost(
    node: Gateway, models: ModelServer, client: AsyncOpenAI
) -> None:
    before = await counted(node, "requests_total")
    models.play = plain(b"ID3\0\xff", kind="audio/mpeg")

    raw = await client.audio.speech.with_raw_response.create(
        model="openai/gpt-4o-mini-tts", voice="alloy", input="one two"
    )

    assert (raw.content, models.last.target) == (b"ID3\0\xff", "/v1/audio/speech")
    assert "x-tollhouse-cost-usd" not in raw.headers
    assert await counted(node, "requests_total") == before + 1


async def test_completions_tell_usage_only_to_who_asks(
    node: Gateway, models: ModelServer, client: AsyncOpenAI
) -> None:
    models.play = stream([SAID, ENDED, USED, b"data: [DONE]\n\n"])

    answer = await client.completions.create(model="gpt-3.5-turbo-instruct", prompt=["a"], stream=True)
    texts = [chunk.choices[0].text async for chunk in answer]

    assert texts == ["Hi", ""]
    assert models.last_body["stream_options"] == {"include_usage": True}


async def test_moderations_have_a_default_model(models: ModelServer, client: AsyncOpenAI) -> None:
    models.play = plain(b'{"id":"m","model":"omni-moderation-latest","results":[]}')

    assert (await client.moderations.create(input="hi")).id == "m"
    assert models.last.target == "/v1/moderations"


async def test_files_and_batches_pass(models: ModelServer, client: AsyncOpenAI) -> None:
    models.play = plain(b'{"object":"list","data":[],"has_more":false}')
    await client.files.list(limit=3)
    assert (models.last.method, models.last.target) == ("GET", "/v1/files?limit=3")
    assert models.last.headers["authorization"] == "Bearer openai-key"

    models.play = plain(b'{"id":"file-1","object":"file"}')
    made = await client.files.create(file=("a.jsonl", b"{}\n"), purpose="batch")
    assert made.id == "file-1"
    assert b"{}\n" in models.last.body

    models.play = plain(b'{"id":"batch-1","object":"batch"}')
    await client.batches.cancel("batch-1")
    assert models.last.target == "/v1/batches/batch-1/cancel"


async def test_ollama_generates(url: str, models: ModelServer) -> None:
    lines = [
        b'{"model":"m","response":"Hi","done":false}\n',
        b'{"model":"m","response":"","done":true,"prompt_eval_count":4,"eval_count":1}\n',
    ]
    models.play = stream(lines, kind="application/x-ndjson")
    async with ollama.AsyncClient(host=url) as client:
        answer = await client.generate(model="ollama/m", prompt="hi", stream=True)
        said = [part.response async for part in answer]
    assert (said, models.last.target) == (["Hi", ""], "/api/generate")


async def test_the_provider_counts_tokens_if_it_speaks_the_client_s_form(
    url: str, models: ModelServer
) -> None:
    models.play = replay(COUNT)
    async with AsyncAnthropic(base_url=url, api_key="x", max_retries=0) as client:
        told = await client.messages.count_tokens(
            model="claude-haiku-4-5", messages=[{"role": "user", "content": "hi"}]
        )
        models.received.clear()
        guessed = await client.messages.count_tokens(
            model="gpt-4o-mini", messages=[{"role": "user", "content": "one two three"}]
        )

    assert told.input_tokens == json.loads(COUNT.content)["input_tokens"]
    assert guessed.input_tokens == 5
    assert models.received == []


async def test_models_are_listed_as_each_sdk_reads_them(url: str, client: AsyncOpenAI) -> None:
    openai_ids = {model.id async for model in client.models.list()}
    async with AsyncAnthropic(base_url=url, api_key="x") as anthropic:
        anthropic_ids = {model.id async for model in anthropic.models.list()}
        assert (await anthropic.models.retrieve("claude-haiku-4-5")).type == "model"
    google = genai.Client(api_key="x", http_options=types.HttpOptions(base_url=url))
    google_names = {model.name async for model in await google.aio.models.list()}
    one = await google.aio.models.get(model="gemini-2.5-flash")
    await google.aio.aclose()
    google.close()
    with cohere.ClientV2(api_key="x", base_url=url) as asking:
        cohere_models = await asyncio.to_thread(asking.models.list)
    async with ollama.AsyncClient(host=url) as asking_ollama:
        ollama_models = (await asking_ollama.list()).models

    assert openai_ids == anthropic_ids == {model.name for model in cohere_models.models}
    assert openai_ids == {model.model for model in ollama_models}
    assert google_names == {f"models/{each}" for each in openai_ids}
    assert one.name == "models/gemini-2.5-flash"


def sse(event: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(event).encode() + b"\n\n"


async def post(node: Gateway, path: str, body: dict[str, Any]) -> Any:
    reply = await node.request("POST", path, {"Content-Type": "application/json"}, json.dumps(body).encode())
    assert reply.status == 200, reply.body
    return reply
