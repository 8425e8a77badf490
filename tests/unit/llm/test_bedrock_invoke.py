"""InvokeModel: usage in bodies, headers and streams of several makers; vectors."""

import math
from base64 import b64encode
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.recordings import recording

from tollhouse.errors import PeerError
from tollhouse.llm.embeddings import Embeddings, EmbeddingsRequest
from tollhouse.llm.form import Refusal, Unreadable
from tollhouse.llm.formats.bedrock_converse.embeddings import decode_responses, encode_requests
from tollhouse.llm.formats.bedrock_converse.eventstream import event, exception
from tollhouse.llm.formats.bedrock_converse.invoke import InvokeReader, chunk, usage_in_headers, usage_of
from tollhouse.pdk.usage import Usage

CACHED = Usage(1332, 5, cached_tokens=1000, cache_write_tokens=330)
HOUR = Usage(1332, 5, cached_tokens=1000, cache_write_tokens=330, cache_write_hour_tokens=300)
ANTHROPIC = {
    "input_tokens": 2,
    "output_tokens": 5,
    "cache_read_input_tokens": 1000,
    "cache_creation_input_tokens": 330,
}


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        ({"usage": ANTHROPIC}, CACHED),
        ({"usage": ANTHROPIC | {"cache_creation": {"ephemeral_1h_input_tokens": 300}}}, HOUR),
        ({"usage": {"inputTokens": 9, "outputTokens": 2, "totalTokens": 11}}, Usage(9, 2)),
        (
            {
                "usage": {
                    "inputTokens": 2,
                    "outputTokens": 5,
                    "cacheReadInputTokenCount": 1000,
                    "cacheWriteInputTokenCount": 330,
                }
            },
            CACHED,
        ),
        ({"inputTextTokenCount": 9, "results": [{"tokenCount": 2}, {"tokenCount": 3}]}, Usage(9, 5)),
        ({"prompt_token_count": 9, "generation_token_count": 2, "generation": "x"}, Usage(9, 2)),
        ({"usage": {"prompt_tokens": 9, "completion_tokens": 2}, "choices": []}, Usage(9, 2)),
        ({"outputs": [{"text": "x"}]}, None),
        ({"usage": {}}, None),
        (b"oops", None),
    ],
)
def test_usage_in_bodies(body: Any, usage: Usage | None) -> None:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)

    assert usage_of(content, {}) == usage


HEADERS = {
    "x-amzn-bedrock-input-token-count": "2",
    "x-amzn-bedrock-output-token-count": "5",
    "x-amzn-bedrock-cache-read-input-token-count": "1000",
    "x-amzn-bedrock-cache-write-input-token-count": "330",
}


@pytest.mark.parametrize(
    ("headers", "usage"),
    [
        (HEADERS, CACHED),
        ({"x-amzn-bedrock-input-token-count": "10"}, Usage(10, 0)),
        ({"x-amzn-bedrock-input-token-count": "many"}, None),
        ({}, None),
    ],
)
def test_usage_in_headers(headers: dict[str, str], usage: Usage | None) -> None:
    assert usage_in_headers(headers) == usage
    assert usage_of(b"{}", headers) == usage


def test_a_recorded_answer_tells_its_usage_in_both() -> None:
    stored = recording("bedrock/invoke-truncated-arn")

    assert usage_of(stored.content, {}) == usage_of(b"", stored.headers) == Usage(6, 100)


# Streams


def chunks(*bodies: dict[str, Any]) -> bytes:
    return b"".join(chunk(msgspec.json.encode(body)) for body in bodies)


METRICS = {
    "amazon-bedrock-invocationMetrics": {
        "inputTokenCount": 2,
        "outputTokenCount": 5,
        "cacheReadInputTokenCount": 1000,
        "cacheWriteInputTokenCount": 330,
    }
}


@pytest.mark.parametrize(
    ("bodies", "usage", "is_complete"),
    [
        ([{"type": "message_start", "message": {"usage": ANTHROPIC}}, METRICS], CACHED, True),
        (
            [
                {"message": {"usage": ANTHROPIC | {"output_tokens": 1}}},
                {"delta": {}},
                {"usage": {"output_tokens": 5}},
            ],
            CACHED,
            False,
        ),
        ([{"outputText": "x", "inputTextTokenCount": 9, "totalOutputTextTokenCount": 2}], Usage(9, 2), False),
        (
            [
                {"generation": "x", "prompt_token_count": 9, "generation_token_count": 1},
                {"generation": "y", "prompt_token_count": None, "generation_token_count": 2},
            ],
            Usage(9, 2),
            False,
        ),
        ([{"metadata": {}}], None, False),
    ],
)
def test_streams_are_metered(bodies: list[dict[str, Any]], usage: Usage | None, is_complete: bool) -> None:
    reader = InvokeReader()

    found = list(reader.feed(chunks(*bodies)))

    assert [msgspec.json.decode(body) for body in found] == bodies
    assert (reader.usage, reader.is_complete, reader.skipped) == (usage, is_complete, 0)


@given(cut=st.integers(0, 10_000))
def test_where_the_network_cuts_a_stream_changes_nothing(cut: int) -> None:
    content = chunks({"message": {"usage": ANTHROPIC}}, {"text": "é"}, METRICS)
    cut %= len(content)
    reader = InvokeReader()

    found = [*reader.feed(content[:cut]), *reader.feed(content[cut:])]

    assert found == list(InvokeReader().feed(content))
    assert reader.usage == CACHED


