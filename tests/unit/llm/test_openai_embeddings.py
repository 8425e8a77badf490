"""Embeddings in OpenAI's form and in Cohere's: recorded ones, and both SDKs as clients of what is written."""

import struct
from base64 import b64encode
from typing import Any

import msgspec
import pytest
from cohere import AsyncClientV2
from hypothesis import given
from hypothesis import strategies as st
from openai import AsyncOpenAI
from tests.support.recordings import Recording, recording, recordings
from tests.support.servers import answering

from tollhouse.llm.embeddings import Embeddings, EmbeddingsRequest
from tollhouse.llm.form import Refusal, Unreadable
from tollhouse.llm.formats.cohere_chat import embed
from tollhouse.llm.formats.openai_embeddings import (
    decode_request,
    decode_response,
    encode_request,
    encode_response,
)
from tollhouse.pdk.usage import Usage

PERPLEXITY = recording("openai-compatible/embeddings-embeddings-pplx-embed-v1-0.6b")
#: what a provider has sent, but for the one whose vectors are of bytes
RECORDED = [each for each in recordings("embeddings") if each.name != PERPLEXITY.name]
COHERE = recording("cohere/embed-embeddings-embed-v4.0")
VECTORS = ((0.5, -0.25), (1.0, 0.0))


def named(found: list[Recording]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("stored", found, ids=[r.name for r in found])


@named(RECORDED)
def test_recorded_vectors_are_read_and_survive_their_own_form(stored: Recording) -> None:
    body = msgspec.json.decode(stored.content)
    asked = decode_request(msgspec.json.encode(stored.request))

    answer = decode_response(stored.content)

    assert len(answer.vectors) == len(asked.texts)
    assert {len(vector) for vector in answer.vectors} <= {asked.dimensions, *map(len, answer.vectors)}
    assert answer.model == body["model"]
    assert answer.usage == Usage(body["usage"]["prompt_tokens"])
    for encoding in ("float", "base64"):
        again = decode_response(msgspec.json.encode(encode_response(answer, encoding)))
        assert again.usage == answer.usage
        for vector, before in zip(again.vectors, answer.vectors, strict=True):
            assert vector == pytest.approx(before, rel=1e-6)


def test_vectors_of_bytes_are_not_taken_for_floats() -> None:
    with pytest.raises(Unreadable, match="not of float32"):
        decode_response(PERPLEXITY.content)


def test_base64_is_of_floats_with_the_lowest_byte_first() -> None:
    stored = recording("openai/embeddings-embeddings-text-embedding-3-small")
    asked = decode_request(msgspec.json.encode(stored.request))
    answer = decode_response(stored.content)

    assert (asked.encoding, asked.dimensions) == ("base64", 256)
    assert len(answer.vectors[0]) == 256
    assert sum(x * x for x in answer.vectors[0]) == pytest.approx(1, abs=1e-3)
    # Nothing is lost: what goes out is what came in.
    again = encode_response(answer, "base64")["data"]
    assert again[0]["embedding"] == msgspec.json.decode(stored.content)["data"][0]["embedding"]


@named(RECORDED)
def test_a_recorded_request_survives_its_own_form(stored: Recording) -> None:
    asked = decode_request(msgspec.json.encode(stored.request))

    body = encode_request(asked, [])

    wrapped = {"input": stored.request["input"]}
    if isinstance(wrapped["input"], list) and len(wrapped["input"]) == 1:
        wrapped["input"] = wrapped["input"][0]
    assert body == stored.request | wrapped


@pytest.mark.parametrize(
    ("given", "texts", "tokens"),
    [
        ("a", ("a",), ()),
        (["a", "b"], ("a", "b"), ()),
        ([1, 2], (), ((1, 2),)),
        ([[1, 2], [3]], (), ((1, 2), (3,))),
    ],
)
def test_inputs_are_texts_or_token_ids(given: Any, texts: Any, tokens: Any) -> None:
    asked = decode_request(msgspec.json.encode({"model": "m", "input": given}))

    assert (asked.texts, asked.tokens) == (texts, tokens)
    assert encode_request(asked, [])["input"] == given


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not a request for embeddings"),
        (b'{"model":"m"}', "input"),
        (b'{"model":"m","input":[]}', "at least one"),
        (b'{"model":"m","input":["a",1]}', "not both"),
        (b'{"model":"m","input":[[1],2]}', "not both"),
        (b'{"model":"m","input":{"a":1}}', "input"),
        (b'{"model":"m","input":"a","encoding_format":"xml"}', "xml"),
    ],
)
def test_a_malformed_request_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(Refusal, match=words):
        decode_request(body)


def test_vectors_are_put_in_order() -> None:
    told = [{"embedding": [float(n)], "index": n} for n in (2, 0, 1)]

    answer = decode_response(msgspec.json.encode({"data": told, "usage": {"total_tokens": 3}}))

    assert answer == Embeddings(vectors=((0.0,), (1.0,), (2.0,)), usage=Usage(3))
    unnumbered = [{"embedding": [1.0]}, {"embedding": [2.0]}]
    assert decode_response(msgspec.json.encode({"data": unnumbered})).vectors == ((1.0,), (2.0,))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"data":[{"embedding":"%%"}]}',
        b'{"data":[{"embedding":"AAA="}]}',
        b'{"data":[{"embedding":[""]}]}',
    ],
)
def test_what_are_no_vectors_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        decode_response(body)