def test_events_that_cannot_be_read_are_passed_over() -> None:
    reader = InvokeReader()
    content = (
        event("chunk", b'{"bytes": "***"}')
        + event("chunk", msgspec.json.encode({"bytes": b64encode(b"oops").decode()}))
        + event("initial-response", b"{}")
        + chunk(b"{}")
    )

    assert list(reader.feed(content)) == [b"{}"]
    assert reader.skipped == 2


def test_an_exception_ends_a_stream() -> None:
    found = InvokeReader().feed(chunk(b"{}") + exception("throttlingException", b"{}"))

    assert next(found) == b"{}"
    with pytest.raises(PeerError, match="throttlingException"):
        next(found)


# Vectors

TITAN, TITAN_1 = "amazon.titan-embed-text-v2:0", "amazon.titan-embed-text-v1"
COHERE, COHERE_4 = "cohere.embed-english-v3", "us.cohere.embed-v4:0"
NOVA = "amazon.nova-2-multimodal-embeddings-v1:0"


def asked(model: str, *texts: str, **members: Any) -> EmbeddingsRequest:
    return EmbeddingsRequest(form="openai_embeddings", model=model, texts=texts or ("hi",), **members)


@pytest.mark.parametrize(
    ("request_", "bodies"),
    [
        (asked(TITAN, "a", "b"), [{"inputText": "a"}, {"inputText": "b"}]),
        (
            asked(TITAN, dimensions=256, extra={"normalize": False}),
            [{"inputText": "hi", "dimensions": 256, "normalize": False}],
        ),
        (
            asked(COHERE, "a", "b"),
            [{"texts": ["a", "b"], "input_type": "search_document", "embedding_types": ["float"]}],
        ),
        (
            asked(COHERE, purpose="query", extra={"truncate": "END"}),
            [
                {
                    "texts": ["hi"],
                    "input_type": "search_query",
                    "embedding_types": ["float"],
                    "truncate": "END",
                }
            ],
        ),
        (
            asked(COHERE_4, dimensions=512, extra={"input_type": "image"}),
            [{"texts": ["hi"], "input_type": "image", "embedding_types": ["float"], "output_dimension": 512}],
        ),
        (
            asked(NOVA, dimensions=256),
            [
                {
                    "taskType": "SINGLE_EMBEDDING",
                    "singleEmbeddingParams": {
                        "embeddingPurpose": "GENERIC_INDEX",
                        "text": {"truncationMode": "END", "value": "hi"},
                        "embeddingDimension": 256,
                    },
                }
            ],
        ),
    ],
)
def test_what_models_are_asked_for_vectors(request_: EmbeddingsRequest, bodies: list[Any]) -> None:
    ignored: list[str] = []

    assert encode_requests(request_, ignored) == bodies
    assert ignored == []


def test_many_texts_are_several_requests() -> None:
    bodies = encode_requests(asked(COHERE, *map(str, range(200))), [])

    assert [len(body["texts"]) for body in bodies] == [96, 96, 8]
    assert bodies[2]["texts"][0] == "192"


def test_what_is_left_out_is_told() -> None:
    ignored: list[str] = []
    encode_requests(asked(TITAN, user="u", extra={"odd": 1}), ignored)

    assert ignored == ["user", "odd"]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (asked(TITAN, tokens=((1, 2),)), "token ids"),
        (asked(TITAN_1, dimensions=5), "dimensions"),
        (asked(COHERE, dimensions=5), "dimensions"),
        (asked("anthropic.claude-v2"), "model"),
    ],
)
def test_what_no_model_can_do_is_refused(request_: EmbeddingsRequest, words: str) -> None:
    with pytest.raises(Refusal, match=words):
        encode_requests(request_, [])


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        ({"embedding": [1, 2], "inputTextTokenCount": 3}, {}, Embeddings(vectors=((1, 2),), usage=Usage(3))),
        (
            {"embeddings": [[1, 2], [3, 4]], "texts": []},
            {"x-amzn-bedrock-input-token-count": "7"},
            Embeddings(vectors=((1, 2), (3, 4)), usage=Usage(7)),
        ),
        ({"embeddings": {"float": [[1, 2]]}}, {}, Embeddings(vectors=((1, 2),))),
        (
            {"embeddings": [{"embeddingType": "TEXT", "embedding": [1, 2]}]},
            {},
            Embeddings(vectors=((1, 2),)),
        ),
    ],
)
def test_vectors(body: Any, headers: dict[str, str], expected: Embeddings) -> None:
    assert decode_responses([(msgspec.json.encode(body), headers)]) == expected


def test_vectors_of_several_answers_keep_their_order() -> None:
    answers = [
        (msgspec.json.encode({"embedding": [at], "inputTextTokenCount": 2}), dict[str, str]())
        for at in range(3)
    ]

    assert decode_responses(answers) == Embeddings(vectors=((0,), (1,), (2,)), usage=Usage(6))


def test_recorded_vectors() -> None:
    stored = recording("bedrock/invoke-embeddings-amazon.nova-2-multimodal-emb")

    answer = decode_responses([(stored.content, stored.headers)])

    (vector,) = answer.vectors
    assert len(vector) == 256
    assert math.isclose(sum(number * number for number in vector), 1, rel_tol=0.01)
    assert answer.usage == Usage(10)
    assert encode_requests(asked(NOVA, "Ruby is a programmer's best friend", dimensions=256), []) == [
        stored.request
    ]


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"embeddings": [["x"]]}', b'{"embeddings": {"int8": []}}']
)
def test_what_has_no_vectors_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        decode_responses([(body, {})])