@given(st.lists(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1), min_size=1))
def test_any_vector_survives_base64(vectors: list[list[float]]) -> None:
    answer = Embeddings(vectors=tuple(map(tuple, vectors)), model="m", usage=Usage(1), id="x")

    body = msgspec.json.encode(encode_response(answer, "base64"))

    assert decode_response(body) == answer
    assert embed.decode_response(
        msgspec.json.encode(embed.encode_response(answer, asked(encoding="base64")))
    ).vectors == (answer.vectors)


def asked(**members: Any) -> EmbeddingsRequest:
    return EmbeddingsRequest(**{"form": "openai_embeddings", "model": "m", "texts": ("a", "b"), **members})


# Other providers


def test_mistral_has_its_own_name_for_the_length_of_vectors() -> None:
    ignored: list[str] = []

    body = encode_request(asked(dimensions=5, encoding="base64", user="u"), ignored, "mistral")

    assert body == {"model": "m", "input": ["a", "b"], "output_dimension": 5}
    assert ignored == ["user"]
    with pytest.raises(Refusal, match="token ids"):
        encode_request(asked(texts=(), tokens=((1,),)), [], "mistral")


def test_a_request_of_cohere_s_form_becomes_openai_s() -> None:
    ignored: list[str] = []

    body = encode_request(embed.decode_request(msgspec.json.encode(COHERE.request)), ignored)

    assert body == {"model": "embed-v4.0", "input": "Hello, world!"}
    assert ignored == ["input_type", "truncate"]


# Cohere


def test_cohere_s_recorded_vectors_are_read_and_survive_their_own_form() -> None:
    told = msgspec.json.decode(COHERE.content)
    request = embed.decode_request(msgspec.json.encode(COHERE.request))

    answer = embed.decode_response(COHERE.content)

    assert answer.vectors == tuple(map(tuple, told["embeddings"]["float"]))
    assert (answer.id, answer.usage) == (told["id"], Usage(4, billed=(4, 0)))
    kept = {name: value for name, value in COHERE.request.items() if value is not None}
    assert embed.encode_request(request, []) == kept
    again = embed.encode_response(answer, request)
    assert embed.decode_response(msgspec.json.encode(again)) == answer
    assert again["texts"] == told["texts"]


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, {"texts": ["a", "b"], "input_type": "search_document", "embedding_types": ["float"]}),
        ({"encoding": "base64"}, {"embedding_types": ["base64"]}),
        ({"dimensions": 5}, {"output_dimension": 5}),
        ({"purpose": "query"}, {"input_type": "search_query"}),
        ({"extra": {"input_type": "clustering"}}, {"input_type": "clustering"}),
        ({"extra": {"input_type": "mad"}}, {"input_type": "search_document"}),
    ],
)
def test_requests_for_cohere(members: dict[str, Any], expected: dict[str, Any]) -> None:
    body = embed.encode_request(asked(**members), [])

    assert {name: body[name] for name in expected} == expected


def test_what_cohere_does_not_know_is_told_or_refused() -> None:
    ignored: list[str] = []

    embed.encode_request(asked(user="u", extra={"x": 1, "input_type": "mad"}), ignored)

    assert ignored == ["user", "x", "input_type"]
    with pytest.raises(Refusal, match="token ids"):
        embed.encode_request(asked(texts=(), tokens=((1,),)), [])


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"embedding_types": ["int8"]}, "embedding_types"),
        ({"embedding_types": ["float", "base64"]}, "embedding_types"),
        ({"texts": None, "images": ["x"]}, "texts"),
        ({"input_type": "image"}, "input_type"),
        ({"texts": 7}, "not a Cohere request"),
    ],
)
def test_what_only_cohere_can_embed_is_refused(members: dict[str, Any], words: str) -> None:
    body = {"model": "m", "input_type": "search_query", "texts": ["a"]} | members

    with pytest.raises(Refusal, match=words):
        embed.decode_request(msgspec.json.encode(body))


def test_older_models_of_cohere_answer_with_a_list() -> None:
    assert embed.decode_response(b'{"embeddings":[[1,2]],"id":"x"}').vectors == ((1.0, 2.0),)
    for broken in (b"", b"{}", b'{"embeddings":{"base64":["%"]}}', b'{"embeddings":{"base64":["AAA="]}}'):
        with pytest.raises(Unreadable):
            embed.decode_response(broken)


# SDKs


async def test_openai_s_sdk_reads_vectors_that_came_from_elsewhere() -> None:
    answer = Embeddings(vectors=VECTORS, model="m", usage=Usage(7), id="x")
    body = encode_response(answer, "base64")
    assert body["data"][0]["embedding"] == b64encode(struct.pack("<2f", 0.5, -0.25)).decode()

    async with (
        answering(msgspec.json.encode(body), "application/json") as address,
        AsyncOpenAI(base_url=address, api_key="k", max_retries=0) as client,
    ):
        found = await client.embeddings.create(model="m", input=["a", "b"])

    assert tuple(tuple(item.embedding) for item in found.data) == VECTORS
    assert found.usage.total_tokens == 7


async def test_cohere_s_sdk_reads_vectors_that_came_from_elsewhere() -> None:
    answer = Embeddings(vectors=VECTORS, usage=Usage(7), id="x")
    body = msgspec.json.encode(embed.encode_response(answer, asked()))

    async with answering(body, "application/json") as address:
        client = AsyncClientV2(api_key="k", base_url=address)
        found = await client.embed(
            model="m", texts=["a", "b"], input_type="search_query", embedding_types=["float"]
        )

    assert found.embeddings.float_ == [list(vector) for vector in VECTORS]
    assert found.meta is not None
    assert found.meta.billed_units is not None
    assert found.meta.billed_units.input_tokens == 7
